"""``xfusion report``: a page about a result, to be opened in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .console import one_line_errors, refuse_nan, refuse_place, warnings_in_lines
from .datamodel.redaction import public


@click.command("report")
@click.argument("result")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="File of the report. A report that is there is replaced, no other file.",
)
@click.option(
    "--reference",
    metavar="FILE",
    help="Raster of what is true: 0 dry and 1 wet, or a quantity in units of mu.",
)
@click.option(
    "--sensor",
    multiple=True,
    metavar="RESULT",
    help="A retrieval on the same grid, to be shown beside it; may be repeated.",
)
@click.option("--time", metavar="TIME", help="Which map of a cube, such as 2023-06-20.")
@click.option(
    "--threshold",
    type=float,
    help="Area where the quantity exceeds this, in units of mu.  [default: as fuse was told]",
)
@click.option(
    "--correlation",
    type=click.FloatRange(min=0, min_open=True),
    metavar="METRES",
    help="Over which errors of pixels go together; for the uncertainty of the area.",
)
@click.option(
    "--kind",
    type=click.Choice(["binary", "continuous"]),
    help="What the reference is.  [default: continuous where it has numbers between 0 and 1, as "
    "shares, or units; else binary]",
)
@click.option(
    "--statistics",
    type=click.Choice(["all", "shown"]),
    default="all",
    show_default=True,
    help="Numbers of all pixels, or only of those that the maps show.",
)
@click.option("--overwrite", is_flag=True, help="Replace a file that is no report, too.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def report_command(
    result: str,
    out: Path,
    reference: str | None,
    sensor: tuple[str, ...],
    time: str | None,
    threshold: float | None,
    correlation: float | None,
    kind: Any,
    statistics: Any,
    overwrite: bool,  # noqa: FBT001  # as click passes it
    quiet: bool,  # noqa: FBT001  # as click passes it
    debug: bool,  # noqa: FBT001  # as click passes it
) -> None:
    """Write a report of a result: one HTML file that needs no network.

    RESULT is a Zarr store (path or URL), a folder of COGs, or one of its files. The report has
    maps of all layers that move together, with values and reasons under the cursor, and tables
    of sources, reasons, statistics, area, parameters and inputs; with a reference scores and
    calibration.

    \b
    xfusion report water.zarr --reference truth.tif --out report.html
    """  # noqa: D301  # click wants the character behind \b
    refuse_nan("--threshold", threshold)
    refuse_nan("--correlation", correlation)
    refuse_place("--out", out)
    with one_line_errors(debug=debug), warnings_in_lines(quiet=quiet):
        from .view.report_inputs import map_of, open_reference
        from .view.reporting import report
        from .view.results import open_result

        dataset = map_of(open_result(result), time)
        truth, seen = (None, None) if reference is None else open_reference(reference, dataset)
        path = report(
            dataset,
            out,
            reference=truth,
            sensors=[map_of(open_result(each), time) for each in sensor],
            threshold=threshold,
            correlation=correlation,
            kind=kind or seen,
            statistics=statistics,
            overwrite=overwrite,
        )
        if not quiet:
            size = path.stat().st_size / 1e6
            click.echo(f"{public(str(path))} is written, {size:.1f} MB: open it in a browser")
