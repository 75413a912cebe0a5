"""One fusion with all its arguments, checked, and its work on a block of pixels."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.flags import Exclusion
from xfusion.datamodel.units import as_number
from xfusion.datamodel.validation import check_bounds
from xfusion.kernels.parallel import BLOCK_SIZE, map_ranges, pixels

from .rules import PARAMETERS, NonfiniteSigma, Rule, RuleName

ROUNDING = 1e-9
PAIR = 2  # of more sensors there is no one difference


@dataclass(frozen=True)
class Fusion:
    """A rule with all it is told, checked; picklable."""

    rule: RuleName | Rule
    number: int
    """Of sensors."""
    parameters: Mapping[str, Any]
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
        if str(self.rule) not in PARAMETERS:
            msg = f"rule={self.rule!r}: must be one of {list(PARAMETERS)}, or a callable"
            raise ValueError(msg)
        unknown = set(self.parameters) - set(PARAMETERS[self.rule])
        if unknown:
            takes = list(PARAMETERS[self.rule]) or "none"
            msg = f"rule {self.rule!r} has no parameter {sorted(unknown)}, it takes {takes}"
            raise TypeError(msg)
        if self._told("inflate") not in (None, "birge"):
            msg = f"inflate={self._told('inflate')!r}: must be None or 'birge'"
            raise ValueError(msg)
        if not 0 < as_number(self._told("prior", 0.5)) < 1:
            msg = f"prior={self._told('prior')!r}: must be a probability between 0 and 1"
            raise ValueError(msg)
        self.correlation  # noqa: B018  # checked when it is made

    @functools.cached_property
    def correlation(self) -> NDArray[np.float64]:
        """Return the correlation matrix of the sensors' errors."""
        told, n = self._told("correlation", 0.0), self.number
        try:
            given: NDArray[np.float64] = np.asarray(told).astype(np.float64, casting="same_kind")
        except (TypeError, ValueError) as error:
            msg = f"correlation={told!r}: must be a number, or a matrix of shape {(n, n)}"
            raise ValueError(msg) from error
        if given.ndim == 0:
            lowest = -1 / max(1, n - 1)
            if not lowest - ROUNDING <= given <= 1:
                msg = f"correlation={given}: must be {lowest:.3g} to 1 for {n} sensors"
                raise ValueError(msg)
            return np.where(np.eye(n, dtype=bool), 1.0, given)
        if given.shape != (n, n):
            msg = f"correlation has the shape {given.shape}, of {n} sensors it must be {(n, n)}"
            raise ValueError(msg)
        if not np.isfinite(given).all() or np.abs(given - given.T).max() > ROUNDING:
            msg = f"correlation must be finite and symmetric, it is {given.tolist()}"
            raise ValueError(msg)
        if np.abs(np.diag(given) - 1).max() > ROUNDING:
            msg = f"correlation must be 1 on its diagonal, it is {np.diag(given).tolist()}"
            raise ValueError(msg)
        lowest = np.linalg.eigvalsh(given)[0]
        if lowest < -ROUNDING:
            msg = (
                "correlation must be positive semi-definite, no errors have these; its smallest "
                f"eigenvalue is {lowest:.3g}"
            )
            raise ValueError(msg)
        return (given + given.T) / 2

    @functools.cached_property
    def independent(self) -> bool:
        """Whether the errors of the sensors are."""
        return not np.any(self.correlation - np.eye(self.number))

    @functools.cached_property
    def _correlated(self) -> Any:
        # once, not for each block: a matrix of 8 sensors has 255 inverses
        from xfusion.kernels import correlation  # numba takes half a second to import

        return correlation.correlated(self.correlation)

    @property
    def provenance(self) -> dict[str, Any]:
        """What the attributes of the result say of how it was made."""
        told: dict[str, Any] = dict(self.parameters)
        if callable(self.rule):
            own: Any = self.rule
            bound: dict[str, Any] = {}
            while isinstance(own, functools.partial):
                own, bound = own.func, own.keywords | bound
            own = own if hasattr(own, "__qualname__") else type(own)
            name = f"{own.__module__}.{own.__qualname__}"
            told = {k: _attribute(v) for k, v in (bound | told).items()}
        else:
            name = self.rule
            told = {k: told.get(k, default) for k, default in PARAMETERS[name].items()}
            if "correlation" in told:
                given = np.asarray(told["correlation"], np.float64)
                told["correlation"] = given.ravel() if given.ndim else float(given)
            told = {k: v for k, v in told.items() if v is not None}
        shared: dict[str, Any] = {
            "sigma_floor": float(self.sigma_floor),
            "nonfinite_sigma": self.nonfinite_sigma,
        }
        if self.bounded is not None:
            shared["bounded"] = np.array(self.bounded, np.float64)
        return {f"fusion_{k}": v for k, v in ({"rule": name} | told | shared).items()}

    def on(
        self,
        mus: Any,
        sigmas: Any,
        masks: Any,
        *,
        threads: int | None,
    ) -> dict[str, NDArray[Any]]:
        """Fuse one block.

        Parameters
        ----------
        mus, sigmas, masks : sequences of arrays, or arrays of shape (sensors, ...)
            As in :func:`xfusion.kernels.rules.fuse`.
        threads : int or None
            1 to stay in the calling thread, None for one thread per core.

        Returns
        -------
        dict of arrays
            The layers of the result by name, `weight` with sensors last.
        """
        from xfusion.kernels import independent as fuse  # numba takes half a second to import
        from xfusion.kernels import rules, truncated

        shared: dict[str, Any] = {
            "sigma_floor": self.sigma_floor,
            "floor_nonfinite": self.nonfinite_sigma == "floor",
            "unknown": int(Exclusion.UNKNOWN),
            "threads": threads,
        }
        inflate = self._told("inflate") == "birge"
        plain = self.rule == "gaussian" and self.independent and not (self.diagnostics or inflate)
        layers: dict[str, NDArray[Any]]
        if plain and not isinstance(mus, np.ndarray):
            names = ("mu", "sigma", "mask", "source")
            layers = dict(zip(names, fuse.gaussian(mus, sigmas, masks, **shared), strict=True))
        else:
            named = self.rule if isinstance(self.rule, str) else "gaussian"
            fused = rules.fuse(
                mus,
                sigmas,
                masks,
                rule=rules.RULES[named],
                correlation=self._correlated,
                prior=self._told("prior", 0.5),
                inflate=inflate,
                diagnostics=self.diagnostics,
                **shared,
            )
            layers = fused._asdict()
            layers["weight"] = np.moveaxis(fused.weight, 0, -1)
            if not isinstance(self.rule, str):
                self._by_callable(self.rule, mus, sigmas, masks, layers, threads=threads)
            layers["normalised_difference"] = layers.pop("difference")
        if self.bounded is not None:
            lower, upper = self.bounded
            truncated.truncate(
                layers["mu"], layers["sigma"], lower=lower, upper=upper, threads=threads
            )
        return layers

    def _by_callable(
        self,
        rule: Rule,
        mus: Any,
        sigmas: Any,
        masks: Any,
        layers: dict[str, NDArray[Any]],
        *,
        threads: int | None,
    ) -> None:
        """Replace mu and sigma by those of the caller's rule."""
        flags = [None] * self.number if masks is None else masks
        mu, sigma = layers["mu"].reshape(-1), layers["sigma"].reshape(-1)

        def on_range(start: int, stop: int) -> None:
            m, s = (
                np.stack([pixels(a, start, stop) for a in some]).astype(np.float64)
                for some in (mus, sigmas)
            )
            usable = np.isfinite(m)
            finite = np.isfinite(s)
            if self.nonfinite_sigma == "exclude":
                usable &= finite
            s = np.where(finite, np.maximum(s, self.sigma_floor), self.sigma_floor)
            for k, mask in enumerate(flags):
                if mask is not None:
                    usable[k] &= pixels(mask, start, stop) == 0
            m[~usable] = s[~usable] = np.nan
            fused: Any = rule(m, s, usable, **self.parameters)
            some = usable.any(axis=0)
            try:
                fused_mu, fused_sigma = fused
            except (TypeError, ValueError) as error:
                msg = f"the rule must return (mu, sigma), each of shape {some.shape}: {error}"
                raise ValueError(msg) from error
            for out, values in ((mu, fused_mu), (sigma, fused_sigma)):
                returned = np.asarray(values)
                if returned.shape != some.shape:
                    msg = (
                        f"the rule returned the shape {returned.shape}, not {some.shape}: return "
                        "mu and sigma without the axis of the sensors"
                    )
                    raise ValueError(msg)
                out[start:stop] = np.where(some, returned, np.nan)

        length = max(1, BLOCK_SIZE // self.number)
        map_ranges(on_range, mu.size, threads=threads, length=length)

    def _told(self, name: str, default: Any = None) -> Any:
        return self.parameters.get(name, default) if isinstance(self.rule, str) else default


def _attribute(value: Any) -> int | float | str:
    """Return a parameter as files can hold it; netCDF has no booleans."""
    if isinstance(value, bool | np.bool_ | int | np.integer):
        return int(value)
    return float(value) if isinstance(value, float | np.floating) else str(value)
