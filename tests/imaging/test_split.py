from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from imaging import split
from imaging.io.files import write_json
from imaging.prepared import PatientRecord, Prepared
from imaging.settings import SplitSettings
from imaging.split import assign_folds, describe

KNOWN = PatientRecord("patients.csv", 500, 0)


def images(count: int, seed: int = 0, alone: bool = False, prevalence: float = 0.22) -> pd.DataFrame:
    """Images of patients of very different numbers of images, as in SIIM-ACR, where a patient is mostly ill or mostly not."""
    rng = np.random.default_rng(seed)
    sizes = np.minimum(rng.geometric(0.5, count) ** 2, 60)  # most have one image, some have dozens
    owner = np.repeat(np.arange(count), sizes)[:count]
    owner = np.arange(count) if alone else owner
    ill = rng.random(owner.max() + 1) < prevalence
    label = np.where(rng.random(count) < 0.8, ill[owner], rng.random(count) < prevalence).astype(int)
    area = np.where(label == 1, rng.lognormal(9, 1, count).astype(int), 0)
    ids = [f"i{number:05d}" for number in range(count)]
    names = [f"p{number}" for number in owner]
    return pd.DataFrame({"image_id": ids, "patient_id": names, "label": label, "area_px": area})


def parts_of_patients(labelled: pd.DataFrame, folds: pd.DataFrame) -> pd.Series:
    return folds["fold"].groupby(labelled["patient_id"]).nunique()


def test_sizes_prevalence_and_areas_are_alike_and_patients_whole():
    labelled = images(3000)
    folds = assign_folds(labelled, SplitSettings(folds=5, holdout=0.2))
    assert (parts_of_patients(labelled, folds) == 1).all()
    table = labelled.groupby(folds["fold"])["label"].agg(["size", "mean"])
    assert table["size"].to_dict() == pytest.approx(
        {"0": 480, "1": 480, "2": 480, "3": 480, "4": 480, "holdout": 600}, abs=5
    )
    assert table["mean"].to_list() == pytest.approx([labelled["label"].mean()] * 6, abs=0.005)
    positive = labelled[labelled["label"] == 1]
    small = positive["area_px"] <= positive["area_px"].median()
    assert small.groupby(folds["fold"]).mean().to_list() == pytest.approx([0.5] * 6, abs=0.04)


def test_as_balanced_as_scikit_learn():
    from sklearn.model_selection import StratifiedGroupKFold

    labelled = images(2000, seed=3)
    label = labelled["label"].to_numpy()
    theirs = [
        label[test].mean()
        for _, test in StratifiedGroupKFold(5, shuffle=True, random_state=0).split(
            label, label, labelled["patient_id"]
        )
    ]
    folds = assign_folds(labelled, SplitSettings(folds=4, holdout=0.2))
    ours = labelled.groupby(folds["fold"])["label"].mean()
    assert ours.std() <= np.std(theirs) + 0.002


@pytest.mark.parametrize("share", [0.1, 0.15, 1 / 3, 0.5])
def test_holdout_of_any_share(share):
    folds = assign_folds(images(1000), SplitSettings(folds=3, holdout=share))
    assert (folds["fold"] == "holdout").mean() == pytest.approx(share, abs=0.01)


def test_the_result_depends_on_the_seed_and_not_on_the_order_of_rows():
    labelled = images(300)
    chosen = SplitSettings(folds=3, seed=4)
    first = assign_folds(labelled, chosen)
    pd.testing.assert_frame_equal(first, assign_folds(labelled, chosen))
    mixed = labelled.sample(frac=1, random_state=0).reset_index(drop=True)
    again = assign_folds(mixed, chosen).sort_values("image_id").reset_index(drop=True)
    pd.testing.assert_frame_equal(first, again)
    assert (assign_folds(labelled, SplitSettings(folds=3, seed=5))["fold"] != first["fold"]).mean() > 0.3


