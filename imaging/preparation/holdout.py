"""Choose the hold-out before the folds: the source's own validation set, or mmsegmentation's."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imaging.prepared import EXCLUDED, EXTERNAL, HOLDOUT, TRAIN_ONLY, shared_patients
from imaging.settings import SplitSettings


def set_apart(labelled: pd.DataFrame, settings: SplitSettings) -> NDArray[np.bool_]:
    """True for the images that are in the hold-out regardless of the seed."""
    if settings.scheme == "mmsegmentation":
        return mmsegmentation_validation(labelled["image_id"].tolist())
    apart = np.zeros(len(labelled), np.bool_)
    if settings.given and "split" in labelled:
        apart |= (labelled["split"] == "val").to_numpy(bool)
    if "role" in labelled:
        apart |= (labelled["role"] == "hold-out").to_numpy(bool)
    return apart


def outside(labelled: pd.DataFrame) -> NDArray[np.bool_]:
    """True for the images that are in no fold and not in the hold-out: of external and train-only sources, and excluded ones."""
    if "role" not in labelled:
        return np.zeros(len(labelled), np.bool_)
    return labelled["role"].isin([EXTERNAL, EXCLUDED, TRAIN_ONLY]).to_numpy(bool)


def outside_part(labelled: pd.DataFrame) -> NDArray[np.object_]:
    """What folds.csv has for images outside the folds: their role and, for pseudo-labels, the one fold that they may train."""
    role = labelled["role"].astype(object)
    if "train_fold" not in labelled:
        return role.to_numpy(object)
    bound = (labelled["role"] == TRAIN_ONLY) & labelled["train_fold"].notna()
    return role.where(~bound, TRAIN_ONLY + ":" + labelled["train_fold"].astype(str)).to_numpy(object)


def given_folds(labelled: pd.DataFrame, settings: SplitSettings) -> NDArray[np.object_] | None:
    """The parts of the run whose networks made the pseudo-labels; None without any. ValueError when these folds differ."""
    if "given_fold" not in labelled or labelled["given_fold"].isna().all():
        return None
    missing = labelled.loc[labelled["given_fold"].isna(), "image_id"]
    if len(missing):
        raise ValueError(
            f"{len(missing):,} labelled images, such as {missing.iloc[0]}, were not in the run that made the pseudo-labels, and"
            " its folds must be kept; leave these images out, or make new pseudo-labels with a run on this data"
        )
    found = set(labelled["given_fold"])
    wanted = {HOLDOUT, *map(str, range(settings.folds))}
    if found != wanted:
        raise ValueError(
            f"split.folds {settings.folds}: the run that made the pseudo-labels had {len(found - {HOLDOUT})} folds; set that"
        )
    return labelled["given_fold"].to_numpy(object)


def mmsegmentation_validation(ids: list[str]) -> NDArray[np.bool_]:
    """True for the images of mmsegmentation's validation set: a fifth of the names `<id>.png`, sorted and shuffled.

    Its tools call scikit-learn's train_test_split(test_size=0.2, random_state=0), which takes the first fifth (rounded up) of
    a permutation by NumPy's RandomState, whose numbers never change (NEP 19).
    """
    order = sorted(range(len(ids)), key=lambda i: f"{ids[i]}.png")
    chosen = np.random.RandomState(0).permutation(len(ids))[: -(-len(ids) // 5)]
    apart = np.zeros(len(ids), np.bool_)
    apart[np.array(order)[chosen]] = True
    return apart


def check(labelled: pd.DataFrame, apart: NDArray[np.bool_], settings: SplitSettings) -> None:
    """ValueError when the hold-out or the rest has one class only, or when they share patients that the scheme keeps apart."""
    for part, word in ((labelled[apart], "set apart as hold-out"), (labelled[~apart], "left for the folds")):
        labels = set(part["label"].astype(int))
        if labels != {0, 1}:
            raise ValueError(
                f"{len(part):,} images are {word}, with the labels {sorted(labels)}; both classes are needed."
                " Correct the source's lists, or set split.given to false to split again"
            )
    shared = shared_patients(labelled["patient_id"].to_numpy(object), apart.astype(object))
    if shared and settings.scheme == "patient":
        raise ValueError(
            f"the source's own validation set shares {shared:,} patients with its training set. Set split.given to false to"
            " split again, or split.scheme to image to accept the leak"
        )
