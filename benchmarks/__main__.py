"""Run the benchmarks named on the command line, or all; numbers after a name are its sizes."""

import argparse
import importlib
import platform
from pathlib import Path

from benchmarks.machine import commit, machine
from benchmarks.page import PAGES, write_page
from benchmarks.results import KEPT, RUNS, keep, write_run
from benchmarks.tables import Table, print_table

NAMES = (
    "startup",
    "cold",
    "fusion",
    "coregistration",
    "assess",
    "time",
    "predict",
    "network",
    "job",
    "store",
    "cluster",
    "scale",
)
SIZED = ("network", "job", "store", "cluster", "scale")


def chosen(words: list[str]) -> dict[str, list[int]]:
    """Return the benchmarks that words name, each with its sizes; all without words."""
    found: dict[str, list[int]] = {}
    for word in words or NAMES:
        if word.isdigit() and found:
            found[list(found)[-1]].append(int(word))
        else:
            found[word] = []
    unknown = sorted(set(found) - set(NAMES))
    if unknown:
        msg = f"no benchmark {unknown}; there are {[*NAMES]}"
        raise SystemExit(msg)
    if any(sizes for name, sizes in found.items() if name not in SIZED):
        msg = f"only {[*SIZED]} take sizes, such as: job 1000 5000"
        raise SystemExit(msg)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME [SIZE ...]", help=", ".join(NAMES))
    parser.add_argument("--out", type=Path, default=RUNS, help="folder of the file of this run")
    parser.add_argument("--keep", action="store_true", help="keep it for the docs, as --results")
    parser.add_argument("--results", type=Path, default=KEPT, help="folder of what is kept")
    parser.add_argument("--note", default="", help="what is to be known of this run")
    arguments = parser.parse_args()
    of = machine()
    print(f"{of['processor']} ({of['architecture']}), {of['cores']} cores, {of['memory_gib']} GiB")
    print(f"Python {platform.python_version()}, commit {commit() or 'unknown'}")
    tables: list[Table] = []
    for name, sizes in chosen(arguments.names).items():
        for table in importlib.import_module(f"benchmarks.{name}").main(*sizes):
            print_table(table)
            tables.append(table)
            if arguments.keep:  # at once: an end halfway loses nothing
                keep([table], arguments.results, arguments.note)
    print(f"\n{write_run(tables, arguments.out, arguments.note)}")
    if arguments.keep and arguments.results == KEPT:
        for page in PAGES:
            write_page(page)


if __name__ == "__main__":
    main()
