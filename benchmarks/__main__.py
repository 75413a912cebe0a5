"""Run the benchmarks named on the command line, or all; numbers after a name are its sizes."""

import importlib
import sys

from benchmarks.timing import print_machine

NAMES = ["startup", "fusion", "coregistration", "assess", "time", "job", "store"]
SIZED = ("job", "store")


def main() -> None:
    chosen: dict[str, list[int]] = {}
    for word in sys.argv[1:] or NAMES:
        if word.isdigit() and chosen:
            chosen[list(chosen)[-1]].append(int(word))
        else:
            chosen[word] = []
    unknown = sorted(set(chosen) - set(NAMES))
    if unknown:
        sys.exit(f"no benchmark {unknown}; there are {NAMES}")
    if any(sizes for name, sizes in chosen.items() if name not in SIZED):
        sys.exit(f"only {SIZED} take sizes, such as: job 1000 5000")
    print_machine()
    for name, sizes in chosen.items():
        importlib.import_module(f"benchmarks.{name}").main(*sizes)


main()
