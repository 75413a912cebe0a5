"""The retrievals of a series: on one grid, their sensors and dates told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from xfusion.datamodel.names import CONFLICT, MASK, MU, SIGMA
from xfusion.datamodel.times import label_text
from xfusion.datamodel.validation import Retrieval, as_retrieval
from xfusion.fusion.alignment import MAX_SENSORS, like_first, sensor_name
from xfusion.fusion.block import FusionTask
from xfusion.fusion.doubled_labels import check_distinct

from .block import Look
from .timeline import dates_of

TIME = "time"


class Series:
    """Cubes of retrievals on one grid, in units of the first.

    Parameters
    ----------
    retrievals : sequence of Dataset or product
        Each with a dim or a scalar coordinate `time`.
    names : sequence of str
        Of sensors that are known before.
    onto : Dataset, optional
        What they are to be on the grid of, without a dim `time`; by default the first.

    Raises
    ------
    ValueError
        If grids, dims or units do not go together, one has no times, or there are more than 8
        sensors, or looks at one time.
    """

    def __init__(
        self,
        retrievals: Sequence[Retrieval],
        *,
        names: Sequence[str] = (),
        onto: xr.Dataset | None = None,
    ) -> None:
        cubes = [_cube(as_retrieval(each)) for each in retrievals]
        self.given = cubes
        sensors = [_sensors(cube, k if len(cubes) > 1 else 0) for k, cube in enumerate(cubes, 1)]
        self.names = [*dict.fromkeys([*names, *(n for of_cube in sensors for n in of_cube)])]
        if len(self.names) > MAX_SENSORS:
            msg = (
                f"{len(self.names)} sensors, {', '.join(self.names)}: at most {MAX_SENSORS}, each "
                "has a bit of `source`; name those alike that are one, .attrs['sensor'] = ..."
            )
            raise ValueError(msg)
        self.moments = [
            dates_of(cube, name=f"retrieval {k}" + "".join(f" ({name!r})" for name in of_cube[:1]))
            for k, (cube, of_cube) in enumerate(zip(cubes, sensors, strict=True), 1)
        ]
        self.dates: NDArray[np.datetime64] = np.unique(np.concatenate(self.moments))
        self.looks = self._looks(sensors)
        self.cubes = _on_one_grid(cubes, [of_cube[0] for of_cube in sensors], onto)

    def _looks(self, sensors: Sequence[Sequence[str]]) -> tuple[tuple[Look, ...], ...]:
        found: list[list[Look]] = [[] for _ in self.dates]
        for k, (moments, of_cube) in enumerate(zip(self.moments, sensors, strict=True)):
            for index, date in enumerate(np.searchsorted(self.dates, moments)):
                found[date].append(Look(k, index, self.names.index(of_cube[index])))
        most = max(range(len(found)), key=lambda date: len(found[date]))
        if len(found[most]) > MAX_SENSORS:
            msg = (
                f"{len(found[most])} retrievals at {label_text(self.dates[most])}, at most "
                f"{MAX_SENSORS} at one time: fuse some of them first, xf.gaussian(a, b)"
            )
            raise ValueError(msg)
        return tuple(tuple(sorted(looks, key=lambda look: look.bit)) for looks in found)

    def fusions(
        self, correlation: ArrayLike, sigma_floor: float, nonfinite_sigma: Any
    ) -> tuple[FusionTask, ...]:
        """Return how the looks at each date are fused.

        Parameters
        ----------
        correlation : float or array, shape (sensors, sensors)
        sigma_floor, nonfinite_sigma
            As in :func:`xfusion.gaussian`.

        Raises
        ------
        ValueError
            If correlations are of sensors, and one has two looks at one time.
        """
        known: dict[tuple[int, ...], FusionTask] = {}
        # checked as a whole: no date may have all sensors
        FusionTask(
            "gaussian",
            len(self.names),
            {"correlation": correlation},
            sigma_floor,
            nonfinite_sigma,
            diagnostics=False,
            bounded=None,
        )
        for date, looks in zip(self.dates, self.looks, strict=True):
            bits = tuple(look.bit for look in looks)
            between: Any = correlation
            if np.ndim(correlation):
                twice = [bit for bit in bits if bits.count(bit) > 1]
                if twice:
                    msg = (
                        "correlation is a matrix of sensors, and says nothing of two looks of "
                        f"{self.names[twice[0]]!r} at {label_text(date)}: fuse these first, "
                        "xf.gaussian(a, b), or give one number for all"
                    )
                    raise ValueError(msg)
                between = np.asarray(correlation)[np.ix_(bits, bits)]
            elif len(bits) == 1:
                between = 0.0
            known[bits] = known.get(bits) or FusionTask(
                "gaussian",
                len(bits),
                {"correlation": between},
                sigma_floor,
                nonfinite_sigma,
                diagnostics=False,
                bounded=None,
            )
        return tuple(known[tuple(look.bit for look in looks)] for looks in self.looks)


def _cube(dataset: xr.Dataset) -> xr.Dataset:
    if TIME in dataset[MU].dims:
        return dataset.transpose(TIME, ...)
    if TIME in dataset.coords and dataset.coords[TIME].ndim == 0:
        return dataset.expand_dims(TIME)
    return dataset


def _sensors(cube: xr.Dataset, number: int) -> list[str]:
    """Return the name of the sensor of each time."""
    count = cube.sizes.get(TIME, 1)
    label = cube.coords.get("sensor")
    if label is not None and label.dims == (TIME,):
        return [sensor_name(name) for name in label.to_numpy()]
    alone = f"sensor_{number}" if number else "sensor"
    return [sensor_name(cube.attrs.get("sensor", alone))] * count


def _on_one_grid(
    cubes: Sequence[xr.Dataset], names: Sequence[str], onto: xr.Dataset | None
) -> list[xr.Dataset]:
    """Return mu, sigma and mask of each cube on the grid, in units and blocks of the first."""
    cubes = [cube[[v for v in (MU, SIGMA, MASK, CONFLICT) if v in cube]] for cube in cubes]
    first = cubes[0].isel({TIME: 0}, drop=True) if onto is None else onto.drop_vars(TIME)
    of_grid = first[[v for v in (MU, SIGMA) if v in first]]
    called = names[0] if onto is None else "the state"
    check_distinct(first)
    aligned = []
    for k, (cube, name) in enumerate(zip(cubes, names, strict=True)):
        if k > 0 or onto is not None:
            # labels along time differ from cube to cube, all others do not
            like = of_grid.expand_dims({TIME: cube.coords[TIME].to_numpy()})
            mend = f".coregister({called.removeprefix('the ')})"
            cube = like_first(cube, like, names=(name, called), mend=mend)  # noqa: PLW2901  # as on the grid
        stale = [k for k in cube.coords if k not in first.coords and k != TIME]
        aligned.append(cube.drop_vars(stale))
    return aligned
