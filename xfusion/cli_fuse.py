"""The command ``xfusion fuse``: files of several sensors to one result."""

from __future__ import annotations

from typing import Any

import click

from .cli_options import (
    CALIBRATION,
    FILES,
    RULE,
    RUN,
    SCHEDULER,
    SENSORS,
    box,
    check_options,
    sensors_given,
    takes,
    with_calibrations,
)
from .console import (
    WithSensors,
    check_rule,
    cluster,
    one_line_errors,
    refuse_file,
    refuse_nan,
    refuse_place,
    say_what_came_out,
    terminated_is_interrupted,
    warnings_in_lines,
    write_report,
)
from .datamodel.redaction import public
from .stac.profiles import Catalog


@click.command(cls=WithSensors)
@takes(SENSORS)
@click.option(
    "--out",
    required=True,
    metavar="DIR|STORE.zarr",
    help="Folder of COGs and a STAC item, or a Zarr store (path or URL).",
)
@click.option(
    "--grid",
    metavar="SENSOR|FILE|CRS,RESOLUTION",
    help="Grid of the result, such as s1, grid.tif or EPSG:4326,0.0001.  [default: s2, or that "
    "of the first sensor]",
)
@click.option(
    "--bbox",
    type=box,
    metavar="W,S,E,N",
    help="Only the whole pixels of the grid that cover this box, in degrees of longitude and "
    "latitude; across the antimeridian with E above 180.",
)
@takes(FILES)
@CALIBRATION
@takes(RULE)
@click.option(
    "--threshold",
    type=float,
    help="Add the layer exceedance: the probability that the quantity is above this, in units of "
    "mu. Not for a mu that is a probability of what you look for.",
)
@click.option(
    "--report",
    "report_file",
    metavar="FILE",
    help="Write a report to this file, such as report.html.",
)
@SCHEDULER
@click.option(
    "--shards/--no-shards",
    default=True,
    show_default=True,
    help="Blocks of a Zarr store as shards; or each as one chunk, which GDAL 3.12 can read.",
)
@click.option(
    "--resume/--restart",
    default=True,
    show_default=True,
    help="Go on with an unfinished Zarr store; or begin anew, and replace the files of a folder.",
)
@takes(RUN)
def fuse(
    s1: tuple[str, str] | None,
    s2: tuple[str, str] | None,
    sensor: tuple[tuple[str, str, str, str], ...],
    date: str | None,
    out: str,
    grid: str | None,
    bbox: tuple[float, ...] | None,
    nodata: tuple[str, ...],
    scale: tuple[str, ...],
    catalog_s1: Catalog | str | None,
    catalog_s2: Catalog | str | None,
    ndvi_max: float,
    calibration: tuple[str, ...],
    rule: Any,
    correlation: float,
    inflate: Any,
    prior: float | str | None,
    threshold: float | None,
    report_file: str | None,
    scheduler: str | None,
    shards: bool,  # noqa: FBT001  # as click passes it
    resume: bool,  # noqa: FBT001  # as click passes it
    force: bool,  # noqa: FBT001  # as click passes it
    timeout: float,
    quiet: bool,  # noqa: FBT001  # as click passes it
    debug: bool,  # noqa: FBT001  # as click passes it
) -> None:
    """Fuse the retrievals of two or more sensors into one.

    Each sensor is a raster of means and one of standard deviations. Sentinel-1 and Sentinel-2
    get the masks of their catalogues for the date. Everything is brought onto one grid, fused
    pixel by pixel, and written block by block: memory does not grow with the area.

    \b
    xfusion fuse --s1 s1_mu.tif s1_sigma.tif --s2 s2_mu.tif s2_sigma.tif \\
        --date 2023-06-20 --out water.zarr
    """  # noqa: D301  # click wants the character behind \b
    refuse_nan("--threshold", threshold)
    check_rule(rule, correlation=correlation, inflate=inflate, prior=prior)
    refuse_file(out)
    refuse_place("--out", out)
    files = {"s1": s1, "s2": s2}
    check_options(correlation=correlation, ndvi_max=ndvi_max, given=files)
    with one_line_errors(debug=debug), terminated_is_interrupted(), cluster(scheduler):
        from .store.write import is_store
        from .view.reporting import report_target
        from .workflow import FEWEST, RANGE, fuse_files, sensor_name

        if report_file is not None:
            refuse_place("--report", report_file)
            report_target(report_file, overwrite=False)
        catalogs: dict[str, Catalog | str | None] = {"s1": catalog_s1, "s2": catalog_s2}
        sensors = sensors_given(files, sensor, catalogs=catalogs, nodata=nodata, scale=scale)
        if len(sensors) < FEWEST:
            msg = "give at least two of --s1, --s2 and --sensor"
            raise click.UsageError(msg)
        sensors = with_calibrations(sensors, calibration)
        with warnings_in_lines(quiet=quiet):
            fused = fuse_files(
                sensors,
                date=date,
                grid=grid,
                ndvi_max=ndvi_max,
                rule=rule,
                correlation=correlation,
                inflate=inflate,
                prior=prior,
                bbox=bbox,
                threshold=threshold,
            )
            if is_store(out):
                fused.to_zarr(
                    out,
                    shards=shards,
                    resume=resume,
                    force=force,
                    timeout=timeout,
                    progress=not quiet,
                )
            else:
                fused.to_cog(out, overwrite=not resume, progress=not quiet)
        summary = None
        if report_file is not None:
            summary = write_report(out, report_file, threshold=threshold)
        if not quiet:
            of = fused.dataset.attrs
            for each in sensors:
                click.echo(f"mu of {sensor_name(each.name)}: {of[RANGE + each.name]} (of a sample)")
            say_what_came_out(out, threshold=threshold, summary=summary)
            if report_file is not None:
                click.echo(f"The report, for a browser: {public(report_file)}")
            click.echo(f"{public(out)} is whole; what it contains: xfusion info {public(out)}")
