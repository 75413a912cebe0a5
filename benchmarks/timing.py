"""Time alternatives side by side, and print what came out."""

import gc
import os
import platform
import time
from collections.abc import Callable, Mapping
from typing import Any


def best_of(alternatives: Mapping[str, Callable[[], Any]], *, rounds: int) -> dict[str, float]:
    """Return the best time of each, in seconds; the rounds take turns, so all see one machine."""
    times: dict[str, list[float]] = {name: [] for name in alternatives}
    for name, run in alternatives.items():
        run()  # compile, fill caches
        del name
    for _ in range(rounds):
        for name, run in alternatives.items():
            gc.collect()
            start = time.perf_counter()
            result = run()
            times[name].append(time.perf_counter() - start)
            del result
    return {name: min(seconds) for name, seconds in times.items()}


def print_table(title: str, times: Mapping[str, float], *, against: str, pixels: int) -> None:
    """Print seconds, nanoseconds a pixel and the ratio to one of the rows."""
    print(f"\n{title}")
    print(f"  {'':<44}{'seconds':>9}{'ns/pixel':>10}{'speed-up':>10}")
    for name, seconds in times.items():
        ratio = times[against] / seconds
        print(f"  {name:<44}{seconds:>9.3f}{seconds / pixels * 1e9:>10.2f}{ratio:>9.1f}x")


def print_machine() -> None:
    """Print what the numbers were measured on."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
