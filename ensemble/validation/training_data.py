"""What a bundle keeps of the data that it was trained on: training_data.json, a profile and hashes, and no picture.

It lets `ensemble.validate` compare other data with it and look for the same pictures and patients, without the data. A picture
is 256 bits of which neighbouring cell of a 16 x 16 grid is brighter. A patient is the first 48 bits of a salted scrypt hash,
some milliseconds a guess: it names nobody, but whoever holds a list of ids can test whether they are in it, which is its purpose.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ensemble.validation import profile
from imaging.io.config import Settings, validate
from imaging.io.files import read_json
from imaging.preparation.duplicates import difference_hash
from imaging.prepared import HOLDOUT, Prepared

NAME = "training_data.json"
UNKNOWN = "image:"
"""Begins the patient id of an image whose patient is not known."""
MOST_BITS = 13
"""Bits in which copies differ at most after noise, JPEG or gamma (imaging.preparation.duplicates); without the pictures nothing
else can be compared, so the limit is tighter than in `prepare`."""
_BLOCK = 1024


class TrainingData(Settings):
    """training_data.json."""

    version: Literal[1] = 1
    """Of this file's form."""
    profile: profile.Profile
    """See ensemble.validation.profile."""
    salt: str
    """Of the patients' hashes: the data's fingerprint."""
    patients: list[str] = Field(default_factory=list)
    """Hashes of the known patients, sorted."""
    pictures: str = ""
    """Hashes of the pictures, 64 hex digits each, one after the other, sorted."""

    @property
    def hashes(self) -> NDArray[np.uint8]:
        """Pictures' hashes (N, 32)."""
        return np.frombuffer(bytes.fromhex(self.pictures), np.uint8).reshape(-1, 32)

    @classmethod
    def load(cls, folder: Path) -> TrainingData | None:
        """The record of a bundle's folder; None where it has none."""
        path = folder / NAME
        return validate(cls, read_json(path), "") if path.is_file() else None


def record(prepared: Prepared, identities: bool = True, holdout: bool = False) -> TrainingData:
    """The record of all images but the hold-out, or with it; identities: with hashes of pictures and patients."""
    rows = np.sort(prepared.rows(prepared.folds.index[(prepared.folds != HOLDOUT) | holdout]))
    found = TrainingData(profile=profile.describe(prepared, rows), salt=prepared.fingerprint)
    if not identities:
        return found
    pictures = sorted(difference_hash(np.asarray(prepared.images[row])).tobytes() for row in rows)
    names = prepared.index["patient_id"].iloc[rows]
    return found.model_copy(
        update={"patients": sorted(patient_hashes(names, found.salt)), "pictures": b"".join(pictures).hex()}
    )


def patient_hashes(names: Iterable[str], salt: str) -> dict[str, str]:
    """Hash -> patient of those that are known."""
    return {
        hashlib.scrypt(name.encode(), salt=salt.encode(), n=1024, r=8, p=1, dklen=6).hex(): name
        for name in sorted({str(name) for name in names})
        if not name.startswith(UNKNOWN)
    }


def shared_patients(training: TrainingData, names: Iterable[str]) -> set[str]:
    """Those patients that are in the training data."""
    here = patient_hashes(names, training.salt)
    return {here[key] for key in set(training.patients) & set(here)}


def shared_pictures(training: TrainingData, hashes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which pictures (N,), by their hashes (N, 32), have a copy in the training data."""
    known = _signs(training.hashes)
    found = np.zeros(len(hashes), bool)
    for start in range(0, len(hashes) if len(known) else 0, _BLOCK):
        agreement = _signs(hashes[start : start + _BLOCK]) @ known.T  # 256 - 2 * differing bits
        found[start : start + _BLOCK] = (agreement >= 256 - 2 * MOST_BITS).any(axis=1)
    return found


def _signs(hashes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 256) of +1 and -1."""
    return np.unpackbits(hashes, axis=1).astype(np.float32) * 2 - 1
