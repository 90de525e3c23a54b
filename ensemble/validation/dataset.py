"""Read an external data set, named by one argument, into a temporary folder in the form of the prepared data.

FOLDER            its kind is found from what is in it: SIIM-ACR's files, ct-ich's, or images with mask pictures
FILE.csv          a table of images with labels, masks or boxes (or Parquet)
SOURCE:FOLDER     one of the sources of `data.source`, docs/sources.md
phantom:drains    generated phantoms with and without a chest tube, imaging.phantom.drains
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imaging import rle
from imaging.io.config import validate
from imaging.io.files import fingerprint, write_json
from imaging.io.tables import read_csv, write_csv
from imaging.io.walk import image_id
from imaging.phantom import drains
from imaging.preparation.studies import read_all
from imaging.prepared import TYPES, PatientRecord, Prepared
from imaging.settings import DataSettings
from imaging.sources import ct_ich, list_studies

SOURCES = get_args(DataSettings.model_fields["source"].annotation)
OWN_KEYS = ("source", "folder", "table", "image_size", "refused_share")
"""Keys of the section `data` that --data, the bundle and --refused give."""
KEYS = sorted(set(DataSettings.model_fields) - set(OWN_KEYS))
DRAINS = "phantom:drains"
DRAIN_FILE = "drains.csv"
"""Image id and 1 or 0: whether a chest tube is displayed. Optional, beside the images of any source."""
DRAIN = {"1": 1.0, "1.0": 1.0, "True": 1.0, "0": 0.0, "0.0": 0.0, "False": 0.0}
"""What the column may hold, as text or of another type."""


@dataclass(frozen=True)
class External:
    """A labelled data set that was read.

    prepared: the images in the form of the prepared data, without folds. drain: (N,) 1, 0 or NaN where not known. hashes: uint8
    (N, 32), see imaging.identity.duplicates. certain: the source's patients are certain, and equal pictures prove nothing.
    unlabelled, rejected: what was left out.
    """

    description: str
    prepared: Prepared
    drain: NDArray[np.float64]
    hashes: NDArray[np.uint8]
    certain: bool
    unlabelled: int
    rejected: pd.DataFrame
    notes: list[str]
    finding: str

    @property
    def fingerprint(self) -> str:
        """Of the images, labels and masks."""
        index = self.prepared.index
        return fingerprint(index["image_id"].tolist(), index["sha256"].tolist(), self.prepared.truth.tolist())


def settings_of(data: str, more: Sequence[tuple[str, Any]], scratch: Path) -> DataSettings:
    """The settings of a description, with `more` keys of the section `data`, such as `word` or `columns.path`; writes the
    phantoms if they are requested."""
    if data == DRAINS:
        drains.write(scratch / "phantoms")
        return DataSettings(source="phantom", folder=str(scratch / "phantoms"))
    source, _, named = data.partition(":")
    if source not in SOURCES or not named:
        source, named = "", data
    if not named:
        raise ValueError("--data '': names no folder; give FOLDER or FILE.csv")
    place = Path(named)
    if place.is_file() and source in ("", "table"):
        given = {"source": "table", "folder": str(place.parent), "table": place.name}
    elif place.is_dir():
        given = {"source": source or ("table" if "preset" in dict(more) else kind_of(place)), "folder": named}
    else:
        known = ", ".join(f"{name}:FOLDER" for name in SOURCES)
        fault = f"{place} is a file, not a folder" if place.is_file() else "no such file or folder"
        raise ValueError(f"--data {data}: {fault}; give FOLDER, FILE.csv, {known} or {DRAINS}")
    chosen = _nested(more)
    options = {"source": f"--data {data}", **{key: f"--set {key}" for key in chosen}}
    return validate(DataSettings, {**chosen, **given}, "data", options)


def _in_the_commands_words(text: str) -> str:
    """A source's message with the options in place of the keys of params.yaml, which a bundle's user may not have."""
    for keys, option in ((("folder", "table", "source"), "--data"), (KEYS, r"--set \1")):
        text = re.sub(rf"(?<![\w./-])data\.({'|'.join(keys)})(?![\w/-])", option, text)
    return text


def _nested(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """`columns.path: x` as `columns: {path: x}`."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        name, dot, inner = key.partition(".")
        given, known = ({inner: value} if dot else value), found.get(name)
        if dot and not inner:
            raise ValueError(f"--set {key}={value}: a key is missing after the dot")
        if dot and known is not None and not isinstance(known, dict):
            raise ValueError(f"--set {key}={value}: {name} is {known!r}, a value, not a section")
        found[name] = {**known, **given} if isinstance(known, dict) and isinstance(given, dict) else given
    return found


