"""decision.json: written, read, refused; and the promise that skipping the mask models changes no answer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ensemble.decision import crossfit
from ensemble.decision.decision import Decision
from ensemble.evidence.features import logit
from ensemble.evidence.histograms import NOTHING
from ensemble.evidence.mask_average import MaskEnsemble
from ensemble.evidence.probability import ensemble_probability
from ensemble.rules import RULES
from ensemble.rules.base import one_image
from ensemble.rules.gate import Gate
from ensemble.rules.unanimity import NEVER, Unanimity
from experiments.settings.decision import EnsembleSettings

MASKS = MaskEnsemble(weights={"u": 1.0})
KINDS = list(RULES)


@pytest.fixture(scope="module")
def cases(random_cases):
    return random_cases(images=120, seed=6)


@pytest.fixture(scope="module", params=["stacked", "classifier"])
def decisions(request, cases) -> dict[str, Decision]:
    settings = EnsembleSettings(image_score=request.param)
    return crossfit.fit(cases, ["a", "b"], KINDS, MASKS, settings)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_read_as_written(tmp_path: Path, decisions, kind, cases) -> None:
    decision, path = decisions[kind], tmp_path / "decision.json"
    decision.save(path)
    first = path.read_bytes()
    again = Decision.load(path)
    assert again == decision
    again.save(path)
    assert path.read_bytes() == first
    assert np.array_equal(crossfit.apply(again, cases)[0], crossfit.apply(decision, cases)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_skipping_changes_no_answer(decisions, kind) -> None:
    """Below the proven bound the rule itself, asked without any bound, gives no mask: whatever the map, the worst included."""
    random = np.random.default_rng(1)
    decision = decisions[kind].model_copy(update={"floor": 0.0})
    bound = decision.lower_bound()
    for raw in (random.uniform(0, bound, 60), np.full(20, np.nextafter(bound, 0))):
        for value in raw[raw < bound]:
            level = np.clip(random.normal(random.integers(0, 300), 50, (16, 16)), 0, 255).astype(np.uint8)
            evidence = one_image(value, level, value, [value, value], random.random())
            evidence = evidence.with_prob(decision.probability(evidence))
            assert decision.rule.thresholds(evidence)[0] == NOTHING


def test_a_stacked_bound_holds_at_the_worst_features(decisions) -> None:
    """The map that the regression likes best may not lift an image below the bound over the rule's least probability."""
    decision = decisions["gate"].model_copy(update={"floor": 0.0})
    bound = decision.lower_bound()
    assert decision.probability.highest(bound) <= decision.rule.least_prob()
    if bound < 1 - 1e-6:
        assert decision.probability.highest(bound + 1e-6) >= decision.rule.least_prob() - 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_empty_below_the_bound_and_the_floor(decisions, kind) -> None:
    decision = decisions[kind]
    below = np.nextafter(decision.lower_bound(), 0)
    if below > 0:
        full = np.full((8, 8), 255, np.uint8)
        assert not decision.predict_from_map(np.array([below, below]), below, full, 1.0).mask.any()


def test_bound_is_tight_for_a_calibrated_gate(random_cases) -> None:
    cases = random_cases(images=120, seed=6)
    settings = EnsembleSettings(image_score="classifier", calibration="platt", cascade=False)
    gate = crossfit.fit(cases, ["a", "b"], ["gate"], MASKS, settings)[0]["gate"]
    level, _ = crossfit.apply(gate, cases)
    raw = crossfit.reweighted(cases, gate.probability_weights).evidence.raw
    assert raw[level < NOTHING].min() - gate.lower_bound() < 0.1
    above = gate.lower_bound() + 1e-6
    full = np.full((8, 8), 255, np.uint8)
    assert gate.predict_from_map(np.array([above, above]), above, full, 1.0).mask.all()


def test_unanimity_without_the_mask_branch_is_bounded_by_its_classifiers() -> None:
    """The ensemble's mean is at least its lowest member: below the cut, one member is below it too."""
    rule = Unanimity(cut=0.4, top=200, area=NEVER, bottom=100, reference=64)
    random, full = np.random.default_rng(3), np.full((8, 8), 255, np.uint8)
    members = random.uniform(0.2, 0.7, (400, 3))
    raw = ensemble_probability(members, np.array([0.2, 0.3, 0.5]))
    submitted = np.array(
        [rule.thresholds(one_image(r, full, r, m))[0] < NOTHING for r, m in zip(raw, members, strict=True)]
    )
    assert submitted.any()
    assert raw[submitted].min() >= rule.least_raw() > 0.399
    assert rule.model_copy(update={"area": 5}).least_raw() == 0.0  # a large mask alone would do


