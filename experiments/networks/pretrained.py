"""Start an encoder from pretrained weights: timm's and smp's own, a Hugging Face repository, or a local safetensors file.

Every tensor of the encoder must be found, and every tensor of the file used or known to be a head's: a network that starts from
half of its weights trains on without any sign of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.layers import resample_abs_pos_embed
from timm.models._manipulate import adapt_input_conv
from torch import Tensor, nn

from experiments.networks.normalisation import (
    Normalisation,
    from_channels,
    normalisation_of,
    set_normalisation,
)
from imaging.io.files import read_json, sha256

State = dict[str, Tensor]
HUB = "hf-hub:"
HEADS = re.compile(
    r"(fc|head|heads|classifier|last_linear|pre_logits|op_threshs|mask_token|cls_token_head)\b|head_|norm_pre_head"
)
"""Names of tensors that an encoder does not need: classifiers, and what self-supervised training alone uses."""
UNUSED_BY_FEATURES = re.compile(
    r"(norm|fc_norm|head_norm|features\.norm5|conv_head|bn2|final_conv|layernorm)\b"
)
"""Of layers behind the last feature map."""
XRV = from_channels([0.5], [0.5 / 1024])
"""torchxrayvision scales 0..1 to -1024..1024."""


@dataclass(frozen=True)
class Source:
    """A file of pretrained weights."""

    name: str
    """As the setting `pretrained` names it."""
    path: Path
    normalisation: Normalisation | None
    """From a config beside the weights; None: not said there."""


def is_file(wish: str) -> bool:
    """Whether `pretrained` names a file, a folder or a Hugging Face repository, and not a timm tag."""
    return wish.startswith(HUB) or "/" in wish or wish.endswith(".safetensors") or Path(wish).is_dir()


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
                f"{setting} {wish}: the folder holds {len(files)} safetensors files, one is needed; name the file"
            )
        path = files[0]
    if not path.is_file():
        raise ValueError(
            f"{setting} {wish}: no such file; docs/pretrained.md says which file to fetch, and where from"
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
            f"{setting} {wish}: the hub is out of reach or has no model.safetensors ({type(error).__name__}); fetch the file "
            "on another machine and name its folder here (docs/pretrained.md)"
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


def note(net: nn.Module, name: str, checksum: str | None = None) -> nn.Module:
    """Note on the net where its initial weights are from, for the sidecar; None: of its tensors as they are."""
    net.pretrained = {"source": name, "sha256": checksum or _checksum(net)}  # type: ignore[assignment]
    return net


def origin(net: nn.Module) -> dict[str, str] | None:
    """What `note` left: source and SHA-256; None for a network that starts at random."""
    found: Any = getattr(net, "pretrained", None)
    return found if isinstance(found, dict) else None


def is_vit(name: str) -> bool:
    """Whether a timm architecture gives tokens of one resolution, as ViT, DINOv2 and DINOv3 do."""
    if not timm.is_model(name):
        return False
    try:
        with torch.device("meta"):
            net: Any = timm.create_model(name)
    except Exception:  # an architecture that cannot be built without data is no plain ViT
        return False
    strides = {one["reduction"] for one in getattr(net, "feature_info", None) or []}
    return hasattr(net, "patch_embed") and hasattr(net, "forward_intermediates") and len(strides) == 1


def pass_on(source: nn.Module, target: nn.Module) -> nn.Module:
    """Give the target the source's notes: normalisation and origin of the weights."""
    for name in ("normalisation", "pretrained"):
        if hasattr(source, name):
            setattr(target, name, getattr(source, name))
    return target


def _checksum(net: nn.Module) -> str:
    digest = hashlib.sha256()
    for tensor in net.state_dict().values():
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def fitted(state: State, encoder: nn.Module, where: str) -> State:
    """For every tensor of the encoder the one of that name, stem and position embedding adapted; ValueError for a rest.

    Names are compared without the prefixes that wrappers add, and `stages_0` is `stages.0`.
    """
    found = {plain(name): value for name, value in state.items()}
    heads = {id(value) for value in classifier_of(encoder).state_dict(keep_vars=True).values()}
    target = {
        name: value for name, value in encoder.state_dict(keep_vars=True).items() if id(value) not in heads
    }
    prefix_tokens: Any = next(
        (m.num_prefix_tokens for m in encoder.modules() if hasattr(m, "num_prefix_tokens")), 0
    )
    result, missing = dict(encoder.state_dict()), []
    for name, value in target.items():
        given = found.pop(plain(name), None)
        given = None if given is None else _adapted(given, value, prefix_tokens)
        if given is None:
            missing.append(f"{name} {tuple(value.shape)}")
        else:
            result[name] = given
    _refuse("lacks", [one for one in missing if "num_batches_tracked" not in one], where)
    unused = [one for one in state if plain(one) in found]
    _refuse("has, beyond the encoder,", [one for one in unused if not _expendable(one)], where)
    return result


