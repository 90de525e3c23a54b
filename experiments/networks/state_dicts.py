"""Fit a state dict of pretrained weights to an encoder: translate its names, adapt stem and position embedding.

Every tensor of the encoder must be found, and every tensor of the file used or known to be a head's: a network that starts from
half of its weights trains without any sign of the fault.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from timm.layers import resample_abs_pos_embed
from timm.models._manipulate import adapt_input_conv
from torch import Tensor, nn

State = dict[str, Tensor]
HEADS = re.compile(
    r"(fc|head|heads|classifier|last_linear|pre_logits|op_threshs|mask_token|cls_token_head)\b|head_|norm_pre_head"
)
"""Names of tensors that an encoder does not need: classifiers, and what self-supervised training alone uses."""
UNUSED_BY_FEATURES = re.compile(
    r"(norm|fc_norm|head_norm|features\.norm5|conv_head|bn2|final_conv|layernorm)\b"
)
"""Of layers behind the last feature map."""


def fitted(state: State, encoder: nn.Module, where: str) -> State:
    """For every tensor of the encoder the one of that name, stem and position embedding adapted; ValueError if any is left
    over.

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


def encoder_of(state: State) -> State:
    """The tensors of a trained network's encoder: of a localising classifier, of a segmentation network, else all of them."""
    for prefix in ("backbone.", "body.encoder."):
        if inside := {
            name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
        }:
            return inside
    return state


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
        raise ValueError(f"{where}: the file {verb} {listed}; use the architecture that it was trained for")


def _adapted(given: Tensor, target: Tensor, prefix_tokens: int) -> Tensor | None:
    """The tensor in the target's shape: colour filters summed, a position embedding resampled; None where neither makes it
    fit."""
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


def _dense_name(name: str) -> str:
    """DenseNets from before PyTorch 1.0 wrote `norm.1` for `norm1`."""
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
