"""A recipe at a reduced scale on generated images: its own networks, losses, schedules and phases, so that all of it runs in
minutes (`tiny`), or can be compared at one budget on one GPU (`small`). Scores at `tiny` mean nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

STAGES = ("classification", "segmentation")
STRIDE = 32  # sides that every architecture can halve five times


@dataclass(frozen=True)
class Scale:
    """How much is left of a recipe."""

    side: int
    """Pixels of the prepared images; a network's smaller size is reduced in proportion."""
    images: int
    """Labelled phantoms."""
    epochs: int
    """Passes over the images of all phases of a network together, at least one each; iterations become as many steps."""
    batch: int
    """Images a step, of every network."""
    folds: int
    phantom: dict[str, Any]
    """What else the phantoms are like."""


SCALES = {
    "tiny": Scale(64, 64, 1, 8, 2, {"test": 4, "prevalence": 0.5, "difficulty": 0.0, "least_area": 8000}),
    "small": Scale(256, 3000, 12, 16, 3, {"test": 100, "difficulty": 0.3, "least_area": 3000}),
}


def reduced(recipe: dict[str, Any], scale: Scale) -> dict[str, Any]:
    """The recipe's content on phantoms at this scale; nothing is fetched, so networks begin at random."""
    kind = recipe.get("phantom", {}).get("kind", "chest")
    largest = recipe["data"]["image_size"]
    changed: dict[str, Any] = {
        "data": {"source": "phantom", "folder": "data/phantom", "image_size": scale.side},
        "phantom": {"train": scale.images, **scale.phantom, "kind": kind},
        "split": {"scheme": "patient", "folds": scale.folds, "holdout": 0.3},
        "train_folds": [fold for fold in recipe["train_folds"] if fold < scale.folds],
        **{stage: _stage(recipe[stage], scale, largest) for stage in STAGES},
        **{f"tune_{stage}": {"trials": 0} for stage in STAGES},
        "evaluation": {"draws": 500},
        "submit": {"images": None},
    }
    return {**recipe, **changed}


def _stage(section: dict[str, Any], scale: Scale, largest: int) -> dict[str, Any]:
    small = _smaller(section, scale, largest, max(1, len(section.get("phases", []))))
    variants = {name: _smaller(own, scale, largest) for name, own in section.get("variants", {}).items()}
    fixed = {"pretrained": "none", "workers": 0, "validate_every": 1}
    return {**small, **fixed, "variants": variants}


def _smaller(own: dict[str, Any], scale: Scale, largest: int, phases: int = 1) -> dict[str, Any]:
    """Of the keys that are there those that cost time."""
    found = dict(own)
    epochs = max(1, scale.epochs // phases)
    if "batch_size" in own:
        found["batch_size"] = scale.batch
    for key, most in (("accumulate", 2), ("epochs", epochs), ("freeze_encoder", epochs)):
        if key in own:
            found[key] = min(own[key], most)
    if "image_size" in own:
        found["image_size"] = max(STRIDE, round(scale.side * own["image_size"] / largest / STRIDE) * STRIDE)
    if own.get("iterations") is not None:
        shown = scale.images * 0.7 * (1 - 1 / scale.folds)
        found["iterations"] = found["epochs"] * max(1, round(shown / found["batch_size"]))
    if "phases" in own:
        found["phases"] = [_smaller(phase, scale, largest, phases) for phase in own["phases"]]
    return found
