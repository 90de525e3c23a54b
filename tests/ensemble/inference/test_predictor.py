"""Networks and decision together, with networks whose answers are known; what is skipped, and what is submitted."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from ensemble import submit
from ensemble.decision import crossfit
from ensemble.decision.decision import Decision
from ensemble.evidence.mask_average import MaskEnsemble
from ensemble.inference.predictor import Member, Predictor, Scored
from ensemble.rules import RULES
from ensemble.rules.gate import Gate, Quota
from ensemble.rules.triplet import Triplet
from experiments.networks.normalisation import normalise
from experiments.settings.common import TrainingSettings
from experiments.settings.decision import EnsembleSettings
from imaging import rle
from imaging.decoding.radiograph import Facts
from imaging.domain.limits import Domain
from imaging.map_levels import HALF
from imaging.resize import network_input
from segmentation.pooled import pooled_probability

SIDE = 32
SETTINGS = TrainingSettings(models=["x"], image_size=SIDE, flip_tta=False, precision="32-true")


class Corner(nn.Module):
    """A classifier that looks at the upper left corner alone: bright means likely."""

    def forward(self, image: Tensor) -> Tensor:
        return 2.5 * image[:, :, :4, :4].mean(dim=(2, 3))


class Bright(nn.Module):
    """A mask network that marks what is bright."""

    def forward(self, image: Tensor) -> Tensor:
        return 3.0 * image


def predictor(decision: Decision) -> Predictor:
    members = [Member(name, fold, Corner(), SETTINGS, "") for name in decision.classifiers for fold in (0, 1)]
    masks = [Member(name, fold, Bright(), SETTINGS, "") for name in decision.masks.weights for fold in (0, 1)]
    return Predictor(decision, members, masks, SIDE)


def squares(count: int, seed: int = 0) -> list[np.ndarray]:
    """Dark squares with a bright disk, and a corner of any brightness, whatever the disk."""
    random, made = np.random.default_rng(seed), []
    for _ in range(count):
        square = np.full((SIDE, SIDE), 40, np.uint8)
        cv2.circle(square, (20, 20), int(random.integers(1, 10)), int(random.integers(90, 256)), -1)
        square[:4, :4] = random.integers(0, 256)
        made.append(square)
    return made


@pytest.fixture(scope="module", params=["stacked", "classifier"])
def decisions(request, random_cases) -> dict[str, Decision]:
    settings = EnsembleSettings(image_score=request.param, cascade_cost=0.02)
    cases = random_cases(images=150, seed=6)
    above = cases.evidence.above.copy()
    above[(~cases.label) & (np.arange(150) % 6 > 0), 1:] = 0
    cases = replace(cases, evidence=replace(cases.evidence, above=above))
    return crossfit.fit(cases, ["a", "b"], list(RULES), MaskEnsemble(weights={"u": 1.0}), settings)[0]


@pytest.mark.parametrize("kind", list(RULES))
def test_the_cascade_skips_and_changes_no_answer(decisions, kind) -> None:
    batch, shapes = squares(60), [(40, 50)] * 60
    with_, without = predictor(decisions[kind]), predictor(decisions[kind])
    fast, slow = with_.predict(batch, shapes, cascade=True), without.predict(batch, shapes, cascade=False)
    assert without.segmented == 60
    assert with_.segmented < 60
    for one, other in zip(fast, slow, strict=True):
        assert np.array_equal(one.mask, other.mask)
        assert (one.prob, one.raw, one.level, one.skipped, one.reason) == (
            other.prob, other.raw, other.level, other.skipped, other.reason,
        )  # fmt: skip
        assert (one.map is None) == one.skipped
        assert other.map is not None
    assert any(answer.mask.any() for answer in fast)


def test_a_floor_withholds_masks_that_the_rule_alone_would_give() -> None:
    """So the equality above is no accident: without the floor the two differ."""
    rule = Triplet(top=98, area=1, bottom=73, reference=SIDE * SIDE)
    floored = decision_of(rule, floor=0.5)
    batch, shapes = squares(60), [(SIDE, SIDE)] * 60
    fast = predictor(floored).predict(batch, shapes)
    free = predictor(floored.model_copy(update={"floor": 0.0})).predict(batch, shapes)
    withheld = [one.skipped and other.mask.any() for one, other in zip(fast, free, strict=True)]
    assert sum(withheld) > 5


def decision_of(rule, floor: float = 0.0) -> Decision:
    none = {"kind": "none", "slope": 1.0, "intercept": 0.0}
    return Decision.model_validate(
        {
            "classifiers": {"a": 1.0},
            "masks": {"weights": {"u": 1.0}},
            "probability": {"kind": "classifier", "calibrator": none},
            "calibrator": none,
            "rule": rule.model_dump(),
            "floor": floor,
        }
    )


@pytest.mark.parametrize("kind", list(RULES))
def test_without_classifiers_every_image_goes_through_the_mask_networks(random_cases, kind) -> None:
    cases = random_cases(images=150, seed=6)
    alone = replace(cases, evidence=replace(cases.evidence, members=cases.evidence.members[:, :1]))
    masks = MaskEnsemble(weights={"u": 1.0})
    decision = crossfit.fit(alone, [], [kind], masks, EnsembleSettings(cascade_cost=0.02))[0][kind]
    assert (decision.classifiers, decision.floor, decision.lower_bound()) == ({}, 0.0, 0.0)
    batch, shapes = squares(20), [(40, 50)] * 20
    made = predictor(decision)
    fast, slow = made.predict(batch, shapes, cascade=True), made.predict(batch, shapes, cascade=False)
    assert made.segmented == 40
    for one, other in zip(fast, slow, strict=True):
        assert one.map is not None
        assert (one.raw, one.prob, one.level, one.skipped) == (other.raw, other.prob, other.level, False)
    pooled = [float(pooled_probability(member(batch[:1]))) for member in made.masks]
    assert len(pooled) == 2
    assert fast[0].raw == pytest.approx(pooled[0])  # both folds have the same weights here
    outputs = made.outputs(batch[0])
    assert outputs[0] == {"u": pooled}
    assert decision.predict(*outputs, shapes[0]).prob == fast[0].prob


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve pictures of 80 × 60 pixels, a file that is named like one, and files that are none."""
    (tmp_path / "studies").mkdir()
    for i, square in enumerate(squares(12)):
        wide = cv2.resize(square, (60, 80), interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(tmp_path / "studies" / f"s{i:02d}.png"), wide)
    (tmp_path / "studies" / "notes.png").write_text("no picture")
    for name in ("README.txt", "train-rle.csv", "Thumbs.db"):
        (tmp_path / "studies" / name).write_text("no picture")
    return tmp_path / "studies"


