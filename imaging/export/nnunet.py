"""Export as nnU-Net v2 raw data: imagesTr, labelsTr, dataset.json, and the folds as splits_final.json.

The hold-out goes to imagesTs and labelsTs, on which nnU-Net never trains. After `nnUNetv2_plan_and_preprocess`, copy
splits_final.json to the data set's folder in nnUNet_preprocessed; otherwise nnU-Net makes its own split, by image.
"""

from __future__ import annotations

import re
from pathlib import Path

from imaging.export.writer import Case, Plan
from imaging.io.files import write_json, write_png
from imaging.prepared import HOLDOUT

_NAME = re.compile(r"Dataset\d{3}_\w+")


def check_name(output: Path) -> None:
    """ValueError when nnU-Net would not find a folder of this name."""
    if not _NAME.fullmatch(output.name):
        raise ValueError(
            f"--output {output}: nnU-Net needs a folder name such as Dataset501_Pneumothorax; rename it"
        )


def save(folder: Path, case: Case) -> None:
    """Write one image as channel 0, and its labels."""
    part = "Ts" if case.part == HOLDOUT else "Tr"
    write_png(folder / f"images{part}" / f"{case.image_id}_0000.png", case.image)
    write_png(folder / f"labels{part}" / f"{case.image_id}.png", case.mask)


def tables(folder: Path, plan: Plan) -> None:
    """Write dataset.json and splits_final.json."""
    content = {
        "channel_names": {"0": "grey"},  # any name but CT: z-score normalisation of each image
        "labels": {"background": 0, "finding": 1},
        "numTraining": len(plan.ids()),
        "file_ending": ".png",
    }
    write_json(folder / "dataset.json", content)
    splits = [{"train": plan.ids(without=fold), "val": plan.of(fold)} for fold in plan.folds]
    write_json(folder / "splits_final.json", splits)
