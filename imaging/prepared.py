"""Read the prepared data: tables in memory, images and masks mapped from their files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imaging.io.files import fingerprint, read_json
from imaging.io.tables import read_csv

HOLDOUT = "holdout"
FOLDER = "data/prepared"
TYPES = {
    "image_id": "string", "patient_id": "string", "path": "string", "width": "int32", "height": "int32",
    "sex": "string", "age": "Int16", "view": "string", "spacing_mm": "float64", "label": "Int8", "area_px": "Int64",
    "mask_row": "int64", "sha256": "string", "split": "string",
}  # fmt: skip
"""Columns of index.parquet: see `imaging.prepare`."""
SOURCE_TYPES = {"source": "string", "role": "string", "weight": "float64"}
"""Further columns, with several sources only."""
PSEUDO_TYPES = {"train_fold": "Int16", "given_fold": "string"}
"""Further columns, with pseudo-labels only: the fold whose network may see an image; the part of the run that labelled."""
EXTERNAL, EXCLUDED, TRAIN_ONLY = "external", "excluded", "train-only"
"""Roles of images that are in no fold and not in the hold-out, and what folds.csv has for them; `train-only:K`: for the
network of fold K alone."""


@dataclass(frozen=True)
class PatientRecord:
    """Where the patients are from, and for how many of the `labelled` images the patient is `unknown`: patients.json."""

    source: str
    labelled: int
    unknown: int

    @property
    def warning(self) -> str:
        """Warning of every report where patients are unknown; '' where all are known."""
        if not self.unknown:
            return ""
        share = "" if self.unknown == self.labelled else f" for {self.unknown:,} of {self.labelled:,} images"
        return f"patients unknown{share}: split and intervals are by image"


class Prepared:
    """What `imaging.prepare` and `imaging.split` wrote; nothing is read before it is asked for.

    Each process opens its own memory maps: pickling carries only the folder, so that an object may go to
    DataLoader workers of any start method, and the operating system shares the pages.
    """

    def __init__(self, folder: str | Path = FOLDER) -> None:
        self.folder = Path(folder)
        if not (self.folder / "index.parquet").is_file():  # prepare writes it last
            raise ValueError(
                f"{self.folder}: no prepared data; run `python -m imaging.prepare` (or `dvc repro prepare`)"
            )

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder}

    @cached_property
    def index(self) -> pd.DataFrame:
        """One row per image, sorted by image_id; row i describes images[i]. Columns: `TYPES`."""
        return pd.read_parquet(self.folder / "index.parquet")

    @cached_property
    def patients(self) -> PatientRecord:
        """Where the patients are from."""
        return PatientRecord(**read_json(self.folder / "patients.json"))

    @cached_property
    def shared_patients(self) -> int:
        """Number of patients who have images in more than one fold or in a fold and the hold-out: each is a leak."""
        owner = self.index["patient_id"].iloc[self.rows(self.folds.index)]
        return shared_patients(owner.to_numpy(object), self.folds.to_numpy(object))

    @cached_property
    def images(self) -> NDArray[np.uint8]:
        """uint8 (N, S, S), read-only; brighter = denser."""
        return self._map("images.npy", len(self.index))

    @cached_property
    def has_mask(self) -> NDArray[np.bool_]:
        """(N,) whether an image's mask is known: a positive with a mask, or a negative (empty mask). Boxes are not a mask."""
        return self.index["area_px"].notna().to_numpy(bool)

    @cached_property
    def is_located(self) -> NDArray[np.bool_]:
        """(N,) whether it is known where the finding is, by a mask or by boxes, or that there is none."""
        return self.has_mask | (self._mask_rows >= 0)

    @property
    def masks_missing(self) -> str:
        """Note of every report where positives have no mask; '' where all have one."""
        positive = (self.index["label"] == 1).to_numpy(bool, na_value=False)
        without = int((positive & ~self.has_mask).sum())
        if not without:
            return ""
        if without == positive.sum():
            return "no positive has a mask, so there are no mask figures"
        return f"{without:,} of {int(positive.sum()):,} positives have no mask: mask figures cover the others"

    @cached_property
    def _masks(self) -> NDArray[np.uint8]:
        return self._map("masks.npy", int((self.index["mask_row"] >= 0).sum()))

    @cached_property
    def _mask_rows(self) -> NDArray[np.int64]:
        return self.index["mask_row"].to_numpy(np.int64)

    def mask(self, row: int) -> NDArray[np.uint8]:
        """The mask of images[row]: uint8 0/1 (S, S); the area of its boxes if it has only those; 0 for negatives and unknown."""
        mask_row = self._mask_rows[row]
        return self._masks[mask_row] if mask_row >= 0 else np.zeros(self.images.shape[1:], np.uint8)

    def masks(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The masks of several images as a copy (B, S, S), which may be written to."""
        places = self._mask_rows[rows]
        found = np.zeros((len(rows), self.size, self.size), np.uint8)
        if (positive := places >= 0).any():
            found[positive] = self._masks[places[positive]]
        return found

    @property
    def size(self) -> int:
        """Side S of the images in pixels."""
        return int(self.images.shape[1])

    @cached_property
    def _ids(self) -> pd.Index:
        return pd.Index(self.index["image_id"].astype(object))

    def rows(self, ids: Any) -> NDArray[np.int64]:
        """The rows of these image ids, in their order; ValueError names an id that is not here."""
        asked = pd.Index(list(ids), dtype=object)
        rows = self._ids.get_indexer(asked)
        if (rows < 0).any():
            raise ValueError(f"{self.folder}: no image {asked[int(np.argmax(rows < 0))]!r}")
        return rows.astype(np.int64)

    @cached_property
    def folds(self) -> pd.Series:
        """image_id -> 'holdout' or '0', '1', …; the labelled images only, without those of EXTERNAL, EXCLUDED, TRAIN_ONLY."""
        return self._parts[~self._parts.isin([EXTERNAL, EXCLUDED]) & ~self._parts.str.startswith(TRAIN_ONLY)]

    def train_only_rows(self, fold: int | None = None) -> NDArray[np.int64]:
        """The rows, sorted, of the TRAIN_ONLY images that this fold's network is trained with; None: of all networks."""
        if fold is None:
            chosen = self._parts.str.startswith(TRAIN_ONLY)
        else:
            chosen = self._parts.isin([TRAIN_ONLY, f"{TRAIN_ONLY}:{fold}"])
        return np.sort(self.rows(self._parts.index[chosen]))

    @property
    def external(self) -> bool:
        """Whether a source is external: see `fold_rows(EXTERNAL)`."""
        return bool((self._parts == EXTERNAL).any())

    @cached_property
    def _parts(self) -> pd.Series:
        path = self.folder / "folds.csv"
        if not path.is_file():
            raise ValueError(f"{path}: no such file; run `python -m imaging.split` (or `dvc repro split`)")
        folds = read_csv(path).set_index("image_id")["fold"]
        labelled = self.index.loc[self.index["label"].notna(), "image_id"]
        if (
            len(folds) != len(labelled)
            or folds.index.nunique() < len(folds)
            or not labelled.isin(folds.index).all()
        ):
            raise ValueError(
                f"{path}: its images are not those of index.parquet; run `python -m imaging.split` again"
            )
        return folds

    def fold_rows(self, fold: int | str) -> NDArray[np.int64]:
        """The rows of one fold's images ('holdout', EXTERNAL or a number), sorted."""
        ids = self._parts.index[self._parts == str(fold)]
        if not len(ids):
            raise ValueError(
                f"{self.folder / 'folds.csv'}: no fold {fold!r}; there are {sorted(self.folds.unique())}"
            )
        return np.sort(self.rows(ids))

    @cached_property
    def truth(self) -> pd.Series:
        """image_id -> run-length code at the original resolution ('-1': empty), of the images whose mask is known."""
        return read_csv(self.folder / "truth.csv").set_index("ImageId")["EncodedPixels"]

    @cached_property
    def boxes(self) -> pd.Series:
        """image_id -> area of its boxes as a run-length code, for the images that have boxes."""
        path = self.folder / "boxes.csv"
        if not path.is_file():  # prepared by an earlier version
            return pd.Series(dtype=object)
        return read_csv(path).set_index("ImageId")["EncodedPixels"]

    @cached_property
    def fingerprint(self) -> str:
        """Identifies this data: image ids, labels, mask codes, source files, prepared size, folds, and sources' weights."""
        folds = self.folder / "folds.csv"
        rows = zip(self.index["image_id"], self.index["label"], self.index["sha256"], strict=True)
        return fingerprint(
            ([image_id, None if pd.isna(label) else int(label), digest] for image_id, label, digest in rows),
            self.folder / "truth.csv",
            self.size,
            folds if folds.is_file() else None,
            *([self.folder / "boxes.csv"] if len(self.boxes) else []),
            *([self.index.groupby("source")["weight"].first().to_dict()] if "source" in self.index else []),
        )

    def _map(self, name: str, rows: int) -> NDArray[np.uint8]:
        try:
            array = np.load(self.folder / name, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"{self.folder / name}: cannot be read ({error}); prepare the data again"
            ) from None
        if len(array) != rows:
            raise ValueError(
                f"{self.folder / name}: {len(array)} rows, but index.parquet says {rows}; prepare the data again"
            )
        return array


def shared_patients(owner: NDArray[np.object_], part: NDArray[np.object_]) -> int:
    """Number of patients with images in more than one part; owner, part: (N,), one per image."""
    return int((pd.Series(part).groupby(owner).nunique() > 1).sum())
