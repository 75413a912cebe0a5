"""Fusion rules on retrievals."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import xarray as xr
from numpy.typing import ArrayLike

from xfusion.datamodel.names import MU
from xfusion.datamodel.provenance import merged_mask_attrs, of_its_time
from xfusion.datamodel.units import same_units, units_of
from xfusion.datamodel.validation import Retrieval, as_retrieval

from .alignment import MAX_SENSORS, along, on_one_grid
from .block import FusionTask
from .description import with_description
from .doubled_labels import check_distinct
from .layers import fused_layers
from .prior import with_prior
from .rules import RULES, Inflate, NonfiniteSigma, Rule, RuleName

SIGMA_FLOOR = 1e-6


def gaussian(
    dataset: Retrieval,
    /,
    *others: Retrieval,
    dim: Hashable | None = None,
    correlation: ArrayLike = 0.0,
    sigma_floor: float = SIGMA_FLOOR,
    nonfinite_sigma: NonfiniteSigma = "exclude",
    use_mask: bool = True,
    diagnostics: bool = False,
    inflate: Inflate | None = None,
    bounded: tuple[float, float] | None = None,
) -> xr.Dataset:
    """Fuse retrievals on one grid: the best linear unbiased estimate with convex weights.

    Parameters
    ----------
    dataset, *others : Dataset or product
        1 to 8 retrievals on one grid. The result takes dims, coordinates, units and the
        attributes of `mu` from the first; others in compatible units are converted, with
        pint from ``xfusion[units]``.
    dim : hashable, optional
        Fuse a single `dataset` along this dim of `mu`, such as "time", instead. More than 8
        labels only if their errors are independent.
    correlation : float or array, shape (sensors, sensors)
        Of the errors between sensors, one for all pairs or a matrix; 0 is independent. If it
        is only known to be at most r, r is the cautious choice.
    sigma_floor : float, in units of mu
        A sigma at or below it is raised to it. With Monte-Carlo dropout sigma is 0 where
        all passes agree: very sure, not broken. Of retrievals that were fused before, the floor
        was applied: give 0.
    nonfinite_sigma : {"exclude", "floor"}
        What a NaN or infinite sigma means: the pixel is not usable, or sigma is
        `sigma_floor` (the rule of the original workflow; such a pixel then outweighs all).
    use_mask : bool
        False ignores the masks, as if there were none.
    diagnostics : bool
        Add `chi2`, `weight` and, of two sensors, `normalised_difference`.
    inflate : {"birge"}, optional
        Multiply sigma with the Birge ratio where it is above 1: sensors that disagree by more
        than their sigmas say make the result less sure. A sigma of 0, which a `sigma_floor` of 0
        leaves, stays 0.
    bounded : (float, float), optional
        Bounds of the quantity, (0, 1) for a probability: `mu` and `sigma` become mean and
        standard deviation of the fused normal distribution between them.

    Returns
    -------
    Dataset
        A retrieval: `mu` and `sigma`, float32 where all inputs are, NaN where no sensor is
        usable; `mask`, 0 where one is usable, else all the reasons together; and `source`,
        uint8, bit i set where sensor i contributed; along a dim `count`, uint16, how many
        contributed, instead; and `conflict`, bool, where the usable sensors contradict each other:
        no value is within 3 sigmas of all, so that `sigma` is too small. With `diagnostics` also
        `chi2`, reduced, NaN where fewer than two are usable; `weight` (sensor, ...), NaN where a
        sensor is not usable; and `normalised_difference`, the first sensor less the second in
        standard deviations of their difference. Lazy where an input is lazy.

    Raises
    ------
    ValueError
        If grids, dims or units do not go together, there are more than 8 retrievals, or an
        argument is out of range. Nothing is computed before.

    Notes
    -----
    ``mu = sum(w_i mu_i)`` with the ``w_i >= 0`` of sum 1 that make ``sigma^2 = w' C w`` least,
    where ``C_ij = r_ij sigma_i sigma_j`` over the sensors usable at the pixel. For independent
    errors these are ``w_i = sigma^2 / sigma_i^2, sigma^-2 = sum(sigma_i^-2)`` (Aitken 1936;
    Cochran 1937), for others ``w = C^-1 1 / (1' C^-1 1)`` where none is negative (Winkler
    1981). One usable sensor passes through. Formulas and limits: ``docs/rules.md``.

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> s1 = xf.retrieval(np.full((1, 1), 0.2), np.full((1, 1), 0.1), sensor="sentinel-1")
    >>> s2 = xf.retrieval(np.full((1, 1), 0.6), np.full((1, 1), 0.1), sensor="sentinel-2")
    >>> water = s1.fusion.gaussian(s2)
    >>> float(water.mu[0, 0].round(3)), float(water.sigma[0, 0].round(4))
    (0.4, 0.0707)
    >>> float(s1.fusion.gaussian(s2, correlation=0.5).sigma[0, 0].round(4))
    0.0866
    """
    return fuse(
        dataset,
        *others,
        rule="gaussian",
        dim=dim,
        sigma_floor=sigma_floor,
        nonfinite_sigma=nonfinite_sigma,
        use_mask=use_mask,
        diagnostics=diagnostics,
        bounded=bounded,
        correlation=correlation,
        inflate=inflate,
    )


def fuse(
    dataset: Retrieval,
    /,
    *others: Retrieval,
    rule: RuleName | Rule = "gaussian",
    dim: Hashable | None = None,
    sigma_floor: float = SIGMA_FLOOR,
    nonfinite_sigma: NonfiniteSigma = "exclude",
    use_mask: bool = True,
    diagnostics: bool = False,
    bounded: tuple[float, float] | None = None,
    **parameters: Any,
) -> xr.Dataset:
    """Fuse retrievals on one grid by a rule.

    Parameters
    ----------
    dataset, *others : Dataset or product
        As in :func:`gaussian`.
    rule : str or callable
        "gaussian", see :func:`gaussian`; "mixture", the equal linear pool, whose sigma holds
        the disagreement; "random_effects", a variance between sensors that is estimated from
        their disagreement; "minimum_sigma", the sensor that is surest; "log_odds", of
        independent probabilities; or a :class:`~xfusion.fusion.rules.Rule` of your own.
    dim, sigma_floor, nonfinite_sigma, use_mask, diagnostics, bounded
        As in :func:`gaussian`. A rule of your own has no diagnostics.
    **parameters
        Of the rule: `correlation` and `inflate` of "gaussian"; of "log_odds" `prior`, the
        probability before any evidence, a number, a DataArray on the grid or "calibration", the
        base rate that the sensors were calibrated with, and `alpha`, 1, what the evidence of each
        sensor counts, less where they share it; those of your own.

    Returns
    -------
    Dataset
        As :func:`gaussian` does; the rule and its parameters are in the attributes.

    Raises
    ------
    ValueError
        As :func:`gaussian` does.
    TypeError
        If the rule does not take a parameter, or lacks one: `prior` of "log_odds".

    Notes
    -----
    ``docs/rules.md`` has each rule's formula, what it assumes, and when it is wrong.

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> s1 = xf.retrieval(np.full((1, 1), 0.1), np.full((1, 1), 0.1))
    >>> s2 = xf.retrieval(np.full((1, 1), 0.9), np.full((1, 1), 0.1))
    >>> for rule in ("gaussian", "mixture", "random_effects"):
    ...     float(s1.fusion.fuse(s2, rule=rule).sigma[0, 0].round(2))
    0.07
    0.41
    0.4
    """
    first = as_retrieval(dataset)
    if dim is not None and others:
        msg = f"{dim=} and {len(others)} other retrievals: fuse along the dim first"
        raise ValueError(msg)
    if dim is not None:
        check_distinct(first)
    sensors = [first, *map(as_retrieval, others)] if dim is None else along(first, dim)
    parameters, prior = with_prior(rule, parameters, sensors)
    task = FusionTask(
        rule, len(sensors), parameters, sigma_floor, nonfinite_sigma, diagnostics, bounded
    )
    if diagnostics and dim is None and "sensor" in first[MU].dims:
        msg = (
            "mu has the dim 'sensor', which diagnostics=True adds: rename it, or dim='sensor' to "
            "fuse along it"
        )
        raise ValueError(msg)
    stacked = dim is not None and len(sensors) > MAX_SENSORS
    if stacked and not task.has_independent_errors:
        msg = (
            f"{len(sensors)} labels along {dim!r}, with correlated errors at most {MAX_SENSORS}: "
            f"leave correlation out, or select labels, .isel({dim}=slice({MAX_SENSORS}))"
        )
        raise ValueError(msg)
    units = units_of(first[MU])
    of_probabilities = isinstance(rule, str) and RULES[rule].of_probabilities
    if of_probabilities and units is not None and not same_units(units, "1"):
        msg = (
            f"mu of the first retrieval is in {units!r}, {rule} takes probabilities from 0 to 1: "
            "convert mu and sigma, of percent / 100, and set .mu.attrs['units'] = '1'"
        )
        raise ValueError(msg)
    retrievals = on_one_grid([first] if stacked else sensors)
    if dim is not None and not stacked:
        retrievals = [r.drop_vars([dim], errors="ignore") for r in retrievals]  # one label of many
    layers = fused_layers(
        task, retrievals, use_mask=use_mask, dim=dim, stacked=stacked, prior=prior
    )
    # netCDF has no booleans; bounds that were applied before stay on record
    bounds_before = {k: v for r in sensors for k, v in r.attrs.items() if k == "fusion_bounded"}
    # of all labels along a dim: in groups, xarray would keep those of the first group for all
    masked = [first] if dim is not None else map(of_its_time, sensors)
    masks = merged_mask_attrs(r.attrs for r in masked) if use_mask else {}
    provenance = masks | bounds_before | task.provenance | {"fusion_use_mask": int(use_mask)}
    cube = None if dim is None else first
    return with_description(xr.Dataset(layers), sensors, provenance, cube=cube, dim=dim)
