"""How the errors of sensors go together, measured where the truth is known."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.building import usable
from xfusion.datamodel.caller import warn
from xfusion.datamodel.names import MU
from xfusion.datamodel.validation import Retrieval, as_retrieval
from xfusion.fusion.alignment import on_one_grid, sensor_names
from xfusion.run.memory import compute

from .pixel_errors import share_of

ROUNDING = 1e-9  # of an eigenvalue, as gaussian takes it


def estimate_correlation(*retrievals: Retrieval, reference: xr.DataArray) -> xr.DataArray:
    """Return the correlation of the errors of sensors, for ``gaussian(correlation=...)``.

    Parameters
    ----------
    *retrievals : Dataset or product
        2 to 8 on one grid, of one quantity; their sigmas are not looked at.
    reference : DataArray
        What is true, on their grid: 0 and 1 for probabilities, else in units that can be converted
        to those of mu. NaN and declared nodata are not known.

    Returns
    -------
    DataArray
        float64 (sensor, sensor_2), 1 on its diagonal. It is computed at once, also of lazy
        retrievals, in one pass: :func:`xfusion.gaussian` needs its numbers.

    Raises
    ------
    ValueError
        If grids, units or times do not go together; if two sensors have no pixel where both are
        usable and the truth is known, or one has no errors at all.

    Notes
    -----
    ``r_ij = sum(e_i e_j) / sqrt(sum(e_i^2) sum(e_j^2))`` over the pixels where both are usable,
    with e the reference less mu. Means are not taken away: sensors that are off to the same side
    share that error. Each pair has pixels of its own, so that a matrix of three or more may be
    that of no errors, with an eigenvalue below 0: then these are set to 0 and the diagonal to 1,
    and a warning says so. What two sensors of a probability share is mostly that both miss one
    truth of 0 or 1: it belongs in `gaussian` with calibrated means, not in "log_odds".

    Examples
    --------
    >>> import numpy as np, xarray as xr, xfusion as xf
    >>> truth = xr.DataArray(np.zeros((2, 2)), dims=("y", "x"))
    >>> s1 = xf.retrieval(truth + [[0.1, -0.1], [0.1, -0.1]], 0.1, sensor="s1")
    >>> s2 = xf.retrieval(truth + [[0.2, -0.2], [0.2, 0.2]], 0.1, sensor="s2")
    >>> xf.estimate_correlation(s1, s2, reference=truth).values
    array([[1. , 0.5],
           [0.5, 1. ]])
    """
    datasets = [as_retrieval(each) for each in retrievals]
    if len(datasets) < 2:  # noqa: PLR2004  # a correlation takes two
        msg = f"{len(datasets)} retrieval: a correlation is that of two or more sensors"
        raise ValueError(msg)
    aligned = on_one_grid(datasets)
    names = sensor_names(datasets)
    truth = share_of(aligned[0], reference, None)
    errors = [(truth - r[MU].astype(np.float64)).where(usable(r)) for r in aligned]
    sums: dict[str, xr.DataArray] = {}
    for i, j in combinations(range(len(names)), 2):
        one, other = (errors[k].where(errors[i + j - k].notnull()) for k in (i, j))
        parts = {"both": one * other, "one": one**2, "other": other**2}
        sums |= {f"{part}_{i}_{j}": layer.sum() for part, layer in parts.items()}
    found = compute(xr.Dataset(sums).reset_coords(drop=True))
    matrix = np.eye(len(names))
    for i, j in combinations(range(len(names)), 2):
        together, *alone = (float(found[f"{part}_{i}_{j}"]) for part in ("both", "one", "other"))
        if not min(alone) > 0:
            msg = (
                f"{names[i]!r} and {names[j]!r}: there is no pixel where both are usable and the "
                "reference is known, or one of them has no errors there: leave one out"
            )
            raise ValueError(msg)
        matrix[i, j] = matrix[j, i] = np.clip(together / np.sqrt(np.prod(alone)), -1.0, 1.0)
    attrs = {"long_name": "correlation of the errors of sensors", "units": "1"}
    coords = {"sensor": names, "sensor_2": names}
    return xr.DataArray(
        _possible(matrix), coords, tuple(coords), name="error_correlation", attrs=attrs
    )


def _possible(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a matrix without negative eigenvalues, as that of any errors is."""
    values, vectors = np.linalg.eigh(matrix)
    if values[0] >= -ROUNDING:
        return matrix
    warn(
        f"the correlations of pairs, on pixels of their own, have the eigenvalue {values[0]:.3g}, "
        "which no errors have: it is set to 0. Where that is much, exclude in all sensors what is "
        "excluded in one"
    )
    possible: NDArray[np.float64] = (vectors * np.maximum(values, 0.0)) @ vectors.T
    scale = 1 / np.sqrt(np.diag(possible))
    possible = possible * scale * scale[:, None]
    np.fill_diagonal(possible, 1.0)
    return (possible + possible.T) / 2
