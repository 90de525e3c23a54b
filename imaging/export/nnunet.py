"""nnU-Net v2's raw data: imagesTr, labelsTr, dataset.json, and the same folds as splits_final.json.

The hold-out goes to imagesTs and labelsTs, which nnU-Net never trains on. After `nnUNetv2_plan_and_preprocess`, copy
splits_final.json into the data set's folder under nnUNet_preprocessed, or nnU-Net divides anew and by image.
"""

from __future__ import annotations

import re
from pathlib import Path

from imaging.export.writer import Case, Plan
from imaging.io.files import write_json, write_png
from imaging.prepared import HOLDOUT

_NAME = re.compile(r"Dataset\d{3}_\w+")


def check_name(output: Path) -> None:
    """ValueError when the folder's name is none that nnU-Net finds."""
    if not _NAME.fullmatch(output.name):
        raise ValueError(
            f"--output {output}: nnU-Net finds a data set by its folder's name, such as Dataset501_Pneumothorax; name it so"
        )


def save(folder: Path, case: Case) -> None:
    """Write one image as channel 0, and its labels."""
    part = "Ts" if case.part == HOLDOUT else "Tr"
    write_png(folder / f"images{part}" / f"{case.image_id}_0000.png", case.image)
    write_png(folder / f"labels{part}" / f"{case.image_id}.png", case.mask)


def tables(folder: Path, plan: Plan) -> None:
    """Write dataset.json and splits_final.json."""
    content = {
        "channel_names": {
            "0": "grey"
        },  # any name but CT means: normalise each image by its own mean and deviation
        "labels": {"background": 0, "finding": 1},
        "numTraining": len(plan.ids()),
        "file_ending": ".png",
    }
    write_json(folder / "dataset.json", content)
    splits = [{"train": plan.ids(without=fold), "val": plan.of(fold)} for fold in plan.folds]
    write_json(folder / "splits_final.json", splits)
