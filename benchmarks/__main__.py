"""Run the benchmarks named on the command line, or all."""

import importlib
import sys

from benchmarks.timing import print_machine

NAMES = ["startup", "fusion"]


def main() -> None:
    chosen = sys.argv[1:] or NAMES
    unknown = set(chosen) - set(NAMES)
    if unknown:
        sys.exit(f"no benchmark {sorted(unknown)}; there are {NAMES}")
    print_machine()
    for name in chosen:
        importlib.import_module(f"benchmarks.{name}").main()


main()
