"""Find a source's folder and the files in it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from imaging.io.walk import IMAGE_ENDINGS, printable, walk
from imaging.settings import DataSettings

LeftOut = list[tuple[str, str]]
"""Inputs that are not used, each with the reason."""


def existing(settings: DataSettings) -> Path:
    """The source's folder; ValueError when there is none."""
    folder = Path(settings.folder)
    if not folder.is_dir():
        fix = "run `python -m imaging.phantom` first" if settings.source == "phantom" else "set `data.folder`"
        raise ValueError(f"data.folder {settings.folder!r}: no such folder; {fix}")
    return folder


def first(folder: Path, names: Iterable[str]) -> Path | None:
    """The first of these files that exists."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


def patients_file(folder: Path, named: str | None) -> Path | None:
    """The file that names the patients: the one of the settings, else `patients.csv` in the folder that they name."""
    place = Path(named) if named else folder
    if not place.is_dir():
        return place
    return first(place, ["patients.csv"]) or first(
        folder, ["patients.csv"]
    )  # an archive's inner folder has its own


def files_below(folder: Path, skipped: LeftOut) -> list[str]:
    """Paths of all files below a folder that may be images, sorted; the others are added to `skipped`. [] without a folder."""
    return _files(folder, skipped, True) if folder.is_dir() else []


def pictures(folder: Path, skipped: LeftOut) -> list[Path]:
    """The files of one folder that have an image's ending, sorted; the others are added to `skipped`."""
    paths = [Path(path) for path in _files(folder, skipped, False)]
    skipped += [(str(path), "not an image's ending") for path in paths if not _has_ending(path)]
    return [path for path in paths if _has_ending(path)]


def only_inner(folder: Path) -> Path | None:
    """The only subfolder, where an archive has put its content into a folder of its own."""
    inner = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__"))]
    return inner[0] if len(inner) == 1 else None


def _files(folder: Path, skipped: LeftOut, below: bool) -> list[str]:
    found = []
    for entry in walk(folder, below):
        reason = entry.reason or ("" if _is_utf8(entry.path) else "its name is not UTF-8; rename it")
        if reason:
            skipped.append((printable(entry.path), reason))
        else:
            found.append(entry.path)
    return found


def _has_ending(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_ENDINGS


def _is_utf8(path: str) -> bool:
    """Whether a table can hold this name."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
