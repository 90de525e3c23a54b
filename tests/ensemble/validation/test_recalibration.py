"""Recalibration mends what a changed prevalence and exposure break, measured on patients that it was not fitted to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from ensemble.decision import crossfit
from ensemble.decision.decision import Decision
from ensemble.decision.operating_points import OperatingPoint
from ensemble.evidence.calibration import Sigmoid, Steps
from ensemble.evidence.evidence import Cases
from ensemble.evidence.features import logit
from ensemble.evidence.mask_average import MaskEnsemble
from ensemble.evidence.probability import Calibrated, Stacked, fit_one
from ensemble.rules.gate import Gate
from ensemble.validation import recalibration
from experiments.settings.decision import EnsembleSettings

SAME = Sigmoid(kind="none", slope=1.0, intercept=0.0)


def decision(probability: Calibrated | Stacked | None = None) -> Decision:
    """A gate at one half over one or two classifiers."""
    return Decision(
        classifiers={"a": 0.5, "b": 0.5},
        masks=MaskEnsemble(weights={"u": 1.0}),
        probability=probability or Calibrated(calibrator=SAME),
        calibrator=SAME,
        rule=Gate(cut=0.5, level=100),
        operating_points=[OperatingPoint(name="half", threshold=0.4, sensitivity=0.9, specificity=0.9)],
        fitted={},
    )


def shifted(cases: Cases, slope: float, intercept: float) -> tuple[Cases, np.ndarray]:
    """The same images, and labels whose probability is the line of the classifiers' own logit."""
    raw = crossfit.reweighted(cases, np.array([0.5, 0.5])).evidence.raw
    random = np.random.Generator(np.random.PCG64(1))
    return cases, random.random(len(cases)) < expit(slope * logit(raw) + intercept)


def test_the_line_that_was_planted_is_found(random_cases: Callable[..., Cases]) -> None:
    cases, label = shifted(random_cases(images=1500), 0.5, -1.0)
    found = recalibration.fit(decision(), cases, label, EnsembleSettings(), refit_decision=False)
    assert found.line.slope == pytest.approx(0.5, abs=0.1)
    assert found.line.intercept == pytest.approx(-1.0, abs=0.15)


def test_cross_fitted_probabilities_are_calibrated(random_cases: Callable[..., Cases]) -> None:
    cases, label = shifted(random_cases(images=600), 0.5, -1.0)
    before = crossfit.apply(decision(), cases)[1]
    found = recalibration.fit(decision(), cases, label, EnsembleSettings(), refit_decision=False)
    assert label.sum() / before.sum() < 0.75
    assert label.sum() / found.prob.sum() == pytest.approx(1.0, abs=0.05)
    assert ((found.prob - label) ** 2).mean() < ((before - label) ** 2).mean()


def test_no_image_is_measured_by_a_refit_that_saw_it(random_cases: Callable[..., Cases]) -> None:
    """Turning one group's labels round changes the others' probabilities and not its own."""
    cases, label = shifted(random_cases(images=200), 1.0, 0.0)
    group = recalibration.patient_groups(cases.patient)
    turned = np.where(group == 0, ~label, label)
    one, other = (
        recalibration.fit(decision(), cases, of, EnsembleSettings(), False).prob for of in (label, turned)
    )
    np.testing.assert_array_equal(one[group == 0], other[group == 0])
    assert not np.allclose(one[group != 0], other[group != 0])


@pytest.mark.parametrize("kind", ["platt", "isotonic", "stacked"])
def test_new_probability_is_the_line_of_the_old_one(kind: str, random_cases: Callable[..., Cases]) -> None:
    cases = random_cases(images=300)
    old = decision(fit_one(kind, crossfit.reweighted(cases, np.array([0.5, 0.5]))))
    new = recalibration.recalibrate(old, cases, cases.label)
    before, after = (crossfit.as_batch(one, cases)[1].prob for one in (old, new))
    order = np.argsort(before)
    assert (np.diff(after[order]) >= -1e-9).all()
    if kind != "isotonic":
        slope, intercept = np.polyfit(logit(before), logit(after), 1)
        np.testing.assert_allclose(logit(after), slope * logit(before) + intercept, atol=1e-6)


def test_operating_points_flag_the_same_images(random_cases: Callable[..., Cases]) -> None:
    cases, label = shifted(random_cases(images=300), 0.6, -1.0)
    old = decision()
    new = recalibration.recalibrate(old, cases, label)
    flagged = [
        one.operating_points[0].flagged(crossfit.as_batch(one, cases)[1].prob, np.zeros(300, bool))
        for one in (old, new)
    ]
    np.testing.assert_array_equal(*flagged)
    assert new.operating_points[0].threshold != old.operating_points[0].threshold


def test_steps_keep_their_places() -> None:
    line = Sigmoid(kind="platt", slope=2.0, intercept=1.0)
    made = recalibration.after(Steps(x=[0.1, 0.6], y=[0.2, 0.5]), line)
    assert made == Steps(x=[0.1, 0.6], y=line(np.array([0.2, 0.5])).tolist())


def test_refitted_rule_is_that_of_these_images(random_cases: Callable[..., Cases]) -> None:
    cases = random_cases(images=200)
    found = recalibration.fit(decision(), cases, cases.label, EnsembleSettings(), refit_decision=True)
    assert isinstance(found.decision.rule, Gate)
    assert [point.name for point in found.decision.operating_points] == [
        "rule",
        "95 % specificity",
        "95 % sensitivity",
    ]
    assert cases.score(crossfit.apply(found.decision, cases)[0]) >= cases.score(
        crossfit.apply(decision(), cases)[0]
    )


def test_too_few_images_are_refused(random_cases: Callable[..., Cases]) -> None:
    cases = random_cases(images=60)
    label = np.arange(60) < 19
    with pytest.raises(ValueError, match="19 positive of 60"):
        recalibration.fit(decision(), cases, label, EnsembleSettings(), refit_decision=False)


def test_history_is_a_plain_table(random_cases: Callable[..., Cases]) -> None:
    """What `compare` gives has before and after of each measure, and the Brier score's paired difference."""
    cases, label = shifted(random_cases(images=300), 0.5, -1.0)
    found = recalibration.fit(decision(), cases, label, EnsembleSettings(), refit_decision=False)
    prob = crossfit.apply(decision(), cases)[1]
    table = pd.DataFrame(
        {
            "patient_id": cases.patient,
            "label": label.astype(int),
            "raw": prob,
            "calibrated": prob,
            "prob": prob,
        }
    ).assign(
        dice=np.nan, iou=np.nan, true_area=np.nan, predicted_area=0, pixels=576, submitted=False, level=256
    )
    draws = recalibration.PatientDraws(cases.patient, 200, 0)
    rows, after = recalibration.compare(table, found, cases, draws, 10)
    brier = rows.set_index("measure").loc["brier"]
    assert brier["difference_value"] == pytest.approx(brier["after_value"] - brier["before_value"])
    assert brier["difference_high"] < 0
    assert after["kaggle_dice"]["value"] is None
