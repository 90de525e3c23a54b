"""Find the file that a table means: data sets are unpacked in many ways, but tables name files in only one."""

from __future__ import annotations

import os
from collections import Counter
from functools import cached_property
from pathlib import Path

from imaging.io.walk import image_id, walk
from imaging.sources.tables.values import CellError


class Files:
    """Files below a folder by what a table calls them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, name: str, code: str = "TABLE-FILE") -> str:
        """Path of the file that a cell names: as it is, without its first folders, or by its file name alone where only one file
        has it, with or without an ending. CellError of this code when there is none, or several.
        """
        clean = name.replace("\\", "/")
        if os.path.isabs(clean) and os.path.isfile(clean):
            return clean
        parts = [part for part in clean.split("/") if part not in ("", ".")]
        if ".." not in parts:
            for start in range(len(parts)):
                path = os.path.join(self.root, *parts[start:])
                if os.path.isfile(path):
                    return path
        found = self._by_name.get(parts[-1] if parts else "", [])
        if len(found) == 1:
            return found[0]
        if found:
            raise CellError(
                code, f"{name!r}: {len(found)} files have this name; write the path below {self.root}"
            )
        raise CellError(code, f"{name!r}: no such file below {self.root}; copy it there or remove the row")

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        """File name, and file name without an image's ending -> paths; the folder is walked once, and only when needed."""
        names: dict[str, list[str]] = {}
        for entry in walk(self.root):
            if entry.is_image:
                base = os.path.basename(entry.path)
                for name in {base, image_id(base)}:
                    names.setdefault(name, []).append(entry.path)
        return names


def ids(paths: list[str], root: Path) -> dict[str, str]:
    """Path -> image id: the file's name without its ending; where two files share one, the path below the folder for all."""
    alone = {path: image_id(path) for path in paths}
    if max(Counter(alone.values()).values(), default=0) <= 1:
        return alone
    below = {path: os.path.relpath(path, root).replace(os.sep, "/") for path in paths}
    return {path: _without_ending(name).replace("/", "_") for path, name in below.items()}


def _without_ending(name: str) -> str:
    folder, _, base = name.rpartition("/")
    return f"{folder}/{image_id(base)}" if folder else image_id(base)
