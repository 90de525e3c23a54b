"""What a bundle keeps of its training data, and what is found with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ensemble.validation import profile, training_data
from ensemble.validation.training_data import TrainingData
from imaging.identity import identities
from imaging.io.files import write_json
from imaging.prepared import HOLDOUT, Prepared


@pytest.fixture
def prepared(world) -> Prepared:
    """160 images of 80 patients, a quarter of them locked."""
    return Prepared()


def test_record_leaves_the_holdout_out(prepared: Prepared) -> None:
    found = training_data.record(prepared)
    trained = prepared.folds != HOLDOUT
    assert found.profile["images"] == len(found.hashes) == trained.sum()
    assert len(found.patients) == 60
    assert not any("p000" in text for text in found.patients)


def test_record_survives_its_file(prepared: Prepared, tmp_path: Path) -> None:
    found = training_data.record(prepared)
    write_json(tmp_path / training_data.NAME, found.model_dump(mode="json"))
    assert TrainingData.load(tmp_path) == found
    assert TrainingData.load(tmp_path / "nothing") is None


def test_patients_are_found_by_their_id_alone(prepared: Prepared) -> None:
    found = training_data.record(prepared)
    trained = sorted(
        set(prepared.index["patient_id"])
        - set(prepared.index["patient_id"].iloc[prepared.fold_rows(HOLDOUT)])
    )
    index = pd.DataFrame({"image_id": list("abc"), "patient_id": ["stranger", trained[0], "image:x"]})
    assert identities.shared_patients(found, index).tolist() == [False, True, False]


def test_identities_may_be_left_out(prepared: Prepared) -> None:
    found = training_data.record(prepared, hashed=False)
    assert not found.patients
    assert not found.pictures
    assert found.profile["images"] > 0


def test_profile_counts(prepared: Prepared) -> None:
    rows = np.arange(6)
    found = profile.describe(prepared, rows)
    index = prepared.index.iloc[rows]
    assert found["prevalence"] == pytest.approx((index["label"] == 1).mean())
    assert found["shares"]["sex"] == {"F": 0.5, "M": 0.5}
    assert found["numbers"]["age"]["mean"] == pytest.approx(index["age"].mean())
    assert found["numbers"]["grey_mean"]["mean"] == pytest.approx(prepared.images[:6].mean(), abs=1e-3)
    assert sum(found["histogram"]) == pytest.approx(1.0, abs=1e-4)


def test_comparison_is_standardised() -> None:
    """Means 10 and 12 with deviations 1 and 3: 2 / sqrt(5) = 0.894 standard deviations."""
    sides = []
    for mean, sd, women in ((10.0, 1.0, 0.5), (12.0, 3.0, 0.75)):
        one = {"known": 5, "mean": mean, "sd": sd, "quantiles": [mean] * 21}
        numbers = {key: {"known": 0} for key in profile.NUMBERS} | {"age": one}
        shares = {"view": {"PA": 1.0}, "sex": {"F": women, "M": 1 - women}}
        sides.append({"prevalence": 0.2, "shares": shares, "numbers": numbers})
    rows = profile.compare(*sides).set_index("property")
    assert rows.loc["age (years)", "difference"] == "+0.89 SD"
    assert rows.loc["sex: F", "difference"] == "+25.0 points"
    assert rows["notable"].to_dict() | {} == {
        name: name in ("age (years)", "sex: F", "sex: M") for name in rows.index
    }
    assert rows.loc["pixel spacing (mm)", "difference"] == "–"
