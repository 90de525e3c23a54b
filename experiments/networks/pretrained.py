"""Start from pretrained weights: timm's and smp's own, a Hugging Face repository, a local safetensors file, an earlier run."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from experiments.networks import earlier_run, weights
from experiments.networks.normalisation import (
    NORMALISATION,
    Normalisation,
    from_channels,
    normalisation_of,
    set_normalisation,
)
from experiments.networks.state_dicts import encoder_of, fitted, translated
from imaging.io.files import read_json, sha256

HUB = "hf-hub:"
XRV = from_channels([0.5], [0.5 / 1024])
"""torchxrayvision scales 0..1 to -1024..1024."""
DEFAULTS: dict[str, Normalisation] = {"torchxrayvision": XRV, "dinov2": {"mean": 0.5307, "std": 0.2583}}
"""Used where no config is beside the weights: torchxrayvision's, and RAD-DINO's preprocessor_config.json."""


@dataclass(frozen=True)
class Source:
    """A file of pretrained weights."""

    name: str
    """As the setting `pretrained` names it."""
    path: Path
    normalisation: Normalisation | None
    """From a config beside the weights; None without one."""


def is_file(wish: str) -> bool:
    """Whether `pretrained` names a file, a folder, an earlier run or a Hugging Face repository, and not a timm tag."""
    signs = "/" in wish or "#" in wish or wish.endswith(".safetensors")
    return wish.startswith(HUB) or signs or Path(wish).is_dir()


def start(net: nn.Module, encoder: nn.Module, wish: str, setting: str) -> nn.Module:
    """Load the weights that `pretrained` names by a file, a folder, a repository or an earlier run; see `start_from`."""
    if earlier_run.is_run(wish):
        return start_from_run(net, encoder, wish, setting)
    return start_from(net, encoder, find(wish, setting), setting)


def find(wish: str, setting: str) -> Source:
    """The file that `pretrained` names; one of a Hugging Face repository is fetched once and cached.

    ValueError names the setting when there is no such file, or more than one safetensors file in a folder.
    """
    if wish.startswith(HUB):
        return _from_hub(wish, setting)
    path = Path(wish)
    if path.is_dir():
        files = sorted(path.glob("*.safetensors"))
        if len(files) != 1:
            raise ValueError(
                f"{setting} {wish}: the folder has {len(files)} safetensors files, expected one; name the file"
            )
        path = files[0]
    if not path.is_file():
        raise ValueError(
            f"{setting} {wish}: no such file; docs/pretrained.md says which file to fetch and from where"
        )
    if path.suffix != ".safetensors":
        raise ValueError(
            f"{setting} {wish}: not a .safetensors file; pickled weights (.pt, .pth, .bin) are never opened, "
            "docs/pretrained.md shows how to convert them"
        )
    return Source(wish, path, _normalisation_in(path.parent))


def _from_hub(wish: str, setting: str) -> Source:
    from huggingface_hub import hf_hub_download

    repository = wish.removeprefix(HUB)
    try:
        path = Path(hf_hub_download(repository, "model.safetensors"))
    except Exception as error:  # the hub client's errors have no common base
        raise ValueError(
            f"{setting} {wish}: the hub cannot be reached or has no model.safetensors ({type(error).__name__}); "
            "fetch the file on another machine and name its folder here (docs/pretrained.md)"
        ) from error
    for name in ("preprocessor_config.json", "config.json"):
        try:
            hf_hub_download(repository, name)
        except Exception:  # the file is optional
            continue
    return Source(wish, path, _normalisation_in(path.parent))


def _normalisation_in(folder: Path) -> Normalisation | None:
    """Means and deviations from Hugging Face's preprocessor_config.json or timm's config.json."""
    for name, mean, std in (
        ("preprocessor_config.json", "image_mean", "image_std"),
        ("config.json", "mean", "std"),
    ):
        if (folder / name).is_file():
            facts: dict[str, Any] = read_json(folder / name)
            facts = facts.get("pretrained_cfg", facts)
            if mean in facts and std in facts:
                return from_channels(facts[mean], facts[std])
    return None


def start_from(net: nn.Module, encoder: nn.Module, source: Source, setting: str) -> nn.Module:
    """Load the source into `encoder`, a part of `net`, and note normalisation and checksum on the net."""
    try:
        state = load_file(source.path)
    except SafetensorError as error:
        raise ValueError(f"{setting} {source.path}: not a safetensors file: {error}") from None
    state, layout = translated(state)
    encoder = getattr(encoder, "model", encoder)  # inside smp's timm encoders and ours
    encoder.load_state_dict(fitted(state, encoder, f"{setting} {source.name}"))
    normalisation = source.normalisation or DEFAULTS.get(layout)
    if normalisation is not None:
        set_normalisation(net, normalisation)
    return note(net, source.name, sha256(source.path))


def start_from_run(net: nn.Module, encoder: nn.Module, wish: str, setting: str) -> nn.Module:
    """Load a network of an earlier run: all of it where every tensor has the same name and shape, else its encoder alone.

    wish: with model and fold, see `earlier_run.for_fold`. Notes normalisation, checksum and bundle on the net.
    """
    network = earlier_run.resolve(wish, setting.partition(".")[0], "", 0)
    for file in (network.weights, network.weights.with_suffix(".json")):
        network.verified(file.relative_to(network.folder).as_posix(), setting)
    state, own = weights.load_state(network.weights), net.state_dict()
    whole = {name: value.shape for name, value in state.items()} == {
        name: value.shape for name, value in own.items()
    }
    if whole:
        net.load_state_dict(state)
    else:
        inside = getattr(encoder, "model", encoder)
        inside.load_state_dict(fitted(encoder_of(state), inside, f"{setting} {wish}"))
    set_normalisation(net, weights.load_facts(network.weights).get("normalisation", NORMALISATION))
    net.pretrained = {  # type: ignore[assignment]
        "source": wish,
        "sha256": sha256(network.weights),
        "bundle": network.index["name"],
        "loaded": "network" if whole else "encoder",
    }
    return net


def note(net: nn.Module, name: str, checksum: str | None = None) -> nn.Module:
    """Note on the net where its initial weights are from, for the sidecar; checksum None: of its tensors as they are."""
    net.pretrained = {"source": name, "sha256": checksum or _checksum(net)}  # type: ignore[assignment]
    return net


def origin(net: nn.Module) -> dict[str, str] | None:
    """What `note` left: source and SHA-256; None for a network that starts at random."""
    found: Any = getattr(net, "pretrained", None)
    return found if isinstance(found, dict) else None


def is_vit(name: str) -> bool:
    """Whether a timm architecture outputs tokens at a single resolution, as ViT, DINOv2 and DINOv3 do."""
    if not timm.is_model(name):
        return False
    try:
        with torch.device("meta"):
            net: Any = timm.create_model(name)
    except Exception:  # an architecture that cannot be built without data is not a plain ViT
        return False
    strides = {one["reduction"] for one in getattr(net, "feature_info", None) or []}
    return hasattr(net, "patch_embed") and hasattr(net, "forward_intermediates") and len(strides) == 1


def pass_on(source: nn.Module, target: nn.Module) -> nn.Module:
    """Copy the source's notes to the target: normalisation and origin of the weights."""
    for name in ("normalisation", "pretrained"):
        if hasattr(source, name):
            setattr(target, name, getattr(source, name))
    return target


