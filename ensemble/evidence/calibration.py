"""Calibration of the classifier ensemble: of the images scored 0.7, 70 % should be positive.

Calibrators are plain numbers in JSON and monotone, so that a bound on the raw probability follows from one
on the calibrated probability."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator
from scipy.optimize import minimize_scalar
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from ensemble.evidence.features import logit
from ensemble.evidence.logistic import fit as fit_logistic
from ensemble.metrics import log_loss
from experiments.statistics.arrays import Bools, Floats
from imaging.io.config import Settings


class Sigmoid(Settings):
    """p = σ(slope·logit(raw) + intercept): none (1, 0), temperature (1/T, 0) or Platt (both)."""

    kind: Literal["none", "temperature", "platt"]
    """How the two numbers were found."""
    slope: float = Field(ge=0)
    """1/T of temperature scaling (Guo et al. 2017); never negative, so that the order of images is kept."""
    intercept: float
    """Shift of the logit, as when the prevalence differs."""

    def __call__(self, raw: Floats) -> Floats:
        """Calibrated probabilities of raw ones."""
        if self.kind == "none":
            return np.asarray(raw, np.float64)
        return expit(self.slope * logit(raw) + self.intercept)


class Steps(Settings):
    """Isotonic regression (Zadrozny & Elkan 2002): straight lines between rising points."""

    kind: Literal["isotonic"] = "isotonic"
    x: list[float] = Field(min_length=1)
    """Raw probabilities, rising."""
    y: list[float] = Field(min_length=1)
    """Calibrated probabilities, never falling."""

    @model_validator(mode="after")
    def _rising(self) -> Steps:
        if len(self.x) != len(self.y) or np.any(np.diff(self.x) <= 0) or np.any(np.diff(self.y) < 0):
            raise ValueError("`x` must rise, `y` must not fall, and both must have the same length")
        return self

    def __call__(self, raw: Floats) -> Floats:
        """Calibrated probabilities of raw ones."""
        return np.interp(raw, self.x, self.y)


Calibrator = Annotated[Sigmoid | Steps, Field(discriminator="kind")]
BEFORE = "before"
NAMES = ("none", "temperature", "platt", "isotonic")


def fit(kind: str, raw: Floats, label: Bools) -> Sigmoid | Steps:
    """Fit one calibrator to raw probabilities (N,) and outcomes (N,)."""
    if kind == "none":
        return Sigmoid(kind="none", slope=1.0, intercept=0.0)
    if kind == "temperature":
        return _temperature(raw, label)
    if kind == "platt":
        return _platt(raw, label)
    if kind == "isotonic":
        return _isotonic(raw, label)
    raise ValueError(f"ensemble.calibration is {kind!r}; known: auto, {', '.join(NAMES)}")


def calibration_steps(raw: Floats, calibrated: Floats, prob: Floats) -> dict[str, Floats]:
    """Probabilities (N,) before and after, by a name for reports; and a third where the rules see a stacked one."""
    steps = {BEFORE: raw, "calibrated": calibrated}
    return steps if np.array_equal(calibrated, prob) else {**steps, "with the masks": prob}


def _temperature(raw: Floats, label: Bools) -> Sigmoid:
    """1/T by one-dimensional search on a logarithmic scale, T between 1/20 and 20."""
    x = logit(raw)
    found = minimize_scalar(
        lambda s: log_loss(label, expit(np.exp(s) * x)), bounds=(-3.0, 3.0), method="bounded"
    )
    return Sigmoid(kind="temperature", slope=float(np.exp(found.x)), intercept=0.0)


def _platt(raw: Floats, label: Bools) -> Sigmoid:
    """Platt (1999) with his smoothed targets (N₊+1)/(N₊+2) and 1/(N₋+2), which keep separable data finite."""
    positives = int(label.sum())
    target = np.where(label, (positives + 1) / (positives + 2), 1 / (len(label) - positives + 2))
    line = fit_logistic({"x": logit(raw)}, target, ridge=1e-3, rising=("x",))
    slope = line.weight[0] / line.scale[0]
    return Sigmoid(kind="platt", slope=slope, intercept=line.intercept - slope * line.mean[0])


def _isotonic(raw: Floats, label: Bools) -> Steps:
    """Isotonic regression; the ends are kept off 0 and 1 by half an image, since no finite sample proves
    certainty."""
    edge = 0.5 / (len(label) + 1)
    line = IsotonicRegression(y_min=edge, y_max=1 - edge, out_of_bounds="clip").fit(
        raw, label.astype(np.float64)
    )
    x, place = np.unique(np.asarray(line.X_thresholds_, np.float64), return_index=True)
    y = np.maximum.accumulate(np.asarray(line.y_thresholds_, np.float64)[place])
    return Steps(x=x.tolist(), y=y.tolist())
