"""Units of measure: text at rest, pint quantities on the way in and out.

The only file that knows pint.
"""

from __future__ import annotations

import math
import re

import xarray as xr


def units_of(array: xr.DataArray) -> str | None:
    """Return the units of an array, from its attributes, or None if it has none."""
    units = array.attrs.get("units")
    return None if units is None else str(units)


def same_units(a: str | None, b: str | None) -> bool:
    """Whether two texts name one unit; where pint is installed also "m" and "meter"."""
    if a is None or b is None or a == b:
        return a == b
    try:
        import pint
    except ModuleNotFoundError:
        return False
    try:
        return bool(pint.Unit(_expression(a)) == pint.Unit(_expression(b)))
    except (pint.PintError, ValueError, TypeError, AttributeError):
        return False


def conversion(given: str, wanted: str) -> tuple[float, float]:
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
    points = [0.0, 1.0, 2.0]
    try:
        converted = [
            float(registry.Quantity(x, _expression(given)).to(_expression(wanted)).magnitude)
            for x in points
        ]
    except (pint.PintError, ValueError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise ValueError(str(error)) from error
    scale = converted[1] - converted[0]
    if not math.isclose(converted[2] - converted[1], scale, rel_tol=1e-9):
        msg = f"{given!r} to {wanted!r} is not linear"
        raise ValueError(msg)
    return scale, converted[0]


def _expression(units: str) -> str:
    """Return units as pint reads them: CF writes "m s-1" for m / s."""
    if units == "1":
        return ""
    if " per " in units:
        return units
    powers = re.sub(r"([A-Za-z])(-?\d+)", r"\1**\2", units)
    return re.sub(r"(?<=[\w)])\s+(?=[A-Za-z(])", "*", powers)


def fits_deviation(sigma: str | None, mu: str | None) -> bool:
    """Whether a standard deviation may be in these units where its mean is in those."""
    of_difference = sigma is not None and mu is not None and sigma == f"delta_{mu}"
    return sigma is None or of_difference or same_units(sigma, mu)


def dequantify(dataset: xr.Dataset) -> xr.Dataset:
    """Return the Dataset with pint quantities as plain arrays and their units as text.

    A Dataset without quantities is returned as it is; pint is not imported for it.
    """
    quantified = any(hasattr(v._data, "units") for v in dataset.variables.values())  # noqa: SLF001
    if not quantified:
        return dataset
    import pint_xarray  # noqa: F401  # registers .pint; the user has it, as there are quantities

    plain: xr.Dataset = dataset.pint.dequantify()
    return plain
