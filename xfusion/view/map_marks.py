"""What tells a reader of a map how large it is, and where north is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xfusion.datamodel.ground_distance import GroundDistance

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

SHARE = 0.35  # of the width of a map that a scale bar has at most
KILOMETRE = 1000.0
STEP = 1e-3  # of a degree, to the north


class MapMarks(NamedTuple):
    """Of a grid, in its own pixels."""

    metres: tuple[float, float]
    """Height and width of a pixel on the ground, in the middle of the map."""
    length: float
    """Of the scale bar, in metres: 1, 2 or 5 with zeros."""
    north: tuple[float, float]
    """Direction of north in columns and rows, in metres on the ground, of length 1."""

    @property
    def label(self) -> str:
        """What the scale bar says."""
        km = self.length >= KILOMETRE
        return f"{self.length / KILOMETRE:g} km" if km else f"{self.length:g} m"

    @property
    def columns(self) -> float:
        """How many columns the scale bar is long."""
        return self.length / self.metres[1]


def marks_of(geobox: GeoBox) -> MapMarks | None:
    """Return scale and north of a grid, None where it is not on the earth."""
    rows, columns = geobox.shape
    try:
        metric = GroundDistance(geobox).metric(slice(0, rows), slice(0, columns))
    except ValueError:
        return None
    height, width = np.sqrt(metric[0, 0]), np.sqrt(metric[1, 1])
    if not (np.isfinite(height * width) and height * width > 0):
        return None
    most = SHARE * columns * width
    power = 10.0 ** np.floor(np.log10(most))
    length = power * max(n for n in (1, 2, 5) if n * power <= most)
    north = _north(geobox)
    if north is None:
        return None
    # along the sides of pixels, as the map is drawn
    across, down = north[0] * width, north[1] * height
    size = float(np.hypot(across, down))
    return MapMarks((float(height), float(width)), float(length), (across / size, down / size))


def _north(geobox: GeoBox) -> tuple[float, float] | None:
    """Return columns and rows of a small step to the north, in the middle of the map."""
    import pyproj

    crs: Any = geobox.crs.proj if geobox.crs is not None else None
    to_degrees = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    rows, columns = geobox.shape
    # in numbers, since operators of affine differ between its versions
    a, b, left, d, e, top = tuple(geobox.transform)[:6]
    x, y = a * columns / 2 + b * rows / 2 + left, d * columns / 2 + e * rows / 2 + top
    longitude, latitude = to_degrees.transform(x, y)
    step = STEP if latitude < 90 - STEP else -STEP  # at the pole
    to_x, to_y = to_degrees.transform(longitude, latitude + step, direction="INVERSE")
    across, up, area = to_x - x, to_y - y, (a * e - b * d) * step
    found = (e * across - b * up) / area, (a * up - d * across) / area
    return found if np.isfinite(found).all() and any(found) else None


def draw_marks(axis: Any, marks: MapMarks, shape: tuple[int, int]) -> None:
    """Draw a scale bar and an arrow to the north onto a map, whose units are pixels."""
    import matplotlib.patheffects as effects

    columns = shape[1]
    halo = [effects.withStroke(linewidth=3, foreground="white")]
    transform = axis.get_xaxis_transform()  # columns, and the share of the height
    start = 0.04 * columns
    axis.plot(
        [start, start + marks.columns],
        [0.05, 0.05],
        transform=transform,
        color="black",
        linewidth=2.5,
        solid_capstyle="butt",
        path_effects=halo,
        gid="scale bar",
    )
    axis.text(
        start + marks.columns / 2,
        0.075,
        marks.label,
        transform=transform,
        ha="center",
        va="bottom",
        fontsize=8,
        path_effects=halo,
    )
    across, down = marks.north
    up = -1.0 if axis.yaxis_inverted() else 1.0
    direction = np.array([across, up * down])
    middle = {"xy": (0.93, 0.9), "xycoords": "axes fraction", "textcoords": "offset points"}
    axis.annotate(
        "",
        xytext=tuple(-16 * direction),
        arrowprops={"arrowstyle": "-|>", "color": "black", "path_effects": halo},
        **middle,
    )
    axis.annotate(
        "N", xytext=tuple(7 * direction), ha="center", va="center", fontsize=8, **middle
    ).set_path_effects(halo)
