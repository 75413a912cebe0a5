"""The command ``xfusion plot``: a picture of a result."""

from __future__ import annotations

from pathlib import Path

import click

from .console import (
    one_line_errors,
    refuse_place,
    terminated_is_interrupted,
    warnings_in_lines,
    write_picture,
)
from .datamodel.redaction import public

FORMATS = "png", "pdf", "svg"


@click.command("plot")
@click.argument("result")
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"The picture; its name ends in {', '.join(FORMATS)}.",
)
@click.option("--time", help="Of a series, the time that is drawn.")
@click.option("--dpi", type=click.IntRange(20, 1200), default=150, show_default=True)
@click.option("--quiet", is_flag=True, help="Say nothing.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def plot_command(
    result: str,
    out: Path,
    time: str | None,
    dpi: int,
    quiet: bool,  # noqa: FBT001  # as click passes it
    debug: bool,  # noqa: FBT001  # as click passes it
) -> None:
    """Draw a result as maps: mu, sigma, who contributed, what was excluded.

    RESULT is a Zarr store (path or URL), a folder of COGs, or one of its files. Of a large one
    overviews are read, or every n-th block, and the picture says so.
    """
    kind = out.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        endings = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        msg = f"--out {out}: the name of the picture must end in {endings}"
        raise click.UsageError(msg)
    refuse_place("--out", out)
    said = one_line_errors(debug=debug), warnings_in_lines(quiet=quiet)
    with said[0], said[1], terminated_is_interrupted():
        write_picture(result, out, time=time, dpi=dpi)
        if not quiet:
            click.echo(public(str(out)))
