"""Time alternatives side by side."""

import gc
import time
from collections.abc import Callable, Mapping
from typing import Any


def best_of(
    alternatives: Mapping[str, Callable[[], Any]],
    *,
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Return the best time of each, in seconds; the rounds take turns, so all see one machine.

    With the clock ``time.process_time`` it is that of the processor, whoever else uses it.
    """
    times: dict[str, list[float]] = {name: [] for name in alternatives}
    for name, run in alternatives.items():
        run()  # compile, fill caches
        del name
    for _ in range(rounds):
        for name, run in alternatives.items():
            gc.collect()
            start = clock()
            result = run()
            times[name].append(clock() - start)
            del result
    return {name: min(seconds) for name, seconds in times.items()}
