"""A fusion rule of the caller's own, applied to a block of pixels."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xfusion.kernels.parallel import BLOCK_SIZE, map_ranges, pixels


def apply_rule(
    rule: Any,
    block: tuple[Any, Any, Any],
    layers: Mapping[str, NDArray[Any]],
    *,
    floor: float,
    floor_nonfinite: bool,
    threads: int | None,
) -> None:
    """Replace mu and sigma by those of the caller's rule.

    Parameters
    ----------
    rule : callable
        With its parameters.
    block : (mus, sigmas, masks)
        As in :func:`xfusion.kernels.rules.fuse`.
    layers : mapping
        `mu` and `sigma` of any rule, to be filled.
    floor, floor_nonfinite, threads
        As in :func:`xfusion.kernels.independent.gaussian`.
    """
    mus, sigmas, masks = block
    count = len(mus)
    flags = [None] * count if masks is None else masks
    mu, sigma = layers["mu"].reshape(-1), layers["sigma"].reshape(-1)

    def on_range(start: int, stop: int) -> None:
        m, s = (
            np.stack([pixels(a, start, stop) for a in some]).astype(np.float64)
            for some in (mus, sigmas)
        )
        usable = np.isfinite(m)
        sound = np.isfinite(s) & (s >= 0)
        if not floor_nonfinite:
            usable &= sound
        s = np.where(sound, np.maximum(s, floor), floor)
        for k, mask in enumerate(flags):
            if mask is not None:
                usable[k] &= pixels(mask, start, stop) == 0
        m[~usable] = s[~usable] = np.nan
        result: Any = rule(m, s, usable)
        some = usable.any(axis=0)
        try:
            fused_mu, fused_sigma = result
        except (TypeError, ValueError) as error:
            msg = f"the rule must return (mu, sigma), each of shape {some.shape}: {error}"
            raise ValueError(msg) from error
        for out, values in ((mu, fused_mu), (sigma, fused_sigma)):
            returned = np.asarray(values)
            if returned.shape != some.shape:
                msg = (
                    f"the rule returned the shape {returned.shape}, not {some.shape}: return "
                    "mu and sigma without the axis of the sensors"
                )
                raise ValueError(msg)
            out[start:stop] = np.where(some, returned, np.nan)

    map_ranges(on_range, mu.size, threads=threads, length=max(1, BLOCK_SIZE // count))


def provenance_of(rule: Any, arguments: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the name of a callable, and its arguments as attributes; partial ones taken apart."""
    function: Any = rule
    bound: dict[str, Any] = {}
    while isinstance(function, functools.partial):
        function, bound = function.func, function.keywords | bound
    function = function if hasattr(function, "__qualname__") else type(function)
    name = f"{function.__module__}.{function.__qualname__}"
    return name, {k: _attribute(v) for k, v in (bound | dict(arguments)).items()}


def _attribute(value: Any) -> int | float | str:
    """Return a parameter as files can hold it; netCDF has no booleans."""
    if isinstance(value, bool | np.bool_ | int | np.integer):
        return int(value)
    return float(value) if isinstance(value, float | np.floating) else str(value)
