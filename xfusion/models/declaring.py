"""Say of a model what it returns, where that is not one mean of each pixel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from xfusion.datamodel.whole_numbers import whole_number

from .returned import Ensemble, Model, Returning, as_returning


def samples(model: Model, count: int) -> Returning:
    """Say that a model returns several samples of each pixel at once.

    Parameters
    ----------
    model : callable
        Takes an array (batch, band, y, x) and returns one (batch, count, y, x).
    count : int
        How many.

    Returns
    -------
    Returning
        A model for :func:`xfusion.predict`, which takes mean and spread of them, and those of all
        its passes.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xfusion as xf
    >>> bands = xr.DataArray(np.ones((2, 3, 3)), dims=("band", "y", "x"))
    >>> def both(pixels):
    ...     return np.stack([pixels[:, 0] * 0.2, pixels[:, 1] * 0.4], axis=1)
    >>> water = xf.predict(bands, xf.models.samples(both, 2), correct_few=False)
    >>> float(water.mu[0, 0].round(3)), float(water.sigma[0, 0].round(3))
    (0.3, 0.141)
    """
    number = whole_number("count", count, 1, more=", the samples of a pixel")
    return Returning(model, "samples", number)


def mean_and_variance(model: Model, *, log: bool = False) -> Returning:
    """Say that a model returns a mean and a variance of each pixel.

    Parameters
    ----------
    model : callable
        Takes an array (batch, band, y, x) and returns a pair of them, each (batch, y, x) or
        (batch, 1, y, x).
    log : bool
        Whether what it calls variance is the natural logarithm of it, as networks are trained.

    Returns
    -------
    Returning
        A model for :func:`xfusion.predict`. The variance is that of what is predicted about its
        mean, which no further pass makes less: the aleatoric part of `sigma`.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xfusion as xf
    >>> bands = xr.DataArray(np.ones((2, 3, 3)), dims=("band", "y", "x"))
    >>> def head(pixels):
    ...     return pixels[:, 0] * 0.3, pixels[:, 1] * 0.04
    >>> water = xf.predict(bands, xf.models.mean_and_variance(head))
    >>> float(water.mu[0, 0].round(3)), float(water.sigma[0, 0].round(3))
    (0.3, 0.2)
    """
    return Returning(model, "mean_and_variance", log=log)


def ensemble(models: Iterable[Model]) -> Ensemble:
    """Let several models predict the same, each for as many samples as it gives.

    Parameters
    ----------
    models : iterable of callables
        Such as networks that were trained from different starts. All return means or samples, or
        all a mean and a variance.

    Returns
    -------
    Ensemble
        A model for :func:`xfusion.predict`.

    Raises
    ------
    ValueError
        If there is none, or some know a variance and others do not.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xfusion as xf
    >>> bands = xr.DataArray(np.ones((1, 3, 3)), dims=("band", "y", "x"))
    >>> nets = [lambda pixels, k=k: pixels[:, 0] * k for k in (0.1, 0.2, 0.3, 0.4, 0.5)]
    >>> water = xf.predict(bands, xf.models.ensemble(nets))
    >>> float(water.mu[0, 0].round(3)), float(water.sigma[0, 0].round(3)), water.attrs["passes"]
    (0.3, 0.224, 5)
    """
    given: Any = models
    if callable(given) and not isinstance(given, Sequence):
        msg = f"models={models!r} is one model: give several, xf.models.ensemble([a, b, c])"
        raise TypeError(msg)
    members: list[Returning] = []
    for model in given:
        members += model.models if isinstance(model, Ensemble) else [as_returning(model)]  # type: ignore[list-item]  # no ensemble
    if not members:
        msg = "an ensemble of no models: give some, xf.models.ensemble([a, b, c])"
        raise ValueError(msg)
    odd = next((m for m in members if m.has_variance != members[0].has_variance), None)
    if odd is not None:
        msg = (
            f"{members[0].name} returns {members[0].kind}, {odd.name} {odd.kind}: in an ensemble "
            "either all know a variance, xf.models.mean_and_variance(model), or none"
        )
        raise ValueError(msg)
    return Ensemble((*members,))
