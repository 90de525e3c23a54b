"""List the studies that a command reads, by the one rule of imaging.io.walk."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ensemble.inference import triage
from imaging.decoding.radiograph import RefusedFile
from imaging.io.walk import Entry, image_id, printable, walk

SHOWN = 3


@dataclass(frozen=True)
class Inputs:
    """The files of a folder, or one file."""

    folder: Path
    """What names are relative to."""
    files: list[Path]
    """Files to read, sorted."""
    refused: dict[Path, RefusedFile] = field(default_factory=dict)
    """Unreadable entries: broken links, pipes, devices, folders without permission."""
    notes: list[str] = field(default_factory=list)
    """What was left out, in sentences."""

    def name(self, path: Path) -> Path:
        """A file's path inside the folder."""
        return path.relative_to(self.folder)


def find(source: Path, output: Path | None = None, option: str = "") -> Inputs:
    """Every file below a folder, or the one file named; a ValueError when there is none.

    output: where the results go. That folder, and results of earlier runs (recognised by triage.csv), are not read.
    option: the option or key that names the source, for messages; '' for a command's first argument.
    """
    named = f"{option} {source}".lstrip()
    if output is not None and source.is_dir() and output.resolve() == source.resolve():
        raise ValueError(f"{output}: is the folder of the images; name another folder for the results")
    if source.is_file():
        return Inputs(source.parent, [source])
    if not source.is_dir():
        raise ValueError(f"{named}: no such file or folder")
    entries = list(walk(source))
    results = _results(entries, output)
    ours = [entry for entry in entries if _below(entry.path, results)]
    entries = [entry for entry in entries if not _below(entry.path, results)]
    files = [Path(entry.path) for entry in entries if entry.is_image]
    refused = {Path(e.path): RefusedFile("FILE-UNREADABLE", e.refused) for e in entries if e.refused}
    skipped = [entry for entry in entries if entry.skipped]
    if not files and not refused:
        raise ValueError(f"{named}: no images{_examples('; left out', skipped)}")
    notes = [f"Left out, not images: {len(skipped):,}{_examples('', skipped)}."] * bool(skipped)
    notes += [f"Left out, files of earlier results: {len(ours):,}."] * bool(ours)
    return Inputs(source, files, refused, notes)


def _results(entries: Iterable[Entry], output: Path | None) -> set[str]:
    """Folders that hold results: the output, and those with a triage.csv in our form."""
    tables = (entry.path for entry in entries if os.path.basename(entry.path) == triage.FILE)
    found = {os.path.dirname(path) for path in tables if triage.is_ours(Path(path))}
    return found | ({str(output), str(output.resolve())} if output is not None else set())


def _below(path: str, folders: set[str]) -> bool:
    return any(path.startswith(f"{folder}{os.sep}") for folder in folders) if folders else False


def _examples(text: str, entries: list[Entry]) -> str:
    """`text`, and some of the names in brackets; empty without entries."""
    if not entries:
        return ""
    names = [printable(os.path.basename(entry.path)) for entry in entries[:SHOWN]]
    return f"{text} ({', '.join(names)}{', …' if len(entries) > SHOWN else ''})"


def by_id(inputs: Inputs, option: str = "--images") -> dict[str, Path | None]:
    """Image id and path of every file, refused ones included; the id is the file's name without an image extension, in
    printable form.

    Two files of one name would be one row: a ValueError names them.
    """
    paths = sorted([*inputs.files, *inputs.refused])
    ids = [printable(image_id(path)) for path in paths]
    doubled = [name for name, count in Counter(ids).items() if count > 1]
    if doubled:
        both = ", ".join(
            printable(inputs.name(path)) for path, name in zip(paths, ids, strict=True) if name == doubled[0]
        )
        raise ValueError(
            f"{option} {inputs.folder}: several files are called {doubled[0]!r} ({both}); rename, or score each "
            "folder separately"
        )
    return dict(zip(ids, paths, strict=True))