def classifier_of(net: nn.Module) -> nn.Module:
    """The last layer of a timm classifier; an empty module for any other network."""
    found: Any = getattr(net, "get_classifier", lambda: None)()
    return found if isinstance(found, nn.Module) else nn.Identity()


def _expendable(name: str) -> bool:
    bare = inner(name)
    return bool(HEADS.match(bare) or UNUSED_BY_FEATURES.match(bare)) or "num_batches_tracked" in bare


def _refuse(verb: str, names: list[str], where: str) -> None:
    if names:
        listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        raise ValueError(f"{where}: the file {verb} {listed}; take the architecture that it was trained for")


def _adapted(given: Tensor, target: Tensor, prefix_tokens: int) -> Tensor | None:
    """The tensor in the target's shape: colour filters summed, a position embedding resampled; None where neither helps."""
    if given.shape == target.shape:
        return given
    if given.ndim == 4 and given.shape[1] == 3 and target.shape == (given.shape[0], 1, *given.shape[2:]):
        return adapt_input_conv(1, given)
    if given.ndim == 3 == target.ndim and given.shape[::2] == target.shape[::2]:
        side = round((target.shape[1] - prefix_tokens) ** 0.5)
        resized = resample_abs_pos_embed(given, [side, side], num_prefix_tokens=prefix_tokens)
        return resized if resized.shape == target.shape else None
    return None


def inner(name: str) -> str:
    """The name without the prefixes of wrappers (a localising head's, smp's, our ViT encoder's)."""
    return re.sub(r"^((backbone|model|module|encoder)\.)+", "", name)


def plain(name: str) -> str:
    """The inner name with `_` for `.`, since timm flattens names where it cuts a network at its stages."""
    return inner(name).replace(".", "_")


def translated(state: State) -> tuple[State, str]:
    """A state in timm's names, and whose names it had: `dinov2` (Hugging Face), `torchxrayvision` or `timm`."""
    bare = {name.removeprefix("dinov2."): value for name, value in state.items()}
    if "embeddings.cls_token" in bare:
        return _from_hugging_face_dinov2(bare), "dinov2"
    if "op_threshs" in bare or bare.get("features.conv0.weight", torch.empty(0, 3)).shape[1:2] == (1,):
        return {_dense_name(name): value for name, value in bare.items()}, "torchxrayvision"
    return state, "timm"


DEFAULTS: dict[str, Normalisation] = {"torchxrayvision": XRV, "dinov2": {"mean": 0.5307, "std": 0.2583}}
"""Where no config lies beside the weights: torchxrayvision's, and RAD-DINO's preprocessor_config.json."""


def _dense_name(name: str) -> str:
    """DenseNets of before PyTorch 1.0 wrote `norm.1` for `norm1`."""
    return re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.(\d)", r"\1\2", name.removeprefix("model."))


_DINOV2: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
    (r"^embeddings\.cls_token$", "cls_token"),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.register_tokens$", "reg_token"),
    (r"^embeddings\.mask_token$", "mask_token"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^encoder\.layer\.(\d+)\.attention\.output\.dense\.", r"blocks.\1.attn.proj."),
    (r"^encoder\.layer\.(\d+)\.layer_scale(\d)\.lambda1$", r"blocks.\1.ls\2.gamma"),
    (r"^encoder\.layer\.(\d+)\.", r"blocks.\1."),
    (r"^layernorm\.", "norm."),
]


def _from_hugging_face_dinov2(state: State) -> State:
    """Hugging Face's Dinov2Model (RAD-DINO among them) in timm's names; query, key and value become one matrix."""
    result: State = {}
    for name, value in state.items():
        if re.search(r"attention\.attention\.(key|value)\.", name):
            continue
        if ".attention.attention.query." in name:
            parts = [state[name.replace(".query.", f".{part}.")] for part in ("query", "key", "value")]
            number, kind = re.findall(r"layer\.(\d+)\..*\.(weight|bias)$", name)[0]
            result[f"blocks.{number}.attn.qkv.{kind}"] = torch.cat(parts)
            continue
        new = name
        for pattern, replacement in _DINOV2:
            new, changed = re.subn(pattern, replacement, name)
            if changed:
                break
        result[new] = value
    return result


def described(net: nn.Module) -> str:
    """Source, checksum and normalisation of a network that was just built, a line each."""
    found, normalisation = origin(net), normalisation_of(net)
    if found is None:
        return "no pretrained weights: the network starts at random"
    return (
        f"source: {found['source']}\nSHA-256: {found['sha256']}\n"
        f"normalisation: mean {normalisation['mean']:g}, std {normalisation['std']:g}\n"
        f"parameters: {sum(one.numel() for one in net.parameters()):,}; every tensor of the encoder was found"
    )
