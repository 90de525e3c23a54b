"""List the studies below a folder that a command reads."""

from __future__ import annotations

from collections import Counter
from pathlib import Path


def files_in(folder: Path) -> dict[str, Path | None]:
    """Image id (the file's name without its ending) and path of every file below a folder.

    Two files of one name would be one row: a ValueError names them.
    """
    if not folder.is_dir():
        raise ValueError(f"--images {folder}: no such folder")
    paths = sorted(path for path in folder.rglob("*") if not path.is_dir() and not path.name.startswith("."))
    doubled = [name for name, count in Counter(path.stem for path in paths).items() if count > 1]
    if doubled:
        both = ", ".join(str(path) for path in paths if path.stem == doubled[0])
        raise ValueError(
            f"--images {folder}: several files are called {doubled[0]!r} ({both}); rename, or score folder by folder"
        )
    if not paths:
        raise ValueError(f"--images {folder}: no files")
    return {path.stem: path for path in paths}


def inputs(folder: Path) -> list[Path]:
    """Every file below a folder in order, but for hidden ones; a ValueError when there is none."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    files = [path for path in sorted(folder.rglob("*")) if not path.is_dir()]
    seen = [path for path in files if not any(p.startswith(".") for p in path.relative_to(folder).parts)]
    if not seen:
        raise ValueError(f"{folder}: no files")
    return seen
