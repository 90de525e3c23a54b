"""Hugging Face's DINOv2 in timm's names computes the same."""

from __future__ import annotations

import timm
import torch
from torch import nn

from experiments.networks import state_dicts
from tests.experiments.networks.pretrained_files import State, random


def radiograph_dino(layers: int = 12, width: int = 768, tokens: int = 1370) -> State:
    """Names and shapes of microsoft/rad-dino's model.safetensors (Hugging Face's Dinov2Model, ViT-B/14 at 518 px)."""
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.cls_token": (1, 1, width), "embeddings.mask_token": (1, width),
        "embeddings.position_embeddings": (1, tokens, width),
        "embeddings.patch_embeddings.projection.weight": (width, 3, 14, 14),
        "embeddings.patch_embeddings.projection.bias": (width,), "layernorm.weight": (width,), "layernorm.bias": (width,),
    }  # fmt: skip
    for layer in range(layers):
        inside = {
            **{f"attention.attention.{one}": (width, width) for one in ("query", "key", "value")},
            "attention.output.dense": (width, width), "mlp.fc1": (4 * width, width), "mlp.fc2": (width, 4 * width),
        }  # fmt: skip
        for name, shape in inside.items():
            shapes |= {
                f"encoder.layer.{layer}.{name}.weight": shape,
                f"encoder.layer.{layer}.{name}.bias": shape[:1],
            }
        for name in (
            "norm1.weight",
            "norm1.bias",
            "norm2.weight",
            "norm2.bias",
            "layer_scale1.lambda1",
            "layer_scale2.lambda1",
        ):
            shapes[f"encoder.layer.{layer}.{name}"] = (width,)
    return random({name: torch.empty(shape) for name, shape in shapes.items()})


def test_rad_dino_has_the_names_and_shapes_of_timms_vit() -> None:
    with torch.device("meta"):
        expected = timm.create_model("vit_base_patch14_dinov2", num_classes=0).state_dict()
    state, layout = state_dicts.translated(radiograph_dino())
    assert layout == "dinov2"
    assert {name: value.shape for name, value in state.items() if name != "mask_token"} == {
        name: value.shape for name, value in expected.items()
    }


def test_query_key_and_value_become_one_matrix_in_this_order() -> None:
    source = radiograph_dino(layers=2, width=12, tokens=5)
    found, _ = state_dicts.translated(source)
    parts = [source[f"encoder.layer.1.attention.attention.{one}.weight"] for one in ("query", "key", "value")]
    assert torch.equal(found["blocks.1.attn.qkv.weight"], torch.cat(parts))
    assert torch.equal(found["blocks.1.ls2.gamma"], source["encoder.layer.1.layer_scale2.lambda1"])
    assert torch.equal(
        found["blocks.0.attn.proj.bias"], source["encoder.layer.0.attention.output.dense.bias"]
    )


def test_a_vit_with_translated_weights_computes_what_hugging_faces_does() -> None:
    """One block by hand: x + g1 * attention(norm(x)), then the same with the MLP."""
    width, heads = 12, 2
    net = timm.models.vision_transformer.VisionTransformer(
        img_size=28,
        patch_size=14,
        embed_dim=width,
        depth=1,
        num_heads=heads,
        init_values=1.0,
        num_classes=0,
        in_chans=3,
    ).eval()
    source = radiograph_dino(layers=1, width=width, tokens=5)
    state, _ = state_dicts.translated(source)
    net.load_state_dict({name: value for name, value in state.items() if name != "mask_token"})
    image = torch.rand(1, 3, 28, 28)
    w = {name.removeprefix("encoder.layer.0."): value for name, value in source.items()}
    linear, norm = nn.functional.linear, nn.functional.layer_norm
    patches = nn.functional.conv2d(
        image, w["embeddings.patch_embeddings.projection.weight"], w["embeddings.patch_embeddings.projection.bias"], stride=14
    ).flatten(2).transpose(1, 2)  # fmt: skip
    x = torch.cat([w["embeddings.cls_token"], patches], dim=1) + w["embeddings.position_embeddings"]
    y = norm(x, (width,), w["norm1.weight"], w["norm1.bias"], 1e-6)
    q, k, v = (
        linear(y, w[f"attention.attention.{one}.weight"], w[f"attention.attention.{one}.bias"])
        .view(1, 5, heads, -1).transpose(1, 2) for one in ("query", "key", "value")
    )  # fmt: skip
    attended = (q @ k.transpose(-1, -2) / (width // heads) ** 0.5).softmax(-1) @ v
    attended = attended.transpose(1, 2).reshape(1, 5, width)
    x = x + w["layer_scale1.lambda1"] * linear(
        attended, w["attention.output.dense.weight"], w["attention.output.dense.bias"]
    )
    y = norm(x, (width,), w["norm2.weight"], w["norm2.bias"], 1e-6)
    y = nn.functional.gelu(linear(y, w["mlp.fc1.weight"], w["mlp.fc1.bias"]))
    x = x + w["layer_scale2.lambda1"] * linear(y, w["mlp.fc2.weight"], w["mlp.fc2.bias"])
    expected = norm(x, (width,), source["layernorm.weight"], source["layernorm.bias"], 1e-6)
    torch.testing.assert_close(net.forward_features(image), expected, rtol=1e-4, atol=1e-4)
