"""Predict a retrieval from bands, with any model."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xfusion.datamodel.building import retrieval
from xfusion.datamodel.caller import warn
from xfusion.datamodel.cf import annotate
from xfusion.datamodel.names import (
    ALEATORIC,
    ALEATORIC_PART,
    EPISTEMIC_PART,
    MASK,
    MU,
    PASSES,
    PREDICTED,
    SIGMA,
)
from xfusion.datamodel.samples import factor_of_few
from xfusion.datamodel.times import Time
from xfusion.datamodel.units import as_number
from xfusion.datamodel.validation import check_bounds
from xfusion.datamodel.whole_numbers import whole_number

from .band_layers import Bands, as_bands
from .block_by_block import predicted
from .lacking import with_read_failed
from .on_tiles import Prediction
from .returned import Ensemble, Model, Returning, as_returning
from .tile_grid import TileGrid

LONG_NAMES = {
    EPISTEMIC_PART: "standard deviation of the samples of the model",
    ALEATORIC_PART: "standard deviation that the model predicts",
}

PROBABILITY = (0, 1)  # its bounds


def predict(
    bands: xr.DataArray | xr.Dataset,
    model: Model | Returning | Ensemble,
    /,
    *,
    passes: int = 1,
    tile: int = 512,
    overlap: int = 64,
    batch: int = 8,
    seed: int | None = None,
    sigma: float | None = None,
    bounded: tuple[float, float] | None = None,
    fill: float = 0.0,
    sensor: str | None = None,
    time: Time | None = None,
    correct_few: bool = True,
) -> xr.Dataset:
    """Predict a retrieval from bands, tile by tile, with a network or any other model.

    Parameters
    ----------
    bands : DataArray, dims (band, y, x), or Dataset of bands (y, x)
        float32 or float64, scaled as the model was trained, what is missing as NaN. The dim of the
        bands may have any name, or be missing where there is one; a Dataset has a variable for
        each, on one grid, and the model sees them in their order.
    model : callable
        Takes an array (batch, band, y, x), of the dtype of `bands`, that it must not change, and
        returns the mean of each pixel, (batch, y, x) or (batch, 1, y, x). What returns samples, or
        a mean and a variance, says so: :func:`~xfusion.models.samples`,
        :func:`~xfusion.models.mean_and_variance`. Several together are an
        :func:`~xfusion.models.ensemble`. Networks in PyTorch and ONNX:
        :func:`~xfusion.models.torch`, :func:`~xfusion.models.onnx`. Several threads may
        call it at once.
    passes : int
        How often it is called with the same pixels. More than once only if it draws noise from a
        `seed`, an argument that it then has: an integer for each pass, the same in all tiles.
        Noise that is to differ from tile to tile is drawn from `tile_seeds`, one for each of a
        batch.
    tile : int, in pixels
        Side of what the model sees. A scene that is smaller is mirrored at its end.
    overlap : int, in pixels
        Of each tile this much on each side is not kept, unless the scene ends there. No seam is
        seen if no pixel of the result depends on others that are farther away.
    batch : int
        How many tiles the model sees at once, fewer where the scene ends.
    seed : int, optional
        What all noise follows from. By default another one each time, noted in the attributes; a
        run that is to be resumed needs one.
    sigma : float, optional, in units of the prediction
        One standard deviation, of a model that returns means and is called once: it has none, and
        none is made up.
    bounded : (float, float), optional
        Bounds of the quantity: a mean beyond them is an error. What is within (0, 1) is taken for a
        probability, whose units are "1"; all else has none, ``.mu.attrs["units"]`` says them.
    fill : float
        What the model sees where a band is missing.
    sensor, time, correct_few
        As in :func:`from_samples`.

    Returns
    -------
    Dataset
        A retrieval. `mu` is the mean of all samples: those of the passes, of an ensemble, and of
        each call. `sigma` is their standard deviation, enlarged for how few they are, and
        the attribute `passes` how many. Of a model with a variance `sigma` has both, and with
        several samples also `sigma_epistemic` and `sigma_aleatoric`, whose squares add up to its.
        `mask` is 0, or UNKNOWN where a band is missing, READ_FAILED where the coordinate
        `read_failed` of the bands says why; `mu` and `sigma` are NaN there. Lazy where
        `bands` are, in blocks of whole tiles; the same, bit for bit, whatever blocks `bands` have.

    Raises
    ------
    ValueError
        If bands are not on one grid or no floats; tiles, bounds or seed are out of range; or there
        is nothing to tell `sigma` by. When it is computed, if the model returns another shape, no
        number where all bands have one, or what is not within `bounded`.
    TypeError
        If bands or model are none.

    Warns
    -----
    UserWarning
        If samples are too few to correct, or `mu` is one draw of a model with noise.

    Notes
    -----
    A pixel near a missing one has seen what was filled in: exclude as far as the model sees, if
    that matters. The running mean and sum of squares are those of Welford (1962), so that memory
    is the same for any number of passes. What `sigma` is worth: ``docs/models.md``.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xfusion as xf
    >>> bands = xr.DataArray(np.full((2, 4, 6), 0.5), dims=("band", "y", "x"))
    >>> def model(pixels, seed):
    ...     return pixels.mean(axis=1) + np.random.default_rng(seed).normal(0, 0.1)
    >>> water = xf.predict(bands, model, passes=100, seed=1)
    >>> float(water.mu[0, 0].round(1)), float(water.sigma[0, 0].round(1)), water.attrs["passes"]
    (0.5, 0.1, 100)
    """
    known = as_bands(bands)
    grid = TileGrid(known.shape, tile, overlap, batch)
    passes = whole_number("passes", passes, 1)
    returning = as_returning(model)
    count = passes * returning.count
    _check_sigma(returning, passes, sigma)
    check_bounds(bounded)
    if not np.isfinite(as_number(fill)):
        msg = f"{fill=}: must be a finite number, which the model sees where a band is missing"
        raise ValueError(msg)
    prediction = Prediction(
        model=returning,
        grid=grid,
        passes=passes,
        seed=_seed(seed, returning),
        fill=float(fill),
        sigma=None if sigma is None else float(sigma),
        factor=factor_of_few(count, "of the model") if correct_few and count > 1 else 1.0,
        bounded=bounded,
        dtype=np.dtype(known.dtype),
    )
    layers = {
        name: xr.DataArray(data, known.coords, known.dims)
        for name, data in zip(prediction.layers, predicted(prediction, known), strict=True)
    }
    if bounded is not None and tuple(bounded) == PROBABILITY:
        layers[MU].attrs["units"] = "1"
    if known.failed is not None:
        layers[MASK] = with_read_failed(layers[MASK], layers[MU], known.failed)
    given = sensor if sensor is not None else known.attrs.get("sensor")
    dataset = retrieval(layers[MU], layers[SIGMA], layers[MASK], sensor=given, time=time)
    parts = {k: layers[k].variable for k in (EPISTEMIC_PART, ALEATORIC_PART) if k in layers}
    for name, variable in parts.items():
        variable.attrs = {"long_name": LONG_NAMES[name]}
    return annotate(dataset.assign(parts).assign_attrs(_provenance(prediction, known)))


def _check_sigma(model: Returning | Ensemble, passes: int, sigma: float | None) -> None:
    if passes > 1 and not model.takes_seed:
        msg = (
            f"passes={passes} of the model {model.name}, which draws no noise from a seed: all "
            "would be alike, or not to be had again; give it an argument `seed`, dropout layers "
            "and xf.models.torch(module, dropout=True), or passes=1"
        )
        raise ValueError(msg)
    told = model.has_variance or passes * model.count > 1
    if sigma is not None and told:
        msg = f"{sigma=}, but the model {model.name} tells sigma itself: leave sigma out"
        raise ValueError(msg)
    if sigma is not None and not 0 <= as_number(sigma) < np.inf:
        msg = f"{sigma=}: must be a finite number >= 0, in units of the prediction"
        raise ValueError(msg)
    if sigma is None and not told:
        msg = (
            f"one mean of the model {model.name} tells nothing of sigma: passes=20 of a model with "
            "dropout, xf.models.ensemble([...]), xf.models.mean_and_variance(model), or sigma=0.1, "
            "if that is what you know; of a probability sigma=0.0, then .fusion.add_aleatoric()"
        )
        raise ValueError(msg)
    if passes * model.count == 1 and _draws(model):
        warn(
            f"passes=1 of the model {model.name}, which draws noise: mu is one draw of it, not its "
            "mean; passes=20, or a model without noise, xf.models.torch(module, dropout=False)"
        )


def _draws(model: Returning | Ensemble) -> bool:
    return model.has_noise if isinstance(model, Ensemble) else model.takes_seed


def _seed(seed: int | None, model: Returning | Ensemble) -> int:
    if seed is None:
        if not _draws(model):
            return 0  # of which nothing is drawn, and a run that is called again is the same
        return int(np.random.SeedSequence().generate_state(1)[0])
    return whole_number("seed", seed, 0, more=", or None")


def _provenance(prediction: Prediction, bands: Bands) -> dict[str, Any]:
    model, grid = prediction.model, prediction.grid
    attrs: dict[str, Any] = {PREDICTED: model.name}
    if bands.names:
        attrs["prediction_bands"] = " ".join(bands.names)
    attrs |= {f"prediction_{k}": getattr(grid, k) for k in ("tile", "overlap", "batch")}
    attrs |= {"prediction_passes": prediction.passes, "prediction_fill": prediction.fill}
    if _draws(model):
        attrs["prediction_seed"] = prediction.seed
    if prediction.bounded is not None:
        attrs["prediction_bounded"] = np.array(prediction.bounded, np.float64)
    if model.has_variance:
        attrs[ALEATORIC] = "variance of the model"
    if prediction.count > 1:
        attrs[PASSES] = prediction.count
    return attrs