def test_golden_division():
    """A hold-out that moves with a release of a library, or with an edit, is none: this table may never change."""
    labelled = pd.DataFrame(
        {
            "image_id": list("abcdefghijkl"),
            "patient_id": list("AABCCDEFGHIJ"),
            "label": [1, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 1],
            "area_px": [9, 8, 7, 0, 0, 0, 0, 6, 5, 0, 0, 4],
        }
    )
    folds = assign_folds(labelled, SplitSettings(folds=2, holdout=0.25, seed=0))
    assert "".join(name[0] for name in folds["fold"]) == "00100111hhhh"


def test_scheme_image_tears_patients_apart_and_says_so():
    labelled = images(500)
    settings = SplitSettings(scheme="image", folds=3)
    folds = assign_folds(labelled, settings)
    assert (parts_of_patients(labelled, folds) > 1).any()
    report = describe(labelled.assign(fold=folds["fold"]), settings, KNOWN)
    assert "**LEAKS: " in report
    whole = assign_folds(labelled, SplitSettings(folds=3))
    report = describe(labelled.assign(fold=whole["fold"]), SplitSettings(folds=3), KNOWN)
    assert "LEAKS" not in report
    assert "No patient is in two parts." in report
    assert "| all | 500 |" in report


@pytest.mark.parametrize("unknown", [500, 20])
@pytest.mark.parametrize("scheme", ["patient", "image", "mmsegmentation"])
def test_unknown_patients_are_told(unknown, scheme):
    labelled = images(500, alone=True)
    settings = SplitSettings(scheme=scheme, folds=3)
    folds = assign_folds(labelled, settings)
    report = describe(
        labelled.assign(fold=folds["fold"]), settings, PatientRecord("image clusters", 500, unknown)
    )
    share = "" if unknown == 500 else " for 20 of 500 images"
    assert f"**Warning: patients unknown{share}: split and intervals are by image.**" in report
    assert "No patient is in two parts." not in report


def test_unknown_patients_are_refused_until_accepted(prepared_once, tmp_path):
    folder = shutil.copytree(prepared_once, tmp_path / "prepared")
    write_json(folder / "patients.json", {"source": "image clusters", "labelled": 12, "unknown": 12})
    with pytest.raises(ValueError, match=r"split\.unknown_patients: by_image"):
        split.run(SplitSettings(folds=2), folder, tmp_path)
    for accepted in ({"unknown_patients": "by_image"}, {"scheme": "image"}):
        split.run(SplitSettings(folds=2, **accepted), folder, tmp_path)
        assert "patients unknown: split and intervals are by image" in (tmp_path / "folds.md").read_text()


def test_shared_patients_are_counted_whatever_the_scheme(prepared_once, tmp_path):
    folder = shutil.copytree(prepared_once, tmp_path / "prepared")
    assert Prepared(folder).shared_patients == 0
    index = pd.read_parquet(folder / "index.parquet")
    index.loc[:3, "patient_id"] = "p0"  # four images, two of each class, torn apart by every fold of six
    index.to_parquet(folder / "index.parquet", index=False)
    assert Prepared(folder).shared_patients == 1


def test_thirteen_images_of_thirteen_patients_suffice():
    labelled = images(13, alone=True).assign(label=[1] * 7 + [0] * 6)
    folds = assign_folds(labelled, SplitSettings(folds=2))
    counts = labelled.groupby(folds["fold"])["label"].agg(["sum", "size"])
    assert (counts["sum"] > 0).all()
    assert (counts["size"] > counts["sum"]).all()


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 7), st.booleans()), min_size=6, max_size=30),
    st.integers(2, 4),
    st.floats(0.05, 0.6),
)
def test_either_every_part_has_both_classes_or_the_reason_is_given(rows, folds, holdout):
    labelled = pd.DataFrame(
        {
            "image_id": [f"i{number}" for number in range(len(rows))],
            "patient_id": [f"p{patient}" for patient, _ in rows],
            "label": [int(ill) for _, ill in rows],
            "area_px": [int(ill) * (number + 1) for number, (_, ill) in enumerate(rows)],
        }
    )
    try:
        found = assign_folds(labelled, SplitSettings(folds=folds, holdout=holdout))
    except ValueError as error:
        event("refused")
        if "split.folds" not in str(error):
            raise
        return
    assert (parts_of_patients(labelled, found) == 1).all()
    labels = labelled.groupby(found["fold"])["label"]
    assert labels.ngroups == folds + 1
    assert (labels.min() == 0).all()
    assert (labels.max() == 1).all()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0] * 12, "0 patients have a positive image"),
        (
            [1] * 3 + [0] * 9,
            "3 patients have a positive image, but the hold-out and 3 folds need one each (4)",
        ),
        ([1] * 9 + [0] * 3, "3 patients have a negative image"),
    ],
)
def test_too_few_patients(labels, message):
    labelled = images(12, alone=True).assign(label=labels, patient_id=list("abcdefghijkl"))
    with pytest.raises(ValueError, match=r"lower split\.folds") as caught:
        assign_folds(labelled, SplitSettings(folds=3))
    assert message in str(caught.value)


