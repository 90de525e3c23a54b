"""How each training stage builds its network and its loss, by name: this package lies below the stages and imports neither."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from experiments.settings.params import Params
from experiments.settings.training import for_model, phases_of

STAGES = {
    "classification": ("classification.model:build", "classification.objective:Objective"),
    "segmentation": ("segmentation.architectures:build", "segmentation.objective:Objective"),
}
"""Stage -> what builds its network, what makes its loss."""


def named(name: str) -> Any:
    """What `module:attribute` names."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


def check_buildable(params: Params) -> None:
    """Build every network of every phase: on torch's meta device, without memory, or where an encoder cannot be built there, in
    memory.

    ValueError names the setting: an encoder that neither timm nor smp has, or one that the decoder cannot be built on. Faults
    that need the data or the weights to show are found by the stage check.
    """
    import torch

    for stage, (build, _) in STAGES.items():
        section = getattr(params, stage)
        for model in section.models:
            for settings in phases_of(for_model(section, model)):
                try:
                    with torch.device("meta"):
                        named(build)(settings, trained=True)
                except ValueError:
                    # smp's mit_b0 reads a number from a tensor while it is built, which the meta device cannot provide
                    named(build)(settings, trained=True)
