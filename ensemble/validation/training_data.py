"""What a bundle keeps of its training data: training_data.json, a profile and hashes, and no picture.

It lets `ensemble.validate` compare other data with it, and `ensemble.validate` and a later training that starts from the bundle
look for the same pictures and patients, without the data: see imaging.identity.identities.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from ensemble.validation import profile
from imaging.identity import identities
from imaging.identity.identities import Identities
from imaging.io.config import validate
from imaging.io.files import read_json
from imaging.prepared import HOLDOUT, Prepared

NAME = "training_data.json"


class TrainingData(Identities):
    """training_data.json."""

    version: Literal[1] = 1
    """Version of this file's format."""
    profile: profile.Profile
    """See ensemble.validation.profile."""

    @classmethod
    def load(cls, folder: Path) -> TrainingData | None:
        """The record in a bundle's folder; None where there is none."""
        path = folder / NAME
        return validate(cls, read_json(path), "") if path.is_file() else None


def record(prepared: Prepared, hashed: bool = True, holdout: bool = False) -> TrainingData:
    """The record of all training images, without the hold-out or with it; hashed: with hashes of pictures and patients."""
    trained = prepared.folds[(prepared.folds != HOLDOUT) | holdout]
    only = prepared.train_only_rows()  # in no fold, but seen by the networks of at least one fold
    own = prepared.rows(trained.index)
    rows, described = np.concatenate([own, only]), profile.describe(prepared, np.sort(own))
    folds = trained.replace(HOLDOUT, identities.NO_FOLD).astype(int).tolist()
    folds += [identities.NO_FOLD] * len(only)
    known = identities.record(prepared, rows, folds) if hashed else None
    fields = known.model_dump() if known else {"salt": prepared.fingerprint}
    return TrainingData(profile=described, **fields)
