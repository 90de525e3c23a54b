"""The methods that are compared: recipes of this project under the budget, by name, and how each is fitted to it.

Every published recipe keeps its loss, optimiser, rates, phases, sampling, augmentation, attention and rule. Encoders are replaced
by the one of the trial, for which there are weights on the disk; resolution and length follow from the budget, but for ours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from benchmarks.field_trial.cohorts import CROSS_FITTED
from experiments import recipe
from experiments.settings.decision import EnsembleSettings
from experiments.settings.params import Params
from experiments.settings.training import ClassificationSettings, SegmentationSettings, for_model
from imaging.io.config import validate
from imaging.resize import Contrast

ORDINARY, EQUALISED, EXPOSURE = "ordinary", "ordinary-equalised", "exposure"
CONTRASTS: dict[str, Contrast] = {ORDINARY: "plain", EQUALISED: "clahe"}
"""Of what the ordinary loop's networks see."""
PEERS = (*CONTRASTS, EXPOSURE)
"""Methods that are no recipe of this project."""


@dataclass(frozen=True)
class Method:
    """A recipe as a trial runs it."""

    recipe: str
    classifier: float
    """Share of the budget that goes to the classifier; 0: there is none, and the pooled mask evidence stands for it."""
    own_network: bool = False
    """Whether it keeps its recipe's encoder and, where it learns from real studies, its resolution: the finer texture gives
    painted lesions away."""
    same_images: bool = False
    """Whether it is shown as many images as the ordinary loop, whatever they cost, instead of as many as cost the same."""
    together: str | None = None
    """Its recipe in T4, of two phases."""
    contrasts: tuple[Contrast | None, ...] = (None,)
    """Of its networks, whose scores and maps are averaged; None: the recipe's. Those of equal contrast have different seeds."""


OURS = Method("radiographs-cpu", 0.0, own_network=True, same_images=True, together="radiographs-simulated")
METHODS = {
    "ours": OURS,
    "ours-two": replace(OURS, contrasts=(None, None)),
    "ours-contrasts": replace(OURS, contrasts=("plain", "clahe")),
    "first-place": Method("siim-first-place", 0.0),
    "siim-unet": Method("siim-unet", 0.0),
    "cad-two-stage": Method("cad-two-stage", 0.3),
}


@dataclass(frozen=True)
class Plan:
    """A method's settings, before the budget."""

    classification: ClassificationSettings
    segmentation: SegmentationSettings
    ensemble: EnsembleSettings
    share: float
    same_images: bool
    contrasts: tuple[Contrast | None, ...]

    def members(self) -> list[tuple[Plan, int]]:
        """Of each network its plan, and its number among those of equal contrast."""
        found = []
        for place, contrast in enumerate(self.contrasts):
            change = {} if contrast is None else {"contrast": contrast}
            own = replace(self, segmentation=self.segmentation.model_copy(update=change))
            found.append((own, self.contrasts[:place].count(contrast)))
        return found

    @property
    def side(self) -> int:
        """Of the images that both networks need, in pixels."""
        return max(one.image_size for one in (self.classification, self.segmentation) if one.models)


def plan(name: str, weights: Path | None, size: int, overrides: tuple[str, ...], trial: str = "T2") -> Plan:
    """The settings of a method in a trial. overrides: `section.key=value`, or `share=value` for the classifier's share of the
    budget."""
    method = METHODS[name]
    chosen = (method.together if trial == "T4" else None) or method.recipe
    own_size = trial in CROSS_FITTED and method.own_network
    share, others = method.classifier, []
    for one in overrides:
        key, _, value = one.partition("=")
        if key == "share":
            share = _share(value)
        else:
            others.append(one)
    if any(method.contrasts) and any(one.startswith("segmentation.contrast=") for one in others):
        raise ValueError(
            f"--set segmentation.contrast: {name} has one network of each contrast; leave it out"
        )
    text = recipe.text_of(recipe.Choice(chosen, overrides=tuple(others)))
    params = validate(Params, yaml.safe_load(text), "")
    if share and not params.classification.models:
        raise ValueError(f"share {share} is a classifier's, and {chosen} has none; set it to 0")
    return Plan(
        _fitted(params.classification, weights, None if own_size else size, method, set(others)),
        _fitted(params.segmentation, weights, None if own_size else size, method, set(others)),
        params.ensemble,
        share,
        method.same_images,
        method.contrasts,
    )


def _share(value: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise ValueError(f"share={value}: the classifier's share of the budget is a number from 0, below 1")
    return share


def _fitted(section: Any, weights: Path | None, size: int | None, method: Method, overrides: set[str]) -> Any:
    """The first member of a section with the trial's encoder, weights and size (None: its own); a section without members as it
    is."""
    if not section.models:
        return section
    settings = for_model(section, section.models[0])
    stage = "classification" if isinstance(settings, ClassificationSettings) else "segmentation"
    changed = {
        "variants": {},
        "models": settings.models[:1],
        "pretrained": "none" if weights is None else str(weights),
        "workers": 0,
        "micro_batch": None,
        "inference_precision": "bf16-mixed",
        "augment": {**settings.augment.model_dump(), "engine": "albumentations"},
    }
    if stage == "segmentation" and settings.encoder_from is not None:
        changed["pretrained"] = "none"
    sized = any(one.startswith(f"{stage}.image_size=") for one in overrides)
    if size is not None and not sized:
        changed["image_size"] = size
    if not method.own_network:
        lite = "tf_efficientnet_lite0"
        changed |= {"architecture": lite} if stage == "classification" else {"encoder": f"tu-{lite}"}
    drop = {"encoder"} if size is None and not sized else {"encoder", "image_size"}
    changed["phases"] = [{k: v for k, v in phase.items() if k not in drop} for phase in settings.phases]
    return validate(type(settings), {**settings.model_dump(), **changed}, method.recipe)
