"""Names of input files inside an output folder: never outside it, never shared by two files, never too long."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path, PurePosixPath

LONGEST = 180
"""Longest name, in bytes, that stays as it is: file systems hold 255, and endings such as `.gsps.dcm` follow."""
KEPT = 100
"""Bytes kept of a longer name, before its hash."""


def inside(relative: Path, ending: str) -> PurePosixPath:
    """A path inside the output for a path inside the input: the same where that is plain.

    Names with other characters, too long ones and folders called like one of our files get part of their SHA-256.
    """
    *folders, name = relative.parts
    plain = [_plain(part, part.lower().endswith((".png", ".dcm"))) for part in folders]
    return PurePosixPath(*plain, _plain(name, False) + ending)


def _plain(part: str, taken: bool) -> str:
    clean = re.sub(r"[^\w .()+=@#-]", "_", part).strip(" .")
    data = os.fsencode(part)
    if clean == part and not taken and len(data) <= LONGEST:
        return part
    short = clean.encode("utf-8", "replace")[:KEPT].decode("utf-8", "ignore").strip(" .")
    return f"{short}-{hashlib.sha256(data).hexdigest()[:12]}"
