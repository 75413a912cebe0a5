"""Units of measure: text at rest, pint quantities on the way in and out.

The only file that knows pint.
"""

from __future__ import annotations

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
        return bool(pint.Unit("" if a == "1" else a) == pint.Unit("" if b == "1" else b))
    except (pint.PintError, ValueError, TypeError, AttributeError):
        return False


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
