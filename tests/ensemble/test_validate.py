"""External validation from end to end: folders and tables in, report, tables and a recalibrated bundle out."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from ensemble import validate
from ensemble.decision.decision import Decision
from ensemble.decision.operating_points import OperatingPoint
from ensemble.evidence.mask_average import MaskEnsemble
from ensemble.inference import bundle
from ensemble.inference.bundle import Bundle
from ensemble.rules.gate import Gate
from ensemble.validation import profile, training_data
from ensemble.validation.training_data import TrainingData
from imaging.identity import identities
from imaging.identity.duplicates import difference_hash
from imaging.io.files import read_json, write_json
from imaging.resize import resize_image

IMAGES, SIDE = 48, 80
PARAMS = """
evaluation: {draws: 100, examples: 1}
classification: {models: [c], architecture: resnet10t, image_size: 64}
segmentation: {models: [u], architecture: plain, image_size: 64}
"""


def draw(i: int) -> tuple[np.ndarray, np.ndarray]:
    """A smooth picture and its mask; every second one is negative."""
    random = np.random.Generator(np.random.PCG64(i))
    noise = cv2.GaussianBlur(random.integers(0, 256, (SIDE, SIDE)).astype(np.uint8), (0, 0), 5)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[10:30, 12:40] = 255 * (i % 2)
    return cv2.normalize(noise, None, 20, 235, cv2.NORM_MINMAX), mask


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 pictures of 24 patients with masks, and a table with labels alone."""
    root = tmp_path_factory.mktemp("data")
    for name in ("images", "masks"):
        (root / name).mkdir()
    for i in range(IMAGES):
        for name, pixels in zip(("images", "masks"), draw(i), strict=True):
            cv2.imwrite(str(root / name / f"i{i:02d}.png"), pixels)
    ids = [f"i{i:02d}" for i in range(IMAGES)]
    patients = [f"p{i // 2}" for i in range(IMAGES)]
    pd.DataFrame({"image": ids, "patient": patients}).to_csv(root / "patients.csv", index=False)
    rows = {
        "path": [f"images/{name}.png" for name in ids],
        "label": [i % 2 for i in range(IMAGES)],
        "sex": ["F", "M", "M"] * 16,
        "drain": [i // 2 % 2 for i in range(IMAGES)],
    }
    pd.DataFrame(rows).to_csv(root / "labels.csv", index=False)
    return root


@pytest.fixture(scope="module")
def trained(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle with settings and a record of training data that holds one of the pictures and one of the patients."""
    made = tmp_path_factory.mktemp("bundle") / "bundle"
    shutil.copytree(tiny_bundle, made)
    (made / "params.yaml").write_text(PARAMS)
    half = {"value": 0.5, "low": 0.4, "high": 0.6}
    write_json(
        made / "metrics.json", {"kaggle_dice": half, "auroc": {"value": 0.9, "low": 0.85, "high": 0.93}}
    )
    one = {"known": 4, "mean": 50.0, "sd": 10.0, "quantiles": list(np.linspace(30, 70, 21))}
    known = TrainingData(
        profile={
            "prevalence": 0.2,
            "shares": {"view": {"PA": 1.0}, "sex": {"F": 1.0}},
            "numbers": dict.fromkeys(profile.NUMBERS, one),
            "histogram": [1 / 32] * 32,
        },
        salt="s",
        patients=sorted(identities.patient_hashes(["p3", "q"], "s")),
        pictures=difference_hash(resize_image(draw(5)[0], 64)).tobytes().hex(),
    )
    write_json(made / training_data.NAME, known.model_dump(mode="json"))
    bundle.write_index(made, "test", {"data": "d", "decision": "d"})
    return made


def run(trained: Path, data: str, out: Path, *more: str) -> validate.Results:
    given = validate.arguments().parse_args(
        ["--bundle", str(trained), "--data", data, "--output", str(out), *more]
    )
    return validate.run(given, "the command")


def test_folder_with_masks_and_recalibration(trained: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = run(trained, str(folder), out, "--recalibrate", "--refit-decision")
    report = (out / "report.md").read_text()
    table = pd.read_csv(out / "per_image.csv")
    assert len(table) == IMAGES
    assert table["label"].sum() == IMAGES // 2
    drop = pd.read_csv(out / "drop.csv").set_index("measure").loc["auroc"]
    assert drop["difference_value"] == pytest.approx(drop["here_value"] - 0.9, abs=1e-5)
    # the planted picture i05 and both pictures of the planted patient p3
    assert table.loc[table["in_training_data"], "image_id"].tolist() == ["i05", "i06", "i07"]
    assert "1 patients have the id of a training patient" in report
    assert "1 of 48 pictures" in report
    assert "the command" in report
    assert "prevalence | 20.0% | 50.0%" in report
    for name in set(re.findall(r"\(([a-z_]+\.png)\)", report)):
        assert (out / name).is_file(), name
    page = (out / "report.html").read_text()
    assert 'src="data:image/png' in page
    assert "TRIPOD+AI" in page
    assert "CLAIM 2024" in page
    assert "External evaluation of" in page
    assert "{" not in (out / "tripod_ai.md").read_text()
    lesions = pd.read_csv(out / "lesions.csv")
    assert lesions["lesions"].sum() == IMAGES // 2  # one rectangle on every second picture
    assert made.measured["lesion_sensitivity"]["value"] is not None
    assert report.count("## Lesions") == 1

    parent, new = Bundle.load(trained), Bundle.load(out / "bundle")
    decision = new.predictor().decision
    record = decision.fitted["recalibrations"][0]
    assert record["parent"] == {"name": parent.name, "sha256": parent.sha256}
    assert (record["images"], record["patients"], record["refitted"]) == (
        IMAGES,
        24,
        ["calibration", "decision"],
    )
    assert new.index.fingerprints["parent"] == parent.sha256
    assert decision.fitted["lineage"] == parent.predictor().decision.fitted["lineage"]
    assert read_json(out / "bundle" / "parent_metrics.json") == parent.metrics
    assert new.metrics["observed_expected"]["value"] == pytest.approx(1.0, abs=0.25)
    assert "Recalibrated" in (out / "bundle" / "README.md").read_text()
    assert made.recalibration is not None

    again = run(out / "bundle", str(folder), tmp_path / "again", "--recalibrate")
    assert len(Bundle.load(tmp_path / "again" / "bundle").predictor().decision.fitted["recalibrations"]) == 2
    assert again.bundle.name == new.name


def test_images_are_predicted_as_by_the_predictor(trained: Path, folder: Path, tmp_path: Path) -> None:
    table = run(trained, str(folder), tmp_path / "out").table.set_index("image_id")
    predictor = Bundle.load(trained).predictor()
    names = ["i00", "i01", "i17"]
    pictures = [cv2.imread(str(folder / "images" / f"{name}.png"), cv2.IMREAD_GRAYSCALE) for name in names]
    found = predictor.predict([predictor.prepare(one) for one in pictures], [(SIDE, SIDE)] * 3)
    np.testing.assert_allclose(table.loc[names, "prob"], [one.prob for one in found], atol=1e-6)
    assert table.loc[names, "predicted_area"].tolist() == [int(one.mask.sum()) for one in found]


def test_table_with_labels_alone(trained: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for older in (validate.MARK, "older.png"):  # a report, which is replaced
        (out / older).touch()
    made = run(trained, str(folder / "labels.csv"), out)
    assert not (out / "older.png").exists()
    assert made.measured["kaggle_dice"]["value"] is None
    assert made.measured["dice_positive"]["value"] is None
    assert made.measured["auroc"]["value"] is not None
    assert "lesion" not in set(made.groups["kind"])
    report = (out / "report.md").read_text()
    assert "No positive has a mask" in report
    assert "nan" not in report
    assert made.tubes is None or {"with_value", "without_value"} <= set(made.tubes)
    assert not (out / "lesions.csv").exists()
    assert not (out / "dice_by_area.csv").exists()
    assert made.tube_aurocs is not None
    assert made.tube_aurocs["positives"].sum() == 2 * IMAGES // 2  # each positive is in two comparisons
    assert "worst case" in report
    with pytest.raises(ValueError, match="needs the masks of all positive images"):
        run(trained, str(folder / "labels.csv"), tmp_path / "no", "--recalibrate", "--refit-decision")
    assert not (tmp_path / "no").exists()


@pytest.fixture(scope="module")
def label_only(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle without its segmentation network: a gate on the classifier's probability."""
    made = tmp_path_factory.mktemp("labels") / "bundle"
    shutil.copytree(trained, made)
    shutil.rmtree(made / "segmentation")
    decision = Decision.load(made / "decision.json")
    lineage = {name: of for name, of in decision.fitted["lineage"].items() if "classification" in name}
    decision.model_copy(
        update={
            "masks": MaskEnsemble(weights={}),
            "rule": Gate(cut=0.4, level=255),
            "fitted": {"lineage": lineage},
            "operating_points": [
                OperatingPoint(name="rule", threshold=0.4, sensitivity=0.8, specificity=0.7)
            ],
        }
    ).save(made / "decision.json")
    bundle.write_index(made, "test", {"data": "d", "decision": "d"})
    return made


@pytest.mark.parametrize("data", ["", "labels.csv"])
def test_a_bundle_without_masks(label_only: Path, folder: Path, data: str, tmp_path: Path) -> None:
    """No score of masks is made up: TNR was 0 and D⁺ 0 on data with masks, and `a mask was submitted for 0 %`."""
    out = tmp_path / "out"
    made = run(label_only, str(folder / data), out, "--recalibrate")
    report = (out / "report.md").read_text()
    assert "draws no mask, and there is no score of masks" in report
    assert ", with masks" not in report
    assert "TNR" not in report.split("## Masks")[1].split("## Subgroups")[0]
    assert made.measured["tnr"]["value"] is None
    assert made.measured["dice_positive"]["value"] is None
    assert made.measured["auroc"]["value"] is not None
    assert made.groups["tnr"].isna().all()
    assert not {"overlays.png", "false_positives.png", "lesions.csv"} & {path.name for path in out.iterdir()}
    assert "nan" not in report
    assert not Bundle.load(out / "bundle").predictor().decision.masks.weights


def test_boxes_are_compared_with_the_map(trained: Path, folder: Path, tmp_path: Path) -> None:
    """A box over the whole image holds the highest pixel of any map."""
    names = [f"i{i:02d}" for i in range(IMAGES)]
    box = [f"0 0 {SIDE} {SIDE}" if i % 2 else "" for i in range(IMAGES)]
    table = pd.DataFrame({"path": [str(folder / f"images/{name}.png") for name in names], "boxes": box})
    table["label"] = [i % 2 for i in range(IMAGES)]
    table.to_csv(tmp_path / "boxes.csv", index=False)
    made = run(trained, str(tmp_path / "boxes.csv"), tmp_path / "out")
    assert made.measured["box_hit_rate"]["value"] == 1
    assert made.measured["dice_positive"]["value"] is None  # boxes are no masks
    report = (tmp_path / "out" / "report.md").read_text()
    assert re.search(rf"pointing game\) \| 1\.000 \(0\.\d+ to 1\.000\), n = {IMAGES // 2} \|", report)


def test_bundle_without_a_record_says_what_was_not_checked(
    tiny_bundle: Path, trained: Path, folder: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    shutil.copytree(trained, old)
    (old / training_data.NAME).unlink()
    bundle.write_index(old, "test", {"data": "d", "decision": "d"})
    run(old, str(folder), tmp_path / "out")
    report = (tmp_path / "out" / "report.md").read_text()
    assert "Not checked" in report
    assert "keeps no profile" in report


@pytest.mark.parametrize(
    "more",
    [
        ["--refit-decision"],
        ["--refused", "7"],
        ["--set", "image_size"],
        ["--set", "source=siim"],
        ["--set", "word=[a"],
    ],
)
def test_mistakes_of_the_command_line(more: list[str], trained: Path, folder: Path, tmp_path: Path) -> None:
    with pytest.raises((ValueError, SystemExit)):
        run(trained, str(folder), tmp_path / "out", *more)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["bundle", "data", "other"])
def test_nothing_of_others_is_replaced(place: str, trained: Path, folder: Path, tmp_path: Path) -> None:
    """The bundle, the data, and any folder that only looks like a report."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "metrics.json").write_text("{}")
    out = {"bundle": trained, "data": folder / "report", "other": tmp_path / "other"}[place]
    before = sorted(out.rglob("*"))
    with pytest.raises(ValueError, match=r"lies in the bundle|lies in the folder of --data|exists already"):
        run(trained, str(folder), out)
    assert sorted(out.rglob("*")) == before


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("without_masks=negative", "unknown key; did you mean `without_mask`"),
        ("foo=1", "unknown key; known here: blank, box_form, columns"),
        ("folder=x", "--data sets source, folder and table"),
        ("word", "give KEY=VALUE"),
        ("blank=010", "010 is not a decimal number"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(
    setting: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        validate.arguments().parse_args(["--data", "x", "--output", "y", "--set", setting])
    assert said in capsys.readouterr().err
