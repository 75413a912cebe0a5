"""Exclude pixels of a retrieval by a mask of one's own, wherever it lies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr

from xfusion.datamodel.building import located_like, with_flags
from xfusion.datamodel.comparison import lies_on
from xfusion.datamodel.flags import Exclusion
from xfusion.datamodel.grid import geobox_of, spatial_dims
from xfusion.datamodel.names import MU
from xfusion.datamodel.validation import Retrieval, as_retrieval

from .acquisition import of_its_acquisition
from .meanings import Classes, Excluded, Meaning
from .placing import placed


def exclude(
    dataset: Retrieval,
    /,
    excluded: Excluded,
    *,
    flag: Exclusion = Exclusion.USER,
    above: float | None = None,
    below: float | None = None,
    classes: Classes | None = None,
    nodata: float | None = None,
    buffer: float = 0.0,
) -> xr.Dataset:
    """Exclude pixels of a retrieval, by a mask of your own.

    Parameters
    ----------
    dataset : Dataset or product
        A retrieval.
    excluded : DataArray, path or URL
        bool, True where a pixel is to be excluded; uint8 flags of :class:`Exclusion`; or numbers,
        with `above`, `below` or `classes`. With a CRS it may lie on any grid; the nearest pixel
        counts, and where it has none, is NaN or its declared nodata, a pixel is UNKNOWN. Dims
        that it lacks are broadcast. Of a cube along `time` the acquisition of the retrieval
        counts: all of its day in UTC, or where its time has an hour the nearest pass.
    flag : Exclusion
        What a True in `excluded`, or a number beyond a limit, sets.
    above, below : float, optional
        Exclude what is greater, or less; the limit itself is usable.
    classes : mapping, optional
        Class -> name of a flag in small letters, :class:`Exclusion`, or "usable". What is none of
        them is UNKNOWN.
    nodata : float, optional
        A number that means not observed, besides what `excluded` declares.
    buffer : float
        Metres on the ground around what is excluded that get its flags as well, from centre to
        centre of pixels, on the finer of the two grids. UNKNOWN and READ_FAILED do not spread.

    Returns
    -------
    Dataset
        The retrieval with the flags added to those it had. Excluding again changes nothing. Lazy
        where the retrieval is.

    Raises
    ------
    TypeError
        If `excluded` is neither a DataArray nor a path: where it lies is not known.
    ValueError
        If it is not said what its numbers mean, or it has no CRS and other pixels than the
        retrieval.

    Warns
    -----
    UserWarning
        If no pixel of the retrieval lies in `excluded`; with both extents.

    Notes
    -----
    Distances are those of the map where its scale errs by less than 0.2 %, as in UTM, else those
    of the ellipsoid WGS84. Around an UNKNOWN pixel there may be more to exclude: nobody has seen
    it.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xfusion as xf
    >>> water = xf.retrieval(np.full((1, 3), 0.8), np.full((1, 3), 0.1))
    >>> shadow = xr.DataArray([[True, False, False]], dims=("y", "x"))
    >>> water.fusion.exclude(shadow).mask.values
    array([[128,   0,   0]], dtype=uint8)
    >>> probability = xr.DataArray([[0.1, 0.7, np.nan]], dims=("y", "x"))
    >>> water.fusion.exclude(probability, above=0.4, flag=xf.Exclusion.CLOUD).mask.values
    array([[ 0,  1, 32]], dtype=uint8)
    >>> fmask = xr.DataArray([[0, 2, 4]], dims=("y", "x"))
    >>> table = {0: "usable", 1: "usable", 2: "shadow", 3: "usable", 4: "cloud"}
    >>> water.fusion.exclude(fmask, classes=table).mask.values
    array([[0, 2, 1]], dtype=uint8)
    """
    dataset = as_retrieval(dataset)
    number: Any = buffer
    if isinstance(number, bool) or not (isinstance(number, int | float | np.number)):
        msg = f"{buffer=}: give a distance in metres, a number"
        raise TypeError(msg)
    if not 0 <= number < math.inf:
        msg = f"{buffer=}: give a distance in metres, 0 or more"
        raise ValueError(msg)
    meaning = Meaning(Exclusion(flag), above, below, classes, nodata)
    flags = of_its_acquisition(meaning.flags_of(excluded), dataset)
    if buffer or not _lies_there(flags, dataset):
        flags = placed(flags, dataset, float(buffer))
    if dataset[MU].chunks is None and not isinstance(excluded, xr.DataArray):
        # the retrieval is in memory, so the file is read now
        flags = flags.copy(data=flags.to_numpy())
    return with_flags(dataset, flags)


def _lies_there(flags: xr.DataArray, dataset: xr.Dataset) -> bool:
    """Whether flags lie on the grid of a retrieval, or do not say where else they might."""
    here = spatial_dims(flags)
    if here is None or spatial_dims(dataset) is None:
        return True
    if lies_on(located_like(flags, dataset), dataset[[MU]]):
        return True
    try:
        geobox_of(flags), geobox_of(dataset)
    except ValueError:
        return True  # what keeps them from being compared is an error there
    return False
