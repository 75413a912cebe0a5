"""What the names and tags of files say of their content."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import xarray as xr

from xfusion.datamodel.caller import warn
from xfusion.datamodel.names import MU, SIGMA
from xfusion.datamodel.redaction import public

from .file import FilePath

OF_SIGMA = re.compile(
    r"sigma|std|stds|stddev|stdev|stderr|sd|unc|uncert|uncertainty|uncertainties|error|errors"
    r"|deviation|spread|rmse"
)
OF_MU = re.compile(
    r"mu|mean|means|estimate|estimates|prediction|predictions|average|prob|probs|probability"
    r"|probabilities|likelihood"
)
DEVIATION = re.compile(r"standard deviation|standard_error")
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def warn_of_exchanged(
    mu: FilePath, sigma: FilePath, means: xr.DataArray, deviations: xr.DataArray
) -> None:
    """Warn where names or tags say that files hold something else than what is read from them.

    That the files of mu and sigma have changed places, are one, or that one has variances.
    """
    read = f"mu is read from {public(str(mu))} and sigma from {public(str(sigma))}"
    if _is_one_file(mu, sigma):
        warn(f"{read}, one file for both: give that of the standard deviation as the second")
        return
    mu_says, sigma_says = _said_by_name(mu), _said_by_name(sigma)
    by_name = mu_says != sigma_says and (mu_says == SIGMA or sigma_says == MU)
    by_tags = _is_deviation(means.attrs) and not _is_deviation(deviations.attrs)
    if by_name or by_tags:
        say = "their names" if by_name else "the tags of the first"
        warn(
            f"{read}, but {say} say that it is the other way round: exchange them, or rename what "
            "is right"
        )
    words = _words(sigma)
    # "var" may be a variable as well
    if "variance" in words or ("var" in words and sigma_says != SIGMA):
        warn(f"{read}, whose name says that it is a variance: sigma is its square root")


def _said_by_name(path: FilePath) -> str | None:
    """Return which of mu and sigma the name of a file says that it is, None if not or both."""
    words = _words(path)
    said = [n for n, named in ((MU, OF_MU), (SIGMA, OF_SIGMA)) if any(map(named.fullmatch, words))]
    return said[0] if len(said) == 1 else None


def _words(path: FilePath) -> list[str]:
    return [word.lower() for word in WORD.findall(Path(public(str(path))).stem)]


def _is_one_file(mu: FilePath, sigma: FilePath) -> bool:
    if str(mu) == str(sigma):
        return True
    a, b = Path(mu), Path(sigma)
    return a.exists() and b.exists() and a.samefile(b)


def warn_of_packing(sigma: FilePath, scale: float, offset: float) -> None:
    """Warn of a file of standard deviations that moves their zero, or turns their sign."""
    read = f"sigma is read from {public(str(sigma))}, which declares the"
    if offset:
        warn(
            f"{read} offset {offset}: it is added to each standard deviation, which is a "
            f"difference and has no zero to be moved. Give scale={abs(scale)}, which adds none to "
            "sigma, if it is that of mu"
        )
    elif scale <= 0:
        right = abs(scale) or 1.0
        warn(
            f"{read} scale {scale}: of it no standard deviation is positive, so no pixel is "
            f"usable. Give scale={right} if that is what its numbers stand for"
        )


def _is_deviation(attrs: dict[Any, Any]) -> bool:
    return any(DEVIATION.search(str(attrs.get(k, ""))) for k in ("long_name", "standard_name"))
