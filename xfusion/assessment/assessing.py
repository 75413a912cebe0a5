"""Judge a retrieval by a reference: scores of all pixels and of usable ones, with intervals."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr

from xfusion.datamodel.grid import spatial_dims
from xfusion.datamodel.names import MASK, MU, SIGMA
from xfusion.datamodel.reference import in_units_of, on_grid
from xfusion.datamodel.units import as_number
from xfusion.datamodel.validation import Retrieval, as_retrieval
from xfusion.fusion.combine import SIGMA_FLOOR

from .binary_scores import histogram
from .bootstrap_blocks import BootstrapBlocks, blocks_of_side
from .finishing import Finishing
from .grouping import Grouping, grouping_of, one_group
from .nested_groups import within
from .score_layout import Excluded, ScoreLayout
from .tallying import Counting, counted
from .truth import Kind, kind_of, split_nodata
from .weighing import largest_of, weighing_of

MOST_DRAWS = 100_000
STAND_INS = {"wet": 1.0, "dry": 0.0, "score": None}


def assess(
    dataset: Retrieval,
    /,
    reference: xr.DataArray,
    *,
    threshold: float = 0.5,
    by: xr.DataArray | str | None = None,
    weights: xr.DataArray | Literal["area", "equal"] | None = "area",
    excluded: Excluded = "score",
    bootstrap: int = 0,
    block: int | xr.DataArray | None = None,
    kind: Kind | None = None,
    sigma_floor: float = SIGMA_FLOOR,
    seed: int = 0,
) -> xr.Dataset:
    """Judge a retrieval by what is taken for true.

    Parameters
    ----------
    dataset : Dataset or product
        A retrieval.
    reference : DataArray
        On its grid: 0 dry and 1 wet, or a quantity in units of mu. NaN and a declared nodata are
        not scored.
    threshold : float
        A probability above it is wet.
    by : DataArray or text, optional
        Scores for each group of pixels: of one label, whole numbers, texts or times, on the grid
        or along a dim such as time or the rows, where NaN and nodata are in no group; "source", of
        the sensors that contributed; "mask", usable, and excluded for a reason, where a pixel may
        have several; or the name of a dim or coordinate of mu, whose labels then are.
    weights : {"area", "equal"}, None or DataArray
        How much a pixel counts: its area on the ellipsoid, which without a CRS is that of any
        other; the same as any other; or a number, where NaN and 0 leave it out.
    excluded : {"score", "wet", "dry"}
        What a pixel that is not usable counts as, among all pixels: what its own mu says, where
        there is one; or wet or dry, whatever mu is.
    bootstrap : int
        How many draws intervals are from; none with 0.
    block : int or DataArray, optional
        What is drawn: squares of so many pixels, or groups of pixels of one label, as in `by`,
        such as scenes. Errors of two of them should be independent. By default 64 pixels, fewer
        on a grid of less than 512 x 512, more on one of more than 1448 x 1448.
    kind : {"binary", "continuous"}, optional
        What the reference is. By default binary if it is bool, of integers, or from a file of
        integers; of floats, if mu and reference have no units and it has 0 and 1 only, or is
        lazy.
    sigma_floor : float, in units of mu
        Sigmas below it are raised to it, as :func:`gaussian` does.
    seed : int
        Of the draws.

    Returns
    -------
    Dataset
        Scores along `pixels`, "all" and "usable", and with `by` along `group`; with `bootstrap`
        the ends of intervals that hold 95 % of the draws, ``<name>_lower`` and ``<name>_upper``.
        A score that is not defined is NaN. Lazy where an input is lazy: one pass over the pixels.

        Binary: `iou`, `f1`, `precision`, `recall`, `accuracy`, `kappa`, `bias`, the area ratio;
        `brier`, `brier_reliability`, `brier_resolution`, `brier_uncertainty`, `log_loss`, `ece`;
        `average_precision`, `roc_auc`, `best_threshold` and `best_iou`; `z2`, which is 1 if sigma
        is right; and `wet` and `dry`, the weights of such pixels along `mu_bin`, in km2 where they
        are areas.

        Continuous: `bias`, mu less the reference, `rmse`, `mae`, `crps`, `z2`, `coverage` along
        `level`, `pit` along `pit_bin`. Where sigma is broken, NaN, infinite or negative, a pixel is
        not usable, and counts among all by its mu, as of wet and dry: `bias`, `rmse` and `mae` are
        of it, too; `crps`, `z2`, `coverage` and `pit` of those with a sigma.

        `count` is how many pixels are scored, `unscored` how many of known reference are not.

    Raises
    ------
    ValueError
        If grids or units do not go together, an argument is out of range, or the labels of a lazy
        `by` are not known. With the pixels: if a binary reference is neither 0 nor 1, mu is no
        probability, or a weight is negative.

    Notes
    -----
    Sums are of whole numbers, so results are the same, bit for bit, for any blocks.

    Counts at `threshold`, Brier score and z2 are exact. All else of a binary reference is read from
    bins of mu that are at most 1/1000 wide and at most 1/32 of their distance from 0 and 1, with
    the mean of mu in each. The bins are named by their lower edges, so ``wet.sel(mu_bin=slice(t,
    None)).sum("mu_bin")`` is what is rightly predicted wet at any other threshold t.

    Of intervals that hold 95 % of the draws about 90 in 100 hold the score of many such maps, with
    fewer than 20 blocks 75 to 85: blocks of one map are more alike than maps are.

    Probabilities nearer to 0 or 1 than 1.2e-7 are clipped there for `log_loss`. Reliability,
    resolution (Murphy 1973) and `ece` are of 10 bins of equal width. `average_precision` and
    `roc_auc` are those of scikit-learn, where pixels of one bin are a tie. CRPS is that of a normal
    distribution (Gneiting et al. 2005). ``docs/scores.md`` says which score is for what.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xfusion as xf
    >>> water = xf.retrieval(np.array([[0.9, 0.8, 0.6, 0.1]]), np.full((1, 4), 0.2))
    >>> truth = xr.DataArray(np.array([[1, 1, 0, 0]]), dims=("y", "x"))
    >>> scores = water.fusion.assess(truth)
    >>> [scores[name].sel(pixels="all").round(3).item() for name in ("iou", "brier")]
    [0.667, 0.105]
    """
    dataset = as_retrieval(dataset)
    _check(threshold, excluded, bootstrap, block, sigma_floor, seed)
    mu = dataset[MU]
    # of wet and dry the kernel knows what is no data; as NaN it would take four times the memory
    plain, nodata = split_nodata(reference)
    truth = on_grid(dataset, plain)
    kind = kind_of(plain, mu, kind, nodata)
    if kind == "continuous":
        if excluded != "score":
            msg = f"{excluded=}: of a quantity no pixel is wet or dry, leave it out"
            raise ValueError(msg)
        truth, nodata = in_units_of(on_grid(dataset, reference), mu), ()
    weighing, given, weighed_by = weighing_of(dataset, weights, mu.size)
    grouping = one_group() if by is None else grouping_of(dataset, by)
    drawn, blocks = _drawn(dataset, bootstrap, block)
    pairs = within(grouping, drawn)
    counting = Counting(
        binary=kind == "binary",
        threshold=float(threshold),
        sigma_floor=float(sigma_floor),
        stand_in=STAND_INS[excluded],
        nodata=nodata,
        weighing=weighing,
        groups=pairs.number,
        table=pairs.table,
        least=pairs.least,
        blocks=blocks,
    )
    dtype = np.result_type(mu, dataset[SIGMA])
    bins = histogram(float(threshold), dtype) if kind == "binary" else None
    finishing = Finishing(
        weighing=weighing,
        members=grouping.members,
        bins=bins,
        grouped=by is not None,
        own=excluded == "score",
        draws=int(bootstrap),
        seed=int(seed),
    )
    layout = ScoreLayout(bins, None if by is None else grouping.labels, int(bootstrap))
    layers = {MU: mu, SIGMA: dataset[SIGMA], MASK: dataset.get(MASK), "reference": truth}
    layers |= {"groups": pairs.codes, "weights": given}
    variables = {name: _in_rows(layer, mu) for name, layer in layers.items() if layer is not None}
    largest = weighing.largest if given is None else largest_of(given)
    results = counted(counting, variables, largest, finishing, layout.shapes)
    attrs = {"kind": kind, "weights": weighed_by, "sigma_floor": float(sigma_floor)}
    if kind == "binary":
        attrs |= {"threshold": float(threshold), "excluded": excluded}
    if bootstrap:
        attrs |= {"bootstrap": int(bootstrap), "bootstrap_seed": int(seed)}
        attrs["bootstrap_block"] = "labels" if blocks is None else blocks.side
    return layout.dataset(results, dataset, attrs)


def _check(
    threshold: Any, excluded: Any, bootstrap: Any, block: Any, sigma_floor: Any, seed: Any
) -> None:
    """Check what can be checked without the retrieval."""
    if not 0 <= as_number(threshold) <= 1:
        msg = f"{threshold=}: must be a probability from 0 to 1, such as 0.5"
        raise ValueError(msg)
    if not isinstance(excluded, str) or excluded not in STAND_INS:
        msg = f"{excluded=}: must be one of {list(STAND_INS)}"
        raise ValueError(msg)
    if not 0 <= as_number(sigma_floor) < np.inf:
        msg = f"{sigma_floor=}: must be a finite number >= 0, in units of mu"
        raise ValueError(msg)
    for name, value in (("bootstrap", bootstrap), ("seed", seed)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
            msg = f"{name}={value!r}: must be a whole number, 0 or more"
            raise ValueError(msg)
    if bootstrap > MOST_DRAWS:
        msg = f"{bootstrap=}: must be at most {MOST_DRAWS} draws, of which 1000 do for an interval"
        raise ValueError(msg)
    if block is not None and not bootstrap:
        msg = "block says what is drawn, but nothing is: give bootstrap=1000 as well"
        raise ValueError(msg)


def _drawn(
    dataset: xr.Dataset, bootstrap: int, block: Any
) -> tuple[Grouping | None, BootstrapBlocks | None]:
    """Return what is drawn: groups of pixels, or squares, or nothing."""
    if not bootstrap:
        return None, None
    if isinstance(block, xr.DataArray):
        return grouping_of(dataset, block, name="block"), None
    dims = spatial_dims(dataset)
    if dims is None:
        msg = (
            f"mu has no rows and columns but {dataset[MU].dims}, so it has no squares to draw: "
            "give block=, a DataArray of labels"
        )
        raise ValueError(msg)
    return None, blocks_of_side(block, (dataset.sizes[dims[0]], dataset.sizes[dims[1]]))


def _in_rows(layer: xr.DataArray, mu: xr.DataArray) -> xr.Variable:
    """Return a layer with rows and columns last; other dims are taken for these without any."""
    dims = spatial_dims(mu)
    variable = layer.variable
    if dims is not None:
        return variable.transpose(..., *dims)
    lacking = [f"_{k}" for k in range(2 - variable.ndim)]
    return variable.set_dims([*lacking, *variable.dims]) if lacking else variable
