"""The Dataset of scores: names, dims, labels and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.describing import titled
from xfusion.datamodel.names import MU, SPATIAL_REF
from xfusion.datamodel.units import units_of

from . import binary_scores, continuous_scores
from .binary_scores import CALIBRATION_BINS, CLIP, Histogram
from .finishing import COUNTS, SUFFIXES

Excluded: TypeAlias = Literal["wet", "dry", "score"]

PIXELS = ("all", "usable")
COUNT_NAMES = {
    "count": "number of pixels that are scored",
    "unscored": "number of pixels of known reference that are not scored",
}
BIN_NAMES = {
    "wet": "wet pixels with mu above this edge and up to the next",
    "dry": "dry pixels with mu above this edge and up to the next",
}
MU_BIN = "mu_bin"
OF_DIMS = {"coverage": "level", "pit": "pit_bin", "wet": MU_BIN, "dry": MU_BIN}
DIM_NAMES = {
    "pixels": "which pixels are scored",
    "group": "group of pixels",
    MU_BIN: "lower edge of a bin of mu",
    "level": "probability of a central interval",
    "pit_bin": "lower edge of a bin of the probability integral transform",
}


@dataclass(frozen=True)
class ScoreLayout:
    """What the Dataset has, before anything is computed."""

    bins: Histogram | None
    """None of a quantity."""
    labels: NDArray[Any] | None
    """Of groups; None without any."""
    draws: int

    @property
    def _scores(self) -> dict[str, str]:
        return continuous_scores.NAMES if self.bins is None else binary_scores.NAMES

    @property
    def _names(self) -> list[str]:
        ends = [f"{name}_{end}" for name in self._scores for end in SUFFIXES if self.draws]
        return [*self._scores, *COUNT_NAMES, *ends, *(BIN_NAMES if self.bins else ())]

    @property
    def _labels(self) -> dict[str, NDArray[Any]]:
        """Return the labels of dims."""
        # texts as objects: Zarr has no type for numpy's of fixed length
        pixels = np.array(PIXELS, object)
        labels: dict[str, NDArray[Any]] = {"pixels": pixels}
        if self.labels is not None:
            is_text = self.labels.dtype.kind in "USO"
            labels = {"group": self.labels.astype(object) if is_text else self.labels} | labels
        if self.bins is not None:
            return labels | {MU_BIN: self.bins.edges[:-1]}
        from xfusion.kernels.continuous_tally import LEVELS, PIT_BINS

        return labels | {"level": np.array(LEVELS), "pit_bin": np.arange(PIT_BINS) / PIT_BINS}

    @property
    def _dims(self) -> dict[str, tuple[str, ...]]:
        dims: dict[str, tuple[str, ...]] = {}
        groups = () if self.labels is None else ("group",)
        for name in self._names:
            own = OF_DIMS.get(name.removesuffix("_lower").removesuffix("_upper"))
            dims[name] = (*groups, "pixels", *([own] if own else []))
        return dims

    @property
    def shapes(self) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
        """Name -> shape and dtype of all results."""
        sizes = {dim: len(labels) for dim, labels in self._labels.items()}
        return {
            name: (
                tuple(sizes[dim] for dim in dims),
                np.dtype(np.int64 if name in COUNTS else np.float64),
            )
            for name, dims in self._dims.items()
        }

    def dataset(
        self, results: Mapping[str, Any], retrieval: xr.Dataset, attrs: Mapping[str, Any]
    ) -> xr.Dataset:
        """Return results as a Dataset.

        Parameters
        ----------
        results : mapping of str to array
        retrieval : Dataset
            What was judged.
        attrs : mapping
            How it was.
        """
        dims = self._dims
        units = self._units(units_of(retrieval[MU]), str(attrs["weights"]))
        variables = {
            name: (dims[name], results[name], {"long_name": said} | units(name))
            for name, said in self._long_names.items()
        }
        coords: dict[Any, Any] = {
            name: (name, labels, {"long_name": DIM_NAMES[name]})
            for name, labels in self._labels.items()
        }
        scores = xr.Dataset(variables, coords)
        alone = {k: v.variable for k, v in retrieval.coords.items() if not v.dims}
        alone.pop(SPATIAL_REF, None)
        kept = {"sensor": retrieval.attrs["sensor"]} if "sensor" in retrieval.attrs else {}
        scores = scores.assign_coords(alone).assign_attrs(kept | dict(attrs) | self._precision)
        return titled(scores, "scores against a reference", of=retrieval)

    @property
    def _long_names(self) -> dict[str, str]:
        said = self._scores | COUNT_NAMES | BIN_NAMES
        long_names = {}
        for name in self._names:
            of, _, end = name.rpartition("_")
            if end in SUFFIXES and of in self._scores:
                long_names[name] = f"{said[of]}, {end} end of the 95 % interval"
            else:
                long_names[name] = said[name]
        return long_names

    @property
    def _precision(self) -> dict[str, Any]:
        if self.bins is None:
            return {}
        return {
            "mu_bins": "at most 0.001 wide, and at most 1/32 of the distance from 0 or 1",
            "calibration_bins": CALIBRATION_BINS,
            "log_loss_clip": CLIP,
        }

    def _units(self, of_mu: str | None, weights: str) -> Any:
        def units(name: str) -> dict[str, str]:
            of = name.removesuffix("_lower").removesuffix("_upper")
            if self.bins is None and of in continuous_scores.OF_MU:
                return {} if of_mu is None else {"units": of_mu}
            if name in BIN_NAMES and weights == "area":
                return {"units": "km2"}
            return {"units": "1"}

        return units
