"""The command ``xfusion update``: the last map of a store, carried to today."""

from __future__ import annotations

import math

import click

from .cli_options import (
    FILES,
    RUN,
    SCHEDULER,
    SENSORS,
    check_options,
    correlation_option,
    sensors_given,
    takes,
)
from .console import (
    WithSensors,
    cluster,
    one_line_errors,
    refuse_file,
    refuse_place,
    say_what_came_out,
    terminated_is_interrupted,
    warnings_in_lines,
)
from .datamodel.redaction import public
from .stac.profiles import Catalog


@click.command(cls=WithSensors)
@click.argument("store")
@takes(SENSORS)
@click.option(
    "--grid",
    metavar="SENSOR|FILE|CRS,RESOLUTION",
    help="Grid of a new store, such as s1, grid.tif or EPSG:4326,0.0001.  [default: s2, or that "
    "of the first sensor]",
)
@takes(FILES)
@click.option(
    "--q",
    type=click.FloatRange(min=0),
    help="Of a random walk: by how much the variance of mu grows a day, in units of mu squared.  "
    "[default: that of the store]",
)
@click.option(
    "--rates",
    nargs=2,
    type=click.FloatRange(min=0, min_open=True),
    metavar="DRY_TO_WET WET_TO_DRY",
    help="Per day, of a probability of two states: how often dry turns wet, and wet dry, such as "
    "0.001 0.05 of floods that last for 20 days.  "
    "[default: those of the store]",
)
@click.option(
    "--prior",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="With --rates: what mu of the sensors takes for granted.  [default: that of the store, or "
    "what the rates come to]",
)
@correlation_option("of one time")
@SCHEDULER
@click.option(
    "--resume/--restart",
    default=True,
    show_default=True,
    help="Go on with a date that was begun; or give it up, and begin anew.",
)
@takes(RUN)
def update(
    store: str,
    s1: tuple[str, str] | None,
    s2: tuple[str, str] | None,
    sensor: tuple[tuple[str, str, str, str], ...],
    date: str | None,
    grid: str | None,
    nodata: tuple[str, ...],
    scale: tuple[str, ...],
    catalog_s1: Catalog | str | None,
    catalog_s2: Catalog | str | None,
    ndvi_max: float,
    q: float | None,
    rates: tuple[float, float] | None,
    prior: float | None,
    correlation: float,
    scheduler: str | None,
    resume: bool,  # noqa: FBT001  # as click passes it
    force: bool,  # noqa: FBT001  # as click passes it
    timeout: float,
    quiet: bool,  # noqa: FBT001  # as click passes it
    debug: bool,  # noqa: FBT001  # as click passes it
) -> None:
    """Carry the last map of a store to today, by what was seen today, and add it.

    STORE is a Zarr store (path or URL) of a map for each date; where there is none it is made, and
    --q or --rates says how fast things change. Each sensor is a raster of means and one of standard
    deviations, as of fuse; one sensor will do. A run that was killed leaves the store as it was,
    and the same command goes on with it; of the last date once more, it changes nothing.

    \b
    xfusion update water.zarr --s1 s1_mu.tif s1_sigma.tif --date 2023-06-20 --q 0.002
    xfusion update water.zarr --s2 s2_mu.tif s2_sigma.tif --date 2023-06-21
    """  # noqa: D301  # click wants the character behind \b
    files = {"s1": s1, "s2": s2}
    refuse_file(store, option="STORE")
    refuse_place("STORE", store)
    check_options(correlation=correlation, ndvi_max=ndvi_max, given=files)
    _check_model(q, rates, prior)
    with one_line_errors(debug=debug), terminated_is_interrupted(), cluster(scheduler):
        from .today import update_files
        from .workflow import sensor_name

        catalogs: dict[str, Catalog | str | None] = {"s1": catalog_s1, "s2": catalog_s2}
        sensors = sensors_given(files, sensor, catalogs=catalogs, nodata=nodata, scale=scale)
        if not sensors:
            msg = "give at least one of --s1, --s2 and --sensor"
            raise click.UsageError(msg)
        with warnings_in_lines(quiet=quiet):
            today = update_files(
                store,
                sensors,
                date=date,
                grid=grid,
                ndvi_max=ndvi_max,
                q=q,
                rates=rates,
                prior=prior,
                correlation=correlation,
            )
            grown = today.to_zarr(
                store,
                append_dim="time",
                resume=resume,
                force=force,
                timeout=timeout,
                progress=not quiet,
            )
        if not quiet:
            # not of those that the store knows, but that have seen nothing today
            asked = [sensor_name(each.name) for each in sensors]
            say_what_came_out(store, verb="Carried to today:", sensors=asked)
            last = grown.dataset.time.dt.strftime("%Y-%m-%dT%H:%M:%S").to_numpy()[-1]
            name, count = public(store), grown.dataset.sizes["time"]
            dates = f"1 date, {last}" if count == 1 else f"{count} dates, the last is {last}"
            click.echo(f"{name} has {dates}")
            click.echo(f"What it contains: xfusion info {name}")


def _check_model(q: float | None, rates: tuple[float, float] | None, prior: float | None) -> None:
    """Refuse numbers of both models, before anything is asked of a catalogue."""
    for name, numbers in (("q", [q]), ("rates", rates or ()), ("prior", [prior])):
        if not all(number is None or math.isfinite(number) for number in numbers):
            msg = f"--{name} is no finite number"
            raise click.UsageError(msg)
    if q is not None and rates is not None:
        msg = "--q is of a random walk, --rates of two states: give one of them"
        raise click.UsageError(msg)
    if q is not None and prior is not None:
        msg = "--prior goes with --rates, and --q is of a random walk: leave one of them out"
        raise click.UsageError(msg)
