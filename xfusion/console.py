"""How the command talks: errors and warnings in a line, progress, what came out, an end."""

from __future__ import annotations

import math
import os
import re
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .datamodel.redaction import public
from .fusion.prior import CALIBRATION
from .kernels.long_waits import waiting
from .wording import in_words_of_what_runs

if TYPE_CHECKING:
    from .view.summary import Summary

COLUMNS = 80
ERRNO = re.compile(r"^\[Errno -?\d+\] ")  # before what is said in words
CONNECT_TIMEOUT = 5  # seconds for a scheduler to answer
SENSOR_VALUES = 4  # NAME MU SIGMA MASK
FILES = (".tif", ".tiff", ".nc", ".json", ".vrt")  # what a result is not one of


class WithSensors(click.Command):
    """A command whose --sensor takes three or four values, which click has no option for."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Read the options, each sensor with four values."""
        try:
            return super().parse_args(context, _with_masks(args))
        except click.UsageError as error:
            if "unexpected extra argument" not in error.message:
                raise
            msg = f"{error.message}: files are given as --sensor NAME MU SIGMA"
            raise click.UsageError(msg, context) from None


def probability_or_calibration(text: str) -> float | str:
    """Return a probability, or the word for that which sensors were calibrated with."""
    if text == CALIBRATION:
        return CALIBRATION
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < 1:
        msg = f"{text!r} is no number between 0 and 1, nor {CALIBRATION!r}"
        raise click.BadParameter(msg)
    return number


def _with_masks(args: list[str]) -> list[str]:
    """Give each --sensor an empty mask where it has none."""
    whole: list[str] = []
    while args:
        first, *args = args
        whole.append(first)
        if first.startswith("--sensor="):
            whole[-1], _, value = first.partition("=")
            args = [value, *args]
        if whole[-1] == "--sensor":
            ends = (i for i, word in enumerate(args) if word.startswith("--") or word == "-h")
            end = next(ends, len(args))
            values, args = args[:end], args[end:]
            if len(values) not in (SENSOR_VALUES - 1, SENSOR_VALUES):
                msg = f"--sensor takes NAME MU SIGMA [MASK], not {' '.join(values) or 'nothing'}"
                raise click.UsageError(msg)
            whole += [*values, *[""] * (SENSOR_VALUES - len(values))]
    return whole


@contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """Compute on a cluster, if there is one."""
    if address is None:
        yield
        return
    try:
        from distributed import Client
    except ImportError as error:
        msg = "--scheduler needs the package distributed: pip install 'xfusion[distributed]'"
        raise ImportError(msg) from error
    try:
        client = Client(address, timeout=CONNECT_TIMEOUT)
    except (OSError, ValueError) as error:
        msg = f"--scheduler {address}: {error}; give that of one that runs, tcp://HOST:8786"
        raise click.ClickException(msg) from error
    with client:
        yield


def check_rule(rule: str, *, correlation: float, inflate: str | None, prior: Any) -> None:
    """Refuse options that the rule does not take, and want the one that it needs."""
    for name, given in (("correlation", correlation), ("inflate", inflate)):
        if given and rule != "gaussian":
            msg = f"--{name} is for the rule gaussian, not for {rule}"
            raise click.UsageError(msg)
    if (prior is not None) != (rule == "log_odds"):
        msg = "--prior and --rule log_odds go together: the rule needs it, and no other takes it"
        raise click.UsageError(msg)


def refuse_nan(option: str, number: float | None) -> None:
    """Refuse what click takes for a number."""
    if number is not None and math.isnan(number):
        msg = f"{option} is no number"
        raise click.UsageError(msg)


def refuse_place(option: str, path: str | Path) -> None:
    """Refuse a path below a file, before anything is computed for it."""
    if "://" in str(path):
        return
    above = next((p for p in Path(path).absolute().parents if p.exists()), None)
    if above is not None and not above.is_dir():
        msg = f"{option} {path}: {above} is a file, no folder: give another"
        raise click.UsageError(msg)


def refuse_file(out: str, *, option: str = "--out") -> None:
    """Refuse the name of a file for a result, with what may be meant."""
    out = public(out)
    if Path(out).is_file():
        msg = f"{option} {out} is a file, but a result is several: give another name"
        raise click.UsageError(msg)
    name, _, ending = out.rstrip("/").rpartition(".")
    if f".{ending.lower()}" in FILES and not Path(out).is_dir():
        folder = f"a folder for mu.tif, sigma.tif and so on, {option} {name}, or "
        store = f"a store, {option} {name}.zarr"
        if option == "STORE":  # which is no option, and no folder of files
            folder, store = "", f"a name such as {name}.zarr"
        msg = f"{option} {out} looks like a file, but a result is several: give {folder}{store}"
        raise click.UsageError(msg)


