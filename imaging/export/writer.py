"""Write images and masks at their original resolution, with their folds, in another tool's layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imaging import rle
from imaging.decoding.radiograph import RefusedFile, to_uint8
from imaging.formats.reader import read
from imaging.io.files import atomic_folder, write_text
from imaging.io.threads import cores, ordered_map
from imaging.prepared import HOLDOUT, Prepared


@dataclass(frozen=True)
class Case:
    """A labelled image uint8 (H, W), its mask uint8 0/1 (H, W), and its part: 'holdout' or a fold number."""

    image_id: str
    part: str
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]


@dataclass(frozen=True)
class Plan:
    """Which images are exported: ids of the folds and of the hold-out, and their patients as numbers."""

    parts: dict[str, str]
    """image id -> part, sorted by id."""
    patients: dict[str, int]
    """image id -> number of the patient, from 1; patient ids may be a hospital's and are not exported."""

    @property
    def folds(self) -> list[str]:
        """Names of the folds, sorted by number."""
        return sorted({part for part in self.parts.values() if part != HOLDOUT}, key=int)

    def ids(self, *, without: str = HOLDOUT) -> list[str]:
        """All ids of the folds except one fold."""
        return [name for name, part in self.parts.items() if part not in (HOLDOUT, without)]

    def of(self, part: str) -> list[str]:
        """The ids of one part."""
        return [name for name, found in self.parts.items() if found == part]


def plan(data: Prepared) -> Plan:
    """Plan the export of the labelled images; ValueError when the data is not split yet."""
    parts = {str(name): str(part) for name, part in data.folds.sort_index().items()}
    owners = data.index["patient_id"].iloc[data.rows(parts)].tolist()
    numbers = {owner: number for number, owner in enumerate(dict.fromkeys(owners), start=1)}
    return Plan(parts, {name: numbers[owner] for name, owner in zip(parts, owners, strict=True)})


def cases(data: Prepared, reduced: bool) -> Iterator[Case]:
    """Yield the labelled images, sorted by id: from their files, or the prepared ones if `reduced`.

    ValueError when a file is missing or its size has changed since it was prepared.
    """
    parts = plan(data).parts
    paths = data.index["path"].iloc[data.rows(parts)]
    named = zip(parts, parts.values(), paths, strict=True)
    yield from ordered_map(partial(_case, data, reduced), named, cores())


def _case(data: Prepared, reduced: bool, named: tuple[str, str, str]) -> Case:
    image_id, part, path = named
    row = int(data.rows([image_id])[0])
    if reduced:
        return Case(image_id, part, np.array(data.images[row]), np.array(data.mask(row)))
    facts = data.index.iloc[row]
    try:
        image = to_uint8(read(path).pixels)
    except RefusedFile as refusal:
        raise ValueError(f"{refusal}; correct it, or export the prepared images with --reduced") from None
    shape = (int(facts["height"]), int(facts["width"]))
    if image.shape != shape:
        raise ValueError(f"{path}: has changed since it was prepared; run `python -m imaging.prepare` again")
    return Case(image_id, part, image, rle.decode(data.truth[image_id], shape).astype(np.uint8))


def write(
    data: Prepared,
    output: Path,
    reduced: bool,
    save: Callable[[Path, Case], None],
    tables: Callable[[Path, Plan], None],
) -> int:
    """Write a folder atomically: each case by `save`, then the lists by `tables`. Return the number of cases."""
    count = 0
    with atomic_folder(output) as folder:
        for case in cases(data, reduced):
            save(folder, case)
            count += 1
        found = plan(data)
        tables(folder, found)
        lines = [f"{name},{number}" for name, number in found.patients.items()]
        write_text(folder / "patients.csv", "\n".join(["image,patient", *lines]) + "\n")
    return count