def test_the_real_labels_divide_evenly(real_siim):
    from imaging import rle
    from imaging.identity.siim_patients import patient_of
    from imaging.sources.siim import read_labels

    codes, _, _ = read_labels(real_siim / "labels" / "train-rle-full.csv")
    labelled = pd.DataFrame(
        [(name, patient_of(name), int(code != "-1"), rle.area(code)) for name, code in codes.items()],
        columns=["image_id", "patient_id", "label", "area_px"],
    )
    assert labelled["patient_id"].nunique() == 6171
    folds = assign_folds(labelled, SplitSettings())
    assert (parts_of_patients(labelled, folds) == 1).all()
    table = labelled.groupby(folds["fold"])["label"].agg(["size", "sum"])
    assert table.loc["holdout"].tolist() == pytest.approx([2409, 534], abs=2)
    assert table.drop("holdout")["size"].between(1926, 1929).all()
    assert table.drop("holdout")["sum"].between(426, 428).all()


def test_run_writes_the_labelled_images_only(prepared_once, tmp_path):
    folder = shutil.copytree(prepared_once, tmp_path / "prepared")
    split.run(SplitSettings(folds=3), folder, tmp_path / "reports")
    folds = pd.read_csv(folder / "folds.csv", dtype=str)
    assert folds.columns.tolist() == ["image_id", "patient_id", "fold"]
    assert folds["image_id"].tolist() == [f"i{number:02}" for number in range(12)]
    assert set(folds["fold"]) == {"holdout", "0", "1", "2"}
    assert (tmp_path / "reports" / "folds.md").read_text().startswith("# Folds")


def test_positives_with_and_without_a_mask_are_dealt_evenly():
    labelled = images(2000, alone=True)
    labelled["area_px"] = labelled["area_px"].astype("Int64")
    unmasked = (labelled["label"] == 1) & (np.arange(2000) % 3 == 0)
    labelled.loc[unmasked, "area_px"] = pd.NA
    folds = assign_folds(labelled, SplitSettings(folds=4, holdout=0.2))["fold"]
    positive = labelled["label"] == 1
    share = labelled["area_px"].notna()[positive].groupby(folds[positive]).mean()
    assert share.to_list() == pytest.approx([share.mean()] * 5, abs=0.02)
    text = describe(labelled.assign(fold=folds), SplitSettings(folds=4, holdout=0.2), KNOWN)
    masked = int((positive & labelled["area_px"].notna()).sum())
    assert f"| all | 2,000 | 2,000 | {int(positive.sum())} | {masked} |" in text


def test_label_only_images_are_divided_by_label():
    labelled = images(500, alone=True)
    labelled["area_px"] = pd.array([0 if label == 0 else pd.NA for label in labelled["label"]], "Int64")
    folds = assign_folds(labelled, SplitSettings(folds=4, holdout=0.2))["fold"]
    prevalence = labelled["label"].groupby(folds).mean()
    assert prevalence.to_list() == pytest.approx([labelled["label"].mean()] * 5, abs=0.01)
    assert "| – |" in describe(labelled.assign(fold=folds), SplitSettings(folds=4, holdout=0.2), KNOWN)
