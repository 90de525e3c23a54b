"""A table of the hold-out without identities, for a tracking server that others can read."""

from __future__ import annotations

import hashlib

import pandas as pd

PSEUDONYMS = "images.csv"
"""Its name among the artifacts of an evaluation's run."""
OUT_OF_FOLD = "out_of_fold.csv"
"""The table of out-of-fold predictions, of the run that fits the decision and in reports/ensemble/."""
IDENTIFYING = ("sex", "age", "view")


def pseudonyms(table: pd.DataFrame) -> pd.DataFrame:
    """Replace image ids by pseudonyms, patient ids by that of one of their images, and leave out sex, age and view.

    table: one row for each image, with image_id and patient_id. Tables of the same images get the same pseudonyms, so that they
    can be compared in pairs. Anyone with a list of the image ids can compute them, so this is not anonymisation.
    """
    image = table["image_id"].map(lambda name: hashlib.sha256(str(name).encode()).hexdigest()[:16])
    patient = image.groupby(table["patient_id"].to_numpy(), sort=False).transform("min")
    return table.drop(columns=[*IDENTIFYING, "image_id", "patient_id"], errors="ignore").assign(
        image_id=image, patient_id=patient
    )
