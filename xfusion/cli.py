"""The command ``xfusion``: thin, the work is in the package."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import click

from .cli_fuse import fuse
from .cli_map import map_command
from .cli_plot import plot_command
from .cli_report import report_command
from .cli_update import update
from .cli_warm import warm_command
from .console import (
    one_line_errors,
    refuse_nan,
    refuse_place,
    say_what_came_out,
    terminated_is_interrupted,
    warnings_in_lines,
)
from .datamodel.redaction import public
from .datamodel.version import __version__


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Fuse uncertain retrievals of several satellites into one better estimate."""


@main.command("demo")
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
def demo_command(out: Path, size: float, seed: int, quiet: bool, debug: bool) -> None:  # noqa: FBT001  # click passes options so
    """Fuse an example scene of two sensors into one water map.

    Writes Sentinel-1 and Sentinel-2 retrievals with a known truth, serves their mask layers
    with a STAC API on this machine, and fuses them: COGs of mu, sigma, mask and source, the
    truth as a reference, a picture, and a report to be opened in a browser.
    """
    refuse_place("--out", out)
    said = one_line_errors(debug=debug), warnings_in_lines(quiet=quiet)
    with said[0], said[1], terminated_is_interrupted():
        from .demo import run_demo

        click.echo(f"Writing the scene and serving it from {out / 'scene'}")
        result = run_demo(out, size=size, seed=seed, progress=not quiet)
        click.echo("\npixels by source")
        for source, count in result.pixels.items():
            click.echo(f"  {source:<24}{count:>10}")
        click.echo("error against the truth (RMSE)")
        for what, error in result.rmse.items():
            click.echo(f"  {what:<24}{error:>10.4f}")
        click.echo("error of the probability of water (Brier score)")
        for rule, score in result.brier.items():
            click.echo(f"  {rule:<24}{score:>10.4f}")
        click.echo("written")
        for path in result.files.values():
            click.echo(f"  {path}")
        click.echo()
        say_what_came_out(str(out), prefix="water_")
        click.echo(
            "Below 0 and above 1 mu is noise, which is left in: cut off, it would add water."
        )
        click.echo("What the map contains, and the area that is more than half water:")
        click.echo(f"  xfusion info {shlex.quote(str(out))} --threshold 0.5")
        click.echo("A report with scores; take a reference of your own for your results:")
        truth = shlex.quote(str(out / "truth.tif"))
        click.echo(f"  xfusion report {shlex.quote(str(out))} --threshold 0.5 --reference {truth}")


main.add_command(fuse)
main.add_command(update)
main.add_command(warm_command)
main.add_command(map_command)
main.add_command(plot_command)
main.add_command(report_command)


@main.command()
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="One object of JSON.")
@click.option(
    "--threshold",
    type=float,
    help="Area where the quantity exceeds this, in units of mu.  [default: as fuse was told]",
)
@click.option(
    "--correlation",
    type=click.FloatRange(min=0, min_open=True),
    metavar="METRES",
    help="Over which errors of pixels go together, for the uncertainty of the area.  [default: "
    "where they do not at all, and where all do]",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def info(
    file: str,
    as_json: bool,  # noqa: FBT001  # as click passes it
    threshold: float | None,
    correlation: float | None,
    debug: bool,  # noqa: FBT001  # as click passes it
) -> None:
    """Print what a result contains.

    FILE is a Zarr store (path or URL), a folder of COGs, or one of its files, such as the STAC
    item. Sensors, grid, the range of mu and sigma, area, the share of pixels by the sensors that
    contributed, the share excluded by each reason, conflict, and the parameters. Of a folder of
    several retrievals, such as a series, their dates and sensors.

    \b
    xfusion info water.zarr --threshold 0.5 --json
    """  # noqa: D301  # click wants the character behind \b
    refuse_nan("--threshold", threshold)
    refuse_nan("--correlation", correlation)
    with one_line_errors(debug=debug), warnings_in_lines(quiet=False):
        from .view.info import info_of

        options: Any = {"as_json": as_json, "threshold": threshold, "correlation": correlation}
        click.echo(info_of(file, name=public(file), **options))


@main.command("verify")
@click.argument("store")
@click.option("--json", "as_json", is_flag=True, help="One object of JSON.")
@click.option("--quiet", is_flag=True, help="No progress.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def verify_command(
    store: str,
    as_json: bool,  # noqa: FBT001  # as click passes it
    quiet: bool,  # noqa: FBT001  # as click passes it
    debug: bool,  # noqa: FBT001  # as click passes it
) -> None:
    """Check that a finished Zarr store is what was written.

    STORE is a folder or URL. All of it is read; what is broken is printed, and the command ends
    with an error. The command that wrote the store, given again, computes that anew.
    """
    with one_line_errors(debug=debug):
        from .store.soundness import verify

        broken, name = verify(store, progress=not quiet), public(store)
        if as_json:
            document = {"store": name, "sound": not broken, "broken": broken}
            click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        else:
            for key, fault in broken.items():
                click.echo(f"{key}: {fault}")
        if broken:
            places = "1 place" if len(broken) == 1 else f"{len(broken)} places"
            msg = f"{name} is broken in {places}: give the command that wrote it again"
            raise click.ClickException(msg)
        if not as_json:
            click.echo(f"{name} is sound")
