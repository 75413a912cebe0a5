"""What was found by comparison with a reference, to be applied to other retrievals."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any, Self, get_args

from xfusion.datamodel.version import __version__

from .fitting import Curve, Method
from .score_table import ScoreTable

METHODS: tuple[Method, ...] = get_args(Method)
KNOT = 3  # numbers of a knot: where, what it becomes, how many pixels say so


@dataclass(frozen=True, kw_only=True, repr=False)
class Calibration:
    """How the means of a sensor become probabilities, or its sigmas those of its residuals.

    Made by :func:`xfusion.calibrate`, applied by :func:`xfusion.apply_calibration`. Plain numbers
    and texts; two are equal if all of these are.

    Parameters
    ----------
    method : {"isotonic", "beta", "platt", "sigma"}
        How it was fitted.
    sensor : str or None
        Whose retrieval it was, ``attrs["sensor"]``.
    units : str or None
        Of `mu`.
    base_rate : float or None
        Share of wet pixels among those of the reference; None of a quantity.
    groups : tuple of str or int
        The scenes; empty without any.
    count : int
        Number of pixels that were compared.
    rms : float
        Root mean square of reference less calibrated mean: of each group by a map fitted to the
        others, where there are two or more.
    before, after : mapping of str to float
        Scores of the pixels that it was fitted to; they cannot be changed either. Of probabilities
        `brier`, `log_loss`, `ece` (10 bins), `z2` (mean square of the residual over
        ``mu (1 - mu)``) and `iou` (where mu is above 0.5); of a quantity `rmse`, `z2` (over sigma
        squared) and `log_score`, the mean of ``log(sigma) + z^2 / 2 + log(2 pi) / 2``. Means are
        those of fine bins of mu.
    left_out : mapping or None
        The same scores of each group by a map fitted to the others, all together. None with fewer
        than two groups: then nothing is known of other scenes.
    knots : tuple of (float, float, int)
        Of "isotonic" rising means, what each becomes, and how many pixels say so; of "sigma" the
        same of sigmas. Between them linear; beyond them constant, of "sigma" a constant factor.
    coefficients : (float, float, float)
        Of "beta" and "platt" a, b and c in ``logit p = a log(mu) - b log(1 - mu) + c``.
    version : str
        Of the package that fitted it.

    Raises
    ------
    ValueError
        If the values are not those of a calibration: no monotone map, no known method, NaN.

    Examples
    --------
    A file of it, and back:

    >>> import numpy as np, xarray as xr, xfusion as xf
    >>> mu = xr.DataArray([[0.2, 0.3, 0.7], [0.2, 0.3, 0.8]], dims=("y", "x"))
    >>> scene = xr.DataArray([["a"] * 3, ["b"] * 3], dims=("y", "x"))
    >>> model = xf.calibrate(xf.retrieval(mu, 0.1), (mu > 0.25) * 1, groups=scene)
    >>> xf.Calibration.from_json(model.to_json()) == model
    True
    """

    method: Method
    sensor: str | None
    units: str | None
    base_rate: float | None
    groups: tuple[str | int, ...]
    count: int
    rms: float
    before: Mapping[str, float]
    after: Mapping[str, float]
    left_out: Mapping[str, float] | None
    knots: tuple[tuple[float, float, int], ...] = ()
    coefficients: tuple[float, float, float] = (1.0, 1.0, 0.0)
    version: str = __version__

    def __post_init__(self) -> None:
        """Check that it is one."""
        _check(self.method in METHODS, "method", self.method, f"one of {', '.join(METHODS)}")
        for name in ("sensor", "units"):
            value = getattr(self, name)
            _check(value is None or isinstance(value, str), name, value, "a text or none")
        _check(isinstance(self.version, str), "version", self.version, "a text")
        rate: Any = self.base_rate
        is_rate = rate is None if self.method == "sigma" else _is_number(rate) and 0 < rate < 1
        _check(is_rate, "base_rate", rate, "between 0 and 1, of 'sigma' none")
        groups: Any = self.groups
        _check(
            isinstance(groups, tuple)
            and all(isinstance(g, str) or _is_whole(g) for g in groups)
            and len({*groups}) == len(groups),
            *("groups", groups, "different texts or whole numbers"),
        )
        _check(_is_whole(self.count) and self.count > 0, "count", self.count, "above 0")
        _check(_is_number(self.rms) and self.rms >= 0, "rms", self.rms, "0 or above")
        for name in ("before", "after", "left_out"):
            scores = getattr(self, name)
            _check(
                (scores is None and name == "left_out") or _is_table(scores),
                *(name, scores, "scores by their names"),
            )
            if scores is not None:
                object.__setattr__(self, name, ScoreTable(scores))
        self._check_map()

    @property
    def curve(self) -> Curve:
        """The map.

        Examples
        --------
        >>> import numpy as np, xarray as xr, xfusion as xf
        >>> mu = xr.DataArray([[0.2, 0.3, 0.7], [0.2, 0.3, 0.8]], dims=("y", "x"))
        >>> scene = xr.DataArray([["a"] * 3, ["b"] * 3], dims=("y", "x"))
        >>> model = xf.calibrate(xf.retrieval(mu, 0.1), (mu > 0.25) * 1, groups=scene)
        >>> model.curve.coefficients
        (1.0, 1.0, 0.0)
        """
        return Curve(self.knots, self.coefficients)

    def to_json(self) -> str:
        """Return it as text, which :meth:`from_json` reads.

        Examples
        --------
        >>> import numpy as np, xarray as xr, xfusion as xf
        >>> mu = xr.DataArray([[0.2, 0.3, 0.7], [0.2, 0.3, 0.8]], dims=("y", "x"))
        >>> scene = xr.DataArray([["a"] * 3, ["b"] * 3], dims=("y", "x"))
        >>> model = xf.calibrate(xf.retrieval(mu, 0.1), (mu > 0.25) * 1, groups=scene)
        >>> model.to_json()[:22]
        '{"method": "isotonic",'
        """
        return json.dumps(asdict(self), allow_nan=False, default=dict)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return the calibration that a text of :meth:`to_json` says, wherever it is from.

        Raises
        ------
        ValueError
            If it says none: other fields, values of other kinds, no monotone map.

        Examples
        --------
        >>> import numpy as np, xarray as xr, xfusion as xf
        >>> mu = xr.DataArray([[0.2, 0.3, 0.7], [0.2, 0.3, 0.8]], dims=("y", "x"))
        >>> scene = xr.DataArray([["a"] * 3, ["b"] * 3], dims=("y", "x"))
        >>> model = xf.calibrate(xf.retrieval(mu, 0.1), (mu > 0.25) * 1, groups=scene)
        >>> xf.Calibration.from_json(model.to_json()) == model
        True
        """
        try:
            said = json.loads(text)
        except (ValueError, RecursionError) as error:
            msg = f"this is no JSON: {error}; give the text that Calibration.to_json() returned"
            raise ValueError(msg) from error
        known = [f.name for f in fields(cls)]
        if not isinstance(said, dict) or {*said} != {*known}:
            there = sorted(said) if isinstance(said, dict) else type(said).__name__
            msg = f"a calibration has {known}, this has {there}: write it with to_json()"
            raise ValueError(msg)
        said |= {k: tuple(said[k]) for k in ("groups", "coefficients") if isinstance(said[k], list)}
        if isinstance(said["knots"], list):
            knots = (tuple(k) if isinstance(k, list) else k for k in said["knots"])
            said["knots"] = tuple(knots)
        return cls(**said)

    def _check_map(self) -> None:
        by_knots = self.method in ("isotonic", "sigma")
        wanted = "three finite numbers" + (", 1, 1, 0 beside knots" if by_knots else "")
        said: Any = self.coefficients
        of_three = isinstance(said, tuple) and len(said) == KNOT
        sound = of_three and all(map(_is_number, said)) and (not by_knots or said == (1, 1, 0))
        _check(sound, "coefficients", said, wanted)
        a, b, _ = self.coefficients
        _check(a >= 0 and b >= 0, "coefficients", self.coefficients, "a and b of 0 or above")
        _check(self.method != "platt" or a == b, "coefficients", (a, b), "of 'platt' one number")
        _check(isinstance(self.knots, tuple), "knots", self.knots, "a list")
        _check(bool(self.knots) == by_knots, "knots", len(self.knots), "there or not, by method")
        for knot in self.knots:
            _check(_is_knot(knot, self.method), "a knot", knot, "two numbers in range and a count")
        for (x, y, _), (right, above, _) in pairwise(self.knots):
            _check(x < right and y <= above, "knots", (x, y, right, above), "rising")

    def __repr__(self) -> str:
        """Say in a few lines what it is and what it is worth."""
        scenes = f"{len(self.groups)} groups" if self.groups else "no groups"
        rate = "" if self.base_rate is None else f", base rate {self.base_rate:.4g}"
        of = "" if self.sensor is None else f" of {self.sensor}"
        lines = [f"<Calibration {self.method}{of}: {self.count} pixels, {scenes}{rate}>"]
        columns = {"before": self.before, "after": self.after}
        columns |= {} if self.left_out is None else {"left out": self.left_out}
        lines.append(" " * 11 + "".join(f"{name:>12}" for name in columns))
        for score in self.before:
            numbers = (f"{column.get(score, math.nan):12.4g}" for column in columns.values())
            lines.append(f"  {score:<9}" + "".join(numbers))
        return "\n".join(lines)


def _is_number(value: Any) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and _is_number(value)


def _is_table(scores: Any) -> bool:
    return isinstance(scores, Mapping) and all(
        isinstance(name, str) and _is_number(number) for name, number in scores.items()
    )


def _is_knot(knot: Any, method: Method) -> bool:
    if not (isinstance(knot, tuple) and len(knot) == KNOT and all(map(_is_number, knot))):
        return False
    x, y, number = knot
    in_range = (x > 0 and y > 0) if method == "sigma" else (0 <= x <= 1 and 0 < y < 1)
    return in_range and _is_whole(number) and number > 0


def _check(condition: bool, name: str, value: Any, wanted: str) -> None:  # noqa: FBT001  # what is checked
    if not condition:
        shown = repr(value)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."  # noqa: PLR2004  # one line
        msg = f"{name} of a calibration is {shown}, not {wanted}: calibrate anew, xf.calibrate(...)"
        raise ValueError(msg)
