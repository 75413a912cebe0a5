"""The fusion rules: their names, their parameters, and the protocol of one of your own."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

# what the named rules can be told besides the arguments of all, and the defaults
PARAMETERS: dict[str, dict[str, Any]] = {
    "gaussian": {"correlation": 0.0, "inflate": None},
    "mixture": {},
    "random_effects": {},
    "minimum_sigma": {},
    "log_odds": {"prior": 0.5},
}
NonfiniteSigma = Literal["exclude", "floor"]
Inflate = Literal["birge"]
RuleName = Literal["gaussian", "mixture", "random_effects", "minimum_sigma", "log_odds"]


class Rule(Protocol):
    """A fusion rule of the caller's own, for :func:`xfusion.fuse`.

    It works pixel by pixel, on blocks of any size, and changes none of its arguments.
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
