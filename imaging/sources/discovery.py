"""What all sources ask of a folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from imaging.settings import DataSettings

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".dcm")
"""Endings of the files that are taken for images; what a file really is, its content says."""


def existing(settings: DataSettings) -> Path:
    """The source's folder; ValueError when there is none."""
    folder = Path(settings.folder)
    if not folder.is_dir():
        mend = (
            "run `python -m imaging.phantom` first" if settings.source == "phantom" else "set `data.folder`"
        )
        raise ValueError(f"data.folder {settings.folder!r}: no such folder; {mend}")
    return folder


def first(folder: Path, names: Iterable[str]) -> Path | None:
    """The first of these files that is there."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


def patients_file(folder: Path, named: str | None) -> Path | None:
    """The file that names the patients: the one of the settings, else `patients.csv` in the folder that they name."""
    place = Path(named) if named else folder
    return first(place, ["patients.csv"]) if place.is_dir() else place


def walk(folder: Path) -> Iterator[str]:
    """Paths of all files below, one folder after the other, sorted, since a file system gives them in any order.

    As texts: a `Path` has Python keep each part of a name for good.
    """
    for top, folders, names in os.walk(folder):
        folders.sort()
        yield from (os.path.join(top, name) for name in sorted(names))


def pictures(folder: Path, notes: list[str]) -> list[Path]:
    """The image files of one folder, sorted; a note counts the others. Hidden files do not count."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    others = [path.name for path in files if path.suffix.lower() not in PICTURES]
    if others:
        notes.append(f"{folder.name}: {len(others):,} files ignored, no images: {', '.join(others[:5])}.")
    return [path for path in files if path.suffix.lower() in PICTURES]


def only_inner(folder: Path) -> Path | None:
    """The one folder within, where an archive has put its content into a folder of its own."""
    inner = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__"))]
    return inner[0] if len(inner) == 1 else None