def run(
    monkeypatch: pytest.MonkeyPatch, decision: Decision, folder: Path, *arguments: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`python -m ensemble.submit` on a folder with hand-made networks: the submission and the studies."""
    monkeypatch.setattr(Predictor, "load", classmethod(lambda cls: predictor(decision)))
    output = folder.parent / "out.csv"
    monkeypatch.setattr(sys, "argv", ["submit", "--images", str(folder), "--output", str(output), *arguments])
    submit.main()
    studies = pd.read_csv(output.with_suffix(".studies.csv")).set_index("image_id")
    return pd.read_csv(output, dtype=str).set_index("ImageId"), studies


@pytest.mark.parametrize(("arguments", "shape"), [((), (80, 60)), (("--side", "1024"), (1024, 1024))])
def test_masks_have_the_images_own_size_or_the_one_asked_for(monkeypatch, folder, arguments, shape) -> None:
    found, studies = run(monkeypatch, decision_of(Gate(cut=0.5, level=HALF)), folder, *arguments)
    assert found.loc["notes", "EncodedPixels"] == "refused"
    read = studies[studies["verdict"] == "read"]
    assert len(read) == 12
    assert 2 < (read["area_px"] > 0).sum() < 12
    assert (read["area_px"] == 0).equals(found.loc[read.index, "EncodedPixels"] == "-1")
    assert set(zip(read["height"], read["width"], strict=True)) == {shape}
    for name, code in found.loc[read.index, "EncodedPixels"].items():
        assert rle.decode(code, shape).sum() == read.loc[name, "area_px"]
        assert read.loc[name, "area_px"] < 0.5 * shape[0] * shape[1]


def test_a_side_that_makes_no_sense_is_said(monkeypatch, folder) -> None:
    with pytest.raises(ValueError, match=r"^--side 3: "):
        run(monkeypatch, decision_of(Gate(cut=0.5, level=HALF)), folder, "--side", "3")


def test_a_missing_folder_is_said(monkeypatch, tmp_path) -> None:
    with pytest.raises(ValueError, match="no such file or folder"):
        run(monkeypatch, decision_of(Gate(cut=0.5, level=HALF)), tmp_path / "nowhere")


def test_quota_takes_its_share_of_the_folder_and_keeps_the_floor(monkeypatch, folder) -> None:
    quota = Quota(cut=0.999, level=HALF, share=0.5)
    said = run(monkeypatch, decision_of(quota), folder)[1]
    wanted = said["prob"].rank(ascending=False) <= 6
    assert (said["area_px"] > 0).sum() in (4, 5, 6)  # a small disk may have no pixel at the level
    assert not (said["area_px"][~wanted] > 0).any()
    raised = decision_of(quota, floor=float(said["prob"].sort_values().iloc[-3]) - 1e-9)
    floored = run(monkeypatch, raised, folder)[1]
    assert (floored["area_px"] > 0).sum() <= 3


def test_ids_of_a_sample_each_once(tmp_path: Path) -> None:
    """Stage 1's sample repeats an id once for each annotation, which would tell the label."""
    sample = tmp_path / "sample.csv"
    sample.write_text("ImageId,EncodedPixels\nb,-1\na,-1\nb,-1\n")
    assert submit.sample_ids(str(sample)) == ["b", "a"]


def test_a_file_that_does_not_give_its_masks_back_is_refused(tmp_path: Path) -> None:
    table = pd.DataFrame(
        [{"image_id": "a", "code": "0 2", "height": 4, "width": 4, "area_px": 3, "verdict": "read"}]
    )
    with pytest.raises(ValueError, match="the code of a does not give back its mask"):
        submit.write(table, tmp_path / "out.csv", tmp_path / "studies.csv")
    assert not (tmp_path / "out.csv").exists()


def test_a_member_sees_its_own_size_and_contrast() -> None:
    square = squares(1)[0]
    settings = SETTINGS.model_copy(update={"contrast": "clahe", "image_size": 16})
    seen = network_input(square, 16, "clahe")
    assert np.array_equal(Member("m", 0, Bright(), settings, "").input(square), seen)
    expected = torch.sigmoid(Bright()(normalise(torch.from_numpy(seen)[None, None], Bright())))
    assert torch.allclose(Member("m", 0, Bright(), settings, "")([square]), expected)


def test_members_run_without_gradients() -> None:
    member = Member("a", 0, Corner(), SETTINGS, "")
    assert not member(squares(2)).requires_grad
    assert torch.equal(member(squares(2)), member(squares(2)))


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_turned_study_is_seen_upright_and_its_mask_turned_back(decisions, turns) -> None:
    """Clockwise by `turns` quarters, as PatientOrientation says; the mask lies where the disk is in the file."""
    made = predictor(decisions["gate"])
    made.domain = Domain(chest=True)
    upright = squares(1)[0]
    stored = np.ascontiguousarray(np.rot90(upright, -turns))
    orientation = [("L", "F"), ("H", "L"), ("R", "H"), ("F", "R")][turns]
    height, width = (40, 50) if turns % 2 == 0 else (50, 40)
    facts = Facts(height, width, view="PA", orientation=orientation)
    found = next(made.decide([(Scored(Path("x"), facts), stored)], cascade=False))
    expected = made.predict([upright], [(40, 50)], cascade=False)[0]
    assert found.prediction.prob == expected.prob
    assert found.prediction.mask.shape == (height, width)
    assert np.array_equal(np.rot90(found.prediction.mask, turns), expected.mask)
    assert found.facts.warning_codes == ["ORIENTATION-CORRECTED"] * bool(turns)
