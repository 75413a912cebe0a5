"""Where pixels lie: by their labels, by the GeoTransform of the CRS variable, and if these agree.

Libraries keep the place of an array in one of them, in both, or, of a rotated grid, in the one
relative to the other. A selection changes labels alone, which is why they may differ lawfully.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import xarray as xr

from .labels import UNEVEN, Axis, axis_of, check_units
from .names import SPATIAL_REF

if TYPE_CHECKING:
    from affine import Affine

Dims = tuple[Hashable, Hashable]
Corner = tuple[float, float]  # outer edge of the first pixel of a file, and the size of a pixel

UNPLACED = (0.0, 1.0, 0.0, 0.0, 0.0, 1.0)  # of GDAL
PIXEL = "pixel"  # units of labels that count the pixels of a rotated grid from its corner
FLAT = 1e-9  # of the product of its sides: the area of what is a pixel is larger
OF_EACH_PIXEL = "yc", "xc"  # coordinates of two dims, as rioxarray gives a rotated grid


class Place(NamedTuple):
    """What the CRS variable of an object says about where it lies."""

    crs: str | None
    geotransform: tuple[float, ...] | None
    """As GDAL writes it: x of the corner, along a row, down; y of the corner, along a row, down."""
    gcps: str | None
    """Ground control points, as rioxarray writes them."""

    @property
    def is_rotated(self) -> bool:
        """Whether rows and columns do not run along the axes of the CRS."""
        return self.geotransform is not None and any(self.geotransform[i] for i in (2, 4))


def place_of(obj: xr.Dataset | xr.DataArray) -> Place:
    """Return what the CRS variable of an object says, whatever the variable is called."""
    attrs = _crs_variable(obj)
    text = attrs.get("crs_wkt", attrs.get(SPATIAL_REF))
    points = attrs.get("gcps")
    return Place(
        None if text is None else str(text),
        _geotransform(str(attrs.get("GeoTransform", ""))),
        None if points is None else str(points),
    )


def _geotransform(text: str) -> tuple[float, ...] | None:
    words = text.split()
    if len(words) != 6:  # noqa: PLR2004  # of GDAL
        return None
    try:
        return tuple(map(float, words))
    except ValueError as error:
        msg = (
            f"the GeoTransform {text!r} is not of numbers: .rio.write_transform(transform); {error}"
        )
        raise ValueError(msg) from error


def _crs_variable(obj: xr.Dataset | xr.DataArray) -> Mapping[Any, Any]:
    variables = obj.variables if isinstance(obj, xr.Dataset) else obj.coords
    if SPATIAL_REF in variables:
        return variables[SPATIAL_REF].attrs
    named = [v.attrs for v in variables.values() if v.ndim == 0]
    return next((a for a in named if {"crs_wkt", SPATIAL_REF} & {*a}), {})


def transform_of(obj: xr.Dataset | xr.DataArray, dims: Dims) -> Affine:
    """Return the transform from columns and rows, counted from the outer corner, to the CRS.

    Raises
    ------
    ValueError
        If there is none, labels are not evenly spaced, or they contradict the GeoTransform.
    """
    from affine import Affine

    place = place_of(obj)
    if place.gcps is not None:
        msg = "the grid is given by ground control points: warp it first, .rio.reproject(crs)"
        raise ValueError(msg)
    if place.geotransform == UNPLACED:
        msg = (
            "the GeoTransform is the identity, as GDAL has it of files without any, so the pixels "
            "have no place: .rio.write_transform(transform) and labels, or warp the file first, "
            "e.g. gdalwarp"
        )
        raise ValueError(msg)
    axes = [axis_of(obj, dim) for dim in dims]
    for dim in dims:
        check_units(obj, dim, place.crs)
    if place.is_rotated:
        assert place.geotransform is not None  # noqa: S101  # what is rotated has one
        check_has_area(Affine.from_gdal(*place.geotransform))
        return _of_rotated(obj, dims, axes, Affine.from_gdal(*place.geotransform))
    of_file: tuple[Corner | None, Corner | None] = None, None
    if place.geotransform is not None:
        left, width, _, top, _, height = place.geotransform
        of_file = (top, height), (left, width)
    coarser = [
        _factor(obj, dim, axis, corner)
        for dim, axis, corner in zip(dims, axes, of_file, strict=True)
    ]
    top, height = _edge(obj, dims[0], axes[0], of_file[0], across=coarser[1])
    left, width = _edge(obj, dims[1], axes[1], of_file[1], across=coarser[0])
    return Affine(width, 0.0, left, 0.0, height, top)


def check_has_area(transform: Affine) -> None:
    """Refuse a transform of pixels without an area, which do not tell where a position is."""
    a, b, _, d, e, _ = tuple(transform)[:6]
    if not abs(a * e - b * d) > FLAT * (abs(a) + abs(b)) * (abs(d) + abs(e)):
        msg = (
            f"pixels have no area by the transform {tuple(transform)[:6]}, so they have no place: "
            "say where they lie, .rio.write_transform(transform), or warp the file first"
        )
        raise ValueError(msg)


def _factor(
    obj: xr.Dataset | xr.DataArray, dim: Hashable, axis: Axis | None, corner: Corner | None
) -> float:
    """How many times as large as it was a pixel is by its labels; 1 if they do not tell."""
    size = _declared_size(obj, dim) if corner is None else corner[1]
    if axis is None or axis.step is None or size is None:
        return 1.0
    return abs(axis.step / size)


def _edge(
    obj: xr.Dataset | xr.DataArray,
    dim: Hashable,
    axis: Axis | None,
    corner: Corner | None,
    *,
    across: float,
) -> Corner:
    """Return the outer edge of the first pixel along a dim, and the size of a pixel.

    `across` is how many times as large as they were pixels are along the other dim.
    """
    if axis is None:
        if corner is None:
            msg = (
                f"{dim!r} has no labels and the CRS no GeoTransform, so the pixels have no place: "
                f"give it labels, .assign_coords({dim}=...)"
            )
            raise ValueError(msg)
        return corner
    before = _declared_size(obj, dim) if corner is None else corner[1]
    if axis.step is None and before is None:
        msg = (
            f"{dim!r} has the one label {axis.first} and the CRS no GeoTransform, so the size "
            "of its pixel is unknown: write it first, .rio.write_transform(transform)"
        )
        raise ValueError(msg)
    if axis.step is None and abs(across - 1) > UNEVEN:
        msg = (
            f"{dim!r} has one label, {axis.first}, with pixels of {before}, while those of the "
            f"other dim are {across:g} times as large as they were: say how large they are, "
            ".rio.write_transform(transform)"
        )
        raise ValueError(msg)
    size = before if axis.step is None else axis.step
    assert size is not None  # noqa: S101  # checked above
    if corner is None or not _is_same(size, corner[1], obj.sizes[dim]):
        return axis.first - size / 2, size
    edge, of_file = corner
    shift = (axis.first - edge) / of_file - 0.5
    if abs(shift - round(shift)) > UNEVEN:
        expected = edge + (round(shift) + 0.5) * of_file
        msg = (
            f"{dim}[0] is {axis.first} by its label, {expected} by the GeoTransform, "
            f"{abs(shift - round(shift)):.2g} pixels apart, but labels are those of pixel centres. "
            f"Say which is right: .drop_vars({dim!r}) for the GeoTransform, or give labels of "
            "centres and call .rio.write_transform()"
        )
        raise ValueError(msg)
    return edge + round(shift) * of_file, of_file


def _is_same(step: float, of_file: float, count: int) -> bool:
    """Whether labels are as far apart as the pixels of the file, over all of them."""
    return abs(step - of_file) * (count - 1) <= UNEVEN * abs(of_file)


def _declared_size(obj: xr.Dataset | xr.DataArray, dim: Hashable) -> float | None:
    """Return the size of a pixel that odc-geo notes on labels; coarsening leaves it as it was."""
    size = obj.coords[dim].attrs.get("resolution")
    return None if size is None else float(size)


def _of_rotated(
    obj: xr.Dataset | xr.DataArray, dims: Dims, axes: list[Axis | None], whole: Affine
) -> Affine:
    """Return the transform of what is left of a rotated grid, whose labels count pixels."""
    from affine import Affine

    if axes == [None, None]:
        axes = _of_each_pixel(obj, dims, whole)
    first, step = [], []
    factors = [axis.step for axis in axes if axis is not None and axis.step is not None]
    for dim, axis in zip(dims, axes, strict=True):
        counted, each = (0.5, 1.0) if axis is None else (axis.first, axis.step or 1.0)
        units = PIXEL if axis is None else obj.coords[dim].attrs.get("units", PIXEL)
        whole_pixels = abs(counted % 1.0 - 0.5) <= UNEVEN
        is_coarser = any(abs(abs(factor) - 1.0) > UNEVEN for factor in factors)
        if units == PIXEL and axis is not None and axis.step is None:
            if is_coarser or not whole_pixels:
                msg = (
                    f"{dim!r} has one label, {counted}, which counts pixels of a rotated grid, and "
                    "of how many it is the middle is unknown: leave two or more along each dim, or "
                    "say where it lies, .drop_vars(['y', 'x']).rio.write_transform(transform)"
                )
                raise ValueError(msg)
        elif units != PIXEL or (each == 1.0 and not whole_pixels):
            msg = (
                f"{dim}[0] is {counted}, in {units!r}, but the GeoTransform "
                f"{tuple(whole.to_gdal())} is rotated, where no label of one dim can say where a "
                "pixel lies: .drop_vars(['y', 'x']) if it is that of the whole array"
            )
            raise ValueError(msg)
        first.append(counted - 0.5 * each)
        step.append(each)
    # in numbers, since operators of affine differ between its versions
    (row, column), (down, across) = first, step
    a, b, c, d, e, f = tuple(whole)[:6]
    return Affine(
        a * across,
        b * down,
        c + a * column + b * row,
        d * across,
        e * down,
        f + d * column + e * row,
    )


def _of_each_pixel(obj: xr.Dataset | xr.DataArray, dims: Dims, whole: Affine) -> list[Axis | None]:
    """Return what coordinates of two dims say of the rows and columns of a rotated grid."""
    yc, xc = (obj.coords.get(name) for name in OF_EACH_PIXEL)
    if yc is None or xc is None or yc.dims != dims or xc.dims != dims:
        return [None, None]
    a, b, c, d, e, f = tuple(whole)[:6]
    area = a * e - b * d

    def counted(row: int, column: int) -> tuple[float, float]:
        x, y = float(xc[row, column]) - c, float(yc[row, column]) - f
        return (a * y - d * x) / area, (e * x - b * y) / area

    start, stop = counted(0, 0), counted(-1, -1)
    counts = [obj.sizes[dim] - 1 for dim in dims]
    return [
        Axis(p, (q - p) / n if n else None) for p, q, n in zip(start, stop, counts, strict=True)
    ]
