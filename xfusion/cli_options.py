"""Options that several commands take, and what is given by them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from .console import SENSOR_VALUES, numbers_by_sensor, probability_or_calibration
from .fusion.rules import RULES
from .masks.exclusion import NDVI_MAX
from .stac.named import GFM_CATALOGS, S2_CATALOGS, catalog_of_name
from .stac.profiles import Catalog
from .workflow import PRODUCTS, SensorFiles, check_names

if TYPE_CHECKING:
    from .assessment.calibration import Calibration

Command = TypeVar("Command", bound=Callable[..., Any])


def correlation_option(of_what: str) -> Callable[[Command], Command]:
    """Return the option of that name."""
    return click.option(
        "--correlation",
        type=click.FloatRange(-1, 1),
        default=0.0,
        show_default=True,
        help=f"Of the errors of the sensors; {of_what}.",
    )


def catalog_option(
    name: str, known: Mapping[str, Catalog], *, of: str, default: str
) -> Callable[[Command], Command]:
    """Return the option of a catalogue, which takes the names of some.

    Parameters
    ----------
    name : str
    known : mapping
        Name -> catalogue.
    of : str
        What is looked for there.
    default : str
        Where it is looked for without the option.
    """

    def named(text: str) -> Catalog | str:
        found = catalog_of_name(text, known)
        if isinstance(found, str) and "://" not in found and not Path(found).exists():
            msg = f"{text!r} is no URL, no file and none of {', '.join(known)}"
            raise click.BadParameter(msg)
        return found

    return click.option(
        name,
        type=named,
        metavar="NAME|URL|FILE",
        help=f"STAC API or item file of {of}; or {', '.join(known)}.  [default: {default}]",
    )


SENSORS: list[Any] = [
    click.option("--s1", nargs=2, metavar="MU SIGMA", help="Sentinel-1; masked by GFM."),
    click.option("--s2", nargs=2, metavar="MU SIGMA", help="Sentinel-2; masked by SCL and NDVI."),
    click.option(
        "--sensor",
        nargs=SENSOR_VALUES,
        multiple=True,
        metavar="NAME MU SIGMA [MASK]",
        help="Any other sensor, its mask as uint8 flags; may be repeated.",
    ),
    click.option(
        "--date",
        help="Day or moment of acquisition, UTC; needed for masks, and for update, unless the "
        "files say it.",
    ),
]
MASKS: list[Any] = [
    catalog_option("--catalog-s1", GFM_CATALOGS, of="the mask of Sentinel-1, GFM", default="eodc"),
    catalog_option("--catalog-s2", S2_CATALOGS, of="bands of Sentinel-2", default="earth-search"),
    click.option(
        "--ndvi-max",
        type=click.FloatRange(-1, 1),
        default=NDVI_MAX,
        show_default=True,
        help="Sentinel-2 pixels with a larger NDVI are excluded.",
    ),
]
FILES: list[Any] = [
    click.option(
        "--nodata",
        multiple=True,
        metavar="[SENSOR=]NUMBER",
        help="Means no data, besides what the files declare; of all sensors or of one.",
    ),
    click.option(
        "--scale",
        multiple=True,
        metavar="[SENSOR=]NUMBER",
        help="Of the numbers in the files, such as 0.01 of percent; of all sensors or of one.",
    ),
    *MASKS,
]
CALIBRATION = click.option(
    "--calibration",
    multiple=True,
    metavar="[SENSOR=]FILE.json",
    help="Applied before the fusion, as Calibration.to_json() wrote it; of the sensor that it "
    "names, or of this one; may be repeated.",
)
RULE: list[Any] = [
    click.option(
        "--rule",
        type=click.Choice(list(RULES)),
        default="gaussian",
        show_default=True,
        help="Fusion rule.",
    ),
    correlation_option("for the rule gaussian"),
    click.option(
        "--inflate",
        type=click.Choice(["birge"]),
        help="Larger sigma where sensors disagree; for the rule gaussian.",
    ),
    click.option(
        "--prior",
        type=probability_or_calibration,
        metavar="NUMBER|calibration",
        help="Probability before any evidence, or that of the sensors' calibration; for the rule "
        "log_odds, which needs it.",
    ),
]
SCHEDULER = click.option("--scheduler", metavar="ADDRESS", help="Compute on this dask cluster.")
RUN: list[Any] = [
    click.option(
        "--force", is_flag=True, help="Take a Zarr store from another run that still writes to it."
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(min=0),
        default=60.0,
        show_default=True,
        help="Seconds to wait for workers of a cluster, or its scheduler, while none of them "
        "answers.",
    ),
    click.option("--quiet", is_flag=True, help="Print nothing but errors."),
    click.option("--debug", is_flag=True, help="Show the traceback of an error."),
]


def takes(options: Sequence[Callable[[Command], Command]]) -> Callable[[Command], Command]:
    """Give a command several options, in this order."""

    def decorated(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


def check_options(*, correlation: float, ndvi_max: float, given: dict[str, Any]) -> None:
    """Refuse options of sensors that are not given, and numbers that are none.

    Parameters
    ----------
    correlation, ndvi_max : float
    given : dict
        Files of "s1" and "s2", empty or None where these are not given.
    """
    source_of = click.get_current_context().get_parameter_source
    for name, of in (("catalog_s1", "s1"), ("catalog_s2", "s2"), ("ndvi_max", "s2")):
        if not given[of] and source_of(name) is ParameterSource.COMMANDLINE:
            msg = f"--{name.replace('_', '-')} is for --{of}, which is not given"
            raise click.UsageError(msg)
    for name, number in (("ndvi-max", ndvi_max), ("correlation", correlation)):
        if math.isnan(number):
            msg = f"--{name} is no number"
            raise click.UsageError(msg)


def sensors_given(
    files: dict[str, Any],
    others: Sequence[tuple[str, str, str, str]],
    *,
    catalogs: dict[str, Catalog | str | None],
    nodata: Sequence[str],
    scale: Sequence[str],
) -> list[SensorFiles]:
    """Return the sensors that options name.

    Parameters
    ----------
    files : dict
        "s1" and "s2" -> mu and sigma, or None.
    others : sequence of (name, mu, sigma, mask)
    catalogs : dict
        "s1" and "s2" -> that of its mask.
    nodata, scale : sequence of str
        As the options have them.
    """
    sensors = [
        SensorFiles(name=name, mu=pair[0], sigma=pair[1], catalog=catalogs[name])
        for name, pair in files.items()
        if pair
    ]
    sensors += [SensorFiles(name=n, mu=m, sigma=s, mask=k or None) for n, m, s, k in others]
    names = [each.name for each in sensors]
    check_names(names)
    nodatas = numbers_by_sensor("--nodata", nodata, names)
    scales = numbers_by_sensor("--scale", scale, names)
    return [replace(s, nodata=nodatas.get(s.name), scale=scales.get(s.name)) for s in sensors]


def box(text: str) -> tuple[float, ...]:
    """Return the edges of a box in degrees."""
    from .datamodel.degrees import check_box

    try:
        return check_box([float(edge) for edge in text.split(",")])
    except ValueError as error:
        said = str(error).partition(": ")[2] if "bbox=" in str(error) else ""
        msg = f"{text!r}: {said or 'give four numbers, W,S,E,N, such as 16.2,47.9,16.6,48.2'}"
        raise click.BadParameter(msg) from error


def calibrations_of(names: Sequence[str], given: Sequence[str]) -> dict[str, Calibration]:
    """Return sensor -> the calibration of a file, that of the sensor it names or of the one said.

    Parameters
    ----------
    names : sequence of str
        Of the sensors.
    given : sequence of str
        As the option has them.
    """
    from .assessment.calibration import Calibration

    found: dict[str, Calibration] = {}
    for text in given:
        name, equals, file = text.partition("=")
        if not (equals and name in names):
            name, file = "", text
        try:
            calibration = Calibration.from_json(Path(file).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            msg = f"--calibration {text}: {getattr(error, 'strerror', None) or error}"
            raise click.UsageError(msg) from error
        of = [n for n in names if calibration.sensor in (n, _long_name(n))]
        if not name and len(of) != 1:
            msg = (
                f"--calibration {text} is of {calibration.sensor!r}, and sensors are {[*names]}: "
                "say of which, --calibration SENSOR=FILE.json"
            )
            raise click.UsageError(msg)
        name = name or of[0]
        if name in found:
            msg = f"--calibration {text}: {name} has one already"
            raise click.UsageError(msg)
        found[name] = calibration
    return found


def with_calibrations(sensors: Sequence[SensorFiles], given: Sequence[str]) -> list[SensorFiles]:
    """Return the sensors with the calibrations of files, see :func:`calibrations_of`."""
    found = calibrations_of([each.name for each in sensors], given)
    return [replace(each, calibration=found.get(each.name)) for each in sensors]


def _long_name(name: str) -> str | None:
    product = PRODUCTS.get(name)
    return None if product is None else product.sensor
