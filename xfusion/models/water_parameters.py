"""The coefficients by which an index becomes the probability of water, and how sure they are."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np

from xfusion.datamodel.version import __version__

VV, VH, MNDWI, NDWI = "vv", "vh", "mndwi", "ndwi"
FEATURES = {VV: "dB", VH: "dB", MNDWI: "1", NDWI: "1"}
TUPLES = ("features", "coefficients", "groups")
SLACK = 1e-9  # of the largest variance: what rounding may take from the smallest


@dataclass(frozen=True, kw_only=True, repr=False)
class WaterParameters:
    """How the log odds of water depend on backscatter or on indices of reflectance.

    ``log(p / (1 - p)) = coefficients[0] + coefficients[1] features[0] + ...``. Made by
    :func:`xfusion.water.fit`, or of a published threshold by :meth:`from_threshold`. Plain numbers
    and texts; two are equal if all of these are.

    Parameters
    ----------
    features : tuple of str
        What is multiplied, each once: "vv" and "vh", backscatter in dB; "mndwi",
        ``(green - swir) / (green + swir)``; "ndwi", ``(green - nir) / (green + nir)``.
    coefficients : tuple of float
        The intercept, then one for each feature.
    covariance : tuple of tuple of float
        Of the errors of the coefficients, in their order.
    source : str
        Where they are from, in words.
    count : int
        Number of pixels that they were fitted to; 0 of published ones.
    base_rate : float or None
        Share of water among these.
    log_loss : float or None
        Mean of ``-log`` of the probability that was given to what was true, on the same pixels.
    groups : tuple of str or int
        The scenes that they were fitted to; empty without any.
    version : str
        Of the package that fitted them.

    Raises
    ------
    ValueError
        If the values are none of this kind: unknown features, other lengths, NaN, a covariance
        that is none.

    Examples
    --------
    A file of them, and back:

    >>> import xfusion as xf
    >>> text = xf.water.VV.to_json()
    >>> xf.water.WaterParameters.from_json(text) == xf.water.VV
    True
    >>> xf.water.VV
    <WaterParameters of vv: published, VV below -15.5 dB: ours, water being at -16 to -22 dB>
      intercept   -10.33 +- 3.508
      vv          -0.6667 +- 0.2222
    """

    features: tuple[str, ...]
    coefficients: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    source: str
    count: int = 0
    base_rate: float | None = None
    log_loss: float | None = None
    groups: tuple[str | int, ...] = ()
    version: str = __version__

    def __post_init__(self) -> None:
        """Check that it is one."""
        named: Any = self.features
        known = isinstance(named, tuple) and {*named} <= {*FEATURES} and len({*named}) == len(named)
        _check(known and bool(named), "features", named, f"different ones of {', '.join(FEATURES)}")
        number = len(self.features) + 1
        _check(
            _are_numbers(self.coefficients, number),
            *("coefficients", self.coefficients, f"{number} finite numbers"),
        )
        rows: Any = self.covariance
        square = isinstance(rows, tuple) and len(rows) == number
        square = square and all(_are_numbers(row, number) for row in rows)
        wanted = f"{number} times {number} finite numbers"
        _check(square and _is_covariance(rows), "covariance", rows, f"a covariance, {wanted}")
        for name in ("source", "version"):
            value = getattr(self, name)
            _check(isinstance(value, str), name, value, "a text")
        _check(_is_whole(self.count) and self.count >= 0, "count", self.count, "0 or above")
        rate: Any = self.base_rate
        _check(rate is None or (_is_number(rate) and 0 < rate < 1), "base_rate", rate, "a share")
        loss: Any = self.log_loss
        _check(loss is None or (_is_number(loss) and loss >= 0), "log_loss", loss, "0 or above")
        groups: Any = self.groups
        of_kind = isinstance(groups, tuple) and all(
            isinstance(g, str) or _is_whole(g) for g in groups
        )
        _check(of_kind, "groups", groups, "texts or whole numbers")

    @classmethod
    def from_threshold(
        cls,
        feature: str,
        threshold: float,
        *,
        scale: float,
        threshold_sigma: float = 0.0,
        scale_sigma: float = 0.0,
        source: str,
    ) -> Self:
        """Return the parameters of one threshold: ``log odds = (feature - threshold) / scale``.

        Parameters
        ----------
        feature : {"vv", "vh", "mndwi", "ndwi"}
        threshold : float
            Where water and land are as likely, in dB or as an index.
        scale : float
            How far from it the odds are e to 1; below 0 where water has the lower values.
        threshold_sigma, scale_sigma : float
            Standard deviations of both, as between scenes or between authors.
        source : str
            Where they are from.

        Raises
        ------
        ValueError
            If `scale` is 0, or a number is none.

        Examples
        --------
        >>> import xfusion as xf
        >>> own = xf.water.WaterParameters.from_threshold(
        ...     "vv", -17, scale=-1.0, source="a wide river"
        ... )
        >>> own.coefficients
        (-17.0, -1.0)
        """
        if not scale:
            msg = f"{scale=}: how far from the threshold the odds are e to 1, in dB such as -1.5"
            raise ValueError(msg)
        # first-order propagation to (-threshold / scale, 1 / scale)
        jacobian = np.array([[-1 / scale, threshold / scale**2], [0.0, -1 / scale**2]])
        covariance = jacobian @ np.diag([threshold_sigma**2, scale_sigma**2]) @ jacobian.T
        return cls(
            features=(feature,),
            coefficients=(-threshold / scale, 1 / scale),
            covariance=as_rows(covariance),
            source=source,
        )

    def to_json(self) -> str:
        """Return it as text, which :meth:`from_json` reads.

        Examples
        --------
        >>> import xfusion as xf
        >>> xf.water.NDWI.to_json()[:24]
        '{"features": ["ndwi"], "'
        """
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return the parameters that a text of :meth:`to_json` says, wherever it is from.

        Raises
        ------
        ValueError
            If it says none: other fields, or values of other kinds.

        Examples
        --------
        >>> import xfusion as xf
        >>> xf.water.WaterParameters.from_json(xf.water.MNDWI.to_json()).features
        ('mndwi',)
        """
        try:
            said = json.loads(text)
        except (ValueError, RecursionError) as error:
            msg = f"this is no JSON: {error}; give the text that WaterParameters.to_json() returned"
            raise ValueError(msg) from error
        known = [f.name for f in fields(cls)]
        if not isinstance(said, dict) or {*said} != {*known}:
            there = sorted(said) if isinstance(said, dict) else type(said).__name__
            msg = f"parameters of water have {known}, this has {there}: write them with to_json()"
            raise ValueError(msg)
        said |= {k: tuple(said[k]) for k in TUPLES if isinstance(said[k], list)}
        if isinstance(said["covariance"], list):
            rows = (tuple(row) if isinstance(row, list) else row for row in said["covariance"])
            said["covariance"] = tuple(rows)
        if not all(isinstance(name, str) for name in said["features"]):
            said["features"] = ()  # what cannot be hashed cannot be looked up either
        return cls(**said)

    def __repr__(self) -> str:
        """Say in a few lines what they are."""
        scenes = f", {len(self.groups)} groups" if self.groups else ""
        of = f"{self.count} pixels{scenes}" if self.count else "published"
        lines = [f"<WaterParameters of {', '.join(self.features)}: {of}, {self.source}>"]
        names = ("intercept", *self.features)
        for i, (name, value) in enumerate(zip(names, self.coefficients, strict=True)):
            spread = math.sqrt(max(self.covariance[i][i], 0.0))
            lines.append(f"  {name:<11} {value:.4g} +- {spread:.4g}")
        return "\n".join(lines)


