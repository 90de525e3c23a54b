"""From the classifiers' outputs to the one probability that the rules see: ensemble, calibration, stacking.

All of it is fitted on out-of-fold predictions, and what is chosen (which calibrator, stacked or not) is
chosen by cross-fitted log loss. The probabilities that a rule is fitted to are cross-fitted too: no image
is calibrated by a model that was fitted to it."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from scipy.optimize import minimize
from scipy.special import expit

from ensemble.evidence import calibration, logistic
from ensemble.evidence.calibration import Calibrator
from ensemble.evidence.evidence import Cases, Evidence
from ensemble.evidence.features import image_features, logit
from ensemble.metrics import log_loss
from experiments.settings.decision import EnsembleSettings, Space
from experiments.statistics.arrays import Bools, Floats, Ints
from experiments.statistics.nested_score import patient_groups
from imaging.io.config import Settings


class Calibrated(Settings):
    """The raw probability, calibrated: the classifier ensemble's, or the pooled mask evidence."""

    kind: Literal["classifier"] = "classifier"
    calibrator: Calibrator
    """Raw to calibrated."""

    def __call__(self, evidence: Evidence) -> Floats:
        """Probability (N,) of a pneumothorax."""
        return self.calibrator(evidence.raw)

    def highest(self, raw: float) -> float:
        """The largest probability that an image of this raw classifier probability can get."""
        return float(self.calibrator(np.array([raw]))[0])


class Stacked(Settings):
    """The raw probability and what the masks show, in one logistic regression; never falling as the raw one rises."""

    kind: Literal["stacked"] = "stacked"
    regression: logistic.Logistic
    """On `features.image_features`; without classifiers not on NEARLY_POOLED."""

    def __call__(self, evidence: Evidence) -> Floats:
        """Probability (N,) of a pneumothorax."""
        return self.regression.prob(image_features(evidence))

    def highest(self, raw: float) -> float:
        """The largest probability that an image of this raw classifier probability can get: with the mask that raises it
        most."""
        known = float(logit(np.array([raw]))[0])
        return float(expit(min(self.regression.highest_logit(classifier=known), 30.0)))


Probability = Annotated[Calibrated | Stacked, Field(discriminator="kind")]


def ensemble_probability(members: Floats, weights: Floats, space: Space = "logit") -> Floats:
    """Weighted mean (N,) of the models' probabilities (N, M); an ensemble of one is its member exactly."""
    if members.shape[1] == 1:
        return members[:, 0].astype(np.float64)
    return members @ weights if space == "probability" else expit(logit(members) @ weights)


def learn_weights(members: Floats, label: Bools, shrinkage: float, space: Space = "logit") -> Floats:
    """Weights (M,) on the simplex that minimise the ensemble's log loss, shrunk towards equal ones.

    loss(w)/loss(equal) + shrinkage·M·|w − 1/M|²: with members alike in quality the data cannot tell weights
    apart, and equal ones vary least (Claeskens et al. 2016, the forecast combination puzzle)."""
    count = members.shape[1]
    equal = np.full(count, 1 / count)
    base = log_loss(label, ensemble_probability(members, equal, space))

    def loss(w: Floats) -> float:
        return log_loss(label, ensemble_probability(members, w, space)) / base + shrinkage * count * float(
            np.sum((w - equal) ** 2)
        )

    return on_simplex(loss, count)


def on_simplex(loss: object, count: int) -> Floats:
    """Minimise a smooth function of weights that are not negative and add up to 1; starts at equal ones."""
    if count == 1:
        return np.ones(1)
    bounds, total = [(0.0, 1.0)] * count, {"type": "eq", "fun": lambda w: w.sum() - 1.0}
    found = minimize(loss, np.full(count, 1 / count), bounds=bounds, constraints=total, method="SLSQP")
    weights = np.clip(np.round(found.x, 6), 0.0, None)  # the sixth digit is beyond what the data determine
    return np.asarray(weights / weights.sum())


NEARLY_POOLED = "mask_top"
"""The highest level: without classifiers the raw probability follows from nearly the same pixels."""


def fit_one(name: str, cases: Cases, classifiers: bool = True) -> Calibrated | Stacked:
    """Fit `stacked` or one of the calibrators by name. classifiers: whether the raw probability is theirs, not pooled."""
    if name == "stacked":
        table = image_features(cases.evidence)
        if not classifiers:
            del table[NEARLY_POOLED]
        return Stacked(regression=logistic.fit(table, cases.label.astype(np.float64), rising=("classifier",)))
    return Calibrated(calibrator=calibration.fit(name, cases.evidence.raw, cases.label))


def cross_fitted(name: str, cases: Cases, group: Ints, classifiers: bool = True) -> Floats:
    """Probabilities (N,), each from a model that saw no image of the same group. With a single group there is nothing else to
    learn from: the model then saw its images, which say nothing about others."""
    prob = np.zeros(len(cases))
    for g in np.unique(group):
        inside = group == g
        others = ~inside if not inside.all() else inside
        prob[inside] = fit_one(name, cases.take(others), classifiers)(cases.evidence.take(inside))
    return prob


def candidates(settings: EnsembleSettings) -> list[str]:
    """Names of the models of the probability that the settings allow, simplest first."""
    simple: list[str] = list(calibration.NAMES) if settings.calibration == "auto" else [settings.calibration]
    if settings.image_score == "stacked":
        return ["stacked"]
    return simple if settings.image_score == "classifier" else [*simple, "stacked"]


def fit(
    cases: Cases, group: Ints, settings: EnsembleSettings, classifiers: bool = True
) -> tuple[Calibrated | Stacked, Floats, dict[str, float]]:
    """The model of lowest cross-fitted log loss, its cross-fitted probabilities (N,), and the losses of all.

    A later (less simple) one must be better by 0.1 %, which is less than the chance variation of such a loss.
    """
    probs = {name: cross_fitted(name, cases, group, classifiers) for name in candidates(settings)}
    losses = {name: log_loss(cases.label, prob) for name, prob in probs.items()}
    chosen = next(iter(losses))
    for name, loss in losses.items():
        chosen = name if loss < losses[chosen] * 0.999 else chosen
    return fit_one(chosen, cases, classifiers), probs[chosen], losses


def groups(cases: Cases) -> Ints:
    """Groups (N,) for cross-fitting: the folds; with fewer than three of them, five groups of whole
    patients."""
    return cases.fold if len(np.unique(cases.fold)) >= 3 else patient_groups(cases.patient, 5)


def fold_mean(prob: Floats, space: Space) -> float:
    """One model's probability from its fold models'; of one fold, itself exactly."""
    values = np.asarray(prob, np.float64)
    return float(ensemble_probability(values[None], np.full(len(values), 1 / len(values)), space)[0])
