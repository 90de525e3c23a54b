"""Reduce a recipe to a smaller scale on generated images; losses, schedules, phases and rules stay the recipe's.

`tiny` runs the whole pipeline in minutes; its scores mean nothing. `small` and `cpu` compare recipes at one budget: with their
own networks on a GPU, or with small networks on a processor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from experiments.settings.common import TrainingSettings

PHANTOM = "data/phantom"
STAGES = ("classification", "segmentation")
FIXED = (
    "phantom",
    "split",
    "train_folds",
    "tune_classification",
    "tune_segmentation",
    "evaluation",
    "submit",
)
"""Sections for which a scale has values of its own, whatever the recipe says; values given in `SET` still apply to them."""
STRIDE = 32  # sides that every architecture can halve five times
ENCODER, DECODER, BASE_CHANNELS = "resnet10t", [64, 32, 16, 16, 16], 16


@dataclass(frozen=True)
class Scale:
    """Sizes of a reduced recipe."""

    side: int
    """Side of the prepared images in pixels; smaller network inputs are reduced in proportion."""
    images: int
    """Labelled phantoms."""
    epochs: int
    """Epochs of every network, shared among its phases in proportion, at least one each; iterations become as many steps."""
    batch: int
    """Batch size of every network."""
    folds: int
    phantom: dict[str, Any]
    """Further settings of the section `phantom`."""
    trained: int | None = None
    """Number of folds that are trained; None: the recipe's own."""
    accumulate: int = 1
    """Upper limit of accumulated steps."""
    small_networks: bool = False
    """Replace encoders and classifiers by ENCODER and limit other networks to BASE_CHANNELS: a few hundred images do not train
    large networks, and losses, sampling and rules can only be compared on trained ones."""
    lr: float | None = None
    """Minimum of a stage's highest learning rate; its other rates are scaled by the same factor. Rates chosen for pretrained
    weights, such as 1e-5, barely train a random network. Not applied to SGD; None: no rate is changed."""


# fmt: off
SCALES = {
    "tiny": Scale(
        64, 64, 1, 8, 2, {"test": 4, "prevalence": 0.5, "difficulty": 0.0, "least_area": 8000}, accumulate=2
    ),
    "cpu": Scale(
        128, 900, 12, 8, 2, {"test": 20, "difficulty": 0.1, "least_area": 6000},
        trained=1, small_networks=True, lr=2e-3,
    ),
    "small": Scale(
        256, 3000, 12, 16, 3, {"test": 100, "difficulty": 0.3, "least_area": 3000}, trained=3, lr=1e-3
    ),
}
# fmt: on


def reduced(recipe: dict[str, Any], scale: Scale) -> dict[str, Any]:
    """The recipe's content at this scale, on phantoms; networks start from random weights, so that nothing is downloaded."""
    kind = recipe.get("phantom", {}).get("kind", "chest")
    largest = recipe["data"]["image_size"]
    changed: dict[str, Any] = {
        "data": {
            "source": "phantom",
            "folder": PHANTOM,
            "patients": PHANTOM,
            "image_size": scale.side,
        },
        "phantom": {"train": scale.images, **scale.phantom, "kind": kind},
        "split": {"scheme": "patient", "folds": scale.folds, "holdout": 0.3},
        "train_folds": (
            list(range(scale.trained))
            if scale.trained
            else [fold for fold in recipe["train_folds"] if fold < scale.folds]
        ),
        **{stage: _stage(stage, recipe[stage], scale, largest) for stage in STAGES},
        **{f"tune_{stage}": {"trials": 0} for stage in STAGES},
        "evaluation": {"draws": 500},
        "submit": {"images": PHANTOM, "sample": PHANTOM},
    }
    return {**recipe, **changed}


