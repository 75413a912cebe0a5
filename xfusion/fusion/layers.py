"""The layers of a fused retrieval, computed or to be computed block by block."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.names import (
    CHI2,
    CONFLICT,
    COUNT,
    DIFFERENCE,
    MASK,
    MU,
    SIGMA,
    SOURCE,
    WEIGHT,
)

from .block import PAIR, FusionTask


def fused_layers(
    task: FusionTask,
    retrievals: list[xr.Dataset],
    *,
    use_mask: bool,
    dim: Hashable | None,
    stacked: bool,
    prior: xr.DataArray | None = None,
) -> dict[str, xr.DataArray]:
    """Return the layers of the result, block by block where an input is lazy.

    Parameters
    ----------
    task : FusionTask
    retrievals : list of Dataset
        On one grid; one that is to be fused along `dim`, if `stacked`.
    use_mask : bool
    dim : hashable or None
        That they lie along.
    prior : DataArray, optional
        That of each pixel, where it is a map.
    """
    masked = [use_mask and MASK in r for r in retrievals]
    arrays = [r[v] for v in (MU, SIGMA) for r in retrievals]
    dtype = np.result_type(*(a.dtype for a in arrays))
    task.check_fits(dtype)
    arrays += [r[MASK] for r, has_mask in zip(retrievals, masked, strict=True) if has_mask]
    # a sigma that is too small in what was fused before is so in what is made of it
    before = tuple(i for i, r in enumerate(retrievals) if CONFLICT in r)
    arrays += [retrievals[i][CONFLICT] > 0 for i in before]
    of_rule = [] if prior is None else [prior]
    lazy = any(a.chunks is not None for a in (*arrays, *of_rule))
    if stacked and lazy:
        arrays = [a.chunk({dim: -1}) for a in arrays]
    dtypes: dict[str, Any] = {MU: dtype, SIGMA: dtype, MASK: np.uint8}
    # along a dim one layer for any number of labels: xarray puts groups of all sizes together
    dtypes |= {SOURCE: np.uint8} if dim is None else {COUNT: np.uint16}
    dtypes[CONFLICT] = np.bool_
    label = "sensor" if dim is None else dim
    core: dict[str, list[Hashable]] = {}
    if task.diagnostics:
        dtypes |= {CHI2: dtype, WEIGHT: dtype}
        core = {WEIGHT: [label]}
        if task.sensor_count == PAIR:
            dtypes[DIFFERENCE] = dtype

    layers = xr.apply_ufunc(
        _on_block,
        *arrays,
        *of_rule,
        kwargs={
            "task": task,
            "masked": tuple(masked),
            "before": before,
            "stacked": stacked,
            "names": tuple(dtypes),
            "has_prior": prior is not None,
            # a dask task is one of many already
            "threads": 1 if lazy else None,
        },
        input_core_dims=[[dim] if stacked else []] * len(arrays) + [[]] * len(of_rule),
        output_core_dims=[core.get(name, []) for name in dtypes],
        join="exact",
        dask="parallelized",
        dask_gufunc_kwargs={"output_sizes": {label: task.sensor_count}} if core else {},
        output_dtypes=list(dtypes.values()),
        keep_attrs=True,
    )
    by_name = dict(zip(dtypes, layers, strict=True))
    if lazy:
        from xfusion.run.placing import placed

        by_name = {name: layer.copy(data=placed(layer.data)) for name, layer in by_name.items()}
    if core:
        by_name[WEIGHT] = by_name[WEIGHT].transpose(label, ...)
    return by_name


def _on_block(
    *blocks: NDArray[Any],
    task: FusionTask,
    masked: tuple[bool, ...],
    before: tuple[int, ...],
    stacked: bool,
    names: tuple[str, ...],
    has_prior: bool,
    threads: int | None,
) -> tuple[NDArray[Any], ...]:
    n, count = len(masked), len(blocks) - len(before) - has_prior
    known = blocks[count : count + len(before)]
    prior = None
    if has_prior:
        prior = np.broadcast_to(blocks[-1], blocks[0].shape[:-1] if stacked else blocks[0].shape)
    if stacked:
        mus, sigmas, *masks = (np.moveaxis(block, -1, 0) for block in blocks[:count])
        layers = task.fuse_block(
            mus, sigmas, masks[0] if masks else None, prior=prior, threads=threads
        )
    else:
        left = iter(blocks[2 * n : count])
        flags = tuple(next(left) if has_mask else None for has_mask in masked)
        layers = task.fuse_block(blocks[:n], blocks[n : 2 * n], flags, prior=prior, threads=threads)
    for i, conflict in zip(before, known, strict=True):
        if stacked:
            # of many only their number is known: any that can be used may have had a part
            used = np.isfinite(mus) & (np.isfinite(sigmas) & (sigmas >= 0) | task.floors_nonfinite)
            for mask in masks:
                used &= mask == 0
            layers[CONFLICT] |= (used & np.moveaxis(conflict, -1, 0)).any(axis=0)
        else:
            layers[CONFLICT] |= conflict & (layers[SOURCE] >> i & 1 > 0)
    if COUNT in names:
        # of many the kernel counts, of few it has a bit for each
        who = layers[SOURCE]
        layers[COUNT] = who if stacked else np.bitwise_count(who).astype(np.uint16)
    return tuple(layers[name] for name in names)
