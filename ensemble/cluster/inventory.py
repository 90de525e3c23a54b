"""List the files of an archive: a folder, a folder behind a URL, or a list of files, each with a name and an address."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from imaging.formats import remote
from imaging.io.walk import walk


@dataclass(frozen=True)
class Inventory:
    """A folder, a URL or a list of files."""

    source: str
    """As given: a folder, a URL of one, or a text file with one path or URL per line."""

    @property
    def is_list(self) -> bool:
        """Whether the source is a text file on this machine."""
        return not remote.is_url(self.source) and Path(self.source).is_file()

    @property
    def base(self) -> str:
        """What names are relative to: the folder, or the list's folder."""
        return str(Path(self.source).resolve().parent) if self.is_list else self.source

    def names(self) -> Iterator[tuple[str, int | None]]:
        """Yield each file's name, in order, and its size in bytes (None in a list); ValueError when there is none."""
        if self.is_list:
            return self._lines()
        if remote.is_url(self.source):
            return iter(remote.files(self.source).items())
        return self._folder()

    def address(self, name: str) -> str:
        """URL or absolute path of a file, valid on every node."""
        if remote.is_url(name):
            return name
        if remote.is_url(self.base):
            return f"{self.base.rstrip('/')}/{name}"
        return str(Path(self.base).resolve() / name)

    def _folder(self) -> Iterator[tuple[str, int | None]]:
        root = Path(self.source)
        if not root.is_dir():
            raise ValueError(f"{root}: no such folder or list of files")
        empty = True
        for entry in walk(root):
            if not entry.skipped:
                empty = False
                yield (
                    os.path.relpath(entry.path, root),
                    None if entry.refused else os.path.getsize(entry.path),
                )
        if empty:
            raise ValueError(f"{root}: no images")

    def _lines(self) -> Iterator[tuple[str, int | None]]:
        empty = True
        with open(self.source, "rb") as lines:
            for line in lines:
                if name := os.fsdecode(line.rstrip(b"\r\n")):
                    empty = False
                    yield name, None
        if empty:
            raise ValueError(f"{self.source}: lists no files")
