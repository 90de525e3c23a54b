"""Read all studies of a source into images.npy and masks.npy, and keep their facts in memory: a few hundred bytes per image."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from imaging.identity import patients
from imaging.identity.duplicates import SIGNATURE, duplicate_pairs
from imaging.identity.overlaps import Pairs
from imaging.io.npy_writer import row_writer
from imaging.io.tables import typed
from imaging.io.threads import cores, ordered_map
from imaging.preparation.example import Example, Refusal, read_example
from imaging.prepared import TYPES
from imaging.sources.listing import REJECTED_COLUMNS, Listing, rows

NOTED = {
    "code": "string", "boxes": "string", "listed_patient": "string", "dicom_patient": "string", "study": "string",
}  # fmt: skip
"""Kept for each image beside its row: mask and boxes as run-length codes, patient by the source and by the file, study."""


@dataclass(frozen=True)
class Studies:
    """The studies that were read.

    facts: the index without patient_id, and the columns NOTED. signatures: see imaging.identity.duplicates. rejected: input
    and reason of the refused ones. notes: sentences about unusual files. unlabelled: left out without a label.
    """

    facts: pd.DataFrame
    signatures: NDArray[np.void]
    rejected: pd.DataFrame
    notes: list[str]
    unlabelled: int

    @property
    def ids(self) -> list[str]:
        """Image ids, in the order of the files."""
        return self.facts["image_id"].tolist()

    def noted(self, column: str) -> list[str | None]:
        """A column of NOTED with None for a missing value."""
        return [None if pd.isna(text) else text for text in self.facts[column]]

    def duplicates(self, listing: Listing, folder: Path) -> Pairs:
        """Pairs of equal pictures. Where the source is certain of its patients, they prove nothing: CT slices above the head are
        all alike.
        """
        images = np.load(folder / "images.npy", mmap_mode="r")
        return [] if listing.certain else duplicate_pairs(self.signatures, images)

    def patients(self, listing: Listing, duplicates: Pairs) -> patients.Patients:
        """Each image's patient."""
        listed, dicom = self.noted("listed_patient"), self.noted("dicom_patient")
        found = patients.assign(self.ids, listed, dicom, duplicates, listing.patients)
        return found if listing.certain else patients.joined_by_study(found, self.noted("study"))


def read_all(
    records: pd.DataFrame, size: int, folder: Path, title: str, labelled_only: bool = False
) -> Studies:
    """Stream the studies into `folder`, in their order; title: of the progress bar. labelled_only: leave out the others."""
    cv2.setNumThreads(1)  # the threads below use all cores
    facts: list[dict[str, Any]] = []
    refusals, signatures, odd, unlabelled = [], [], Counter[str](), 0
    examples = ordered_map(partial(read_example, size=size), rows(records), cores())
    folder.mkdir(parents=True, exist_ok=True)
    with (
        row_writer(folder / "images.npy", (size, size)) as images,
        row_writer(folder / "masks.npy", (size, size)) as masks,
    ):
        for example in tqdm(examples, title, len(records), disable=None, unit="image"):
            if isinstance(example, Refusal):
                refusals.append((example.input, example.reason))
                continue
            if labelled_only and example.facts["label"] is None:
                unlabelled += 1
                continue
            images.append(example.image)
            mask_row = -1 if example.mask is None else masks.append(example.mask)
            facts.append(_row(example, mask_row))
            signatures.append(example.signature)
            odd.update(example.oddities)
    notes = [f"{files:,} files: {oddity}." for oddity, files in odd.most_common()]
    rejected = pd.DataFrame(refusals, columns=REJECTED_COLUMNS)
    types = {name: kind for name, kind in TYPES.items() if name != "patient_id"} | NOTED
    return Studies(typed(facts, types), np.array(signatures, SIGNATURE), rejected, notes, unlabelled)


def _row(example: Example, mask_row: int) -> dict[str, Any]:
    return {
        **example.facts,
        "mask_row": mask_row,
        "code": example.code,
        "boxes": example.boxes,
        "listed_patient": example.listed_patient,
        "dicom_patient": example.dicom_patient,
        "study": example.study,
    }
