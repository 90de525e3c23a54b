"""Training samples per second on one core: ours from the memory maps, against a cache of PNG files. `python -m benchmarks.feed`

The cache is what most public solutions train from: 1024² PNG files of image and mask, read by OpenCV, brought to 512² and changed
by albumentations. Both sides make the same changes with the same probability and end with uint8 images and masks of 512².
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
import torch

from benchmarks import timing
from benchmarks.timing import Row, against, table
from imaging import prepare, rle
from imaging.data import augment, augment_batch
from imaging.data.dataset import Images
from imaging.formats import reader
from imaging.phantom.dataset import write
from imaging.prepared import Prepared
from imaging.settings import AugmentSettings, DataSettings, PhantomSettings

SIZE, STUDIES, BATCH, ROUNDS = 512, 48, 16, 5
PEER, READ_ALONE, MONAI = (
    "1024² PNG cache + albumentations at 512²",
    "1024² PNG cache, read and resized",
    "MONAI, pydicom reader",
)


def main() -> None:
    """Print the rows."""
    print(timing.machine(), table(rows()), sep="\n\n")


def rows() -> list[Row]:
    """For `benchmarks.suite`."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        prepared, cache = caches(Path(scratch))
        batches = [list(range(start, start + BATCH)) for start in range(0, len(prepared.index), BATCH)]
        cases: dict[str, timing.Case] = {
            PEER: (partial(from_png, change=usual(SIZE)), cache),
            READ_ALONE: (partial(from_png, change=A.Compose([A.Resize(SIZE, SIZE)])), cache),
            **{name: (way(prepared, settings), batches) for name, settings in OURS.items()},
        }
        if (read := monai_loader()) is not None:
            cases[MONAI] = (read, [Path(path) for path in prepared.index["path"][:8]])
        seconds = timing.medians(cases, ROUNDS)
    each = {name: value / (BATCH if name in OURS else 1) for name, value in seconds.items()}
    return [
        *against(
            "augmented samples a second, same operations", each, "fused", {PEER: 4}, rate(each["fused"])
        ),
        *against("the same with albumentations from the memory map", each, "albumentations", {PEER: None}),
        *against("raw uint8 batches a second", each, "raw", {PEER: 50, READ_ALONE: None}, rate(each["raw"])),
        _beside_monai(each),
    ]


OURS = {
    "fused": AugmentSettings(engine="fused"),
    "albumentations": AugmentSettings(),
    "raw": AugmentSettings(preset="none"),
}
"""Ways that yield whole batches."""


def rate(seconds: float) -> str:
    """In words."""
    return f"{1 / seconds:,.0f} a second on one core"


def _beside_monai(each: dict[str, float]) -> Row:
    what = "augmented images a second"
    if MONAI not in each:
        return Row(what, MONAI, None, note="MONAI is not installed (extra `bench`)")
    return Row(what, f"{MONAI} and transforms, without masks", each[MONAI] / each["fused"])


def caches(folder: Path) -> tuple[Prepared, list[tuple[Path, Path]]]:
    """Phantoms as our prepared data and as PNG files."""
    write(folder / "phantom", PhantomSettings(train=STUDIES, test=1))
    settings = DataSettings(folder=str(folder / "phantom"), image_size=SIZE)
    prepare.run(settings, folder / "prepared", folder / "report")
    prepared = Prepared(folder / "prepared")
    cache = []
    for name, path in zip(prepared.index["image_id"], prepared.index["path"], strict=True):
        pixels = reader.read(path).pixels
        mask = rle.decode(prepared.truth.get(name, rle.EMPTY), pixels.shape).astype(np.uint8)
        files = folder / f"{name}.png", folder / f"{name}-mask.png"
        for file, picture in zip(files, (pixels, mask), strict=True):
            cv2.imwrite(str(file), picture)
        cache.append(files)
    return prepared, cache


def usual(size: int) -> A.Compose:
    """The changes of the preset `standard`, as they are written in public solutions: fresh noise for each image."""
    changes = augment.standard(0.5, size)[:-1]
    noise = A.GaussNoise(std_range=(1 / 255, 5 / 255), per_channel=False, p=0.5)
    return A.Compose([A.Resize(size, size), *changes, noise])


def from_png(files: tuple[Path, Path], change: A.Compose) -> dict[str, Any]:
    """One sample; read as grey, though most solutions read three channels, which takes longer."""
    image, mask = (cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in files)
    return change(image=image, mask=mask)


def way(prepared: Prepared, settings: AugmentSettings) -> Callable[[list[int]], Any]:
    """A batch as training receives it."""
    images = Images(prepared, np.arange(len(prepared.index)), SIZE, augment.build(settings, SIZE))
    return lambda places: augment_batch.changed(images.__getitems__(places))


def monai_loader() -> Callable[[Path], Any] | None:
    """MONAI's own way from a DICOM file to a changed image; None where it is not installed."""
    warnings.filterwarnings("ignore", module="monai")  # about tags that a radiograph does not have
    try:
        from monai import transforms as T
    except ImportError:
        return None
    ranges = {"rotate_range": np.deg2rad(10), "translate_range": 0.0625 * SIZE, "scale_range": 0.1}
    chain = T.Compose(
        [
            T.LoadImaged("image", reader="PydicomReader", ensure_channel_first=True),
            T.Resized("image", (SIZE, SIZE)),
            T.RandFlipd("image", prob=0.5, spatial_axis=0),
            T.RandAffined("image", prob=0.5, padding_mode="zeros", **ranges),
            T.RandAdjustContrastd("image", prob=0.5, gamma=(0.8, 1.2)),
            T.RandGaussianNoised("image", prob=0.5, std=5),
        ]
    )
    return lambda path: chain({"image": path})


if __name__ == "__main__":
    main()
