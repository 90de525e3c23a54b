"""Source `table`: one CSV or Parquet file with a row for each image, as most data sets and every hospital's own list have it.

    path       file of the image (required)
    label      1, 0, -1 (uncertain) or empty; or names of findings, of which data.word is one
    mask       file of a mask, or a run-length code as in SIIM-ACR; empty for none
    boxes      `x y width height` in pixels, separated by `;`
    drain      1, 0 or empty: whether a chest tube is visible, for `ensemble.validate`
    spacing_mm of the rows; or original_height and original_spacing_mm, of the image before it was resized
    patient_id, sex, age, view, split, image_id, reader (several readers' rows of one image: the majority decides)

A positive without a mask is labelled: it trains the classifier and no segmentation network. Rows that cannot be used are
rejected with their line and a code; those that a preset leaves out, lateral views, are listed as skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from imaging import rle, runs
from imaging.identity import patients
from imaging.settings import DataSettings
from imaging.sources.discovery import LeftOut, existing, patients_file
from imaging.sources.listing import Listing, refusals, table
from imaging.sources.tables import columns, preset, values
from imaging.sources.tables.columns import Cells
from imaging.sources.tables.files import Files, ids
from imaging.sources.tables.preset import Preset
from imaging.sources.tables.values import CellError, Labels

SPACING = ("spacing_mm", "original_height", "original_spacing_mm")


@dataclass(frozen=True)
class Row:
    """One row of the table, read. where: file and line."""

    where: str
    path: str
    label: int | None
    mask: str
    code: str
    boxes: list[values.Box]
    split: str
    facts: dict[str, Any]
    """drain, spacing_mm and height_mm of a `Listing`'s record."""
    cells: Cells


@dataclass
class _Left:
    """What is left out, and notes for the dataset card."""

    rejected: LeftOut = field(default_factory=list)
    skipped: LeftOut = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def list_studies(settings: DataSettings) -> Listing:
    """List the images of a table with what it says about them; ValueError when table or column is missing, or no row is left."""
    root, known, left = existing(settings), preset.load(settings.preset), _Left()
    found = columns.read(settings, known, root, left.skipped)
    left.notes += [*_about(known), *found.notes]
    read = _Reader(settings, known, root, left)
    rows = [row for where, cells in found.rows if (row := read(where, cells))]
    images = [image for group in _by_path(rows) if (image := _one(group, left))]
    if not any(image.split != "test" for image in images):
        first = "".join(f". The first refusal: {where}: {why}" for where, why in left.rejected[:1])
        raise ValueError(f"{found.name}: no row that can be used for training{first}")
    records, source = _records(images, settings, root, left)
    return Listing(table(records), refusals(left.rejected), refusals(left.skipped), left.notes, source)


class _Reader:
    """Reads rows; one that means nothing is rejected."""

    def __init__(self, settings: DataSettings, known: Preset, root: Path, left: _Left) -> None:
        number = {"positive": 1, "negative": 0, "unlabelled": None}
        self.labels = Labels(
            word=settings.word or known.word,
            uncertain=number[settings.uncertain],
            blank=number[settings.blank],
            unknown=frozenset(name.lower() for name in known.unknown),
        )
        self.files, self.known, self.left = Files(root), known, left
        self.form = "xywh" if known.boxes else settings.box_form

    def __call__(self, where: str, cells: Cells) -> Row | None:
        try:
            return self._read(where, cells)
        except CellError as error:
            self.left.rejected.append((where, str(error)))
            return None

    def _read(self, where: str, cells: Cells) -> Row:
        if not cells.get("path"):
            raise CellError("TABLE-FILE", "path is empty; write the image's file or remove the row")
        named, code = values.mask(cells.get("mask", ""))
        label = self.labels(cells["label"]) if "label" in cells else None
        row = Row(
            where,
            path=self.files.find(cells["path"]),
            label=label,
            mask=self.files.find(named, "TABLE-MASK") if named else "",
            code=code,
            boxes=values.boxes(cells.get("boxes", ""), self.form),
            split=self._split(cells.get("split", "")),
            facts=_facts(cells),
            cells=cells,
        )
        return _consistent(row)

    def _split(self, text: str) -> str:
        return values.split(self.known.split.get(text, text))


def _facts(cells: Cells) -> dict[str, Any]:
    spacing, height, original = (values.positive(cells.get(key, ""), key) for key in SPACING)
    return {
        "drain": values.drain(cells.get("drain", "")),
        "spacing_mm": spacing,
        "height_mm": height * original if height and original else None,
    }


