"""Source `folder`: images with mask pictures in folders, in the layouts of imaging.sources.layouts.

    images/{train,val,test}/NAME.png   masks/{train,val,test}/NAME.png   train.txt  val.txt  test.txt     mmsegmentation
    imagesTr/NAME_0000.png   labelsTr/NAME.png   imagesTs/…   labelsTs/…                                   nnU-Net
    png_images/NAME.png   png_masks/NAME.png   stage_1_train_images.csv  stage_1_test_images.csv           Kaggle's copy
    patients.csv                                                                      image id, patient (optional)

Images are PNG, JPEG, TIFF, BMP or DICOM of 8 or 16 bits; masks are read as imaging.formats.masks says. What the folder calls
validation becomes the hold-out (`split.given`), and what it calls test is scored by `ensemble.submit`.
"""

from __future__ import annotations

from imaging import rle
from imaging.identity import patients
from imaging.settings import DataSettings
from imaging.sources.discovery import existing, patients_file
from imaging.sources.layouts import Found, Picture, find
from imaging.sources.listing import Listing, refusals, skipped_note, table


def list_studies(settings: DataSettings) -> Listing:
    """List the images with their mask files; ValueError when the folder has no known layout, or no training image."""
    root, found = find(existing(settings))
    chosen = _single(found)
    if not any(picture.part == "train" for picture in chosen):
        raise ValueError(
            f"{root}: no image for training; the layout is {found.layout}, but it holds nothing to train on"
        )
    known = patients.look_up(
        patients_file(root, settings.patients), {one.image_id for one in chosen if one.part != "test"}
    )
    records = [
        {
            "image_id": picture.image_id,
            "path": str(picture.path),
            "split": picture.part,
            "mask": str(picture.mask) if picture.mask and picture.part != "test" else None,
            "rle": rle.EMPTY if _is_negative(picture, settings) else None,
            "label": picture.label,
            "patient_id": known.patient.get(picture.image_id),
        }
        for picture in chosen
    ]
    notes = [*_notes(found, chosen, settings), *found.notes, *known.notes, *skipped_note(found.skipped)]
    return Listing(table(records), refusals(found.rejected), refusals(found.skipped), notes, known.source)


def _is_negative(picture: Picture, settings: DataSettings) -> bool:
    """Whether an image without a mask is negative: the label table decides, else the settings."""
    if picture.mask or picture.part == "test":
        return False
    return picture.label == 0 if picture.label is not None else settings.without_mask == "negative"


def _single(found: Found) -> list[Picture]:
    """The first image of each id; the others are rejected."""
    kept: dict[str, Picture] = {}
    for picture in found.pictures:
        first = kept.setdefault(picture.image_id, picture)
        if first is not picture:
            found.rejected.append(
                (str(picture.path), f"a second file of the id {picture.image_id}; kept: {first.path}")
            )
    return list(kept.values())


def _notes(found: Found, chosen: list[Picture], settings: DataSettings) -> list[str]:
    """Notes about the layout for the card."""
    counts = {part: sum(picture.part == part for picture in chosen) for part in ("train", "val", "test")}
    listed = ", ".join(f"{count:,} {part}" for part, count in counts.items() if count)
    notes = [f"Layout {found.layout}: {listed}."]
    missing = sum(picture.mask is None and picture.part != "test" for picture in chosen)
    if missing:
        notes.append(f"{missing:,} images have no mask file: {settings.without_mask} (data.without_mask).")
    if any(picture.mask and picture.part == "test" for picture in chosen):
        notes.append("Masks of the test part are not read.")
    return notes
