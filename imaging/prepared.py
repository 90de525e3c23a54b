"""The prepared data as every later stage reads it: tables in memory, images and masks mapped from their
files.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imaging.files import fingerprint

FOLDER = "data/prepared"


class Prepared:
    """What `imaging.prepare` and `imaging.split` wrote; nothing is read before it is asked for.

    The memory maps are opened in each process for itself: pickling carries the folder alone, so that an
    object may go to DataLoader workers of any start method, and their pages are shared by the operating
    system.
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
        """One row an image, sorted by image_id; row i describes images[i]. Columns: `imaging.prepare`."""
        return pd.read_parquet(self.folder / "index.parquet")

    @cached_property
    def images(self) -> NDArray[np.uint8]:
        """uint8 (N, S, S), read-only; brighter = denser."""
        return self._map("images.npy", len(self.index))

    @cached_property
    def _masks(self) -> NDArray[np.uint8]:
        return self._map("masks.npy", int((self.index["mask_row"] >= 0).sum()))

    @cached_property
    def _mask_rows(self) -> NDArray[np.int64]:
        return self.index["mask_row"].to_numpy(np.int64)

    def mask(self, row: int) -> NDArray[np.uint8]:
        """The mask of images[row]: uint8 0/1 (S, S), all 0 for a negative or unlabelled image."""
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
    def _row_of(self) -> pd.Series:
        return pd.Series(np.arange(len(self.index)), index=self.index["image_id"])

    def rows(self, ids: Any) -> NDArray[np.int64]:
        """The rows of these image ids, in their order; ValueError names an id that is not here."""
        ids = list(ids)
        rows = self._row_of.reindex(ids)
        if rows.isna().any():
            raise ValueError(f"{self.folder}: no image {rows.index[rows.isna()][0]!r}")
        return rows.to_numpy(np.int64)

    @cached_property
    def folds(self) -> pd.Series:
        """image_id -> 'holdout' or '0', '1', …; the labelled images only."""
        path = self.folder / "folds.csv"
        if not path.is_file():
            raise ValueError(f"{path}: no such file; run `python -m imaging.split` (or `dvc repro split`)")
        folds = pd.read_csv(path, dtype=str, keep_default_na=False).set_index("image_id")["fold"]
        labelled = set(self.index.loc[self.index["label"].notna(), "image_id"])
        if set(folds.index) != labelled:
            raise ValueError(
                f"{path}: made for other images than index.parquet; run `python -m imaging.split` again"
            )
        return folds

    def fold_rows(self, fold: int | str) -> NDArray[np.int64]:
        """The rows of one fold's images ('holdout' or a number), sorted."""
        ids = self.folds.index[self.folds == str(fold)]
        if not len(ids):
            raise ValueError(
                f"{self.folder / 'folds.csv'}: no fold {fold!r}; there are {sorted(self.folds.unique())}"
            )
        return np.sort(self.rows(ids))

    @cached_property
    def truth(self) -> pd.Series:
        """image_id -> run-length code at the original resolution ('-1': empty), of the labelled images."""
        table = pd.read_csv(self.folder / "truth.csv", dtype=str, keep_default_na=False)
        return table.set_index("ImageId")["EncodedPixels"]

    @cached_property
    def fingerprint(self) -> str:
        """Names this data: image ids, labels, masks' codes, source files, prepared size and folds."""
        columns = ["image_id", "label", "sha256"]
        folds = self.folder / "folds.csv"
        return fingerprint(
            self.index[columns].astype(object).where(self.index[columns].notna(), None).values.tolist(),
            self.folder / "truth.csv",
            self.size,
            folds if folds.is_file() else None,
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
                f"{self.folder / name}: {len(array)} rows, index.parquet says {rows}; prepare the data again"
            )
        return array