def kind_of(folder: Path) -> str:
    """The source whose layout a folder has."""
    places = [folder, *(path for path in folder.iterdir() if path.is_dir())]
    names = {path.name for place in places for path in place.iterdir()}
    if names & {"train-rle.csv", "stage_2_train.csv", "dicom-images-train"}:
        return "siim"
    return "ct_ich" if ct_ich.is_one(str(folder)) else "folder"


def read(settings: DataSettings, size: int, folder: Path, allowed: float, description: str) -> External:
    """Read every labelled study of a source into `folder` as squares of `size` px; ValueError when more than the share `allowed`
    of the inputs is refused, or nothing is left."""
    try:
        listing = list_studies(settings)
    except ValueError as error:
        raise ValueError(_in_the_commands_words(str(error))) from error
    records = listing.records[listing.records["split"] != "test"].sort_values("image_id")
    found = read_all(records, size, folder, "read", labelled_only=True)
    rejected = pd.concat([listing.rejected, found.rejected], ignore_index=True)
    _check(rejected, len(found.facts), allowed, found.unlabelled, description)
    owners = found.patients(listing, found.duplicates(listing, folder))
    index = found.facts.assign(patient_id=pd.Series(owners.ids, dtype="string"))
    unknown = len(index) - int(np.sum(owners.known))
    write_json(folder / "patients.json", asdict(PatientRecord(owners.source, len(index), unknown)))
    truth = index[["image_id", "code"]].fillna({"code": rle.EMPTY})
    write_csv(folder / "truth.csv", truth.set_axis(["ImageId", "EncodedPixels"], axis=1))
    boxes = index.loc[index["boxes"].notna(), ["image_id", "boxes"]]
    write_csv(folder / "boxes.csv", boxes.set_axis(["ImageId", "EncodedPixels"], axis=1))
    index[list(TYPES)].to_parquet(folder / "index.parquet", index=False)
    return External(
        description=description,
        prepared=Prepared(folder),
        drain=drain_column(Path(settings.folder), records, found.ids),
        hashes=found.signatures["hash"],
        certain=listing.certain,
        unlabelled=found.unlabelled,
        rejected=rejected,
        notes=[*listing.notes, *owners.notes, *found.notes],
        finding=listing.finding,
    )


def drain_column(folder: Path, records: pd.DataFrame, ids: list[str]) -> NDArray[np.float64]:
    """Whether each image (N,) displays a chest tube: 1, 0, or NaN; from a column `drain` of the source or from drains.csv."""
    if records["drain"].notna().any():
        listed = dict(zip(records["image_id"], records["drain"], strict=True))
    elif (folder / DRAIN_FILE).is_file():
        table = read_csv(folder / DRAIN_FILE)
        if len(table.columns) != 2:
            raise ValueError(f"{folder / DRAIN_FILE}: expected two columns, image id and 1 or 0")
        known = set(ids)
        names = [name if name in known else image_id(name) for name in table.iloc[:, 0]]
        twice = pd.Series(names, dtype=str).duplicated()
        if twice.any():
            raise ValueError(
                f"{folder / DRAIN_FILE}: image {names[int(twice.argmax())]} appears twice; keep one row"
            )
        listed = dict(zip(names, table.iloc[:, 1], strict=True))
    else:
        return np.full(len(ids), np.nan)
    values = [listed.get(name) for name in ids]
    found = [np.nan if pd.isna(one) or one == "" else DRAIN.get(str(one).strip()) for one in values]
    if None in found:
        place = found.index(None)
        raise ValueError(
            f"{folder}: `drain` of image {ids[place]} is {str(values[place])!r}; give 1, 0 or nothing"
        )
    return np.array(found, np.float64)


def _check(rejected: pd.DataFrame, kept: int, allowed: float, unlabelled: int, description: str) -> None:
    share = len(rejected) / max(len(rejected) + kept, 1)
    examples = "".join(f"\n  {row.input}: {row.reason}" for row in rejected.head(5).itertuples())
    if not kept:
        raise ValueError(
            f"--data {description}: no labelled image ({unlabelled:,} without a label, {len(rejected):,} refused){examples}"
        )
    if share > allowed:
        raise ValueError(
            f"--data {description}: {len(rejected):,} of {len(rejected) + kept:,} images refused, more than "
            f"--refused {allowed}; correct them or raise it:{examples}"
        )


def both_kinds(external: External) -> None:
    """ValueError unless there are positive and negative images."""
    label = external.prepared.index["label"].to_numpy(int)
    if label.all() or not label.any():
        raise ValueError(
            f"--data {external.description}: {len(label):,} images, {label.sum():,} positive; both kinds are needed "
            "(an image without a mask picture is negative only with `--set without_mask=negative`)"
        )
