"""Logistic regression of a number in [0, 1] on a few named features, as plain numbers in JSON.

Used twice: for the probability of a pneumothorax (targets 0 and 1) and for the Dice that a mask will reach
(any target between; the quasi-likelihood of Papke & Wooldridge 1996). Features are first cut to the range
that they had in fitting, so that an unusual image is treated as the nearest known one, and so that
the result has a bound that can be proven."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pydantic import model_validator
from scipy.optimize import minimize
from scipy.special import expit

from experiments.statistics.arrays import Bools, Floats
from imaging.io.config import Settings


class Logistic(Settings):
    """logit(y) = intercept + Σ weight·(cut(x) − mean)/scale; all lists have one entry per feature."""

    features: list[str]
    """Names, in order."""
    low: list[float]
    """Smallest value in fitting; lower ones are raised to it."""
    high: list[float]
    """Largest value in fitting; higher ones are lowered to it."""
    mean: list[float]
    """Mean in fitting."""
    scale: list[float]
    """Standard deviation in fitting; 1 for a constant feature."""
    weight: list[float]
    """Weights of the standardised features."""
    intercept: float
    """Logit at the mean of all features."""

    @model_validator(mode="after")
    def _one_entry_a_feature(self) -> Logistic:
        for name in ("low", "high", "mean", "scale", "weight"):
            if len(getattr(self, name)) != len(self.features):
                raise ValueError(f"`{name}` needs {len(self.features)} entries, one for each feature")
        if (
            any(low > high for low, high in zip(self.low, self.high, strict=True))
            or min(self.scale, default=1) <= 0
        ):
            raise ValueError("`low` must not be above `high`, and `scale` must be positive")
        return self

    def logit(self, table: Mapping[str, Floats]) -> Floats:
        """Logits (N,) from columns (N,) by name."""
        x = np.stack([np.asarray(table[name], np.float64) for name in self.features], axis=-1)
        return self.intercept + _standardised(x, self) @ np.array(self.weight)

    def prob(self, table: Mapping[str, Floats]) -> Floats:
        """Values (N,), strictly between 0 and 1."""
        return expit(np.clip(self.logit(table), -30.0, 30.0))  # expit(37) is already 1 in float64

    def highest_logit(self, **known: float) -> float:
        """The largest logit that any image can get, given some features: the others at the ends that raise it most."""
        total = self.intercept
        for k, name in enumerate(self.features):
            ends = [known[name]] if name in known else [self.low[k], self.high[k]]
            cut = np.clip(ends, self.low[k], self.high[k])
            total += max((cut - self.mean[k]) / self.scale[k] * self.weight[k])
        return float(total)


def fit(
    table: Mapping[str, Floats], target: Floats, ridge: float = 1.0, rising: tuple[str, ...] = ()
) -> Logistic:
    """Fit with a ridge penalty of ridge/2·Σ weight² on standardised features; the intercept is free.

    ridge 1 is scikit-learn's default C = 1. Weights of the features named in `rising` are kept at 0 or above, so that the
    result never falls as they rise. Without any image the value is 0.5 everywhere."""
    names = list(table)
    x = np.stack([np.asarray(table[name], np.float64) for name in names], axis=-1)
    shape = _shape(names, x)
    z = _standardised(x, shape)
    weight, intercept = _minimise(
        z, np.asarray(target, np.float64), ridge, np.array([name in rising for name in names])
    )
    return shape.model_copy(update={"weight": [float(w) for w in weight], "intercept": float(intercept)})


def _shape(names: list[str], x: Floats) -> Logistic:
    """The standardisation alone, all weights zero."""
    if not len(x):
        x = np.zeros((1, len(names)))
    low, high = x.min(axis=0), x.max(axis=0)
    spread = x.std(axis=0)
    scale = np.where(spread > 1e-9 * np.maximum(1.0, np.abs(high)), spread, 1.0)
    columns = {
        "low": low,
        "high": high,
        "mean": np.clip(x.mean(axis=0), low, high),
        "scale": scale,
        "weight": 0 * low,
    }
    return Logistic(features=names, intercept=0.0, **{k: [float(e) for e in v] for k, v in columns.items()})


def _standardised(x: Floats, shape: Logistic) -> Floats:
    return (np.clip(x, shape.low, shape.high) - np.array(shape.mean)) / np.array(shape.scale)


def _minimise(z: Floats, y: Floats, ridge: float, rising: Bools) -> tuple[Floats, float]:
    """Minimise the penalised log loss over weights (K,), those of `rising` not negative, and the intercept."""
    design = np.column_stack([np.ones(len(z)), z])
    penalty = np.append(1e-6, np.full(z.shape[1], ridge))

    def loss(beta: Floats) -> tuple[float, Floats]:
        logit = design @ beta
        value = np.sum(np.logaddexp(0.0, logit) - y * logit) + penalty @ beta**2 / 2
        gradient = design.T @ (expit(logit) - y) + penalty * beta
        return float(value) / count, gradient / count

    count = max(len(z), 1)  # the tolerances below then mean the same for any number of images
    bounds = [(None, None), *((0.0, None) if positive else (None, None) for positive in rising)]
    options = {"maxiter": 2000, "ftol": 1e-16, "gtol": 1e-10}
    found = minimize(
        loss, np.zeros(len(penalty)), jac=True, method="L-BFGS-B", bounds=bounds, options=options
    )
    return found.x[1:], float(found.x[0])
