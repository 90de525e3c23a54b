"""Export in mmsegmentation's medical layout: images/{train,val}, masks/{train,val} with 0 and 1, and lists of names.

train.txt lists all folds, val.txt the hold-out; fold<k>_train.txt and fold<k>_val.txt are the folds, for `ann_file` of a config.
patients.csv groups the images by patient.
"""

from __future__ import annotations

from pathlib import Path

from imaging.export.writer import Case, Plan
from imaging.io.files import write_png, write_text
from imaging.prepared import HOLDOUT


def save(folder: Path, case: Case) -> None:
    """Write one image and its mask."""
    part = _part(case.part)
    write_png(folder / "images" / part / f"{case.image_id}.png", case.image)
    write_png(folder / "masks" / part / f"{case.image_id}.png", case.mask)


def tables(folder: Path, plan: Plan) -> None:
    """Write the lists, with lines `train/<name>` without extension."""
    _list(folder / "train.txt", plan.ids(), plan)
    _list(folder / "val.txt", plan.of(HOLDOUT), plan)
    for fold in plan.folds:
        _list(folder / f"fold{fold}_train.txt", plan.ids(without=fold), plan)
        _list(folder / f"fold{fold}_val.txt", plan.of(fold), plan)


def _list(path: Path, ids: list[str], plan: Plan) -> None:
    write_text(path, "".join(f"{_part(plan.parts[name])}/{name}\n" for name in ids))


def _part(name: str) -> str:
    return "val" if name == HOLDOUT else "train"
