"""Bring a lazy retrieval into memory, each block at its place as soon as it is done."""

from __future__ import annotations

from typing import Any

import xarray as xr

from xfusion.datamodel.validation import Retrieval

from .progress import progress_of_tasks
from .scheduler import lazy_variables


def compute(dataset: Retrieval, /, *, progress: bool = True) -> xr.Dataset:
    """Return a Dataset with its pixels in memory.

    Parameters
    ----------
    dataset : Dataset or product
        A retrieval or any other, lazy or not.
    progress : bool
        Show how far it is, with the time that is left, once it has taken three seconds. A cluster
        shows it on its own dashboard.

    Returns
    -------
    Dataset
        The same as ``dataset.compute()``, in half its memory where that keeps all blocks until
        the last is done and then copies them together in one thread. Of what xfusion has
        fused or co-registered it does so as well, and so does ``dask.compute``.

    Raises
    ------
    TypeError
        If it is neither.

    Notes
    -----
    The scheduler is dask's own choice or the one that is set. Where its workers share no
    memory with this process (processes, a cluster), this is ``dataset.compute()``.

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> lazy = xf.retrieval(np.full((2, 2), 0.8), np.full((2, 2), 0.1)).chunk(1)
    >>> xf.compute(lazy).mu.chunks is None
    True
    """
    given: Any = dataset
    whole = given if isinstance(given, xr.Dataset) else getattr(given, "dataset", None)
    if not isinstance(whole, xr.Dataset):
        msg = f"a {type(given).__name__} is neither a Dataset nor a product: call its .compute()"
        raise TypeError(msg)
    lazy = lazy_variables(whole)
    if lazy:
        from .placing import placed

        # as variables: with coordinates, the levels of a MultiIndex would be assigned again
        whole = whole.assign({name: v.copy(data=placed(v.data)) for name, v in lazy.items()})
        with progress_of_tasks("computing", show=progress):
            return whole.compute()
    return whole.compute()
