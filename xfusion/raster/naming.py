"""What the names and tags of files say of their content."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import xarray as xr

from xfusion.datamodel.caller import warn
from xfusion.datamodel.redaction import public

from .file import FilePath

OF_SIGMA = re.compile(r"sigma|std|stddev|stdev|sd|uncertainty|error|deviation")
OF_MU = re.compile(r"mu|mean|estimate|prediction|average")
DEVIATION = re.compile(r"standard deviation|standard_error")


def warn_of_exchanged(
    mu: FilePath, sigma: FilePath, means: xr.DataArray, deviations: xr.DataArray
) -> None:
    """Warn where names or tags say that the files of mu and sigma have changed places."""
    by_name = _is_named(mu, OF_SIGMA, OF_MU) and _is_named(sigma, OF_MU, OF_SIGMA)
    by_tags = _is_deviation(means.attrs) and not _is_deviation(deviations.attrs)
    if by_name or by_tags:
        say = "their names" if by_name else "the tags of the first"
        warn(
            f"mu is read from {public(str(mu))} and sigma from {public(str(sigma))}, but {say} say "
            "that it is the other way round: exchange them, or rename what is right"
        )


def _is_named(path: FilePath, yes: re.Pattern[str], no: re.Pattern[str]) -> bool:
    """Whether a word of the name of a file is one of these, and none is one of those."""
    words = re.findall(r"[a-z]+", Path(public(str(path))).stem.lower())
    return any(map(yes.fullmatch, words)) and not any(map(no.fullmatch, words))


def _is_deviation(attrs: dict[Any, Any]) -> bool:
    return any(DEVIATION.search(str(attrs.get(k, ""))) for k in ("long_name", "standard_name"))
