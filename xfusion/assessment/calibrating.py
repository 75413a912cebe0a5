"""Fit a calibration to a retrieval and a reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import xarray as xr

from xfusion.datamodel.caller import warn
from xfusion.datamodel.groups import Groups, groups_of
from xfusion.datamodel.names import CALIBRATED, MU
from xfusion.datamodel.reference import in_units_of, on_grid
from xfusion.datamodel.units import units_of
from xfusion.datamodel.validation import Retrieval, as_retrieval, check_probability

from .binned_scores import scores, scores_of_sigma
from .calibration import METHODS, Calibration
from .counting import Counts, counted
from .fitting import Curve, Floats, Method, Pairs, Squares, fitted, fitted_sigma

TWO = 2  # groups, from which something is known of a third


def calibrate(
    dataset: Retrieval,
    /,
    reference: xr.DataArray,
    *,
    method: Method = "isotonic",
    groups: xr.DataArray | Hashable | None = None,
) -> Calibration:
    """Fit what makes the means of a sensor probabilities, or its sigmas those of its residuals.

    It computes: a lazy retrieval and reference are read once, block by block.

    Parameters
    ----------
    dataset : Dataset or product
        A retrieval: of the probability that a pixel is wet, or of a quantity with "sigma".
    reference : DataArray, on the grid of the retrieval
        0 is dry, 1 is wet, or bool; NaN or declared nodata is not known. With "sigma" the
        quantity, in units that can be converted to those of mu. Dims that it lacks, such as
        `time`, are those of mu.
    method : {"isotonic", "beta", "platt", "sigma"}
        How mu becomes a probability: by any rising map; by one of three coefficients; of two. Or
        "sigma", of a quantity: mu stays, and sigma becomes a rising function of itself.
    groups : DataArray or hashable, optional
        The scenes: integers or strings on the grid, or along other dims of mu; or the name of a dim
        of mu each label of which is a scene, such as "time". Pixels of no group, as NaN and
        declared nodata say it, are left out. With two groups or more, each is also scored by a
        map that was fitted to the others.

    Returns
    -------
    Calibration
        To be applied with :func:`apply_calibration`, and written with ``to_json()``. It is the
        same for any blocks.

    Warns
    -----
    UserWarning
        With fewer than two groups, that nothing is known of other scenes.

    Raises
    ------
    ValueError
        If grids, units or methods do not fit; if a usable mu is no probability, or the reference
        not 0 or 1; if no usable pixel has a reference, or all have the same.

    Notes
    -----
    "isotonic" pools bins of mu until the share of wet ones rises (Zadrozny and Elkan 2002), and is
    linear between the centres of the pools. A lowest pool of n pixels without a wet one says
    ``1 / (n + 2)``. "beta" is ``logit p = a log(mu) - b log(1 - mu) + c`` with a, b >= 0 (Kull,
    Silva Filho and Flach 2017), "platt" the same with a = b, fitted to the targets of Platt (1999).
    "sigma" pools bins of at least 50 pixels until the mean squared residual rises with sigma (Levi
    et al. 2022 for bins). The bins of mu are 1/128 of the distance to 0 or 1 wide; what is counted
    in them are whole numbers. ``docs/calibration.md`` says what helps, and what does not.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xfusion as xf
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.random((100, 100)) ** 2
    >>> water = xr.DataArray(rng.random((100, 100)) < truth, dims=("y", "x"))
    >>> s1 = xf.retrieval(np.sqrt(truth), np.full((100, 100), 0.1), sensor="sentinel-1")
    >>> scene = xr.DataArray(np.arange(100) // 50, dims="y").broadcast_like(s1.mu)
    >>> model = xf.calibrate(s1, water, groups=scene)
    >>> round(model.before["ece"], 2), round(model.left_out["ece"], 2)
    (0.18, 0.01)
    >>> s1.fusion.apply_calibration(model).mu.dtype
    dtype('float64')
    """
    dataset = as_retrieval(dataset)
    how: Any = method
    if not isinstance(how, str) or how not in METHODS:
        msg = f"{method=} is none of {', '.join(METHODS)}"
        raise ValueError(msg)
    if CALIBRATED in dataset.attrs:
        msg = (
            f"the retrieval was calibrated before, {CALIBRATED}={dataset.attrs[CALIBRATED]!r}: "
            "calibrate the original, or measure what the calibrated is worth, xf.assess(...)"
        )
        raise ValueError(msg)
    located = on_grid(dataset, reference)
    if method == "sigma":
        _check_no_event(located.dtype == bool)
        located = in_units_of(located, dataset[MU])
    else:
        check_probability(dataset[MU], "calibrate")
    of_pixels = None if groups is None else groups_of(dataset, groups)
    codes = None if of_pixels is None else of_pixels.codes
    counts = counted(dataset, located, codes, squares=method == "sigma")
    fit = _fit_sigma if method == "sigma" else _fit_mean
    found = fit(counts, method)
    names = _names(counts, of_pixels)
    if len(names) < TWO:
        warn(
            f"a calibration fitted to {'one group' if names else 'pixels without groups'}: nothing "
            "is known of other scenes; give groups=, integers or strings that tell the scenes apart"
        )
    sensor = dataset.attrs.get("sensor")
    return Calibration(
        method=method,
        sensor=None if sensor is None else str(sensor),
        units=units_of(dataset[MU]),
        groups=names,
        **found,
    )


def _names(counts: Counts, groups: Groups | None) -> tuple[int | str, ...]:
    """Return what the groups are called of which pixels were compared."""
    if groups is None:
        return ()
    return tuple(groups.names.get(label, label) for label in counts.labels())


def _fit_mean(counts: Counts, method: Method) -> dict[str, Any]:
    """Return the fields of a calibration of probabilities."""
    everything = _pairs(counts.of_all)
    dry, wet = int(everything.dry.sum()), int(everything.wet.sum())
    _check_some(dry + wet)
    if not dry or not wet:
        msg = (
            f"all of the {dry + wet} pixels of the reference are {'dry' if dry else 'wet'}: "
            "calibrate with scenes of both, or with more pixels"
        )
        raise ValueError(msg)
    curve = fitted(method, everything)
    after = scores(curve.at(everything.mu), everything)

    def of_group(label: int) -> tuple[Floats, Pairs]:
        pairs = _pairs(counts.of_group(label))
        return fitted(method, _pairs(counts.of_others(label))).at(pairs.mu), pairs

    left_out = _left_out(counts, of_group, scores)
    return {
        "base_rate": wet / (dry + wet),
        "count": dry + wet,
        "rms": math.sqrt((left_out or after)["brier"]),
        "before": scores(everything.mu, everything),
        "after": after,
        "left_out": left_out,
        **_of_curve(curve),
    }


def _fit_sigma(counts: Counts, _: Method) -> dict[str, Any]:
    """Return the fields of a calibration of sigma."""
    from xfusion.kernels import pair_counts  # numba takes half a second to import

    zeros, *of_reference = (int(n) for n in counts.notes)
    dry, wet, neither = of_reference
    _check_no_event(bool(dry and wet) and not neither)
    _check_some(dry + wet + neither)
    everything = _squares(counts.of_all)
    if not everything.squares.any():
        msg = (
            f"sigma is 0 for {zeros} of {dry + wet + neither} pixels, and mu is the reference at "
            "the others: there is nothing to scale; give pixels with a sigma and a residual"
        )
        raise ValueError(msg)
    if zeros:
        warn(
            f"sigma is 0 for {zeros} pixels, which no factor makes larger: they are left out, and "
            "stay as they are; raise them before, sigma.clip(min=...)"
        )
    curve = fitted_sigma(everything)
    after = scores_of_sigma(curve.at_sigma(everything.sigma), everything)

    def of_group(label: int) -> tuple[Floats, Squares]:
        squares, others = _squares(counts.of_group(label)), _squares(counts.of_others(label))
        # where all others are without a residual, there is no scale
        scale = fitted_sigma(others) if others.squares.any() else Curve(((1.0, 1.0, 1),))
        return scale.at_sigma(squares.sigma), squares

    number = int(counts.table[:, 2 + pair_counts.NUMBER].sum())
    return {
        "base_rate": None,
        "count": number,
        "rms": after["rmse"],
        "before": scores_of_sigma(everything.sigma, everything),
        "after": after,
        "left_out": _left_out(counts, of_group, scores_of_sigma),
        **_of_curve(curve),
    }


def _left_out(
    counts: Counts, of_group: Callable[[int], Any], scored: Callable[..., dict[str, float]]
) -> dict[str, float] | None:
    """Return the scores of all groups, each by what was fitted to the others."""
    labels = counts.labels()
    if len(labels) < TWO:
        return None
    estimates, tables = zip(*map(of_group, labels), strict=True)
    columns = (np.concatenate(column) for column in zip(*tables, strict=True))
    return scored(np.concatenate(estimates), type(tables[0])(*columns))


def _pairs(counts: tuple[Any, Any]) -> Pairs:
    from xfusion.kernels import pair_counts  # numba takes half a second to import

    _, table = counts
    of_pixels = table.astype(float)
    mean = pair_counts.mean_probability(table)
    return Pairs(mean, of_pixels[:, pair_counts.DRY], of_pixels[:, pair_counts.WET])


def _squares(counts: tuple[Any, Any]) -> Squares:
    from xfusion.kernels import pair_counts  # as above

    bins, table = counts
    sigma = pair_counts.mean_sigma(bins, table)
    squares = pair_counts.sum_of_squares(table) * sigma**2
    return Squares(sigma, table[:, pair_counts.NUMBER].astype(float), squares)


def _of_curve(curve: Curve) -> dict[str, Any]:
    return {"knots": curve.knots, "coefficients": curve.coefficients}


def _check_some(number: int) -> None:
    if number == 0:
        msg = (
            "no usable pixel has a reference: see retrieval.fusion.usable and where the reference "
            "is known, and that of a group"
        )
        raise ValueError(msg)


def _check_no_event(is_event: bool) -> None:  # noqa: FBT001  # what is checked
    """Refuse to scale the sigma of a probability."""
    if is_event:
        msg = (
            "method='sigma' is for quantities, and the reference is 0 or 1: of a probability the "
            "mean is mended, method='isotonic', and no scale of sigma does that"
        )
        raise ValueError(msg)
