"""The training seeds of a params file: the same recipe trained again with other random numbers.

Seed number n adds n * STEP to every `seed` of the sections `classification` and `segmentation`, those of variants and phases too.
Data, split, studies and bootstrap keep theirs, so that only initial weights, order and augmentation differ.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from imaging.io.config import PARAMS_FILE, parse_yaml
from imaging.io.files import fingerprint, write_text

SECTIONS = ("classification", "segmentation")
STEP = 10_000
"""Between two seed numbers; folds, phases and models of one training are less than this apart."""
BACKUP = Path(".resume/params.yaml")
"""The params file itself while another seed is in its place."""
HEADER = "# Written by experiments.seeds for seed number "


@contextmanager
def in_place(number: int, path: Path = Path(PARAMS_FILE)) -> Iterator[None]:
    """Change the seeds of params.yaml for the duration of a block; after a kill, `recover` restores the file."""
    if not number:
        yield
        return
    text = path.read_text(encoding="utf-8")
    write_text(BACKUP, text)
    changed = yaml.safe_dump(with_seed(parse_yaml(text), number), sort_keys=False)
    write_text(path, f"{HEADER}{number}; the original is {BACKUP}\n{changed}")
    try:
        yield
    finally:
        recover(path)


def recover(path: Path = Path(PARAMS_FILE)) -> None:
    """Restore the original params.yaml where a killed process left that of a seed."""
    if BACKUP.is_file():
        if path.is_file() and path.read_text(encoding="utf-8").startswith(HEADER):
            write_text(path, BACKUP.read_text(encoding="utf-8"))
        BACKUP.unlink()


def with_seed(content: Any, number: int) -> Any:
    """A copy of a params file's content (plain values) with the seeds of seed number `number` (0 or more)."""
    changed = copy.deepcopy(content)
    for section in SECTIONS:
        place = changed.get(section, {})
        place.setdefault("seed", 0)
        _visit(place, lambda value: value + number * STEP)
    return changed


def seeds_of(content: Any) -> str:
    """The seeds of both sections in words, `0/0` for the defaults; it distinguishes two trainings of one recipe."""
    return "/".join(str(content.get(section, {}).get("seed", 0)) for section in SECTIONS)


def recipe_fingerprint(content: Any) -> str:
    """Fingerprint of a resolved params file (plain values) without its training seeds."""
    plain = copy.deepcopy(content)
    for section in SECTIONS:
        _visit(plain.get(section, {}), lambda _: 0)
    return fingerprint(plain)


def _visit(place: Any, change: Any) -> None:
    """Replace every value of a key `seed` that is a number."""
    if isinstance(place, list):
        for value in place:
            _visit(value, change)
    elif isinstance(place, dict):
        for key, value in place.items():
            if key == "seed" and isinstance(value, int):
                place[key] = change(value)
            else:
                _visit(value, change)
