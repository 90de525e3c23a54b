"""Trained networks on disk: `<name>.safetensors` and a `.json` sidecar with all that is needed to rebuild and apply them.

Nothing is unpickled. The sidecar holds the weights' SHA-256, checked on every load, so that a swapped or truncated file is an
error. The weights file itself names the input that it was trained for, size, contrast and normalisation, and a sidecar that
differs is an error too: predictions would be wrong without any sign of the fault.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from experiments.networks import checkpoint_mean
from experiments.networks.normalisation import NORMALISATION, set_normalisation
from imaging.io.files import atomic, read_json, sha256, write_json

FORMAT = (
    3  # 1: before the segmentation networks had a body and heads; 2: before the weights named their input
)


MODELS = "models"
"""Where the pipeline's networks are kept."""


def path_of(stage: str, model: str, fold: int, folder: str | Path = MODELS) -> Path:
    """`models/<stage>/<model>/fold<k>.safetensors`."""
    return Path(folder) / stage / model / f"fold{fold}.safetensors"


def save(path: Path, state: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write weights, then sidecar, each atomically."""
    with atomic(path) as temporary:
        save_file(state, temporary, {"input": _input(facts)})
    write_json(path.with_suffix(".json"), {**facts, "format": FORMAT, "weights_sha256": sha256(path)})


def load_facts(path: Path) -> dict[str, Any]:
    """The sidecar of a weights file."""
    facts = read_json(path.with_suffix(".json"))
    if facts.get("format") != FORMAT:
        raise ValueError(
            f"{path.with_suffix('.json')}: format {facts.get('format')!r}, this version reads {FORMAT}; train again"
        )
    return facts


def load_state(path: Path) -> dict[str, Tensor]:
    """Weights as tensors on the CPU; a ValueError names the file when it is missing, changed or not a safetensors file."""
    facts = load_facts(path)
    if not path.exists():
        raise ValueError(
            f"{path}: the weights are missing beside their .json; run `dvc repro`, or `dvc pull` them"
        )
    found = sha256(path)
    if found != facts["weights_sha256"]:
        raise ValueError(
            f"{path}: SHA-256 {found[:12]}… is not the {facts['weights_sha256'][:12]}… of its .json: "
            "the file was truncated, changed or swapped"
        )
    try:
        with safe_open(path, "pt") as opened:
            meant = (opened.metadata() or {}).get("input")
        state = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file: {error}") from None
    if meant != _input(facts):
        raise ValueError(
            f"{path}: trained for input {meant}, but its .json says {_input(facts)}: the .json was changed or "
            "belongs to another file"
        )
    return state


def _input(facts: dict[str, Any]) -> str:
    """The input that a network was trained for. One string, since safetensors writes several in no fixed order."""
    settings = facts.get("settings", {})
    named = {"image_size": settings.get("image_size"), "normalisation": facts.get("normalisation")}
    if settings.get("contrast", "plain") != "plain":  # weights older than the setting do not name it
        named["contrast"] = settings["contrast"]
    return json.dumps(named, sort_keys=True)


def restore(net: nn.Module, path: Path) -> nn.Module:
    """Give a network of the sidecar's architecture its trained weights, ready for prediction.

    Where the file holds several checkpoints, the network returned is their CheckpointMean.
    """
    state = load_state(path)
    if number := checkpoint_mean.count(state):
        net = checkpoint_mean.CheckpointMean(net, number)
    try:
        net.load_state_dict(state)
        set_normalisation(net, load_facts(path).get("normalisation", NORMALISATION))
    except RuntimeError as error:
        raise ValueError(f"{path}: the weights do not fit the architecture in the .json: {error}") from None
    return net.eval()


def hub_error(setting: str, wish: str, name: str, error: Exception) -> ValueError:
    """The error for pretrained weights that cannot be fetched."""
    return ValueError(
        f"{setting} {wish}: the hub cannot be reached or has no such weights of {name} ({type(error).__name__}); "
        "connect once so that they are cached, name a local file (docs/pretrained.md), or set it to none"
    )
