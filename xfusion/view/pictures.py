"""A picture of a result: its layers as maps, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xfusion.datamodel.building import usable
from xfusion.datamodel.comparison import same_geobox
from xfusion.datamodel.grid import geobox_of, has_crs, spatial_dims
from xfusion.datamodel.names import CHI2, MASK, MU, SIGMA, SOURCE, WEIGHT
from xfusion.datamodel.palette import MISSING
from xfusion.datamodel.validation import Retrieval, as_retrieval

from .figures import axes_for, matplotlib_of
from .looking import EVERY, LOOKED, SIDE, look
from .map_layout import Bar, layout
from .map_marks import draw_marks, marks_of
from .panels import Panel, panels_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE, SMALL = 10, 8  # sizes of letters, in points
BENEATH = 0.5  # of a letter, between a map and its legend
TICKS = 4  # spaces between numbers beneath one map, at most
TALL, WIDE = 2.0, 0.5  # height over width of a panel at most, and at least


def plot(
    dataset: Retrieval,
    /,
    *,
    sensors: Sequence[Retrieval] = (),
    time: Any = None,
    side: int = SIDE,
    ax: Any = None,
) -> Figure:
    """Draw a retrieval: mu, sigma, who contributed, what was excluded, each as a map.

    Parameters
    ----------
    dataset : Dataset or product
        A retrieval, dims (y, x), usually a fused one. Of a large lazy one few pixels are read: the
        overviews of its files, the levels of its store if it is as :func:`~xfusion.open_result` or
        :func:`~xfusion.to_zarr` opened it, or one time of that; or every n-th block, and the title
        says so.
    sensors : sequence of Dataset or product
        What was fused, on the same grid, if their means are to be seen as well.
    time : label, optional
        Of a cube, the time that is drawn.
    side : int
        Most pixels of a map, along either side.
    ax : sequence of matplotlib Axes, optional
        One for each panel; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If the retrieval has dims besides the spatial ones, a sensor lies on another grid, or there
        are not as many axes as panels.
    ModuleNotFoundError
        If matplotlib is not installed.

    Notes
    -----
    All mu have one scale, as in a report: 0 to 1 of a probability or share, also one whose noise is
    beyond; else that of the middle 96 % of the pixels, and of numbers on both sides of 0 one with 0
    in the middle. Grey pixels have no
    estimate; hatched ones were not looked at. Shares in legends are of what was looked at. The
    scale bar is right in the middle of the map.

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> one = xf.retrieval(np.full((8, 8), 0.9), 0.1, sensor="radar")
    >>> two = xf.retrieval(np.full((8, 8), 0.7), 0.2, sensor="optical")
    >>> figure = xf.plot(xf.gaussian(one, two), sensors=[one, two])
    >>> [axis.get_title() for axis in figure.axes[:4]]
    ['radar: mu', 'optical: mu', 'fused: mu', 'fused: sigma']
    """
    matplotlib_of()
    whole = _at(as_retrieval(dataset), time)
    dims = spatial_dims(whole)
    if dims is None or {*whole[MU].dims} != {*dims}:
        over = [d for d in whole[MU].dims if d not in (dims or ())]
        mend = f"xf.plot(ds.isel({over[0]}=0))" if over else ".rename to ('y', 'x')"
        also = ", or give time=, one of its labels" if "time" in over else ""
        msg = f"a picture is of one map, mu has dims {whole[MU].dims}: {mend}{also}"
        raise ValueError(msg)
    names = (MU, SIGMA, MASK, SOURCE, CHI2, WEIGHT)
    whole = whole[[n for n in names if n in whole]].transpose(..., *dims)
    geobox = geobox_of(whole) if has_crs(whole) else None
    looked = look(whole, side=side)
    seen = np.asarray(looked.coords.get(LOOKED, np.ones(looked[MU].shape, np.bool_)))
    shown = {
        name: _sensor(each, whole, geobox, time, side)
        for name, each in zip(_names(sensors), sensors, strict=True)
    }
    panels = panels_of(looked, shown, seen)
    marks = None if geobox is None else marks_of(geobox)
    shape = whole.sizes[dims[0]], whole.sizes[dims[1]]
    aspect = marks.metres[0] / marks.metres[1] if marks else 1.0
    every = int(looked.attrs[EVERY])
    if ax is None:
        form = aspect * shape[0] / max(1, shape[1])
        box = min(TALL, max(WIDE, form))
        figure, axes, bars = layout(panels, form, box, lines=2 if every > 1 else 1)
    else:
        figure, axes = axes_for(ax, len(panels))
        bars = [Bar(None, (k,)) for k, panel in enumerate(panels) if not panel.classes]
    south_up = bool(marks and marks.north[1] > 0 and abs(marks.north[0]) < marks.north[1])
    images = [
        _draw(axis, panel, seen, shape, aspect, every=every, south_up=south_up)
        for axis, panel in zip(axes, panels, strict=True)
    ]
    for bar in bars:
        _draw_bar(bar, axes, images, panels)
    if marks:
        draw_marks(axes[0], marks, shape)
    return figure  # type: ignore[no-any-return]  # matplotlib is imported late


def _at(dataset: xr.Dataset, time: Any) -> xr.Dataset:
    """Return a cube at one time."""
    if time is None or "time" not in dataset[MU].dims:
        return dataset.squeeze("time") if dataset.sizes.get("time") == 1 else dataset
    found = dataset.sel(time=time)
    if found.sizes.get("time") == 1:
        found = found.isel(time=0)
    if "time" in found.dims:
        msg = f"{time=} is that of {found.sizes['time']} labels: give one, such as ds.time[0]"
        raise ValueError(msg)
    return found


def _names(sensors: Sequence[Retrieval]) -> list[str]:
    """Return what to call sensors; no two the same."""
    names: list[str] = []
    for position, each in enumerate(sensors, 1):
        name = str(as_retrieval(each).attrs.get("sensor", f"sensor {position}"))
        names.append(name if name not in names else f"{name} ({position})")
    return names


def _sensor(sensor: Retrieval, fused: xr.Dataset, geobox: Any, time: Any, side: int) -> xr.Dataset:
    dataset = _at(as_retrieval(sensor), time)
    mu, of_fused = dataset[MU], fused[MU]
    other = geobox_of(dataset) if geobox is not None and has_crs(dataset) else None
    on_another = other is not None and not same_geobox(other, geobox)
    if dict(mu.sizes) != dict(of_fused.sizes) or on_another:
        msg = (
            f"the sensor {dataset.attrs.get('sensor')!r} has mu of {dict(mu.sizes)}, the result "
            f"{dict(of_fused.sizes)}{', elsewhere' if on_another else ''}: "
            "sensor.fusion.coregister(result) first"
        )
        raise ValueError(msg)
    kept = dataset[[n for n in (MU, SIGMA, MASK) if n in dataset]].transpose(*of_fused.dims)
    looked = look(kept, side=side)
    return looked.assign({MU: looked[MU].where(usable(looked))})


def _draw(
    axis: Any,
    panel: Panel,
    seen: Any,
    shape: tuple[int, int],
    aspect: float,
    *,
    every: int,
    south_up: bool,
) -> Any:
    mpl = matplotlib_of()
    rows, columns = shape
    narrow = aspect * rows > TALL * columns
    style: dict[str, Any] = {"interpolation": "nearest", "aspect": aspect, "zorder": 1}
    style["extent"] = (0, columns, rows, 0)
    if every > 1:
        style["alpha"] = seen.astype(float)
        axis.patch.set(facecolor="white", edgecolor="0.6", hatch="////")
        axis.set_title(f"{panel.title}\nevery {_ordinal(every)} block", fontsize=TITLE)
    else:
        axis.set_title(panel.title, fontsize=TITLE)
    if panel.classes:
        colours = mpl.colors.ListedColormap([colour for _, colour, _ in panel.classes])
        image = axis.imshow(panel.pixels, cmap=colours, vmin=-0.5, vmax=colours.N - 0.5, **style)
        handles = [
            mpl.patches.Patch(facecolor=colour, edgecolor="0.4", label=text)
            for (_, colour, _), text in zip(panel.classes, panel.legend, strict=True)
        ]
        axis.legend(
            handles=handles,
            loc="upper center" if narrow else "upper left",
            bbox_to_anchor=(0.5 if narrow else 0, 0),
            ncols=panel.columns,
            fontsize=SMALL,
            frameon=False,
            borderpad=0,
            borderaxespad=BENEATH,
            labelspacing=0.35,
            handlelength=1.3,
            handletextpad=0.5,
            columnspacing=1.0,
        )
    else:
        colours = mpl.colormaps[panel.colours].with_extremes(bad=MISSING)
        low, high = panel.limits
        pixels = np.ma.masked_invalid(panel.pixels)
        image = axis.imshow(pixels, cmap=colours, vmin=low, vmax=high, **style)
    if south_up:
        axis.invert_yaxis()
    axis.set(xticks=[], yticks=[], anchor="N")
    return image


def _draw_bar(
    bar: Bar, axes: Sequence[Any], images: Sequence[Any], panels: Sequence[Panel]
) -> None:
    """Draw the scale of some panels, with points where numbers lie beyond its ends."""
    mpl = matplotlib_of()
    first = panels[bar.panels[0]]
    low, high = first.limits
    shown = [np.ma.masked_invalid(panels[k].pixels) for k in bar.panels]
    over = any(bool((pixels > high).any()) for pixels in shown)
    under = any(bool((pixels < low).any()) for pixels in shown)
    axis = axes[bar.panels[0]]
    where = {"ax": axis, "shrink": 0.9, "pad": 0.02} if bar.axis is None else {"cax": bar.axis}
    drawn = axis.figure.colorbar(
        images[bar.panels[0]],
        location="bottom" if bar.axis is None else None,
        orientation="horizontal",
        extend={(0, 0): "neither", (1, 0): "max", (0, 1): "min", (1, 1): "both"}[over, under],
        extendfrac=0.03,
        **where,
    )
    drawn.set_label(first.label, fontsize=SMALL)
    drawn.ax.tick_params(labelsize=SMALL)
    # numbers of five letters do not touch
    drawn.locator = mpl.ticker.MaxNLocator(TICKS * len(bar.panels), steps=[1, 2, 2.5, 5, 10])
    drawn.update_ticks()


def _ordinal(number: int) -> str:
    ends = {1: "st", 2: "nd", 3: "rd"}
    of_teens = number % 100 in (11, 12, 13)
    return f"{number}{'th' if of_teens else ends.get(number % 10, 'th')}"