def as_rows(matrix: np.ndarray[Any, Any]) -> tuple[tuple[float, ...], ...]:
    """Return a matrix as plain numbers, symmetric to the last digit."""
    even = (matrix + matrix.T) / 2
    return tuple(tuple(map(float, row)) for row in even)


def mean_of(parts: Sequence[WaterParameters], source: str) -> WaterParameters:
    """Return the mean of the log odds of several, whose errors have nothing to do with another.

    Their features differ. To add the log odds instead would count what they share as often.
    """
    number = len(parts)
    features = tuple(feature for part in parts for feature in part.features)
    coefficients = [sum(part.coefficients[0] for part in parts) / number]
    covariance = np.zeros((len(features) + 1, len(features) + 1))
    start = 1
    for part in parts:
        coefficients += [c / number for c in part.coefficients[1:]]
        where = [0, *range(start, start + len(part.features))]
        covariance[np.ix_(where, where)] += np.array(part.covariance) / number**2
        start += len(part.features)
    return WaterParameters(
        features=features,
        coefficients=tuple(coefficients),
        covariance=as_rows(covariance),
        source=source,
    )


def _is_number(value: Any) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and _is_number(value)


def _are_numbers(values: Any, number: int) -> bool:
    return isinstance(values, tuple) and len(values) == number and all(map(_is_number, values))


def _is_covariance(rows: Any) -> bool:
    matrix = np.array(rows, dtype=float)
    largest = float(np.abs(matrix).max())
    if not (matrix == matrix.T).all():
        return False
    return largest == 0 or bool(np.linalg.eigvalsh(matrix / largest).min() >= -SLACK)


def _check(condition: bool, name: str, value: Any, wanted: str) -> None:  # noqa: FBT001  # what is checked
    if not condition:
        shown = repr(value)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."  # noqa: PLR2004  # one line
        msg = f"{name} of parameters of water is {shown}, not {wanted}: fit anew, xf.water.fit(...)"
        raise ValueError(msg)
