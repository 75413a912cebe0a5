"""Figures and axes of matplotlib, which comes with the extra ``viz``."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import partial
from typing import Any


def matplotlib_of(extra: str = "viz") -> Any:
    """Return matplotlib with what pictures need of it.

    Raises
    ------
    ModuleNotFoundError
        If it is not installed.
    """
    try:
        import matplotlib as mpl
        import matplotlib.colors
        import matplotlib.dates
        import matplotlib.figure
        import matplotlib.patches
        import matplotlib.ticker
    except ModuleNotFoundError as error:
        msg = f'the picture needs matplotlib: pip install "xfusion[{extra}]"'
        raise ModuleNotFoundError(msg, name=error.name) from error
    return mpl


def new_figure(**settings: Any) -> Any:
    """Return a figure that notebooks show when it is the last thing in a cell.

    Figures of pyplot are shown there twice or not at all, depending on what else the notebook has
    imported; this one says itself what it looks like.
    """
    figure = matplotlib_of().figure.Figure(**settings)
    figure._repr_png_ = partial(_png_of, figure)
    return figure


def _png_of(figure: Any) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def axes_for(
    ax: Any, count: int, *, columns: int = 1, size: tuple[float, float] = (5.0, 4.0)
) -> tuple[Any, list[Any]]:
    """Return a figure and axes: those that are given, or new ones.

    Parameters
    ----------
    ax : matplotlib Axes, sequence of them, or None
    count : int
        How many are needed.
    columns : int
        Of new ones.
    size : pair of float
        Width and height of one in inches.

    Raises
    ------
    ValueError
        If there are not as many.
    """
    if ax is None:
        rows = -(-count // columns)
        figure = new_figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
        axes = [*figure.subplots(rows, columns, squeeze=False).ravel()]
        for spare in axes[count:]:
            spare.remove()
        return figure, axes[:count]
    given: Sequence[Any] = [ax] if hasattr(ax, "imshow") else [*getattr(ax, "flat", ax)]
    if len(given) != count:
        msg = f"{len(given)} axes are given as ax, the picture has {count} panels: give as many"
        raise ValueError(msg)
    return given[0].figure, [*given]
