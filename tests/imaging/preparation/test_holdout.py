"""Hold-outs that are given: mmsegmentation's division and a source's own validation set."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from imaging.preparation.holdout import mmsegmentation_validation
from imaging.settings import SplitSettings
from imaging.split import assign_folds, describe
from tests.imaging.test_split import KNOWN, images, parts_of_patients


@pytest.mark.parametrize("count", [2, 4, 5, 11, 100, 2501])
def test_mmsegmentations_validation_set_is_scikit_learns(count):
    from sklearn.model_selection import train_test_split

    ids = [f"{number % 7}_{number}" for number in range(count)]
    names = sorted(f"{name}.png" for name in ids)
    theirs = train_test_split(names, test_size=0.2, random_state=0)[1]
    ours = mmsegmentation_validation(ids)
    assert {f"{name}.png" for name, apart in zip(ids, ours, strict=True) if apart} == set(theirs)


def test_mmsegmentations_division_is_the_holdout_and_leaks():
    labelled = images(500).assign(split="train")
    labelled.loc[:9, "split"] = "val"  # has no say here
    settings = SplitSettings(scheme="mmsegmentation", folds=3)
    folds = assign_folds(labelled, settings)
    assert (folds["fold"] == "holdout").sum() == 100
    assert folds["fold"].value_counts()[["0", "1", "2"]].tolist() == pytest.approx([133] * 3, abs=2)
    report = describe(labelled.assign(fold=folds["fold"]), settings, KNOWN)
    assert "mmsegmentation's validation set as hold-out" in report
    assert "**LEAKS: " in report
    with pytest.raises(ValueError, match=r"holdout 0\.3 has no effect with scheme 'mmsegmentation'"):
        SplitSettings(scheme="mmsegmentation", holdout=0.3)


def test_a_given_validation_set_stays_and_the_rest_is_dealt_by_patient():
    labelled = images(600, alone=True)
    owner = [f"p{number // 3}" for number in range(600)]
    labelled = labelled.assign(
        patient_id=owner, split=["val" if number % 30 < 6 else "train" for number in range(600)]
    )
    folds = assign_folds(labelled, SplitSettings(folds=4, holdout=0.5))
    assert (folds["fold"] == "holdout").tolist() == (labelled["split"] == "val").tolist()
    assert folds["fold"].value_counts()[["0", "1", "2", "3"]].tolist() == pytest.approx([120] * 4, abs=2)
    assert (parts_of_patients(labelled, folds) == 1).all()
    torn = labelled.assign(patient_id=[f"p{number // 7}" for number in range(600)])
    with pytest.raises(ValueError, match="validation set shares 34 patients with its training set"):
        assign_folds(torn, SplitSettings())
    assert (assign_folds(torn, SplitSettings(scheme="image"))["fold"] == folds["fold"]).mean() > 0.2
    pd.testing.assert_frame_equal(
        assign_folds(labelled, SplitSettings(given=False)),
        assign_folds(labelled.drop(columns="split"), SplitSettings()),
    )


def test_mmsegmentations_division_of_the_real_labels(real_siim):
    """9,637 and 2,410 images with 2,137 and 532 positives, as mmsegmentation's own README says."""
    from imaging.sources.siim import read_labels

    codes, _, _ = read_labels(real_siim / "labels" / "train-rle-full.csv")
    apart = mmsegmentation_validation(list(codes))
    positive = np.array([code != "-1" for code in codes.values()])
    assert ((~apart).sum(), apart.sum()) == (9637, 2410)
    assert (positive[~apart].sum(), positive[apart].sum()) == (2137, 532)
