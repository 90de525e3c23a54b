"""Tables for MLflow without identities."""

from __future__ import annotations

import pandas as pd

from experiments.monitoring.pseudonyms import pseudonyms

TABLE = pd.DataFrame(
    {
        "image_id": ["i1", "i2", "i3"],
        "patient_id": ["p", "q", "p"],
        "sex": ["F", "M", "F"],
        "age": [41, 52, 41],
        "dice": [0.5, 1.0, 0.0],
    }
)


def test_ids_sex_and_age_are_gone_and_patients_stay_together() -> None:
    found = pseudonyms(TABLE)
    assert set(found) == {"image_id", "patient_id", "dice"}
    assert not set(found["image_id"]) & set(TABLE["image_id"])
    assert found["patient_id"][0] == found["patient_id"][2] != found["patient_id"][1]
    assert found["image_id"].is_unique


def test_the_same_image_has_the_same_pseudonym_in_every_table() -> None:
    assert pseudonyms(TABLE[1:])["image_id"].tolist() == pseudonyms(TABLE)["image_id"].tolist()[1:]
