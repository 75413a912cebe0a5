"""One fusion with all its arguments, checked, and its work on a block of pixels."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.flags import Exclusion
from xfusion.datamodel.graph import InGraph
from xfusion.datamodel.units import as_number
from xfusion.datamodel.validation import check_bounds

from .own_rule import apply_rule, provenance_of
from .rules import REQUIRED, RULES, NonfiniteSigma, Rule, RuleName

ROUNDING = 1e-9
PAIR = 2  # of more sensors there is no one difference


@dataclass(frozen=True)
class FusionTask(InGraph):
    """A rule with all its arguments, checked, to be applied to any block; picklable."""

    rule: RuleName | Rule
    sensor_count: int
    parameters: Mapping[str, Any]
    """Arguments of the rule itself; those it is not given have the defaults of the table."""
    sigma_floor: float
    nonfinite_sigma: NonfiniteSigma
    diagnostics: bool
    bounded: tuple[float, float] | None

    def __post_init__(self) -> None:
        """Check what can be checked without pixels."""
        if self.nonfinite_sigma not in ("exclude", "floor"):
            msg = f"nonfinite_sigma={self.nonfinite_sigma!r}: must be 'exclude' or 'floor'"
            raise ValueError(msg)
        if not 0 <= as_number(self.sigma_floor) < np.inf:
            msg = f"sigma_floor={self.sigma_floor!r}: must be a finite number >= 0, in units of mu"
            raise ValueError(msg)
        check_bounds(self.bounded)
        if callable(self.rule):
            if self.diagnostics:
                msg = "diagnostics=True: a rule of your own has none, leave it out"
                raise ValueError(msg)
            return
        if str(self.rule) not in RULES:
            msg = f"rule={self.rule!r}: must be one of {list(RULES)}, or a callable"
            raise ValueError(msg)
        possible = RULES[self.rule].parameters
        unknown = set(self.parameters) - set(possible)
        if unknown:
            takes = list(possible) or "none"
            msg = f"rule {self.rule!r} has no parameter {sorted(unknown)}, it takes {takes}"
            raise TypeError(msg)
        lacking = [
            k for k, p in possible.items() if p.default is REQUIRED and k not in self.parameters
        ]
        if lacking:
            name = lacking[0]
            said = possible[name]
            msg = f"rule {self.rule!r} needs {name}=, {said.why}: it {said.must_be}"
            raise TypeError(msg)
        for name, value in self.parameters.items():
            if not possible[name].is_valid(value):
                msg = f"{name}={value!r}: {possible[name].must_be}"
                raise ValueError(msg)
        self.correlation  # noqa: B018  # checked when it is made

    def check_fits(self, dtype: np.dtype[Any]) -> None:
        """Refuse a floor or bounds that the dtype of the result has no number for."""
        most = float(np.finfo(dtype).max)
        # mu is between the bounds
        least = 0.0 if self.bounded is None else max(self.bounded[0], -self.bounded[1])
        stated = ("sigma_floor", self.sigma_floor), ("bounded", self.bounded)
        for (name, value), number in zip(stated, (self.sigma_floor, least), strict=True):
            if number > most:
                msg = (
                    f"{name}={value!r}: mu and sigma are {dtype}, whose largest number is "
                    f"{most:.3g}: give less, or convert them, .astype('float64')"
                )
                raise ValueError(msg)

    @functools.cached_property
    def correlation(self) -> NDArray[np.float64]:
        """The correlation matrix of the sensors' errors."""
        n = self.sensor_count
        value = self._arguments.get("correlation", 0.0)
        try:
            matrix: NDArray[np.float64] = np.asarray(value).astype(np.float64, casting="same_kind")
        except (TypeError, ValueError) as error:
            msg = f"correlation={value!r}: must be a number, or a matrix of shape {(n, n)}"
            raise ValueError(msg) from error
        if matrix.ndim == 0:
            lowest = -1 / max(1, n - 1)
            if not lowest - ROUNDING <= matrix <= 1:
                msg = f"correlation={matrix}: must be {lowest:.3g} to 1 for {n} sensors"
                raise ValueError(msg)
            return np.where(np.eye(n, dtype=bool), 1.0, matrix)
        if matrix.shape != (n, n):
            msg = f"correlation has the shape {matrix.shape}, of {n} sensors it must be {(n, n)}"
            raise ValueError(msg)
        if not np.isfinite(matrix).all() or np.abs(matrix - matrix.T).max() > ROUNDING:
            msg = f"correlation must be finite and symmetric, it is {matrix.tolist()}"
            raise ValueError(msg)
        if np.abs(np.diag(matrix) - 1).max() > ROUNDING:
            msg = f"correlation must be 1 on its diagonal, it is {np.diag(matrix).tolist()}"
            raise ValueError(msg)
        lowest = np.linalg.eigvalsh(matrix)[0]
        if lowest < -ROUNDING:
            msg = (
                "correlation must be positive semi-definite, no errors have these; its smallest "
                f"eigenvalue is {lowest:.3g}"
            )
            raise ValueError(msg)
        return (matrix + matrix.T) / 2

    @functools.cached_property
    def has_independent_errors(self) -> bool:
        """Whether no two sensors have correlated errors."""
        return not np.any(self.correlation - np.eye(self.sensor_count))

    @functools.cached_property
    def _kernel_correlation(self) -> Any:
        # once, not for each block: a matrix of 8 sensors has 255 inverses
        from xfusion.kernels import correlation  # numba takes half a second to import

        return correlation.correlated(self.correlation)

    @property
    def floors_nonfinite(self) -> bool:
        """Whether a sigma that is broken is taken as the floor."""
        return self.nonfinite_sigma == "floor"

    @property
    def _arguments(self) -> dict[str, Any]:
        """All parameters of a named rule; none of a callable, which has its own meaning of them."""
        if callable(self.rule):
            return {}
        return RULES[self.rule].defaults | dict(self.parameters)

    @property
    def provenance(self) -> dict[str, Any]:
        """The attributes of the result that record how it was made."""
        if callable(self.rule):
            name, parameters = provenance_of(self.rule, self.parameters)
        else:
            name = self.rule
            parameters = self._arguments
            if "correlation" in parameters:
                matrix = np.asarray(parameters["correlation"], np.float64)
                parameters["correlation"] = matrix.ravel() if matrix.ndim else float(matrix)
            parameters = {k: v for k, v in parameters.items() if v is not None}
        shared: dict[str, Any] = {
            "sigma_floor": float(self.sigma_floor),
            "nonfinite_sigma": self.nonfinite_sigma,
        }
        if self.bounded is not None:
            shared["bounded"] = np.array(self.bounded, np.float64)
        return {f"fusion_{k}": v for k, v in ({"rule": name} | parameters | shared).items()}

    def fuse_block(
        self,
        mus: Any,
        sigmas: Any,
        masks: Any,
        *,
        prior: NDArray[np.float64] | None = None,
        threads: int | None,
    ) -> dict[str, NDArray[Any]]:
        """Fuse one block.

        Parameters
        ----------
        mus, sigmas, masks : sequences of arrays, or arrays of shape (sensors, ...)
            As in :func:`xfusion.kernels.rules.fuse`.
        prior : array, optional
            That of each pixel, where it is a map.
        threads : int or None
            1 to stay in the calling thread, None for one thread per core.

        Returns
        -------
        dict of arrays
            The layers of the result by name, `weight` with sensors last.
        """
        shared: dict[str, Any] = {
            "sigma_floor": self.sigma_floor,
            "floor_nonfinite": self.floors_nonfinite,
            "unknown": int(Exclusion.UNKNOWN),
            "threads": threads,
        }
        arguments = self._arguments
        inflate = arguments.get("inflate") == "birge"
        plain = (
            self.rule == "gaussian"
            and self.has_independent_errors
            and not (self.diagnostics or inflate)
        )
        layers: dict[str, NDArray[Any]]
        if plain and not isinstance(mus, np.ndarray):
            from xfusion.kernels import independent  # numba takes long to import

            names = ("mu", "sigma", "mask", "source", "conflict")
            fused = independent.gaussian(mus, sigmas, masks, **shared)
            layers = dict(zip(names, fused, strict=True))
        else:
            from xfusion.kernels import rules  # as above; and these as long as a small fusion

            # mask and source of a callable's result are those of any rule
            row = RULES[self.rule if isinstance(self.rule, str) else "gaussian"]
            fused_layers = rules.fuse(
                mus,
                sigmas,
                masks,
                rule=row.code,
                correlation=self._kernel_correlation,
                prior=self._prior(prior),
                alpha=float(arguments.get("alpha", 1.0)),
                inflate=inflate,
                diagnostics=self.diagnostics,
                **shared,
            )
            layers = fused_layers._asdict()
            refuse_what_is_no_probability(layers.pop("strange")[0])
            layers["weight"] = np.moveaxis(fused_layers.weight, 0, -1)
            if not isinstance(self.rule, str):
                apply_rule(
                    functools.partial(self.rule, **self.parameters),
                    (mus, sigmas, masks),
                    layers,
                    floor=self.sigma_floor,
                    floor_nonfinite=self.floors_nonfinite,
                    threads=threads,
                )
            layers["normalised_difference"] = layers.pop("difference")
        if self.bounded is not None:
            from xfusion.kernels import truncated  # as above

            lower, upper = self.bounded
            truncated.truncate(
                layers["mu"], layers["sigma"], lower=lower, upper=upper, threads=threads
            )
        if self.bounded is not None or not isinstance(self.rule, str):
            _leave_out_what_is_none(layers)
        return layers

    def _prior(self, of_pixels: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """Return the prior of all pixels, or of each; any number for rules that have none."""
        if of_pixels is None:
            return np.array([float(self._arguments.get("prior", np.nan))])
        wrong = (of_pixels <= 0) | (of_pixels >= 1)
        if wrong.any():
            must_be = RULES["log_odds"].parameters["prior"].must_be
            msg = f"prior has the value {of_pixels[wrong][0]}: {must_be}"
            raise ValueError(msg)
        return np.ascontiguousarray(of_pixels, np.float64)


def refuse_what_is_no_probability(strange: float) -> None:
    """Raise a ValueError, unless it is NaN, that names a mu that is no probability."""
    if not np.isnan(strange):
        msg = (
            f"mu is {strange:g} somewhere, no probability from 0 to 1: divide percent by 100, "
            ".clip(0, 1) what noise led beyond, or exclude it, ds.fusion.exclude(...)"
        )
        raise ValueError(msg)


def _leave_out_what_is_none(layers: Mapping[str, NDArray[Any]]) -> None:
    """Let no pixel seem usable whose result is no number, as one that overflows."""
    none = ~(np.isfinite(layers["mu"]) & np.isfinite(layers["sigma"])) & (layers["mask"] == 0)
    if none.any():
        layers["mask"][none] = np.uint8(Exclusion.UNKNOWN)
        layers["source"][none] = 0
        layers["conflict"][none] = False
        for name in ("mu", "sigma", "weight"):
            if layers.get(name) is not None and layers[name].size:
                layers[name][none] = np.nan
