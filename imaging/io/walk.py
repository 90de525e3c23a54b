"""List the files below a folder: one rule for hidden, special and non-image files, for every command and source."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

IMAGE_ENDINGS = (".dcm", ".dicom", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
"""Endings that are not part of an image's id. The content decides what a file is."""
OTHER_ENDINGS = frozenset({
    ".txt", ".md", ".rst", ".csv", ".tsv", ".xls", ".xlsx", ".doc", ".docx", ".pdf", ".rtf", ".json", ".jsonl", ".xml",
    ".html", ".htm", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".log", ".db", ".sqlite", ".parquet", ".npy", ".npz", ".py",
    ".ipynb", ".sh", ".bat", ".exe", ".dll", ".inf", ".lnk", ".url", ".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z",
    ".rar", ".md5", ".sha256", ".part", ".tmp", ".bak", ".pt", ".safetensors", ".mp4", ".avi",
})  # fmt: skip
"""Endings of files that are not images; `.gz` is one of them, `.nii.gz` is not."""
OTHER_NAMES = frozenset({"dicomdir", "readme", "license", "licence", "changelog", "version"})


@dataclass(frozen=True)
class Entry:
    """A file below a folder. `path` begins with the folder as given; `refused` and `skipped` hold a reason, or are empty.

    refused: it cannot be read (a broken link, a pipe, a device, a socket, a folder without permission).
    skipped: by its name not an image (README.txt, DICOMDIR), or a folder that was listed before under another name.
    """

    path: str
    refused: str = ""
    skipped: str = ""

    @property
    def reason(self) -> str:
        """Why it is left out; '' for a file that may be an image."""
        return self.refused or self.skipped

    @property
    def is_image(self) -> bool:
        """Whether a reader should try it."""
        return not self.reason


def walk(folder: str | Path, below: bool = True) -> Iterator[Entry]:
    """List all files in a folder and, unless `below` is false, in its subfolders, in the order of their sorted paths.

    Links to files and folders are followed; a folder that was listed before (a circle of links) is skipped. Names that begin
    with a dot, and `__MACOSX`, are left out silently, with all below them.
    """
    seen: set[tuple[int, int]] = set()
    pending = _listed(str(folder), seen)
    while pending:
        path = pending.pop()
        try:
            about = os.stat(path)
        except OSError as error:
            broken = os.path.islink(path) and isinstance(error, FileNotFoundError)
            yield Entry(path, refused="a broken link" if broken else f"cannot be read ({error.strerror})")
            continue
        if not stat.S_ISDIR(about.st_mode):
            yield _file(path, about.st_mode)
        elif not below:
            continue
        elif (about.st_dev, about.st_ino) in seen:
            yield Entry(path, skipped="a link to a folder that is already listed")
        else:
            try:
                pending += _listed(path, seen)
            except OSError as error:
                yield Entry(path, refused=f"a folder that cannot be read ({error.strerror})")


def _listed(folder: str, seen: set[tuple[int, int]]) -> list[str]:
    """Paths in a folder, the last first, as a stack needs them; the folder itself is noted in `seen`."""
    about = os.stat(folder)
    names = sorted(os.listdir(folder), reverse=True)
    seen.add((about.st_dev, about.st_ino))
    return [os.path.join(folder, name) for name in names if not name.startswith((".", "__MACOSX"))]


def _file(path: str, mode: int) -> Entry:
    if stat.S_ISREG(mode):
        return Entry(path, skipped=not_an_image(os.path.basename(path)))
    kinds = ((stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    kind = next((word for is_kind, word in kinds if is_kind(mode)), "a device")
    return Entry(path, refused=f"{kind}, not a file")


def not_an_image(name: str) -> str:
    """Say why a file's name cannot be an image's; '' where it may be one, such as a UID without an ending."""
    lower = name.lower()
    ending = os.path.splitext(lower)[1]
    if lower in OTHER_NAMES:
        return f"not an image ({name})"
    if ending in OTHER_ENDINGS and not lower.endswith(".nii.gz"):
        return f"not an image ({ending})"
    return ""


def image_id(path: str | Path) -> str:
    """The file's name without an image's ending; `1.2.840.113` keeps its last part, which is not an ending."""
    name = os.path.basename(path)
    stem, ending = os.path.splitext(name)
    return stem if ending.lower() in IMAGE_ENDINGS and stem else name


def printable(name: str | Path) -> str:
    r"""A name in one line of UTF-8: invalid bytes and control characters as `\xNN`, backslashes doubled; different names stay
    different.
    """
    return "".join(map(_escaped, str(name)))


def _escaped(character: str) -> str:
    if character == "\\":
        return r"\\"
    code, category = ord(character), unicodedata.category(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as os.fsdecode keeps it (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    if category in ("Cc", "Cs", "Zl", "Zp"):
        return f"\\x{code:02x}" if code < 128 else f"\\u{code:04x}"
    return character
