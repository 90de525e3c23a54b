"""Recognise the pictures and patients of a training run without its data, by hashes that identify nobody.

A picture is 256 bits of which neighbouring cell of a 16 x 16 grid is brighter. A patient is the first 48 bits of a salted scrypt
hash, some milliseconds per guess: whoever holds a list of ids can test which of them are in the record, which is its purpose.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from imaging.identity.duplicates import difference_hash
from imaging.identity.overlaps import nih_patient, own_ids
from imaging.identity.patients import ALONE
from imaging.io.config import Settings
from imaging.prepared import Prepared

MOST_BITS = 13
"""Most bits in which copies differ after noise, JPEG or gamma (imaging.identity.duplicates); without the pictures nothing else
can be compared, so the limit is tighter than in `prepare`."""
NO_FOLD = -1
"""Fold of an image that every network was trained on: the hold-out's, in a refit."""
_BLOCK = 1024


class Identities(Settings):
    """Hashes of the pictures and patients of a training run, with the fold of each."""

    salt: str
    """Salt of the patients' hashes: the data's fingerprint."""
    patients: list[str] = Field(default_factory=list)
    """Hashes of the known patients, sorted."""
    patient_folds: list[list[int]] = Field(default_factory=list)
    """The folds with images of each of `patients`; empty in bundles of earlier versions."""
    pictures: str = ""
    """Hashes of the pictures, 64 hex digits each, one after the other, sorted."""
    picture_folds: list[int] = Field(default_factory=list)
    """The fold of each of `pictures`; empty in bundles of earlier versions."""

    @property
    def hashes(self) -> NDArray[np.uint8]:
        """Pictures' hashes (N, 32)."""
        return np.frombuffer(bytes.fromhex(self.pictures), np.uint8).reshape(-1, 32)

    def without_fold(self, fold: int) -> Identities:
        """What the network of one fold was trained on: all but that fold. Without a record of folds: everything."""
        if not self.picture_folds:
            return self
        known = zip(self.patients, self.patient_folds, strict=True)
        trained = [name for name, folds in known if set(folds) - {fold}]
        kept = self.hashes[np.array(self.picture_folds) != fold]
        return Identities(salt=self.salt, patients=trained, pictures=kept.tobytes().hex())


def record(prepared: Prepared, rows: NDArray[np.int64], folds: Sequence[int]) -> Identities:
    """The identities of the images in `rows` (N,) of the folds (N,)."""
    hashes = [difference_hash(np.asarray(prepared.images[row])).tobytes() for row in rows]
    pictures = sorted(zip(hashes, folds, strict=True))
    salt = prepared.fingerprint
    owned: dict[str, set[int]] = {}
    for names, fold in zip(patient_names(prepared.index.iloc[rows]), folds, strict=True):
        for name in names:
            owned.setdefault(name, set()).add(fold)
    patients = {key: sorted(owned[name]) for key, name in sorted(patient_hashes(owned, salt).items())}
    return Identities(
        salt=salt,
        patients=list(patients),
        patient_folds=list(patients.values()),
        pictures=b"".join(digest for digest, _ in pictures).hex(),
        picture_folds=[fold for _, fold in pictures],
    )


def patient_names(index: pd.DataFrame) -> list[set[str]]:
    """Every name under which the patient of each image (rows of a prepared index) may be known elsewhere.

    The id, the id without the name of one of several sources, and the number of an NIH patient. Empty for an unknown patient.
    """
    sources = index["source"].tolist() if "source" in index else [""] * len(index)
    own = own_ids(index["image_id"].tolist(), sources)
    found = []
    for patient, source, image_id in zip(index["patient_id"], sources, own, strict=True):
        nih = nih_patient(image_id)
        names = {patient, patient.removeprefix(f"{source}:"), *([nih] if nih else [])}
        found.append({name for name in names if not name.startswith(ALONE)})
    return found


def patient_hashes(names: Iterable[str], salt: str) -> dict[str, str]:
    """Hash -> patient, for known patients."""
    return {
        hashlib.scrypt(name.encode(), salt=salt.encode(), n=1024, r=8, p=1, dklen=6).hex(): name
        for name in sorted({str(name) for name in names})
        if not name.startswith(ALONE)
    }


def shared_patients(known: Identities, index: pd.DataFrame) -> NDArray[np.bool_]:
    """For which images (rows of a prepared index) the patient is among the known ones."""
    names = patient_names(index)
    here = patient_hashes(set().union(*names), known.salt)
    shared = {here[key] for key in set(known.patients) & set(here)}
    return np.array([bool(own & shared) for own in names], bool)


def shared_pictures(known: Identities, hashes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which pictures (N,), by their hashes (N, 32), have a copy among the known ones."""
    signs = _signs(known.hashes)
    found = np.zeros(len(hashes), bool)
    for start in range(0, len(hashes) if len(signs) else 0, _BLOCK):
        agreement = _signs(hashes[start : start + _BLOCK]) @ signs.T  # 256 - 2 * differing bits
        found[start : start + _BLOCK] = (agreement >= 256 - 2 * MOST_BITS).any(axis=1)
    return found


def _signs(hashes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 256) of +1 and -1."""
    return np.unpackbits(hashes, axis=1).astype(np.float32) * 2 - 1