def say_what_came_out(
    path: str,
    *,
    verb: str = "Fused",
    sensors: Sequence[str] | None = None,
    threshold: float | None = None,
    prefix: str = "",
    summary: Summary | None = None,
) -> None:
    """Say what a result is, in a few sentences; it, or of a series its last map, is read once.

    Not even once where its summary is known.
    """
    from .view.percentages import kept_together, let_go
    from .view.results import open_result
    from .view.summary import summarise
    from .view.words import sentences

    if summary is None:
        result = open_result(path, prefix=prefix)
        if "time" in result.dims:
            result = result.isel(time=-1)
        summary = summarise(result, threshold=threshold)
    for sentence in sentences(summary, verb=verb, sensors=sensors):
        lines = click.wrap_text(kept_together(sentence), COLUMNS, subsequent_indent="  ")
        click.echo(let_go(lines))


def write_report(
    path: str, file: str, *, threshold: float | None, overwrite: bool = False
) -> Summary:
    """Write the report of a result, and return its numbers."""
    from .view.reporting import report_and_summary
    from .view.results import open_result

    result = open_result(path)
    return report_and_summary(result, file, threshold=threshold, overwrite=overwrite)[1]


def write_picture(path: str, out: Path, *, time: str | None = None, dpi: int = 150) -> None:
    """Draw a result into a file, which is there whole or as it was."""
    from .view.pictures import plot
    from .view.report_inputs import map_of
    from .view.results import open_result

    figure = plot(map_of(open_result(path), time))
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = out.with_name(f".{os.getpid()}-{out.name}")
    try:
        figure.savefig(aside, format=out.suffix.lower().removeprefix("."), dpi=dpi)
        aside.replace(out)
    finally:
        aside.unlink(missing_ok=True)


def numbers_by_sensor(option: str, values: Sequence[str], names: Sequence[str]) -> dict[str, float]:
    """Return sensor -> number, of an option that takes a number for all sensors or for one."""
    numbers: dict[str, float] = {}
    # what is said of one sensor counts more than what is said of all
    for text in sorted(values, key=lambda value: "=" in value):
        name, equals, number = text.rpartition("=")
        if equals and name not in names:
            msg = f"{option} {text}: {name!r} is no sensor of {list(names)}"
            raise click.UsageError(msg)
        try:
            found = float(number)
        except ValueError as error:
            msg = f"{option} {text}: {number!r} is no number; give NUMBER or SENSOR=NUMBER"
            raise click.UsageError(msg) from error
        numbers |= dict.fromkeys([name] if equals else names, found)
    return numbers


@contextmanager
def warnings_in_lines(*, quiet: bool) -> Iterator[None]:
    """Show each warning of ours as a line, what is waited for, and progress; or none of them."""
    import dask

    from .run.progress import SHOWN

    waiting.silent |= quiet
    said: set[str] = set()

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        words = in_words_of_what_runs(" ".join(str(message).split()))
        if not quiet and words not in said:
            said.add(words)  # of bands and of masks the same may be true
            click.echo(f"Warning: {words}", err=True)

    silence = dask.config.set({SHOWN: False}) if quiet else nullcontext()
    with silence, warnings.catch_warnings():
        warnings.simplefilter("once", UserWarning)
        warnings.filterwarnings("ignore", message="Dataset has no geotransform")
        warnings.showwarning = show
        yield


@contextmanager
def one_line_errors(*, debug: bool) -> Iterator[None]:
    """Show an error as one line, or with its traceback."""
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except Exception as error:  # whatever a cluster or a store may raise
        if debug:
            raise
        message = " ".join(str(error).split()) or type(error).__name__
        message = in_words_of_what_runs(ERRNO.sub("", message), error)
        expected = (OSError, RuntimeError, ValueError, LookupError, ImportError, MemoryError)
        if not isinstance(error, expected):
            message = f"{type(error).__name__}: {message} (--debug shows where)"
        raise click.ClickException(message) from error


@contextmanager
def terminated_is_interrupted() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that what was started is stopped."""

    def interrupt(*_: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