def test_answer_from_probabilities_and_maps(decisions) -> None:
    decision = decisions["gate"]
    level = np.full((8, 8), 255, np.uint8)
    sure = {"a": [0.999, 0.998], "b": [0.997]}
    answer = decision.predict(sure, {"u": {0: level, 1: level}}, (12, 20))
    assert answer.mask.shape == (12, 20)
    assert answer.mask.all()
    assert not answer.skipped
    assert "needed" in answer.reason
    members = decision.members(sure)
    assert logit(members[:1])[0] == pytest.approx(logit(np.array([0.999, 0.998])).mean())
    empty = decision.predict(sure, {"u": {0: np.zeros_like(level), 1: np.zeros_like(level)}}, (12, 20))
    assert not empty.mask.any()
    assert "; but no pixel reaches the mask threshold" in empty.reason
    doubtful = decision.predict({"a": [0.0001], "b": [0.0001]}, {}, (12, 20))  # maps are not even needed
    assert doubtful.skipped
    assert not doubtful.mask.any()
    assert "rules a mask out" in doubtful.reason


@pytest.mark.parametrize(
    ("score", "space"), [("stacked", "logit"), ("classifier", "logit"), ("stacked", "probability")]
)
def test_vector_and_single_answers_agree(cases, score, space) -> None:
    settings = EnsembleSettings(image_score=score, classifier_average=space)
    decision = crossfit.fit(cases, ["a", "b"], ["expected_value"], MASKS, settings)[0]["expected_value"]
    seen = crossfit.reweighted(cases, decision.probability_weights, space)
    level, prob = crossfit.apply(decision, cases)
    unseen = crossfit.skipped(decision, cases)
    assert 0 < unseen.sum() < len(cases)
    for i in range(0, len(cases), 3):
        counts = seen.evidence.above[i, :-1] - seen.evidence.above[i, 1:]
        pixels = np.repeat(np.arange(256), counts).astype(np.uint8).reshape(24, 24)
        raw, agreement = float(seen.evidence.raw[i]), float(seen.evidence.agreement[i])
        answer = decision.predict_from_map(seen.evidence.members[i], raw, pixels, agreement)
        if unseen[i]:
            answer = decision.skipped(
                dict(zip("ab", seen.evidence.members[i][:, None], strict=True)), (24, 24)
            )
        assert answer.level == level[i]
        assert answer.prob == pytest.approx(prob[i])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"version": 1},
            "reads decisions of version 3, found 1; earlier versions encode levels differently",
        ),
        ({"encoding": "prob"}, r"`encoding` .*which this release reads"),
        ({"rule": {"kind": "oracle"}}, "rule"),
        ({"rule": {"kind": "gate", "cut": 1.5, "level": 9}}, r"`rule\.cut` is 1\.5"),
        ({"surprise": 1}, "unknown key `surprise`"),
        ({"classifiers": {"a": 0.3}}, "add up to 1"),
        (
            {"classifiers": {}, "masks": {"weights": {}}},
            "neither `classifiers` nor `masks.weights` names a network",
        ),
        (
            {"classifiers": {}, "floor": 0.1},
            r"floor 0\.1 is a classifier probability, but there are no classifiers",
        ),
    ],
)
def test_damaged_files_are_refused_by_name(tmp_path: Path, decisions, change, message) -> None:
    path = tmp_path / "decision.json"
    decisions["gate"].save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=r"decision\.json: ") as error:
        Decision.load(path)
    error.match(message)


def test_the_file_states_its_levels_as_probabilities(tmp_path: Path, decisions) -> None:
    path = tmp_path / "decision.json"
    decision = decisions["gate"].model_copy(update={"rule": Gate(cut=0.5, level=160)})
    decision.save(path)
    content = json.loads(path.read_text())
    assert content["level_probabilities"] == {"level": pytest.approx(1 / (1 + np.exp(-5.6)))}
    assert Decision.load(path) == decision
    content["rule"]["level"] = 150
    path.write_text(json.dumps(content))
    with pytest.raises(
        ValueError, match=r"`level_probabilities` is .*0\.996.*, but the rule's levels are .*0\.992"
    ):
        Decision.load(path)


def test_missing_classifier_is_named(decisions) -> None:
    with pytest.raises(ValueError, match="no probability of b; the decision was fitted with a, b"):
        decisions["gate"].raw({"a": [0.5]})
