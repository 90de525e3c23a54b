"""Regression, calibrators and the probability that the rules see."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from ensemble.evidence import calibration, logistic, probability
from ensemble.evidence.features import logit
from ensemble.evidence.probability import fold_mean
from ensemble.metrics import expected_calibration_error, log_loss
from experiments.settings.decision import EnsembleSettings
from experiments.statistics.nested_score import patient_groups


def outcomes(n: int = 4000, slope: float = 1.0, shift: float = 0.0, seed: int = 0):
    """Raw probabilities whose true ones are σ(slope·logit + shift), and outcomes."""
    random = np.random.default_rng(seed)
    raw = expit(random.normal(-1, 2, n))
    return raw, random.random(n) < expit(slope * logit(raw) + shift)


def test_regression_equals_scikit_learn() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 3))
    y = random.random(300) < expit(x @ [1.0, -2.0, 0.0] + 0.3)
    ours = logistic.fit({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2]}, y.astype(float))
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    theirs = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000).fit(z, y)
    assert ours.weight == pytest.approx(theirs.coef_[0].tolist(), abs=1e-4)
    assert ours.intercept == pytest.approx(theirs.intercept_[0], abs=1e-4)


def test_regression_recovers_a_share() -> None:
    x = np.linspace(-2, 2, 500)
    target = expit(1.5 * x - 0.5)
    model = logistic.fit({"x": x}, target, ridge=1e-6)
    assert np.abs(model.prob({"x": x}) - target).max() < 1e-4


def test_regression_stays_inside_and_bounded() -> None:
    x = np.array([0.0, 0.0, 1.0, 1.0])
    model = logistic.fit({"x": x, "constant": np.ones(4)}, np.array([0.0, 0.0, 1.0, 1.0]), ridge=1e-3)
    far = model.prob({"x": np.array([-1e9, 1e9]), "constant": np.array([5.0, -5.0])})
    assert np.all((far > 0) & (far < 1))
    assert far.tolist() == model.prob({"x": np.array([0.0, 1.0]), "constant": np.ones(2)}).tolist()


@settings(max_examples=30)
@given(st.integers(0, 1000))
def test_highest_logit_is_never_exceeded(seed) -> None:
    random = np.random.default_rng(seed)
    table = {name: random.normal(size=40) for name in "abc"}
    model = logistic.fit(table, random.random(40))
    other = {name: random.normal(size=200) * 5 for name in "abc"}
    other["a"] = np.full(200, float(random.normal()))
    assert model.logit(other).max() <= model.highest_logit(a=float(other["a"][0])) + 1e-12


def test_rising_features_never_fall() -> None:
    x = np.linspace(0, 1, 50)
    model = logistic.fit({"x": x, "y": x**2}, 1.0 - x, rising=("x",))
    assert model.weight[0] == 0.0
    assert model.weight[1] < 0


@pytest.mark.parametrize("kind", ["temperature", "platt", "isotonic"])
def test_calibration_mends_a_stretched_scale(kind) -> None:
    raw, label = outcomes(slope=0.4)
    fresh, seen = outcomes(slope=0.4, seed=1)
    model = calibration.fit(kind, raw, label)
    before, after = (expected_calibration_error(seen, p) for p in (fresh, model(fresh)))
    assert before > 0.08
    assert after < 0.03


@pytest.mark.parametrize("kind", calibration.NAMES)
def test_calibrators_never_fall_and_survive_json(kind) -> None:
    raw, label = outcomes(300, shift=-1.0)
    model = calibration.fit(kind, raw, label)
    grid = np.linspace(0, 1, 2001)
    assert np.all(np.diff(model(grid)) >= 0)
    assert np.all((model(grid) >= 0) & (model(grid) <= 1))
    again = type(model).model_validate_json(model.model_dump_json())
    assert np.array_equal(again(grid), model(grid))


def test_none_changes_nothing() -> None:
    raw, label = outcomes(100)
    assert np.array_equal(calibration.fit("none", raw, label)(raw), raw)


def test_unknown_calibrator_is_named() -> None:
    with pytest.raises(ValueError, match=r"ensemble\.calibration is 'beta'; known: auto, none, temperature"):
        calibration.fit("beta", *outcomes(20))


def test_ensemble_of_one_is_its_member() -> None:
    members = np.random.default_rng(0).random((50, 1))
    assert np.array_equal(probability.ensemble_probability(members, np.ones(1)), members[:, 0])


@pytest.mark.parametrize(("space", "mean"), [("probability", 0.55), ("logit", 0.6)])
def test_ensembles_average_in_either_space(space, mean) -> None:
    """Odds of 1/4 and 9 have the geometric mean 3/2, a probability of .6."""
    half = np.array([0.5, 0.5])
    assert probability.ensemble_probability(np.array([[0.2, 0.9]]), half, space)[0] == pytest.approx(mean)
    assert fold_mean(np.array([0.2, 0.9]), space) == pytest.approx(mean)


def test_weights_leave_out_noise_and_shrink_to_equal() -> None:
    random = np.random.default_rng(0)
    label = random.random(600) < 0.4
    good = expit(4.0 * label - 2 + random.normal(0, 1.0, 600))
    members = np.stack([good, expit(random.normal(0, 2, 600))], axis=1)
    learned = probability.learn_weights(members, label, shrinkage=0.0)
    assert learned.sum() == pytest.approx(1)
    assert learned[0] > 0.95
    pulled = probability.learn_weights(members, label, shrinkage=10.0)
    assert abs(pulled[0] - 0.5) < 0.1


def test_stacking_is_chosen_where_masks_know_more(random_cases) -> None:
    cases = random_cases(images=200, seed=4)
    settings_ = EnsembleSettings()
    model, prob, losses = probability.fit(cases, cases.fold, settings_)
    assert set(losses) == {*calibration.NAMES, "stacked"}
    assert log_loss(cases.label, prob) == min(losses.values())
    alone = EnsembleSettings(image_score="classifier", calibration="platt")
    assert list(probability.fit(cases, cases.fold, alone)[2]) == ["platt"]
    assert model.highest(0.2) >= model(cases.evidence.take(cases.evidence.raw < 0.2)).max()


def test_without_classifiers_the_highest_level_is_not_stacked(random_cases) -> None:
    """It is nearly the raw probability itself; the other features are."""
    cases = random_cases(images=120, seed=4)
    settings_ = EnsembleSettings(image_score="stacked")
    features = {
        classifiers: probability.fit(cases, cases.fold, settings_, classifiers)[0].regression.features
        for classifiers in (True, False)
    }
    assert [name for name in features[True] if name != "mask_top"] == features[False]
    assert features[False][0] == "classifier"


def test_cross_fitting_looks_away(random_cases) -> None:
    """Labels of a group must not move the probabilities of that group."""
    cases = random_cases(images=80, seed=1)
    before = probability.cross_fitted("platt", cases, cases.fold)
    inside = cases.fold == 2
    hit = cases.hit.copy()
    hit[inside] = np.where(hit[inside, :1] > 0, 0, 1)
    turned = type(cases)(cases.evidence, hit, cases.fold, cases.patient, cases.image_id)
    after = probability.cross_fitted("platt", turned, cases.fold)
    assert np.array_equal(before[inside], after[inside])
    assert not np.array_equal(before[~inside], after[~inside])


def test_one_group_alone_is_fitted_to_itself(random_cases) -> None:
    """Two patients with many slices each: leaving one out nests within the other."""
    cases = random_cases(images=30, seed=1)
    alone = np.zeros(30, np.int64)
    expected = probability.fit_one("platt", cases)(cases.evidence)
    np.testing.assert_array_equal(probability.cross_fitted("platt", cases, alone), expected)


def test_groups_keep_patients_together_whatever_the_order() -> None:
    patient = np.array([f"p{i // 3}" for i in range(60)], dtype=object)
    group = patient_groups(patient, 5)
    assert set(np.bincount(group)) == {12}
    for name in set(patient):
        assert len(set(group[patient == name])) == 1
    order = np.random.default_rng(0).permutation(60)
    assert np.array_equal(patient_groups(patient[order], 5), group[order])
