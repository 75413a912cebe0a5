"""Fusion rules on retrievals, and the merging of masks at decision level."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .conventions import (
    FLAG_ATTRS,
    MASK,
    MU,
    NODATA,
    SIGMA,
    SOURCE,
    Exclusion,
    Retrieval,
    annotate,
    as_retrieval,
    rechunked,
)
from .grid import on_grid_of, with_spatial_dims
from .units import same_units, units_of

MAX_SENSORS = 8
SIGMA_FLOOR = 1e-6

NonfiniteSigma = Literal["exclude", "floor"]
How = Literal["any", "all", "majority"]


def gaussian(
    dataset: Retrieval,
    *others: Retrieval,
    sigma_floor: float = SIGMA_FLOOR,
    nonfinite_sigma: NonfiniteSigma = "exclude",
    use_mask: bool = True,
) -> xr.Dataset:
    """Fuse independent retrievals on one grid: the inverse-variance weighted mean.

    Parameters
    ----------
    dataset, *others : Dataset or product
        1 to 8 retrievals on one grid, in one unit. The result takes dims, coordinates and
        the attributes of `mu` from the first.
    sigma_floor : float, in units of mu
        A sigma at or below it is raised to it. With Monte-Carlo dropout sigma is 0 where
        all passes agree: very sure, not broken.
    nonfinite_sigma : {"exclude", "floor"}
        What a NaN or infinite sigma means: the pixel is not usable, or sigma is
        `sigma_floor` (the rule of the original workflow; such a pixel then outweighs all).
    use_mask : bool
        False ignores the masks, as if there were none.

    Returns
    -------
    Dataset
        A retrieval: `mu` and `sigma`, float32 where all inputs are, NaN where no sensor is
        usable; `mask`, 0 where one is usable, else all the reasons together; and `source`,
        uint8, bit i set where sensor i contributed. Lazy where an input is lazy.

    Raises
    ------
    ValueError
        If grids, dims or units differ, there are more than 8 retrievals, or an argument
        is out of range. Nothing is computed before.

    Notes
    -----
    ``w_i = 1 / sigma_i^2``, ``mu = sum(w_i mu_i) / sum(w_i)``, ``sigma = sum(w_i)^-1/2``
    over the sensors usable at the pixel (Aitken 1936; Cochran 1937): the best linear
    unbiased estimate if the errors are independent. One usable sensor passes through.

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> s1 = xf.retrieval(np.full((1, 1), 0.2), np.full((1, 1), 0.1), sensor="sentinel-1")
    >>> s2 = xf.retrieval(np.full((1, 1), 0.6), np.full((1, 1), 0.1), sensor="sentinel-2")
    >>> water = s1.fusion.gaussian(s2)
    >>> float(water.mu[0, 0].round(3)), float(water.sigma[0, 0].round(4))
    (0.4, 0.0707)
    """
    if nonfinite_sigma not in ("exclude", "floor"):
        msg = f"{nonfinite_sigma=}: must be 'exclude' or 'floor'"
        raise ValueError(msg)
    if not 0 <= sigma_floor < np.inf:
        msg = f"{sigma_floor=}: must be a finite number >= 0, in units of mu"
        raise ValueError(msg)
    given = [as_retrieval(r) for r in (dataset, *others)]
    retrievals = _on_one_grid(given)
    lazy = any(v.chunks is not None for r in retrievals for v in r.variables.values())
    masks = [r[MASK] for r in retrievals if use_mask and MASK in r]
    arrays = [*(r[MU] for r in retrievals), *(r[SIGMA] for r in retrievals), *masks]
    dtype = np.result_type(*(a.dtype for a in arrays[: 2 * len(retrievals)]))
    mu, sigma, mask, source = xr.apply_ufunc(
        _gaussian,
        *arrays,
        kwargs={
            "masked": tuple(use_mask and MASK in r for r in retrievals),
            "sigma_floor": float(sigma_floor),
            "floor_nonfinite": nonfinite_sigma == "floor",
            # a dask task is one of many already
            "threads": 1 if lazy else None,
        },
        output_core_dims=[[], [], [], []],
        join="exact",
        dask="parallelized",
        output_dtypes=[dtype, dtype, np.uint8, np.uint8],
        keep_attrs=True,
    )
    fused = xr.Dataset({MU: mu, SIGMA: sigma, MASK: mask, SOURCE: source})
    return _describe(
        fused,
        given,
        {
            "fusion_rule": "gaussian",
            "fusion_sigma_floor": float(sigma_floor),
            "fusion_nonfinite_sigma": nonfinite_sigma,
            "fusion_use_mask": int(use_mask),  # netCDF has no booleans
        },
    )


def merge_mask(mask: xr.DataArray, *others: xr.DataArray, how: How = "any") -> xr.DataArray:
    """Merge exclusion masks at decision level: 1 excluded, 0 not, NaN not observed.

    Parameters
    ----------
    mask, *others : DataArray
        Masks on one grid: bool, True where excluded; or numbers, 1 excluded, 0 not, NaN or
        the declared nodata (``nodata`` or ``_FillValue``) not observed.
    how : {"any", "all", "majority"}
        Excluded where any observing mask excludes; where all observing masks do; or where
        at least half of them do.

    Returns
    -------
    DataArray
        float32 with 1, 0 and NaN where no mask observed the pixel; bool if all inputs are.

    Raises
    ------
    ValueError
        If the masks lie on different grids or `how` is none of the three.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xfusion as xf
    >>> a = xr.DataArray([1.0, 0.0, np.nan, np.nan], dims="x")
    >>> b = xr.DataArray([0.0, np.nan, 1.0, np.nan], dims="x")
    >>> a.fusion.merge_mask(b).values
    array([ 1.,  0.,  1., nan], dtype=float32)
    """
    if how not in ("any", "all", "majority"):
        msg = f"{how=}: must be 'any', 'all' or 'majority'"
        raise ValueError(msg)
    first = mask.to_dataset(name=MASK)
    aligned = [mask]
    for i, other in enumerate(others, start=2):
        named = with_spatial_dims(other.to_dataset(name=MASK), first)
        names = (f"mask {i}", "mask 1")
        aligned.append(on_grid_of(named, first, names=names, mend="odc.reproject")[MASK])
    boolean = all(a.dtype == bool for a in aligned)
    merged: xr.DataArray = xr.apply_ufunc(
        _merge,
        *aligned,
        kwargs={"how": how, "nodata": [_declared_nodata(m) for m in (mask, *others)]},
        join="exact",
        dask="parallelized",
        output_dtypes=[np.float32],
        keep_attrs=True,
    )
    merged = merged.astype(bool) if boolean else merged
    return (
        merged.rename(mask.name)
        .drop_attrs(deep=False)
        .assign_attrs(long_name=f"excluded by {how} of {len(aligned)} masks")
    )


def _on_one_grid(retrievals: list[xr.Dataset]) -> list[xr.Dataset]:
    if len(retrievals) > MAX_SENSORS:
        msg = (
            f"{len(retrievals)} retrievals, at most {MAX_SENSORS} in one call: fuse some of them "
            "first, the order does not matter for independent errors"
        )
        raise ValueError(msg)
    # what else a Dataset holds is not fused, and may have dims of its own
    retrievals = [r[[v for v in (MU, SIGMA, MASK) if v in r]] for r in retrievals]
    first = retrievals[0]
    names = sensor_names(retrievals)
    aligned = [first]
    for name, other in zip(names[1:], retrievals[1:], strict=True):
        units, first_units = units_of(other[MU]), units_of(first[MU])
        if not same_units(units, first_units):
            msg = (
                f"mu of {name!r} is in {units!r}, of {names[0]!r} in {first_units!r}: convert it, "
                f"e.g. with .pint.quantify().pint.to({first_units!r}) from xfusion[units]"
            )
            raise ValueError(msg)
        both = (repr(name), repr(names[0]))
        mend = f".coregister({names[0]})"
        other = on_grid_of(other, first, names=both, mend=mend)  # noqa: PLW2901
        other = other.transpose(*first[MU].dims, ...)  # noqa: PLW2901
        # blocks of the first: dask would cut both into the pieces of all edges
        lazy = first[MU].chunks is not None and other[MU].chunks is not None
        aligned.append(rechunked(other, first[MU].chunksizes) if lazy else other)
    return aligned


def sensor_names(retrievals: Sequence[xr.Dataset]) -> list[str]:
    """Return a name for each retrieval: its sensor, in the letters of CF, told apart by numbers."""
    given = [re.sub(r"[^\w.+@-]+", "_", str(r.attrs.get("sensor", "sensor"))) for r in retrievals]
    names: list[str] = []
    for i, name in enumerate(given, start=1):
        unique = f"{name}_{i}" if given.count(name) > 1 else name
        while unique in names or (unique != name and unique in given):
            unique += "_"
        names.append(unique)
    return names


def _describe(
    fused: xr.Dataset, retrievals: Sequence[xr.Dataset], provenance: dict[str, Any]
) -> xr.Dataset:
    first, names = retrievals[0], sensor_names(retrievals)
    mu_attrs = {k: v for k, v in first[MU].attrs.items() if k != "ancillary_variables"}
    fused[MU].attrs = mu_attrs
    fused[SIGMA].attrs = {}
    fused[MASK].attrs = dict(FLAG_ATTRS)
    fused[SOURCE].attrs = {
        "long_name": "sensors that contributed",
        "flag_masks": np.array([1 << i for i in range(len(names))], np.uint8),
        "flag_meanings": " ".join(names),
    }
    fused = fused.assign_coords(
        {k: v for k, v in first.coords.items() if set(v.dims) <= set(first[MU].dims)}
    )
    times = [
        r.coords["time"].to_numpy()
        for r in retrievals
        if r.coords.get("time") is not None and r.coords["time"].ndim == 0
    ]
    span: dict[str, str] = {}
    if times and (len(times) < len(retrievals) or min(times) != max(times)):
        # acquisitions apart in time: one label would be wrong, so the span is kept
        fused = fused.drop_vars("time")
        span = {
            "time_coverage_start": f"{np.datetime_as_string(min(times), unit='s')}Z",
            "time_coverage_end": f"{np.datetime_as_string(max(times), unit='s')}Z",
        }
    return annotate(fused.assign_attrs({"sensor": "+".join(names), **span, **provenance}))


def _gaussian(
    *arrays: NDArray[Any],
    masked: tuple[bool, ...],
    sigma_floor: float,
    floor_nonfinite: bool,
    threads: int | None,
) -> tuple[NDArray[Any], ...]:
    from .kernels import fuse  # numba takes half a second to import

    n = len(masked)
    masks = iter(arrays[2 * n :])
    return fuse.gaussian(
        arrays[:n],
        arrays[n : 2 * n],
        tuple(next(masks) if has_mask else None for has_mask in masked),
        sigma_floor=sigma_floor,
        floor_nonfinite=floor_nonfinite,
        unknown=int(Exclusion.UNKNOWN),
        threads=threads,
    )


def _merge(*masks: NDArray[Any], how: How, nodata: list[float | None]) -> NDArray[np.float32]:
    excluding = np.zeros(masks[0].shape, np.uint8)
    observing = np.zeros(masks[0].shape, np.uint8)
    for mask, missing in zip(masks, nodata, strict=True):
        observed = ~np.isnan(mask) if mask.dtype.kind == "f" else np.ones(mask.shape, bool)
        if missing is not None:
            observed &= mask != missing
        observing += observed
        excluding += observed & (mask != 0)
    if how == "any":
        excluded = excluding > 0
    elif how == "all":
        excluded = excluding == observing
    else:
        excluded = 2 * excluding >= observing
    return np.where(observing > 0, excluded, np.nan).astype(np.float32)


def _declared_nodata(mask: xr.DataArray) -> float | None:
    if mask.attrs.get("flag_meanings") == FLAG_ATTRS["flag_meanings"]:
        return float(Exclusion.UNKNOWN)  # and nothing else: not observed
    # a float has been decoded, its encoding tells what the file said
    for declared in (mask.attrs, {} if mask.dtype.kind == "f" else mask.encoding):
        for key in NODATA:
            if declared.get(key) is not None and mask.dtype != bool:
                return float(declared[key])
    return None
