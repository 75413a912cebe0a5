"""The landscape of the example scene: its layout, its true water, its look from Sentinel-2.

The place is a stretch of the Danube near 18 degrees east, where UTM zones 33 and 34 meet.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
# Centre east and north, half axes (km of a full-size scene), degrees anticlockwise from east.
Ellipse = tuple[float, float, float, float, float]
# Direction in degrees anticlockwise from east, nearest and farthest kilometre along it.
Strip = tuple[float, float, float]

CENTRE = (18.0, 47.75)
PLANE = f"+proj=tmerc +lon_0={CENTRE[0]} +lat_0={CENTRE[1]} +datum=WGS84 +units=m"

LAKES: tuple[Ellipse, ...] = (
    (2.9, 2.9, 0.9, 0.55, 30),
    (-5.7, -3.4, 0.8, 0.5, -20),
    (4.9, -2.9, 0.7, 0.45, 60),
    (-1.3, 3.0, 0.45, 0.3, 0),
    (0.9, -4.1, 0.5, 0.3, 15),
    (-6.4, 2.6, 0.3, 0.5, 10),
)
PONDS: tuple[Ellipse, ...] = tuple(
    (-2.9 + 0.4 * column, -4.2 + 0.4 * row, 0.15, 0.13, 0.0)
    for row in range(3)
    for column in range(3)
)
WETLANDS: tuple[Ellipse, ...] = ((-2.6, 1.5, 1.1, 0.6, 20), (3.6, -1.6, 0.9, 0.4, -30))
TOWNS: tuple[Ellipse, ...] = ((-0.9, -0.9, 0.9, 0.7, 0), (2.5, 0.3, 0.6, 0.5, 40))
HILLS: tuple[Ellipse, ...] = ((-3.2, 4.1, 1.4, 0.35, 20), (1.3, 4.3, 1.1, 0.35, 15))
SAND: tuple[Ellipse, ...] = ((5.3, -0.7, 0.5, 0.35, 0), (-4.6, -2.3, 0.5, 0.35, 30))
# Seen by the later GFM frame only: keeping the first frame that has data loses it.
LAYOVER: tuple[Ellipse, ...] = ((-5.2, -0.9, 0.45, 0.3, 0),)
FORESTS: tuple[Ellipse, ...] = (
    (1.2, -2.6, 1.1, 0.5, 10),
    (-4.0, 3.2, 0.9, 0.5, 40),
    (5.4, 1.2, 0.5, 0.7, 0),
)
CLOUDS: tuple[Ellipse, ...] = (
    (1.7, 0.7, 1.5, 0.8, 25),
    (-3.1, -0.5, 0.9, 0.7, -30),
    (4.3, -3.6, 0.7, 0.45, 0),
)
# The morning sun stands in the south-east.
SHADOWS: tuple[Ellipse, ...] = tuple((x - 0.5, y + 0.8, a, b, turn) for x, y, a, b, turn in CLOUDS)
CIRRUS: tuple[Ellipse, ...] = ((5.2, 3.6, 0.9, 0.6, -20),)
SATURATED: tuple[Ellipse, ...] = ((-1.2, -3.0, 0.35, 0.3, 0),)
GREENHOUSES: tuple[Ellipse, ...] = ((3.9, 0.2, 0.35, 0.25, 0), (-0.2, 2.2, 0.3, 0.25, 30))
UNCLASSIFIED: tuple[Ellipse, ...] = ((-2.0, -2.4, 0.4, 0.3, 0),)

S1_SWATH: tuple[Strip, ...] = ((12, -6.9, 5.9), (102, -5.5, 5.5))
S2_SWATH: tuple[Strip, ...] = ((-14, -4.7, 7.4), (76, -4.6, 4.9))
GFM_FRAMES: tuple[tuple[str, tuple[Strip, ...], tuple[Ellipse, ...]], ...] = (
    ("20230620T164500", ((12, -7.2, 5.7), (102, -7.5, 0.9)), TOWNS + HILLS + SAND),
    ("20230620T164525", ((12, -6.7, 6.2), (102, -0.6, 5.1)), TOWNS + HILLS + SAND + LAYOVER),
)


@dataclass(frozen=True)
class Ground:
    """Pixel centres in kilometres east and north of the centre, on a scene of full size."""

    x: Floats
    y: Floats
    size: float
    depths: dict[tuple[Ellipse, ...], Floats] = field(default_factory=dict)

    @classmethod
    def under(cls, geobox: GeoBox, size: float) -> Ground:
        """The ground under a grid, for a scene of a size."""
        if geobox.crs is None:
            message = "the grid has no CRS, so its pixels lie nowhere"
            raise ValueError(message)
        rows, columns = np.indices(geobox.shape, dtype="float64") + 0.5
        a, b, c, d, e, f = list(geobox.affine)[:6]
        to_plane = Transformer.from_crs(geobox.crs.proj, PLANE, always_xy=True)
        x, y = to_plane.transform(a * columns + b * rows + c, d * columns + e * rows + f)
        return cls(x / (1000 * size), y / (1000 * size), size)

    def metres(self, kilometres: Floats) -> Floats:
        """Metres on this scene of kilometres on one of full size."""
        return 1000 * self.size * kilometres

    @cached_property
    def wobbled(self) -> tuple[Floats, Floats]:
        """East and north, bent so that no outline is a plain ellipse."""
        east = self.x + 0.10 * np.sin(2.3 * self.y + 1) + 0.04 * np.sin(5.1 * self.x)
        north = self.y + 0.10 * np.sin(2.1 * self.x) + 0.04 * np.sin(4.7 * self.y + 2)
        return east, north

    def depth(self, ellipses: tuple[Ellipse, ...]) -> Floats:
        """Metres inside the nearest outline, negative outside."""
        if ellipses not in self.depths:
            deepest = np.full(self.x.shape, -np.inf)
            for x, y, a, b, turn in ellipses:
                cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
                east, north = self.wobbled[0] - x, self.wobbled[1] - y
                along, across = (east * cos + north * sin) / a, (north * cos - east * sin) / b
                radius = np.sqrt(along * along + across * across)
                np.maximum(deepest, min(a, b) * (1 - radius), out=deepest)
            self.depths[ellipses] = self.metres(deepest)
        return self.depths[ellipses]

    def inside(self, strips: tuple[Strip, ...]) -> Flags:
        """Where all the strips overlap."""
        flags = np.ones(self.x.shape, dtype=bool)
        for direction, near, far in strips:
            angle = math.radians(direction)
            along = self.x * math.cos(angle) + self.y * math.sin(angle)
            flags &= (near <= along) & (along <= far)
        return flags

    def wave(self, pace: float, phase: float) -> Floats:
        """Vary smoothly between 0 and 1."""
        wave = np.sin(pace * self.x + phase) * np.cos(1.3 * pace * self.y - phase)
        return 0.5 + 0.3 * wave + 0.2 * np.sin(1.9 * pace * (self.x + self.y))

    @cached_property
    def truth(self) -> Floats:
        """The true water fraction: sharp banks, and swamps between."""
        x, y = self.x, self.y
        river = -0.6 + np.sin(0.55 * x + 0.5) + 0.3 * np.sin(1.4 * x)
        slope = 0.55 * np.cos(0.55 * x + 0.5) + 0.42 * np.cos(1.4 * x)
        branch = -2.6 + 0.5 * np.sin(0.9 * x + 1)
        oxbow = np.sqrt((x + 3.4) ** 2 + (y - 2.0) ** 2)
        depth = self.depth(LAKES + PONDS).copy()
        for bank in (
            0.32 + 0.08 * np.sin(0.8 * x) - np.abs(y - river) / np.sqrt(1 + slope**2),
            0.07 - np.abs(y - branch),
            np.minimum(0.1 - np.abs(oxbow - 0.8), -2.9 - x),
        ):
            np.maximum(depth, self.metres(bank), out=depth)
        shore = 20.0
        water = 0.5 + 0.5 * np.tanh(depth / (2 * shore))
        swamp = 0.45 + 0.45 * np.tanh(self.depth(WETLANDS) / (150 * self.size))
        truth: Floats = np.maximum(water, swamp * self.wave(2.5, 0.8))
        return truth


def reflectances(ground: Ground, noise: np.random.Generator) -> tuple[Any, Any]:
    """Red and near infrared as Earth Search serves them: reflectance x 10 000, no offset."""
    meadow = ground.wave(1.1, 0.2)
    red, nir = 0.15 - 0.10 * meadow, 0.20 - 0.02 * meadow
    for outlines, surface in (
        (FORESTS, (0.025, 0.30)),
        (TOWNS + SAND, (0.16, 0.20)),
        (GREENHOUSES, (0.60, 0.62)),
    ):
        where = ground.depth(outlines) > 0
        red[where], nir[where] = surface
    red += ground.truth * (0.030 - red)
    nir += ground.truth * (0.015 - nir)
    for outlines, sky in ((SHADOWS, (0.03, 0.04)), (CIRRUS, (0.25, 0.30)), (CLOUDS, (0.55, 0.58))):
        where = ground.depth(outlines) > 0
        red[where], nir[where] = sky
    seen = ground.inside(S2_SWATH)
    bands = []
    for reflectance in (red, nir):
        texture = 1 + 0.02 * noise.standard_normal(reflectance.shape)
        bands.append(np.where(seen, np.maximum(1e4 * reflectance * texture, 1), 0).astype("uint16"))
    return bands[0], bands[1]


def scene_classes(ground: Ground) -> NDArray[np.uint8]:
    """Scene Classification; where layers overlap the later one is on top."""
    meadow = ground.wave(1.1, 0.2) > 0.5  # noqa: PLR2004  # most of the pixel
    scl = np.where(meadow, 4, 5).astype("uint8")
    scl[ground.depth(TOWNS + SAND) > 0] = 5
    for code, where in (
        (4, ground.depth(FORESTS) > 0),
        (7, ground.depth(UNCLASSIFIED) > 0),
        (11, ground.depth(GREENHOUSES) > 0),
        (6, ground.truth > 0.5),  # noqa: PLR2004  # most of the pixel
        (1, ground.depth(SATURATED) > 0),
        (3, ground.depth(SHADOWS) > 0),
        (10, ground.depth(CIRRUS) > 0),
        (8, ground.depth(CLOUDS) > 0),
        (9, ground.depth(CLOUDS) > 150 * ground.size),
        (0, ~ground.inside(S2_SWATH)),
    ):
        scl[where] = code
    return scl


def lay_grid(
    epsg: int, resolution: int, width: float, height: float, east: float, north: float, size: float
) -> GeoBox:
    """Lay a north-up grid around a point of the scene, on Sentinel-2's lattice of 60 m."""
    from_plane = Transformer.from_crs(PLANE, epsg, always_xy=True)
    x, y = from_plane.transform(1000 * size * east, 1000 * size * north)
    columns, rows = (max(1, round(1000 * size * side / 60)) for side in (width, height))
    left, top = 60 * round(x / 60 - columns / 2), 60 * round(y / 60 + rows / 2)
    affine = Affine(resolution, 0, left, 0, -resolution, top)
    return GeoBox((rows * 60 // resolution, columns * 60 // resolution), affine, epsg)
