"""Read the tables of a data set and find the cells of each row by their meaning, whatever the columns are called."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from imaging.io.tables import column, read_table
from imaging.io.walk import walk
from imaging.settings import DataSettings
from imaging.sources.discovery import LeftOut
from imaging.sources.tables.preset import BoxTable, Join, Preset

FIELDS = (
    "path",
    "label",
    "mask",
    "boxes",
    "patient_id",
    "sex",
    "age",
    "view",
    "split",
    "image_id",
    "reader",
    "drain",
    "spacing_mm",
    "original_height",
    "original_spacing_mm",
)
"""What a column may mean."""
OPTIONAL = ("original_height", "original_spacing_mm")
"""Columns that a preset names and that an edition of the data set may lack."""

Cells = dict[str, str]
"""Text by meaning; a meaning without a column is missing."""


@dataclass
class Found:
    """A table: its name, its rows (file and line, cells), and notes for the dataset card."""

    name: str
    rows: list[tuple[str, Cells]]
    notes: list[str] = field(default_factory=list)


def read(settings: DataSettings, known: Preset, root: Path, skipped: LeftOut) -> Found:
    """Read the settings' table, or the preset's; ValueError names a file or column that is missing."""
    if known.pairs and not settings.table:
        return _pairs(root, *known.pairs)
    path = _table(settings, known, root)
    content = read_table(path)
    if content.empty:
        raise ValueError(f"{path}: no rows")
    content = content.assign(_line=range(2, len(content) + 2))
    notes = []
    for join in known.join:
        content = _joined(content, join, root, path)
    content = _kept(content, known, path, skipped)
    cells = {
        name: series
        for name in FIELDS
        if (series := _cells(content, name, settings, known, path)) is not None
    }
    if "path" not in cells:
        raise ValueError(f"{path}: no column 'path'; name it in data.columns.path. {_has(content)}")
    if not {"label", "mask", "boxes"} & cells.keys():
        raise ValueError(
            f"{path}: no column 'label', 'mask' or 'boxes'; name one in data.columns. {_has(content)}"
        )
    if known.boxes:
        cells["boxes"], note = _boxes(known.boxes, known.word or settings.word or "", cells["path"], root)
        notes.append(note)
    lines = content["_line"].tolist()
    lists = [series.tolist() for series in cells.values()]
    rows = [
        (f"{path.name} row {line}", dict(zip(cells, texts, strict=True)))
        for line, texts in zip(lines, zip(*lists, strict=True), strict=True)
    ]
    return Found(str(path), rows, [f"{path.name}: {len(rows):,} rows.", *notes])


def _table(settings: DataSettings, known: Preset, root: Path) -> Path:
    if settings.table:
        if not (root / settings.table).is_file():
            raise ValueError(
                f"data.table {settings.table!r}: no such file in data.folder {root}; move it there, or correct the name"
            )
        return root / settings.table
    found = _first(root, known.tables)
    if found is None:
        raise ValueError(
            f"{root}: holds none of {', '.join(known.tables)}; set data.table or data.folder ({known.title})"
        )
    return found


def _first(root: Path, names: list[str]) -> Path | None:
    return next((root / name for name in names if (root / name).is_file()), None)


def _joined(content: pd.DataFrame, join: Join, root: Path, path: Path) -> pd.DataFrame:
    """The table with the columns of another one; rows without a partner get empty cells."""
    other = _first(root, join.tables)
    if other is None:
        raise ValueError(f"{root}: holds none of {', '.join(join.tables)}, which belongs to {path.name}")
    right = read_table(other)
    for name in join.on:
        column(content, name, path)
        column(right, name, other)
    new = [name for name in right.columns if name not in content.columns or name in join.on]
    right = right[new].drop_duplicates(join.on)
    return content.merge(right, how="left", on=join.on, validate="many_to_one").fillna("")


def _kept(content: pd.DataFrame, known: Preset, path: Path, skipped: LeftOut) -> pd.DataFrame:
    """The rows that the preset keeps; the others are added to `skipped`."""
    for name, allowed in known.keep.items():
        found = column(content, name, path)
        for line, text in zip(
            content["_line"][~found.isin(allowed)], found[~found.isin(allowed)], strict=True
        ):
            skipped.append((f"{path.name} row {line}", f"{name} is {text!r}; used: {', '.join(allowed)}"))
        content = content[found.isin(allowed)]
    return content


def _cells(
    content: pd.DataFrame, name: str, settings: DataSettings, known: Preset, path: Path
) -> pd.Series | None:
    """The texts of one meaning; None where no column has it."""
    strangers = sorted(settings.columns.keys() - set(FIELDS))
    if strangers:
        raise ValueError(f"data.columns: unknown {', '.join(strangers)}; known are {', '.join(FIELDS)}")
    own = settings.columns.get(name)
    wanted = own if own is not None else known.columns.get(name)
    present = {str(column).lower() for column in content.columns}
    if wanted is None:
        return column(content, name, path) if name in present else None
    if own is None and name in OPTIONAL and str(wanted).lower() not in present:
        return None
    if isinstance(wanted, list):
        wanted = next((each for each in wanted if each.lower() in present), wanted[0])
    series = _template(content, wanted, path) if "{" in wanted else column(content, wanted, path)
    if own is None and name in known.extract:
        series = series.str.extract(known.extract[name], expand=False).fillna("")
    return series


def _template(content: pd.DataFrame, pattern: str, path: Path) -> pd.Series:
    """`files/{id}.png` with each row's cells."""
    names = list(dict.fromkeys(re.findall(r"{([^}:]+)", pattern)))
    lists = [column(content, name, path).tolist() for name in names]
    try:
        return pd.Series(
            [pattern.format(**dict(zip(names, texts, strict=True))) for texts in zip(*lists, strict=True)],
            index=content.index,
            dtype=object,
        )
    except (ValueError, KeyError, IndexError) as error:
        raise ValueError(f"data.columns: {pattern!r} is not a pattern of columns ({error})") from None


