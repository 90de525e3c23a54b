"""The evaluation on generated files: figures that add up, and what it refuses."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ensemble import evaluate, fit
from ensemble.decision.decision import Decision
from ensemble.evaluation import holdout_metrics, overlay_sheets, subgroups
from ensemble.evaluation import report as report_module
from ensemble.evaluation.wording import LESION_NAMES
from ensemble.evidence.gather import original_maps
from ensemble.evidence.predictions import read
from ensemble.metrics import kaggle_dice
from experiments.settings.decision import EnsembleSettings, EvaluationSettings
from experiments.statistics.bootstrap import PatientDraws
from experiments.statistics.influence import auroc_influence
from imaging import rle
from imaging.io.files import write_json
from imaging.prepared import Prepared

FAST = EvaluationSettings(draws=100, examples=3)
NAMES = {"classification": ["a", "b"], "segmentation": ["u", "v"]}
METRICS, REPORT = report_module.METRICS, report_module.REPORT
MASKS = ["kaggle_dice", "tnr", "dice_positive", "prevalence", "all_empty", "iou_positive", "miou", "mdice"]
PROBABILITY = [
    "auroc",
    "average_precision",
    "sensitivity_at_95_specificity",
    "brier",
    "log_loss",
    "calibration_slope",
    "observed_expected",
    "ece",
]
ROWS = ["", "_classifier", "_calibrated"]
EXPOSURE = ["exposure_auroc", "auroc_over_exposure"]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, make_world) -> Path:
    """A folder with a decision and its evaluation; masks are post-processed, so that pixels and histograms differ."""
    root = tmp_path_factory.mktemp("evaluated")
    make_world(root)
    shutil.copy(Path(evaluate.__file__).parents[1] / "params.yaml", root)  # what the checklists name
    with contextlib.chdir(root):
        fit.run(EnsembleSettings(fill_holes=True, min_component=40_000), FAST, NAMES)
        evaluate.run(FAST, "patient")
    return root


@pytest.fixture
def here(evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of it as the working folder."""
    shutil.copytree(evaluated, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")


@pytest.mark.usefixtures("here")
def test_figures_add_up() -> None:
    measured = json.loads(METRICS.read_text())
    lesions = list(LESION_NAMES)
    assert sorted(measured) == sorted(
        [*MASKS, *lesions, *EXPOSURE, *(key + row for key in PROBABILITY for row in ROWS)]
    )
    for name, measure in measured.items():
        assert set(measure) == {"value", "low", "high"}
        if name.startswith("ece"):
            assert measure["low"] is measure["high"] is None
            continue
        assert measure["low"] - 1e-9 <= measure["value"] <= measure["high"] + 1e-9, name
    value = {name: measure["value"] for name, measure in measured.items()}
    parts = (1 - value["prevalence"]) * value["tnr"] + value["prevalence"] * value["dice_positive"]
    assert value["kaggle_dice"] == pytest.approx(parts)
    table = pd.read_csv(REPORT / "per_image.csv")
    assert len(table) == 40
    assert table["dice"].mean() == pytest.approx(value["kaggle_dice"], abs=1e-6)
    names = ["rules", "subgroups", "roc", "precision_recall", "calibration", "dice_by_area"]
    assert all(len(pd.read_csv(REPORT / f"{name}.csv")) for name in names)
    pictures = {path.stem for path in REPORT.glob("*.png")}
    assert pictures == {
        "roc",
        "pr",
        "calibration",
        "dice_by_area",
        "overlays",
        "false_positives",
        "false_negatives",
        "predictive_values",
        "decision_curve",
        "froc",
    }
    report = (REPORT / "report.md").read_text()
    assert "leaks" not in report
    assert "has been opened once" in report
    assert "| surface Dice at 2 mm | 0." in report
    page = (REPORT / "report.html").read_text()
    assert page.count("data:image/png;base64,") == len(pictures)
    assert "CLAIM 2024" in page
    assert "TRIPOD+AI" in page
    assert "40 images of 20 patients in the hold-out" in page
    assert pd.read_csv(REPORT / "lesions.csv")["lesions_found"].sum() > 0
    assert "| AUROC |" in report
    assert "**The exposure alone** (brightness" in report
    assert "| rule | a mask is drawn |" in report
    points = pd.read_csv(REPORT / "operating_points.csv")
    assert points["name"].tolist() == ["rule", "95 % specificity", "95 % sensitivity"]
    assert (points[["tp", "fn", "fp", "tn"]].sum(axis=1) == 40).all()
    assert "mean of all folds' networks" in report
    assert all(f"({name}.png)" in report for name in pictures)


@pytest.mark.usefixtures("here")
def test_dice_of_each_image_is_that_of_its_answer() -> None:
    """The tables' shortcut against the plain way: one image after the other, on masks."""
    table = pd.read_csv(REPORT / "per_image.csv").set_index("image_id")
    decision, prepared, found = Decision.load(), Prepared(), read("holdout", ["a", "b"], ["u", "v"])
    for image_id, level, agreement in original_maps(found, decision.masks, prepared):
        probs = {
            name: t.loc[t["image_id"] == image_id, "prob"].tolist()
            for name, t in found.classification.items()
        }
        answer = decision.predict_from_map(decision.members(probs), decision.raw(probs), level, agreement)
        if table["skipped"][image_id]:
            answer = decision.skipped(probs, level.shape)
        dice = kaggle_dice(answer.mask, rle.decode(prepared.truth[image_id], level.shape))
        assert table["dice"][image_id] == pytest.approx(dice, abs=1e-6)
        assert table["prob"][image_id] == pytest.approx(answer.prob, abs=1e-5)


@pytest.mark.usefixtures("here")
def test_a_leaking_split_is_marked() -> None:
    folds = Path("data/prepared/folds.csv")
    index = Path("data/prepared/index.parquet")
    table = pd.read_parquet(index)
    ids = pd.read_csv(folds, dtype=str).groupby("fold")["image_id"].first().tolist()  # one of each part
    table.loc[table["image_id"].isin(ids), "patient_id"] = "p0"
    table.to_parquet(index, index=False)
    for scheme in ("image", "mmsegmentation"):
        evaluate.run(FAST, scheme)
        assert (
            "**The split leaks: 1 patients have images in more than one part**"
            in (REPORT / "report.md").read_text()
        )


@pytest.mark.usefixtures("here")
def test_unknown_patients_are_told_in_report_and_metrics() -> None:
    assert report_module.PHANTOMS in report_module.data_warnings(Prepared(), "phantom")
    assert report_module.PHANTOMS not in report_module.data_warnings(Prepared(), "siim")
    warning = "patients unknown: split and intervals are by image"
    assert warning not in (REPORT / "report.md").read_text()
    write_json("data/prepared/patients.json", {"source": "image clusters", "labelled": 80, "unknown": 80})
    measured = evaluate.run(FAST, "patient")
    assert measured["patients_unknown"]["value"] == 1
    assert f"> **Warning: {warning}.**" in (REPORT / "report.md").read_text()
    assert json.loads(METRICS.read_text())["patients_unknown"]["note"] == warning


@pytest.mark.usefixtures("here")
def test_shared_patients_are_refused_unless_the_split_is_by_image() -> None:
    index = Path("data/prepared/index.parquet")
    pd.read_parquet(index).assign(patient_id="p0").to_parquet(index, index=False)
    with pytest.raises(ValueError, match=r"folds\.csv: 1 patients are both in the hold-out and in training"):
        evaluate.check_same_data(Decision.load(), Prepared(), "patient")
    evaluate.check_same_data(Decision.load(), Prepared(), "image")


@pytest.mark.usefixtures("here")
def test_a_decision_of_other_data_is_refused() -> None:
    folds = Path("data/prepared/folds.csv")
    folds.write_text(folds.read_text() + "\n")
    with pytest.raises(ValueError, match=r"decision\.json: fitted on data .* run `python -m ensemble\.fit`"):
        evaluate.run(FAST, "patient")


def test_dataset_level_measures_by_hand() -> None:
    """Two images of 100 pixels: 6 of 8 said and 10 true pixels agree; an empty one is right, a third is a false alarm of 2."""
    table = pd.DataFrame(
        {
            "dice": [12 / 18, 1.0, 0.0],
            "predicted_area": [8, 0, 2],
            "true_area": [10, 0, 0],
            "pixels": [100, 100, 100],
        }
    )
    found = holdout_metrics.dataset_level(table, PatientDraws(np.array(list("abc")), 100, 0))
    assert found["miou"]["value"] == pytest.approx((6 / 14 + 286 / 294) / 2)
    assert found["mdice"]["value"] == pytest.approx((12 / 20 + 572 / 580) / 2)
    assert found["miou"]["low"] <= found["miou"]["value"] <= found["miou"]["high"]


def test_subgroups_by_hand() -> None:
    """Four images, each ten times: groups of ten are measured, smaller ones counted."""
    table = pd.DataFrame(
        {
            "sex": ["F", "F", "M", None],
            "age": [39, 40, np.nan, 300],
            "view": ["PA", "AP", "PA", ""],
            "label": [1, 0, 1, 1],
            "true_share": [0.1, 0.0, 0.2, 0.3],
            "prob": [0.9, 0.1, 0.8, 0.2],
            "dice": [0.5, 1.0, 0.8, 0.0],
        }
    )
    table = pd.concat([table] * 10, ignore_index=True)
    table.loc[39, "view"] = "LL"
    report = subgroups.report(table, PatientDraws(np.arange(40), 100, 0)).set_index(["kind", "group"])
    assert report["images"].loc["age"].to_dict() == {"40 to 59": 10, "under 40": 10, "unknown": 20}
    assert report["images"].loc["view"].to_dict() == {"AP": 10, "LL": 1, "PA": 20, "unknown": 9}
    assert report.loc[("sex", "F"), "score"] == 0.75
    assert report.loc[("sex", "F"), "auroc"] == 1.0
    assert np.isnan(report.loc[("view", "LL"), "score"])
    assert "–" in subgroups.to_markdown(report.reset_index())


def test_groups_that_are_all_too_small_are_counted() -> None:
    """Nine images: no group has ten, and none is measured."""
    table = pd.DataFrame(
        {
            "label": [0, 1, 0] * 3, "prob": 0.5, "dice": 1.0, "sex": "F", "age": 40.0, "view": "PA", "true_share": 0.01,
        }
    )  # fmt: skip
    found = subgroups.report(table, PatientDraws(np.arange(9).astype(str), 100, 0))
    assert found.set_index(["kind", "group"]).loc[("sex", "F"), "images"] == 9
    assert found[list(subgroups.MEASURED)].isna().all(axis=None)
    assert "| sex | F | 9 | 3 | – | – | – | – | – |" in subgroups.to_markdown(found)


def test_what_the_networks_tell_beyond_the_exposure() -> None:
    """Of four pairs the final probability orders all and the exposure two."""
    table = pd.DataFrame({"label": [1, 1, 0, 0], "prob": [0.9, 0.8, 0.2, 0.1]})
    draws = PatientDraws(np.array(list("abcd")), 200, 0)
    found = holdout_metrics.over_exposure(table, np.array([0.9, 0.1, 0.6, 0.4]), draws)
    assert found["exposure_auroc"]["value"] == 0.5
    assert found["auroc_over_exposure"]["value"] == 0.5
    assert found["auroc_over_exposure"]["low"] < 0.5 < found["auroc_over_exposure"]["high"]
    only = table.assign(label=1)
    assert holdout_metrics.over_exposure(only, np.zeros(4), draws)["auroc_over_exposure"]["value"] is None


def test_auroc_gap_of_a_group() -> None:
    """In one group the probability ranks perfectly, in the other 3 of 4 pairs are in order."""
    label, prob = np.array([1, 1, 0, 0] * 2, bool), np.array([0.9, 0.8, 0.2, 0.1, 0.9, 0.3, 0.4, 0.1])
    inside = np.arange(8) < 4
    assert auroc_influence(label, prob, inside)[0] == 1
    value, share = auroc_influence(label, prob, ~inside)
    assert value == 0.75
    # placements: positives 1 and 0.5, negatives 0.5 and 1; each centred on 0.75 and halved
    assert share[4:].tolist() == [0.125, -0.125, -0.125, 0.125]
    assert not share[:4].any()


def test_sheets_show_extremes_first() -> None:
    table = pd.DataFrame(
        {
            "image_id": list("abcdef"),
            "label": [1, 1, 1, 0, 0, 1],
            "submitted": [True, True, True, True, False, False],
            "dice": [0.9, 0.1, 0.5, 0.0, 1.0, 0.0],
            "prob": [0.9, 0.8, 0.7, 0.6, 0.1, 0.2],
        }
    )
    chosen = overlay_sheets.choose(table, 1)
    assert chosen["overlays"] == {"best": ["a"], "middle": ["c"], "worst": ["b"]}
    assert list(chosen["false_positives"].values()) == [["d"]]
    assert list(chosen["false_negatives"].values()) == [["f"]]
    drawn = overlay_sheets.draw(np.zeros((8, 8), np.uint8), np.eye(8, dtype=bool), np.zeros((8, 8), bool))
    assert drawn.shape == (512, 512, 3)
    assert drawn.any()