def _checksum(net: nn.Module) -> str:
    digest = hashlib.sha256()
    for tensor in net.state_dict().values():
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def check(stage: str, key: str, make: Callable[[str, str, int], nn.Module]) -> None:
    """Run `python -m STAGE.pretrained`: build a network by `make(architecture, weights, image_size)`, print its origin."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {stage}.pretrained", description="Check that pretrained weights fit."
    )
    parser.add_argument(key, help=f"as {stage}.{key} in params.yaml")
    parser.add_argument("weights", help=f"as {stage}.pretrained in params.yaml")
    parser.add_argument("--image-size", type=int, default=512, help="side in pixels (default: 512)")
    given = parser.parse_args()
    print(described(make(getattr(given, key), given.weights, given.image_size)))


def described(net: nn.Module) -> str:
    """Source, checksum and normalisation of a network that was just built, one per line."""
    found, normalisation = origin(net), normalisation_of(net)
    if found is None:
        return "no pretrained weights: the network starts at random"
    return (
        f"source: {found['source']}\nSHA-256: {found['sha256']}\n"
        f"normalisation: mean {normalisation['mean']:g}, std {normalisation['std']:g}\n"
        f"parameters: {sum(one.numel() for one in net.parameters()):,}; every tensor of the encoder was found"
    )
