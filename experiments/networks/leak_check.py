"""Refuse weights of an earlier run that was trained on images used to evaluate the new network."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from experiments.networks import earlier_run
from experiments.networks.earlier_run import TRAINING_DATA, Network
from experiments.settings.common import TrainingSettings
from imaging.identity import identities
from imaging.identity.duplicates import difference_hash
from imaging.identity.identities import Identities
from imaging.io.files import read_json
from imaging.prepared import EXTERNAL, HOLDOUT, Prepared

CT = "ct_ich"
"""Data whose pictures prove nothing: slices above the head all look alike."""


def check(stage: str, settings: TrainingSettings, prepared: Prepared, fold: int) -> dict[str, Any] | None:
    """What the fold's images, the hold-out and external sources share with the training data of the network to start from.

    settings: as `earlier_run.for_fold` returns them. None without an earlier run. ValueError for shared pictures or patients,
    or where the bundle does not record it, unless `pretrained_overlaps` accepts it.
    """
    if not earlier_run.is_run(settings.pretrained):
        return None
    setting = f"{stage}.pretrained"
    network = earlier_run.resolve(settings.pretrained, stage, "", fold)
    known = _known(network, setting)
    if known is None:
        _refuse(
            settings,
            f"{setting} {network.folder}: no hashes of its training data (exported with --no-identities)",
        )
        return {"checked": False}
    found = {"checked": True, **_shared(network, known, prepared, fold)}
    if found["pictures"] or found["patients"]:
        told = f"{found['pictures']:,} with a picture, {found['patients']:,} with a patient that it was trained on"
        _refuse(
            settings,
            f"{setting} {settings.pretrained}: of {found['images']:,} images of fold {fold}, the hold-out and "
            f"external sources there are {told}",
        )
    return found


def _known(network: Network, setting: str) -> Identities | None:
    """What the network was trained on; None where the bundle does not record it."""
    content = read_json(network.verified(TRAINING_DATA, setting))
    known = Identities(**{name: content[name] for name in Identities.model_fields if name in content})
    return known.without_fold(network.fold) if known.pictures else None


def _shared(network: Network, known: Identities, prepared: Prepared, fold: int) -> dict[str, int]:
    parts = [str(fold), HOLDOUT, *([EXTERNAL] if prepared.external else [])]
    rows = np.unique(np.concatenate([prepared.fold_rows(part) for part in parts]))
    patients = identities.shared_patients(known, prepared.index.iloc[rows])
    pictures = np.zeros(len(rows), bool)
    if network.index["name"].split("-")[1] != CT:
        hashes = np.stack([difference_hash(np.asarray(prepared.images[row])) for row in rows])
        pictures = identities.shared_pictures(known, hashes)
    return {"images": len(rows), "pictures": int(pictures.sum()), "patients": int(patients.sum())}


def _refuse(settings: TrainingSettings, reason: str) -> None:
    """ValueError, or a line on standard error where the overlap is accepted."""
    if settings.pretrained_overlaps == "accept":
        print(f"{reason}; accepted by pretrained_overlaps: scores may be too good", file=sys.stderr)
        return
    raise ValueError(
        f"{reason}; scores may be too good. Use a run that was not trained on these images (docs/pretrained.md), or set "
        "pretrained_overlaps: accept"
    )
