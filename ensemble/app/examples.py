"""Generated phantoms to try the page with: made when it starts, never stored in the project."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2

from ensemble.app.encoding import png
from imaging.io.threads import cores, ordered_map
from imaging.phantom import Phantom, dicom_writer, render
from imaging.settings import PhantomSettings

SEED = 2026
"""Not a seed of any recipe: no network has been trained on these."""
SETTINGS = PhantomSettings(train=40, test=1, prevalence=0.5, difficulty=0.0, least_area=6000)
CHOSEN = {
    10: "Left apical",
    7: "Right apical, pacemaker",
    5: "Right apical, portable",
    14: "Right apical, wide",
    1: "Pacemaker, no pneumothorax",
    18: "Tilted, no pneumothorax",
}
"""Index, and what was drawn: left and right, an easy and a hard one, and chests without a finding."""
THUMBNAIL = 224
"""Side of the small picture."""


@dataclass(frozen=True)
class Example:
    """One phantom."""

    title: str
    dicom: bytes
    """A whole DICOM file."""
    picture: str
    """A small PNG in base64."""


def examples() -> list[Example]:
    """The chosen phantoms, made in about a second each per core."""
    made = ordered_map(lambda index: render(SEED, index, SETTINGS), CHOSEN, cores())
    return [_example(title, phantom) for title, phantom in zip(CHOSEN.values(), made, strict=True)]


def _example(title: str, phantom: Phantom) -> Example:
    small = cv2.resize(phantom.pixels, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "phantom.dcm"
        dicom_writer.save(path, phantom, SEED)
        return Example(title, path.read_bytes(), png(small.astype("uint8", copy=False)))
