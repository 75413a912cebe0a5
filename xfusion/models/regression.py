"""Logistic regression over blocks: by Newton's steps, each of which reads the pixels once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .measured import Floats, Measured
from .sums_of_blocks import summed

MOST_STEPS = 60
CLOSE = 1e-10  # a step, in standard deviations of the features, after which there is none
HALVINGS = 30
PARTED = 1e-12  # mean loss of pixels that a threshold parts without an error
SINGULAR = 1e13  # condition of second derivatives of which nothing can be told


@dataclass
class Totals:
    """Sums over pixels at some coefficients, weighted."""

    weight: float
    loss: float
    gradient: Floats
    hessian: Floats
    squares: Floats
    """Of the scores of each pixel, as a matrix."""
    scores: dict[int, Floats] = field(default_factory=dict)
    """Of each group, their sum."""

    def __add__(self, other: Totals) -> Totals:
        """Return those of both."""
        scores = dict(self.scores)
        for label, score in other.scores.items():
            scores[label] = scores[label] + score if label in scores else score
        return Totals(
            self.weight + other.weight,
            self.loss + other.loss,
            self.gradient + other.gradient,
            self.hessian + other.hessian,
            self.squares + other.squares,
            scores,
        )


@dataclass
class Moments:
    """What is known of the pixels before anything is fitted: number, water, and features."""

    count: int
    wet: int
    weight: float
    sums: Floats
    squares: Floats
    labels: frozenset[int]

    def __add__(self, other: Moments) -> Moments:
        """Return those of both."""
        return Moments(
            self.count + other.count,
            self.wet + other.wet,
            self.weight + other.weight,
            self.sums + other.sums,
            self.squares + other.squares,
            self.labels | other.labels,
        )


@dataclass(frozen=True)
class Fitted:
    """Coefficients, intercept first, and what is known of them."""

    coefficients: Floats
    covariance: Floats
    log_loss: float
    moments: Moments


def fitted(arrays: Mapping[str, Any], measured: Measured, *, ridge: float) -> Fitted:
    """Fit log odds that are linear in the features.

    Parameters
    ----------
    arrays : mapping of arrays
        "reference", of 0, 1 and NaN; maybe "codes", group of each pixel, and "weights"; all others
        are the bands in the order of `measured`. Of one shape, some maybe of dask.
    measured : Measured
    ridge : float
        How much the square of a coefficient costs, of a feature in units of its own spread.

    Raises
    ------
    ValueError
        If no pixel has all, or all have the same reference; without a ridge, if a feature is the
        same everywhere or follows from the others, or a threshold parts all pixels.
    """
    moments: Moments = summed(arrays, _Moments(measured))
    _check(moments)
    center = moments.sums / moments.weight
    width = np.sqrt(np.maximum(moments.squares / moments.weight - center**2, 0.0))
    width[~(width > 0)] = 1.0
    penalty = np.diag([0.0, *[ridge] * len(center)]).astype(np.float64)
    at = _Totals(measured, center, width)
    rate = moments.wet / moments.count
    beta = np.zeros(len(center) + 1)
    beta[0] = math.log(rate / (1 - rate))
    here: Totals = summed(arrays, at.with_coefficients(beta))
    for _ in range(MOST_STEPS):
        _check_determined(here, penalty)
        step = np.asarray(np.linalg.solve(here.hessian + penalty, here.gradient - penalty @ beta))
        if np.abs(step).max() < CLOSE:
            break
        beta, here = _stepped(arrays, at, beta, here, step, np.asarray(penalty, np.float64))
    return Fitted(
        *_of_features(beta, _covariance(here, penalty), center, width),
        here.loss / here.weight,
        moments,
    )


def _stepped(
    arrays: Mapping[str, Any],
    at: _Totals,
    beta: Floats,
    here: Totals,
    step: Floats,
    penalty: Floats,
) -> tuple[Floats, Totals]:
    """Return the next coefficients, by a part of the step where all of it leads up."""
    before = here.loss + 0.5 * beta @ penalty @ beta
    for _ in range(HALVINGS):
        tried = beta + step
        there: Totals = summed(arrays, at.with_coefficients(tried))
        after = there.loss + 0.5 * tried @ penalty @ tried
        if after <= before * (1 + 1e-12):
            return tried, there
        step = step / 2
    return beta, here


def _covariance(totals: Totals, penalty: Floats) -> Floats:
    """Return the sandwich: what the scores of groups, or of pixels, say of the coefficients."""
    bread = np.linalg.inv(totals.hessian + penalty)
    number = len(totals.scores)
    if number > 1:
        of_groups = np.stack([*totals.scores.values()])
        meat: Floats = of_groups.T @ of_groups * (number / (number - 1))
    else:
        meat = totals.squares
    covariance: Floats = bread @ meat @ bread
    return covariance


def _of_features(
    beta: Floats, covariance: Floats, center: Floats, width: Floats
) -> tuple[Floats, Floats]:
    """Return coefficients of features as they are, for those of standardised ones."""
    change = np.diag([1.0, *1 / width])
    change[0, 1:] = -center / width
    return change @ beta, change @ covariance @ change.T


def _check(moments: Moments) -> None:
    if not moments.count:
        msg = (
            "no pixel has all bands, a reference and a group: see where the reference is known, "
            "and the nodata of the bands"
        )
        raise ValueError(msg)
    if moments.wet in (0, moments.count):
        kind = "water" if moments.wet else "dry"
        msg = (
            f"all of the {moments.count} pixels of the reference are {kind}: fit to scenes of "
            "both, or to more pixels"
        )
        raise ValueError(msg)


def _check_determined(totals: Totals, penalty: Any) -> None:
    """Refuse what has no largest likelihood, or none at one place."""
    if totals.loss <= PARTED * totals.weight:
        why = "a threshold parts water from land without an error, so that no coefficient is finite"
    elif np.linalg.cond(totals.hessian + penalty) > SINGULAR:
        why = "a band is the same everywhere, or follows from the others, or parts pixels of itself"
    else:
        return
    if not penalty.any():
        msg = f"ridge=0, and {why}: fit with a penalty, ridge=1, or to more pixels"
        raise ValueError(msg)


def _known(
    measured: Measured, named: Mapping[str, NDArray[Any]]
) -> tuple[Floats, Floats, NDArray[np.int64] | None, Floats]:
    """Return features, reference, group and weight of the pixels of a block that have all."""
    bands = [band for name, band in named.items() if name not in ("reference", "codes", "weights")]
    measured.check(bands)
    features = np.stack(measured.features([band.astype(np.float64) for band in bands]))
    truth = named["reference"].astype(np.float64)
    wrong = np.isfinite(truth) & (truth != 0) & (truth != 1)
    if wrong.any():
        msg = (
            f"the reference is {truth[wrong][0]:g} somewhere, not 0 for dry, 1 for water or NaN "
            "for unknown: reference.where(...) what is neither, or .assign_attrs(_FillValue=...)"
        )
        raise ValueError(msg)
    kept = np.isfinite(features).all(axis=0) & np.isfinite(truth)
    codes, weights = named.get("codes"), np.ones(truth.shape)
    if codes is not None:
        kept &= np.isfinite(codes)
    if "weights" in named:
        weights = named["weights"].astype(np.float64)
        if (weights[kept] < 0).any():
            msg = "weights are below 0 somewhere: give 0 of what is not to count"
            raise ValueError(msg)
        kept &= weights > 0
    labels = None if codes is None else codes[kept].astype(np.int64)
    return features[:, kept], truth[kept], labels, weights[kept]


@dataclass(frozen=True)
class _Moments:
    measured: Measured

    def __call__(self, named: Mapping[str, NDArray[Any]]) -> Moments:
        features, truth, labels, weights = _known(self.measured, named)
        return Moments(
            truth.size,
            int(truth.sum()),
            float(weights.sum()),
            features @ weights,
            features**2 @ weights,
            frozenset() if labels is None else frozenset(np.unique(labels).tolist()),
        )


@dataclass(frozen=True)
class _Totals:
    measured: Measured
    center: Floats
    width: Floats
    coefficients: Floats | None = None

    def with_coefficients(self, coefficients: Floats) -> _Totals:
        return _Totals(self.measured, self.center, self.width, coefficients)

    def __call__(self, named: Mapping[str, NDArray[Any]]) -> Totals:
        from scipy.special import expit  # scipy takes a tenth of a second to import

        assert self.coefficients is not None  # noqa: S101  # which fitted() gives
        features, truth, labels, weights = _known(self.measured, named)
        scaled = (features - self.center[:, None]) / self.width[:, None]
        design = np.concatenate([np.ones((1, truth.size)), scaled])
        odds = self.coefficients @ design
        probability = expit(odds)
        residual = weights * (truth - probability)
        score = design * residual
        of_groups = {}
        if labels is not None:
            found, where = np.unique(labels, return_inverse=True)
            sums = [np.bincount(where, row, len(found)) for row in score]
            columns = zip(*sums, strict=True)
            of_groups = {int(n): np.array(s) for n, s in zip(found, columns, strict=True)}
        return Totals(
            float(weights.sum()),
            # log(1 + exp(x)) of what speaks against what is true
            float(weights @ np.logaddexp(0.0, np.where(truth == 1, -odds, odds))),
            score.sum(axis=1),
            (design * (weights * probability * (1 - probability))) @ design.T,
            score @ score.T,
            of_groups,
        )
