"""Detect the layout of a folder of images and mask files: mmsegmentation, nnU-Net, or two folders with the same names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from imaging.io.tables import column, read_csv
from imaging.sources.discovery import LeftOut, first, only_inner, pictures

PARTS = ("train", "val", "test")
PAIRS = (("png_images", "png_masks"), ("images", "masks"), ("image", "mask"), ("images", "labels"))
"""Image and mask folders with the same file names; the first is Kaggle's PNG copy of SIIM-ACR by vbookshelf."""
KAGGLE_TABLES = ("stage_1_train_images.csv", "stage_1_test_images.csv")
"""That copy's tables: new_filename, ImageId, has_pneumo."""


@dataclass(frozen=True)
class Picture:
    """An image: id, file, subset ('train', 'val', 'test'), mask file, and label from a table."""

    image_id: str
    path: Path
    part: str
    mask: Path | None
    label: int | None = None


@dataclass
class Found:
    """Images found in a layout. rejected, skipped: input and reason, as in `imaging.sources.listing.Listing`."""

    layout: str
    pictures: list[Picture] = field(default_factory=list)
    rejected: LeftOut = field(default_factory=list)
    skipped: LeftOut = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find(folder: Path) -> tuple[Path, Found]:
    """Return the folder with a known layout (this one, or its only subfolder) and its images; ValueError when there is none."""
    for root in (folder, only_inner(folder)):
        if root is None:
            continue
        if any((root / "images" / part).is_dir() for part in PARTS):
            return root, _mmsegmentation(root)
        if (root / "imagesTr").is_dir():
            return root, _nnunet(root)
        for images, masks in PAIRS:
            if (root / images).is_dir() and (root / masks).is_dir():
                return root, _pairs(root, root / images, root / masks)
    raise ValueError(
        f"{folder}: no images with mask pictures; looked for images/train with masks/train (mmsegmentation), imagesTr with"
        f" labelsTr (nnU-Net), and {', '.join(' with '.join(pair) for pair in PAIRS)}"
    )


def _mmsegmentation(root: Path) -> Found:
    """images/{train,val,test}, masks/{…}; train.txt and val.txt, where they exist, decide by their lines `train/NAME`."""
    found = Found("mmsegmentation")
    files = {
        f"{part}/{path.stem}": path
        for part in PARTS
        if (root / "images" / part).is_dir()
        for path in _single(pictures(root / "images" / part, found.skipped), found)
    }
    masks = {
        f"{part}/{path.stem}": path
        for part in PARTS
        if (root / "masks" / part).is_dir()
        for path in _single(pictures(root / "masks" / part, found.skipped), found)
    }
    parts = _lists(root, files, found)
    for key, path in files.items():
        if parts.get(key) == "unlisted":
            found.rejected.append((str(path), "not listed in train.txt, val.txt or test.txt"))
        else:
            part = parts.get(key, key.split("/")[0])
            found.pictures.append(Picture(path.stem, path, part, masks.pop(key, None)))
    _orphans(masks.values(), found)
    return found


def _lists(root: Path, files: dict[str, Path], found: Found) -> dict[str, str]:
    """Key of an image -> the list that names it, or `unlisted`; {} without lists."""
    names = {part: first(root, [f"{part}.txt"]) for part in PARTS}
    if not (names["train"] or names["val"]):
        return {}
    parts: dict[str, str] = {}
    for part, path in names.items():
        for line in path.read_text(encoding="utf-8-sig").splitlines() if path else []:
            key = _key(line.strip().replace("\\", "/"), files)
            if key is None:
                if line.strip():
                    found.rejected.append((line.strip(), f"listed in {part}.txt, but there is no such image"))
            elif parts.setdefault(key, part) != part:
                raise ValueError(f"{root}: {key} is listed in {parts[key]}.txt and in {part}.txt; keep one")
    rest = "unlisted" if names["train"] else "train"  # without train.txt: all images that no other list names
    for key in files:
        inside = key.split("/")[0]
        parts.setdefault(key, "test" if inside == "test" and not names["test"] else rest)
    return parts


def _key(line: str, files: dict[str, Path]) -> str | None:
    """The image that a line names: `train/NAME`, with or without extension."""
    if line in files:
        return line
    stem = line.rsplit(".", 1)[0]
    return stem if stem in files and files[stem].name == line.rsplit("/", 1)[-1] else None


def _nnunet(root: Path) -> Found:
    """imagesTr/NAME_0000.png with labelsTr/NAME.png; imagesTs is for validation where labelsTs has labels, else the test set."""
    found = Found("nnU-Net")
    for images, labels, part in (("imagesTr", "labelsTr", "train"), ("imagesTs", "labelsTs", "val")):
        if not (root / images).is_dir():
            continue
        masks = {}
        if (root / labels).is_dir():
            masks = {path.stem: path for path in _single(pictures(root / labels, found.skipped), found)}
        for path in _single(pictures(root / images, found.skipped), found):
            name, _, channel = path.stem.rpartition("_")
            if channel != "0000":
                raise ValueError(
                    f"{path}: only channel 0 is read, whose name ends in _0000; remove the other channels"
                )
            mask = masks.pop(name, None)
            here = "test" if part == "val" and mask is None else part
            found.pictures.append(Picture(name, path, here, mask))
        _orphans(masks.values(), found)
    return found


def _pairs(root: Path, images: Path, masks: Path) -> Found:
    """Two folders with the same file names, and Kaggle's tables if present."""
    found = Found(f"{images.name} with {masks.name}")
    rows = _kaggle(root, found)
    drawn = {path.stem: path for path in _single(pictures(masks, found.skipped), found)}
    for path in _single(pictures(images, found.skipped), found):
        image_id, label = rows.pop(path.stem, (path.stem, None))
        found.pictures.append(Picture(image_id, path, "train", drawn.pop(path.stem, None), label))
    _orphans(drawn.values(), found)
    found.rejected += [(name, "in the table, but there is no such image") for name in rows]
    return found


def _kaggle(root: Path, found: Found) -> dict[str, tuple[str, int | None]]:
    """File name without extension -> SIIM-ACR's image id and the label."""
    rows: dict[str, tuple[str, int | None]] = {}
    for path in (root / name for name in KAGGLE_TABLES if (root / name).is_file()):
        content = read_csv(path)
        names, ids = column(content, "new_filename", path), column(content, "ImageId", path)
        for name, image_id, label in zip(names, ids, column(content, "has_pneumo", path), strict=True):
            if label not in ("0", "1"):
                raise ValueError(f"{path}: has_pneumo of {name} is {label!r}; it must be 0 or 1")
            rows[Path(name).stem] = (image_id, int(label))
    if rows:
        found.notes.append(
            f"{len(rows):,} images take their id from {' and '.join(KAGGLE_TABLES)}; stage 1's test set has labels"
            " and is split like the rest."
        )
    return rows


def _single(files: list[Path], found: Found) -> list[Path]:
    """Files of a folder with unique names; `a.jpg` beside `a.png` is rejected, and so is `a.png`."""
    seen = Counter(path.stem for path in files)
    doubled = [path for path in files if seen[path.stem] > 1]
    found.rejected += [
        (str(path), f"several files in this folder are named {path.stem}; keep one") for path in doubled
    ]
    return [path for path in files if seen[path.stem] == 1]


def _orphans(masks: Iterable[Path], found: Found) -> None:
    """Reject masks without an image (most likely misnamed), unless the image itself was rejected."""
    known = {Path(name).stem for name, _ in found.rejected}
    found.rejected += [
        (str(path), "a mask without an image of the same name") for path in masks if path.stem not in known
    ]
