"""The command ``xfusion``: thin, the work is in the package."""

from __future__ import annotations

import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import click

from . import __version__


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Fuse uncertain retrievals of several satellites into one better estimate."""


@main.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("xfusion-demo"),
    show_default=True,
    help="Folder of the results.",
)
@click.option(
    "--size",
    type=click.FloatRange(min=0.2, max=10),
    default=1.0,
    show_default=True,
    help="Scale of the scene; 1 is about 12 km by 10 km.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the noise.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def demo(out: Path, size: float, seed: int, quiet: bool, debug: bool) -> None:  # noqa: FBT001  # click passes options so
    """Fuse an example scene of two sensors into one water map.

    Writes Sentinel-1 and Sentinel-2 retrievals with a known truth, serves their mask layers
    with a STAC API on this machine, and fuses them: COGs of mu, sigma, mask and source, and
    a picture.
    """
    with _one_line_errors(debug=debug), _terminated_is_interrupted():
        from .demo import run_demo

        # rasterio hides it for a moment, and in several threads at once the moment ends too soon
        warnings.filterwarnings("ignore", message="Dataset has no geotransform")
        click.echo(f"Writing the scene and serving it from {out / 'scene'}")
        result = run_demo(out, size=size, seed=seed, progress=_bar(quiet=quiet))
        click.echo("\npixels by source")
        for source, count in result.pixels.items():
            click.echo(f"  {source:<24}{count:>10}")
        click.echo("error against the truth (RMSE)")
        for what, error in result.rmse.items():
            click.echo(f"  {what:<24}{error:>10.4f}")
        click.echo("written")
        for path in result.files.values():
            click.echo(f"  {path}")


def _bar(*, quiet: bool) -> Any:
    if quiet:
        return nullcontext

    def show() -> AbstractContextManager[Any]:
        from dask.diagnostics.progress import ProgressBar

        bar: AbstractContextManager[Any] = ProgressBar(out=sys.stderr)
        return bar

    return show


@contextmanager
def _one_line_errors(*, debug: bool) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, ValueError, LookupError, ImportError, MemoryError) as error:
        if debug:
            raise
        message = " ".join(str(error).split()) or type(error).__name__
        raise click.ClickException(message) from error


@contextmanager
def _terminated_is_interrupted() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that what was started is stopped."""

    def interrupt(*_: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
