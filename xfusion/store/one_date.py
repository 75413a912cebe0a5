"""One date of a finished store, told from others by the jobs that wrote it."""

from __future__ import annotations

import numpy as np
import xarray as xr

from xfusion.datamodel.provenance import JOB
from xfusion.run.scheduler import lazy_variables

from .notes import history_of
from .template import TIME


def date_at(stored: xr.Dataset, number: int) -> xr.Dataset:
    """Return one date of a store, lazily, so that what is computed of it is one job for ever.

    xarray calls the arrays of a store by their lengths. After a date was added, what is made of
    the one before would pass for another job, and nobody could see that it is there already.

    Parameters
    ----------
    stored : Dataset
        As :func:`~xfusion.store.write.open_store` returns it.
    number : int
        Which of its dates.
    """
    import dask.array as da
    from dask.base import tokenize

    date = stored.isel({TIME: number})
    history = history_of(str(stored.attrs.get(JOB, "")), number)
    if history is None:
        return date
    named = {}
    for name, variable in lazy_variables(date).items():
        token = tokenize(history, number, str(name), variable.chunks)
        empty = np.empty((0,) * variable.ndim, variable.dtype)
        array = da.map_blocks(_same, variable.data, name=f"date-{name}-{token}", meta=empty)
        named[name] = variable.copy(data=array)
    return date.assign(named)


def _same(block: object) -> object:
    return block