def _boxes(of: BoxTable, word: str, paths: pd.Series, root: Path) -> tuple[pd.Series, str]:
    """Each image's boxes as `data.box_form` xywh, by the file's name, and a note."""
    file = _first(root, of.tables)
    if file is None:
        return pd.Series("", index=paths.index), f"{of.tables[0]} is missing: no boxes."
    content = read_table(file)
    ours = column(content, of.finding, file).str.lower() == word.lower()
    numbers = [column(content, name, file)[ours] for name in of.box]
    boxes: dict[str, list[str]] = {}
    for image, *four in zip(column(content, of.image, file)[ours], *numbers, strict=True):
        boxes.setdefault(_stem(image), []).append(_xywh(four, of.form, file, image))
    texts = paths.map(lambda name: ";".join(boxes.get(_stem(name), [])))
    return texts, f"{file.name}: {int(ours.sum()):,} boxes of {len(boxes):,} images."


def _xywh(four: list[str], form: str, file: Path, image: str) -> str:
    try:
        x, y, width, height = map(float, four)
    except ValueError:
        raise ValueError(
            f"{file}: the box {' '.join(four)} of {image} does not consist of four numbers; correct it"
        ) from None
    if form == "xyxy":
        width, height = width - x, height - y
    return f"{x:.10g} {y:.10g} {width:.10g} {height:.10g}"


def _stem(name: str) -> str:
    return os.path.splitext(os.path.basename(name))[0]


def _pairs(root: Path, image: str, mask: str) -> Found:
    """Files `<case>.<n>.img.png` with `<case>.<n>.mask.png` in one folder as rows of positives."""
    files = [entry.path for entry in walk(root) if entry.is_image]
    masks = dict(_cases(files, mask))
    rows = [
        (path, {"path": path, "mask": masks.get(case, ""), "label": "1", "image_id": _id(case, root)})
        for case, path in _cases(files, image)
    ]
    if not rows:
        raise ValueError(f"{root}: no file ends in {image}; set data.folder")
    return Found(
        str(root),
        rows,
        [f"{len(rows):,} images, {sum(bool(cells['mask']) for _, cells in rows):,} with a mask."],
    )


def _cases(files: list[str], ending: str) -> Iterator[tuple[str, str]]:
    """(folder and case, path); `SiteA/1.2.mask.png` is the case SiteA/1."""
    for path in files:
        if path.endswith(ending):
            stem = path.removesuffix(ending)
            yield re.sub(r"\.\d+$", "", stem), path


def _id(case: str, root: Path) -> str:
    return os.path.relpath(case, root).replace(os.sep, "_")


def _has(content: pd.DataFrame) -> str:
    return f"The file has {', '.join(map(repr, content.columns.drop('_line')))}"
