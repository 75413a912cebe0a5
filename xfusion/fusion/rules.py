"""The fusion rules: one table of those with a name, and the protocol of one of your own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xfusion.datamodel.units import as_number
from xfusion.kernels import codes

NonfiniteSigma = Literal["exclude", "floor"]
Inflate = Literal["birge"]
# the names in RULES, written out for type checkers; a test compares them
RuleName = Literal["gaussian", "mixture", "random_effects", "minimum_sigma", "log_odds"]


REQUIRED = "required"  # no default is right for anyone
MAP = "map"  # a parameter that has a value for each pixel


@dataclass(frozen=True)
class Parameter:
    """What a rule takes besides the arguments of all rules."""

    default: Any
    is_valid: Callable[[Any], bool] = lambda _: True
    """Whether a value, which is not looked at together with others, may be used."""
    must_be: str = ""
    """What a valid value is, for the error message."""
    why: str = ""
    """Of one that is required: why no default would do."""


@dataclass(frozen=True)
class NamedRule:
    """One row of the table of rules."""

    code: int
    """By which :func:`xfusion.kernels.formulas.estimate` knows the formula."""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    of_probabilities: bool = False
    """Whether `mu` must be a probability, so that it cannot have units."""

    @property
    def defaults(self) -> dict[str, Any]:
        """The default of each parameter that has one."""
        return {k: p.default for k, p in self.parameters.items() if p.default is not REQUIRED}


RULES: dict[str, NamedRule] = {
    "gaussian": NamedRule(
        codes.GAUSSIAN,
        {
            # checked with the number of sensors, by the task
            "correlation": Parameter(0.0),
            "inflate": Parameter(
                None, lambda value: value in (None, "birge"), "must be None or 'birge'"
            ),
        },
    ),
    "mixture": NamedRule(codes.MIXTURE),
    "random_effects": NamedRule(codes.RANDOM_EFFECTS),
    "minimum_sigma": NamedRule(codes.MINIMUM_SIGMA),
    "log_odds": NamedRule(
        codes.LOG_ODDS,
        {
            # a map of it is checked block by block
            "prior": Parameter(
                REQUIRED,
                lambda value: value is MAP or 0 < as_number(value) < 1,
                "must be a probability between 0 and 1, a DataArray of them, or 'calibration', the "
                "base rate that the sensors were calibrated with",
                "the probability of the event before any evidence, which differs from place to "
                "place, and a wrong one does harm",
            ),
            "alpha": Parameter(
                1.0,
                lambda value: 0 < as_number(value) <= 1,
                "must be above 0 and at most 1, which takes all evidence as independent",
            ),
        },
        of_probabilities=True,
    ),
}


class Rule(Protocol):
    """A fusion rule of the caller's own, for :func:`xfusion.fuse`.

    It works pixel by pixel, on blocks of any size, and changes none of its arguments.

    Examples
    --------
    The median of what is usable, and the mean of its sigmas:

    >>> import numpy as np, xfusion as xf
    >>> def median(mu, sigma, usable):
    ...     return np.nanmedian(mu, axis=0), np.nanmean(sigma, axis=0)
    >>> low, middle, high = (
    ...     xf.retrieval(np.full((1, 1), m), np.ones((1, 1))) for m in (1.0, 2.0, 9.0)
    ... )
    >>> xf.fuse(low, middle, high, rule=median).mu.item()
    2.0
    """

    def __call__(
        self,
        mu: NDArray[Any],
        sigma: NDArray[Any],
        usable: NDArray[np.bool_],
        /,
        *args: Any,
        **parameters: Any,
    ) -> tuple[ArrayLike, ArrayLike]:
        """Fuse pixels.

        Parameters
        ----------
        mu, sigma : arrays of float64, shape (sensors, pixels)
            NaN where a sensor is not usable; sigma at least `sigma_floor`.
        usable : array of bool, shape (sensors, pixels)
        *args
            Never given; it lets type checkers take a rule with parameters of its own.
        **parameters
            What :func:`xfusion.fuse` was given besides its own arguments.

        Returns
        -------
        mu, sigma : arrays, shape (pixels,)
            Where no sensor is usable they are not looked at.
        """
