"""Generated tables of images with pictures and masks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from imaging import prepare
from imaging.prepared import Prepared
from imaging.settings import DataSettings


def picture(path: Path, shape=(64, 48), deep: bool = False) -> None:
    """A grey PNG of noise that differs by its path; deep: 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(sum(map(ord, str(path.name) + str(path.parent.name))))
    pixels = rng.integers(0, 60000 if deep else 256, shape).astype(np.uint16 if deep else np.uint8)
    ending = ".png" if path.suffix not in (".png", ".jpg") else path.suffix
    path.write_bytes(cv2.imencode(ending, pixels)[1].tobytes())


def mask_file(path: Path, shape=(64, 48), inside: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros(shape, np.uint8)
    mask[:32, :24] = 255 * inside
    cv2.imwrite(str(path), mask)


def settings(root: Path, **changes) -> DataSettings:
    return DataSettings(
        **{"source": "table", "folder": str(root), "table": "labels.csv", "image_size": 32, **changes}
    )


def write(root: Path, text: str, name: str = "labels.csv") -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def prepared(root: Path, **changes) -> Prepared:
    folder = root.parent / "prepared"
    prepare.run(settings(root, **changes), folder, root.parent / "reports")
    return Prepared(folder)
