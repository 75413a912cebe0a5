"""Units of measure: text at rest, pint quantities on the way in and out.

The only file that knows pint.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import xarray as xr

# far apart, so that the offset of degF costs the scale no digit
FAR = float(1 << 20)
# as people and udunits write them, without what is between the words -> as pint reads them
TEMPERATURE = {
    "K": (
        "k",
        "kelvin",
        "kelvins",
        "degk",
        "degkelvin",
        "degreekelvin",
        "degreeskelvin",
        "degreek",
    ),
    "degC": ("°c", "degc", "degsc", "celsius", "degcelsius", "degreec", "degreesc"),
    "degF": ("°f", "degf", "degsf", "fahrenheit", "degfahrenheit", "degreef", "degreesf"),
}
TEMPERATURE["degC"] += ("degreecelsius", "degreescelsius", "centigrade", "degreecentigrade")
TEMPERATURE["degF"] += ("degreefahrenheit", "degreesfahrenheit")
ANGLE = tuple(
    f"{name}{side}"
    for name in ("degree", "degrees")
    for side in ("", "n", "s", "e", "w", "north", "south", "east", "west")
)
SPELLED = {spelled: unit for unit, names in TEMPERATURE.items() for spelled in names}
SPELLED |= dict.fromkeys((*ANGLE, "deg", "°"), "degree")
DIMENSIONLESS = (None, "", "1", "dimensionless", "probability")
OF_DIFFERENCES = ("delta_", "Δ")
FACTOR = re.compile(r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?(?=\s|$)")


def units_of(array: xr.DataArray) -> str | None:
    """Return the units of an array, from its attributes, or None if it has none."""
    units = array.attrs.get("units")
    return None if units is None else str(units)


def same_units(a: str | None, b: str | None) -> bool:
    """Whether two texts name one unit; where pint is installed also "m" and "meter"."""
    if a is None or b is None or a == b:
        return a == b
    a, b = _canonical(a), _canonical(b)
    if a == b:
        return True
    try:
        import pint
    except ModuleNotFoundError:
        return False
    try:
        (factor, unit), (other_factor, other) = _parsed(a), _parsed(b)
        return factor == other_factor and bool(pint.Unit(unit) == pint.Unit(other))
    except (pint.PintError, ValueError, TypeError, AttributeError):
        return False


def conversion(units: str, wanted: str) -> tuple[float, float]:
    """Return scale and offset from one unit to another.

    Raises
    ------
    ModuleNotFoundError
        If pint is not installed.
    ValueError
        If there is no such conversion, or it is not linear.
    """
    import pint

    registry = pint.get_application_registry()
    (factor, unit), (wanted_factor, wanted_unit) = _parsed(units), _parsed(wanted)
    try:
        with np.errstate(all="ignore"):  # logarithms of 0 are found not to be linear
            zero, far, farther = (
                float(registry.Quantity(x * factor, unit).to(wanted_unit).magnitude) / wanted_factor
                for x in (0.0, FAR, 2.0 * FAR)
            )
    except (pint.PintError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        raise ValueError(str(error)) from error
    if not math.isclose(farther - far, far - zero, rel_tol=1e-9):
        msg = f"{units!r} to {wanted!r} is not linear"
        raise ValueError(msg)
    return (far - zero) / FAR, zero


def as_number(value: Any, units: str | None = None) -> float:
    """Return a number, or that of a pint quantity in these units; NaN if it is neither.

    A text is none, nor is True.

    Raises
    ------
    ValueError
        If a quantity cannot be converted.
    """
    if hasattr(value, "magnitude") and units is not None:
        scale, offset = conversion(str(value.units), units)
        value = value.magnitude * scale + offset
    try:
        return math.nan if isinstance(value, str | bool | np.bool_) else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _parsed(units: str) -> tuple[float, str]:
    """Return a factor and units as pint reads them: CF writes "m s-1" for m / s, "1e-3" for ‰."""
    units = _canonical(units)
    number = FACTOR.match(units)
    factor = float(number.group()) if number else 1.0
    unit = units[number.end() :].strip() if number else units
    if " per " in unit:
        return factor, unit
    powers = re.sub(r"([A-Za-z])(-?\d+)", r"\1**\2", unit)
    return factor, re.sub(r"(?<=[\w)])\s+(?=[A-Za-z(])", "*", powers)


def _canonical(units: str) -> str:
    """Return a unit of temperature or angle in the spelling of pint, any other as it is."""
    plain = re.sub(r"[\s_.-]+", "", units)
    if plain in ("k", "C", "F"):  # a factor, a charge, a capacity
        return units
    return SPELLED.get(plain.lower(), units)


def fits_deviation(sigma: str | None, mu: str | None) -> bool:
    """Whether a standard deviation may be in these units where its mean is in those."""
    if sigma is None or same_units(sigma, mu):
        return True
    if mu is None:
        return False
    return _is_difference(sigma, mu)


def _is_difference(units: str, of: str) -> bool:
    """Whether units are those of differences of others: K and degC of either."""
    plain = units
    for sign in OF_DIFFERENCES:
        plain = plain.removeprefix(sign)
    unit, mean = _canonical(plain), _canonical(of)
    if unit == mean or {unit, mean} <= {"K", "degC"}:
        return True
    try:
        # what is no multiple of another unit is one with a zero of its own, if it can be converted
        has_own_zero = conversion(of, units)[1] != 0
        return has_own_zero and conversion(units, f"delta_{mean}") == (1.0, 0.0)
    except (ModuleNotFoundError, ValueError):
        return False


def dequantify(dataset: xr.Dataset) -> xr.Dataset:
    """Return the Dataset with pint quantities as plain arrays and their units as text.

    A Dataset without quantities is returned as it is; pint is not imported for it.
    """
    quantified = any(hasattr(v._data, "units") for v in dataset.variables.values())  # noqa: SLF001  # reads nothing
    if not quantified:
        return dataset
    import pint_xarray  # noqa: F401  # registers .pint; the user has it, as there are quantities

    plain: xr.Dataset = dataset.pint.dequantify()
    return plain
