"""The command ``xfusion warm``: kernels are compiled before they are needed."""

from __future__ import annotations

from typing import Any

import click

from .console import one_line_errors, terminated_is_interrupted


@click.command("warm")
@click.option(
    "--dtype",
    "dtypes",
    multiple=True,
    type=click.Choice(["float32", "float64"]),
    default=("float32", "float64"),
    show_default=True,
    help="Of the pixels; may be given twice. Rasters are mostly float32.",
)
@click.option("--quiet", is_flag=True, help="Say nothing.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def warm_command(dtypes: tuple[Any, ...], quiet: bool, debug: bool) -> None:  # noqa: FBT001  # as click passes it
    """Compile the kernels that usual work needs, and keep them on disk.

    Else the first run on a machine does, which takes some seconds. They are kept in the folder of
    the environment variable NUMBA_CACHE_DIR, else beside the package or at home, and used by the
    same versions on the same kind of processor. What is on disk already is left as it is.

    \b
    RUN NUMBA_CACHE_DIR=/opt/kernels xfusion warm
    """  # noqa: D301  # click wants the character behind \b
    with one_line_errors(debug=debug), terminated_is_interrupted():
        from .warming import kept_at, warm

        compiled = sum(warm(dtypes=dtypes, progress=not quiet).values())
        if not quiet:
            click.echo(f"{compiled} kernels compiled, kept in {kept_at()}")
