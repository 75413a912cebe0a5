"""The command ``xfusion map``: from a box and a date to a map of water."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .cli_options import (
    CALIBRATION,
    MASKS,
    RULE,
    RUN,
    SCHEDULER,
    box,
    calibrations_of,
    catalog_option,
    takes,
)
from .console import (
    check_rule,
    cluster,
    one_line_errors,
    refuse_file,
    refuse_nan,
    refuse_place,
    say_what_came_out,
    terminated_is_interrupted,
    warnings_in_lines,
    write_picture,
    write_report,
)
from .datamodel.redaction import public
from .stac.named import RTC_CATALOGS
from .stac.profiles import Catalog


@click.command("map")
@click.option(
    "--bbox",
    type=box,
    required=True,
    metavar="W,S,E,N",
    help="The place, in degrees of longitude and latitude.",
)
@click.option("--date", required=True, help="Day or moment, UTC.")
@click.option(
    "--days",
    type=click.IntRange(0, 366),
    default=0,
    show_default=True,
    help="Search so many days before and after as well. Of each sensor one pass is taken: the "
    "nearest of those that cover nine tenths of what the best covers.",
)
@click.option(
    "--out",
    required=True,
    metavar="DIR|STORE.zarr",
    help="Folder of COGs and a STAC item, or a Zarr store (path or URL).",
)
@click.option(
    "--resolution",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="Metres of a pixel.",
)
@click.option(
    "--model",
    nargs=2,
    multiple=True,
    metavar="S1.onnx S2.onnx",
    help="Networks instead of thresholds: of VV and VH in dB, and of the reflectances green, red, "
    "NIR and SWIR 1.6. Given several times: the spread is sigma; of one, what a probability has.",
)
@catalog_option(
    "--catalog-rtc", RTC_CATALOGS, of="backscatter of Sentinel-1, RTC", default="planetary-computer"
)
@takes(MASKS)
@CALIBRATION
@takes(RULE)
@click.option(
    "--on-read-error",
    type=click.Choice(["raise", "flag"]),
    default="raise",
    show_default=True,
    help="When pixels cannot be read: end with an error, or go on and exclude them, flagged.",
)
@SCHEDULER
@click.option(
    "--resume/--restart",
    default=True,
    show_default=True,
    help="Go on with an unfinished Zarr store; or begin anew, and replace the files of a folder.",
)
@takes(RUN)
def map_command(
    bbox: tuple[float, ...],
    date: str,
    days: int,
    out: str,
    resolution: float,
    model: tuple[tuple[str, str], ...],
    catalog_rtc: Catalog | str | None,
    catalog_s1: Catalog | str | None,
    catalog_s2: Catalog | str | None,
    ndvi_max: float,
    calibration: tuple[str, ...],
    rule: Any,
    correlation: float,
    inflate: Any,
    prior: float | str | None,
    on_read_error: Any,
    scheduler: str | None,
    resume: bool,  # noqa: FBT001  # as click passes it
    force: bool,  # noqa: FBT001  # as click passes it
    timeout: float,
    quiet: bool,  # noqa: FBT001  # as click passes it
    debug: bool,  # noqa: FBT001  # as click passes it
) -> None:
    """Map the water of a place and a date, from nothing but these.

    Scenes of Sentinel-1 and Sentinel-2 are searched, water is retrieved from each, masks are
    attached, and both are fused. Writes the map, a picture and a report, and says what was found
    and what was not. With scenes of one sensor it is a map of that one.

    \b
    xfusion map --bbox 16.2,47.9,16.4,48.0 --date 2023-06-20 --days 3 --out water
    """  # noqa: D301  # click wants the character behind \b
    refuse_nan("--ndvi-max", ndvi_max)
    refuse_nan("--resolution", resolution)
    check_rule(rule, correlation=correlation, inflate=inflate, prior=prior)
    refuse_file(out)
    refuse_place("--out", out)
    picture, page = beside(out)
    with one_line_errors(debug=debug), terminated_is_interrupted(), cluster(scheduler):
        from .store.write import is_store
        from .view.figures import matplotlib_of
        from .view.reporting import report_target
        from .water_map import Catalogs, map_water
        from .workflow import S1, S2

        matplotlib_of()  # what is missing is said before the work, not after it
        report_target(page, overwrite=not resume)
        calibrations = calibrations_of([S1, S2], calibration)
        models = _models(model)  # before the search
        with warnings_in_lines(quiet=quiet):
            made = map_water(
                bbox,  # type: ignore[arg-type]  # box() has four
                date,
                days=days,
                resolution=resolution,
                models=models,
                calibrations=calibrations,
                catalogs=Catalogs(rtc=catalog_rtc, s1=catalog_s1, s2=catalog_s2),
                on_read_error=on_read_error,
                ndvi_max=ndvi_max,
                rule=rule,
                correlation=correlation,
                inflate=inflate,
                prior=prior,
            )
            if is_store(out):
                made.product.to_zarr(
                    out, resume=resume, force=force, timeout=timeout, progress=not quiet
                )
            else:
                made.product.to_cog(out, overwrite=not resume, progress=not quiet)
        write_picture(out, picture)
        summary = write_report(out, str(page), threshold=None, overwrite=not resume)
        if not quiet:
            for sentence in (*made.found, *made.missing):
                click.echo(sentence)
            say_what_came_out(out, verb="Mapped", summary=summary)
            click.echo(f"The picture: {public(str(picture))}")
            click.echo(f"The report, for a browser: {public(str(page))}")
            click.echo(f"{public(out)} is whole; what it contains: xfusion info {public(out)}")


def beside(out: str) -> tuple[Path, Path]:
    """Return where picture and report go: in a folder, beside a store on this machine."""
    from .store.write import is_store

    if not is_store(out):
        return Path(out) / "water.png", Path(out) / "report.html"
    name = out.rstrip("/").rpartition("/")[2].removesuffix(".zarr")
    folder = Path() if "://" in out else Path(out).parent
    return folder / f"{name}.png", folder / f"{name}.html"


def _models(given: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """Return the models of both sensors; of several files each an ensemble."""
    from .models import onnx
    from .workflow import S1, S2

    files = dict(zip((S1, S2), zip(*given, strict=True), strict=True)) if given else {}
    return {name: onnx(of[0] if len(of) == 1 else of) for name, of in files.items()}