def _consistent(row: Row) -> Row:
    """The row with the label that its mask or boxes imply; CellError when they contradict the label."""
    inside = bool(row.code and row.code != rle.EMPTY)
    if "reader" in row.cells:  # another reader may have drawn the box
        return row
    if row.label == 0 and (inside or row.boxes):
        what = "a mask" if inside else "boxes"
        raise CellError("TABLE-CONTRADICTION", f"label 0 together with {what}; correct one of them")
    if row.label == 1 and row.code == rle.EMPTY:
        raise CellError("TABLE-CONTRADICTION", "label 1 together with the empty mask -1; correct one of them")
    if row.label is None and (inside or row.boxes):
        return replace(row, label=1)
    if row.label is None and row.code == rle.EMPTY:
        return replace(row, label=0)
    return row


def _by_path(rows: Iterable[Row]) -> Iterable[list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.path, []).append(row)
    return groups.values()


def _one(rows: list[Row], left: _Left) -> Row | None:
    """One row from an image's rows: equal ones once, masks and boxes united, readers by majority; None for a contradiction."""
    first, unique = rows[0], [rows[0]]
    for row in rows[1:]:
        if any(row.cells == other.cells for other in unique):
            left.rejected.append((row.where, f"TABLE-DUPLICATE: the same as {first.where}; remove it"))
        else:
            unique.append(row)
    if len(unique) == 1:
        return first
    if len({row.cells.get("reader") for row in unique}) == len(unique):
        label = majority([row.label for row in unique])
        return replace(first, label=label, boxes=_united_boxes(unique) if label == 1 else [])
    for name, found in (("label", {row.label for row in unique}), ("split", {row.split for row in unique})):
        if len(found) > 1:
            lines = ", ".join(row.where.rpartition(" ")[2] for row in unique)
            reason = f"TABLE-CONTRADICTION: rows {lines} of {first.path} differ in {name}; keep one of them"
            left.rejected += [(row.where, reason) for row in unique]
            return None
    if any(row.mask for row in unique) and len({row.mask for row in unique}) > 1:
        left.rejected += [
            (
                row.where,
                f"TABLE-CONTRADICTION: a different mask file than {first.where} for one image; unite them in one file",
            )
            for row in unique
        ]
        return None
    return replace(first, code=_united([row.code for row in unique if row.code]), boxes=_united_boxes(unique))


def majority(labels: Sequence[int | None]) -> int | None:
    """1 or 0, as the majority of readers says; None for a tie."""
    yes, no = sum(label == 1 for label in labels), sum(label == 0 for label in labels)
    return None if yes == no else int(yes > no)


def _united(codes: list[str]) -> str:
    """One run-length code for several that are all masks, or all empty."""
    if len(set(codes)) <= 1:
        return codes[0] if codes else ""
    return runs.write(runs.union(runs.parse(code) for code in codes))


def _united_boxes(rows: list[Row]) -> list[values.Box]:
    return list(dict.fromkeys(box for row in rows for box in row.boxes))


def _records(
    images: list[Row], settings: DataSettings, root: Path, left: _Left
) -> tuple[list[dict[str, Any]], str]:
    """Records of a `Listing`, and where the patients are from."""
    names = ids([image.path for image in images], root)
    own = {image.path: image.cells.get("image_id") or names[image.path] for image in images}
    kept: dict[str, Row] = {}
    for image in images:
        first = kept.setdefault(own[image.path], image)
        if first is not image:
            left.rejected.append(
                (image.where, f"TABLE-DUPLICATE: the same image id as {first.where}; rename one")
            )
    given = {name: image.cells["patient_id"] for name, image in kept.items() if image.cells.get("patient_id")}
    file = patients_file(root, settings.patients)
    known = patients.look_up(file, set(kept) if file else set(kept) - set(given))
    left.notes += known.notes
    source = " and ".join(
        ([known.source] if known.patient or not given else []) + (["the table"] if given else [])
    )
    return [
        _record(name, image, known.patient.get(name) or given.get(name)) for name, image in kept.items()
    ], source


def _record(name: str, image: Row, patient: str | None) -> dict[str, Any]:
    cells, tested = image.cells, image.split == "test"
    # A negative has an empty mask, whatever the table holds for it; a positive may have none.
    code = None if tested or image.mask else (rle.EMPTY if image.label == 0 else image.code or None)
    return {
        "image_id": name,
        "path": image.path,
        "split": image.split,
        "rle": code,
        "mask": None if tested or not image.mask or image.label == 0 else image.mask,
        "label": None if tested else image.label,
        "boxes": None if tested else values.written(image.boxes),
        "patient_id": patient,
        "sex": values.sex(cells.get("sex", "")),
        "age": values.age(cells.get("age", "")),
        "view": cells.get("view") or None,
        **image.facts,
    }


def _about(known: Preset) -> list[str]:
    if not known.title:
        return []
    return [
        f"{known.title}. Licence: {known.licence}. Cite: {known.citation}.",
        f"Known label noise: {known.noise}.",
    ]