def _stage(stage: str, section: dict[str, Any], scale: Scale, largest: int) -> dict[str, Any]:
    if not section["models"]:
        return dict(section)
    found = _with_phases(section, section["epochs"], scale, largest)
    found["variants"] = {
        name: _with_phases(own, section["epochs"], scale, largest)
        for name, own in section.get("variants", {}).items()
    }
    found |= {"pretrained": "none", "workers": 0, "validate_every": 1}
    for own in (found, *found["variants"].values()):
        _thaw(own)
    if scale.small_networks:
        _shrink(stage, found)
    if scale.lr is not None and section.get("optimiser") != "sgd":
        _faster(found, scale.lr)
    return found


def _with_phases(own: dict[str, Any], epochs: int, scale: Scale, largest: int) -> dict[str, Any]:
    """A section or a variant at this scale; its phases keep their shares of the epochs."""
    found = _smaller(own, scale, largest)
    phases = [{"epochs": own.get("epochs", epochs), **phase} for phase in own.get("phases", [])]
    if phases:
        total = sum(phase["epochs"] for phase in phases)
        found["phases"] = [_smaller(phase, scale, largest, phase["epochs"] / total) for phase in phases]
    return found


def _smaller(own: dict[str, Any], scale: Scale, largest: int, share: float = 1.0) -> dict[str, Any]:
    """Reduce the keys that decide the cost; share: of the scale's epochs."""
    found = dict(own)
    if "epochs" in own:
        found["epochs"] = max(1, round(scale.epochs * share))
    if "batch_size" in own:
        found["batch_size"] = scale.batch
    if "accumulate" in own:
        found["accumulate"] = min(own["accumulate"], scale.accumulate)
    for key in ("freeze_encoder", "cycles"):
        if key in found and "epochs" in found:
            found[key] = min(found[key], found["epochs"])
    if "image_size" in own:
        found["image_size"] = max(STRIDE, round(scale.side * own["image_size"] / largest / STRIDE) * STRIDE)
    if "sampling" in own:  # phantoms are one source
        found["sampling"] = {key: value for key, value in own["sampling"].items() if key != "sources"}
    if own.get("iterations") is not None:
        shown = scale.images * 0.7 * (1 - 1 / scale.folds)
        found["iterations"] = found["epochs"] * max(1, round(shown / found["batch_size"]))
    return found


def _thaw(section: dict[str, Any]) -> None:
    """Train the encoder from the first step and at the full rate: its weights are random."""
    section.pop("encoder_rate", None)
    first = (section.get("phases") or [section])[0]
    if first.get("freeze_encoder"):
        first["freeze_encoder"] = 0


def _shrink(stage: str, section: dict[str, Any]) -> None:
    """Replace large networks by small ones; models that become equal get different seeds."""
    key, name = ("architecture", ENCODER) if stage == "classification" else ("encoder", f"tu-{ENCODER}")
    section[key] = name
    for number, own in enumerate(section["variants"].values()):
        if key in own:
            own[key] = name
        own["seed"] = 1000 * number
    if stage == "segmentation":
        section["base_channels"] = min(section.get("base_channels", BASE_CHANNELS), BASE_CHANNELS)
        for own in (section, *section["variants"].values()):
            architecture = own.get("architecture", section.get("architecture", "unet"))
            blocks = len(own.get("decoder_channels") or section.get("decoder_channels") or DECODER)
            own["decoder_channels"] = DECODER[:blocks] if architecture in ("unet", "unetplusplus") else None


def _faster(section: dict[str, Any], highest: float) -> None:
    """Multiply all learning rates of a stage by one factor (at least 1), so that the highest is at least `highest`."""
    section.setdefault("lr", TrainingSettings.model_fields["lr"].default)
    owners = [section, *section["variants"].values()]
    places = [*owners, *(phase for own in owners for phase in own.get("phases", []))]
    factor = max(1.0, highest / max(place["lr"] for place in places if "lr" in place))
    for place in places:
        for key in ("lr", "lr_end"):
            if key in place:
                place[key] *= factor
