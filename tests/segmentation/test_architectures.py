"""Every architecture gives one logit a pixel; parameters are counted; what cannot be built is refused by name."""

from __future__ import annotations

import itertools
import math
import warnings
from typing import Any, get_args

import pytest
import torch

from experiments.networks.pretrained import is_vit
from experiments.settings.training import Architecture, SegmentationSettings
from segmentation.architectures import Outputs, build
from segmentation.architectures.double_unet import DoubleUNet
from segmentation.architectures.segmenter import log_odds, product
from segmentation.architectures.unet_2015 import UNet2015
from segmentation.architectures.unet_s5 import UNetS5
from segmentation.architectures.vit_encoder import ViTEncoder

TINY: dict[str, Any] = {"models": ["u"], "encoder": "tu-resnet10t", "image_size": 64, "base_channels": 4}
KINDS: list[dict[str, Any]] = [
    {},
    {"decoder_channels": [16, 8, 8, 8, 4]},
    {"attention": "scse", "decoder_channels": [32, 16, 16, 16, 16]},
    {"decoder_channels": [16, 8, 8]},
    {"encoder": "resnet18", "decoder_channels": [16, 16], "attention": "scse"},
    {"architecture": "unetplusplus", "decoder_channels": [16, 8, 8, 8, 4]},
    {"architecture": "fpn"},
    {"architecture": "deeplabv3plus", "encoder": "resnet18"},
    {"architecture": "plain"},
    {"architecture": "unet_2015"},
    {"architecture": "unet_s5"},
    {"architecture": "unet_s5", "auxiliary": 0.4},
    {"architecture": "double_unet"},
]


def made(**extra: Any) -> torch.nn.Module:
    return build(SegmentationSettings(**{**TINY, **extra}))


@pytest.mark.parametrize("extra", KINDS, ids=[" ".join(map(str, kind.values())) or "unet" for kind in KINDS])
@pytest.mark.parametrize("head", [{}, {"image_head": 0.1, "classes": 2}], ids=["", "image head, two classes"])
def test_one_logit_a_pixel_in_prediction_and_all_outputs_in_training(
    extra: dict[str, Any], head: dict[str, Any]
) -> None:
    net = made(**extra, **head)
    image = torch.randn(2, 1, 32, 32, generator=torch.manual_seed(0))
    given = net.train()(image)
    assert isinstance(given, Outputs)
    assert all(logit.shape == (2, 1, 32, 32) for _, logit in given.masks)
    assert (given.image is None) == (not head)
    sum(share * logit.mean() for share, logit in given.masks).backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in net.encoder.parameters())
    assert net.eval()(image).shape == (2, 1, 32, 32)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"image_size": 100}, "image_size 100 is not divisible by the encoder's stride 32; use 96"),
        ({"encoder": "resnet19"}, "encoder 'resnet19' is not an smp encoder"),
        ({"encoder": "tu-nothing"}, "tu-nothing"),
        (
            {"attention": "scse", "decoder_channels": [16, 16, 16, 16, 8]},
            "scSE squeezes to a sixteenth, .* at least 16",
        ),
        (
            {"architecture": "unetplusplus", "decoder_channels": [16, 8]},
            "not unetplusplus with",
        ),
        (
            {"encoder": "tu-vit_tiny_patch16_224", "decoder_channels": [16, 8]},
            "not unet with tu-vit",
        ),
        ({"encoder": "tu-nothing", "decoder_channels": [16, 8]}, "tu-nothing"),
        (
            {"architecture": "fpn", "attention": "scse"},
            "segmentation.attention scse has no effect with architecture fpn; set it to none, or use unet or unetplusplus",
        ),
        *(
            (
                {"architecture": name, "decoder_channels": [16, 8, 8, 8, 4]},
                rf"segmentation.decoder_channels \[.*\] has no effect with architecture {name}; set it to null",
            )
            for name in get_args(Architecture)
            if name not in ("unet", "unetplusplus")
        ),
        (
            {"architecture": "double_unet", "pretrained": "in12k"},
            "in12k: double_unet's VGG-19 has no weights",
        ),
        ({"auxiliary": 0.4}, "unet has no auxiliary head"),
        ({"architecture": "unet_s5", "pretrained": "imagenet"}, "there are no weights for unet_s5"),
    ],
)
def test_what_cannot_be_built_is_refused(extra: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        made(**extra)


def test_a_network_that_was_trained_with_settings_without_effect_is_still_built() -> None:
    settings = SegmentationSettings(**{**TINY, "architecture": "plain", "decoder_channels": [16, 8]})
    assert numbers(build(settings, trained=True)) == numbers(made(architecture="plain"))


@pytest.mark.parametrize("kind", [{}, {"decoder_channels": [16, 8, 8]}, {"architecture": "fpn"}])
def test_a_misspelt_tag_of_weights_is_one_line(kind: dict[str, Any]) -> None:
    """smp warned of the way in which it was called first."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=r"^segmentation\.pretrained imagnet: .*no such weights of tu-"):
            made(pretrained="imagnet", **kind)


def test_a_decoder_of_three_blocks_gives_a_map_at_a_quarter_enlarged_linearly() -> None:
    net = made(decoder_channels=[16, 8, 4]).eval()
    with torch.inference_mode():
        image = torch.randn(1, 1, 64, 64, generator=torch.manual_seed(0))
        features = net.body.encoder(image)
        coarse = net.body.head[0](net.body.decoder(features))
        assert coarse.shape == (1, 1, 16, 16)
        middle = (coarse[0, 0, 3, 3] * 5 + coarse[0, 0, 3, 4] * 3) / 8  # of columns 13.5 and 17.5, at 15
        lower = (coarse[0, 0, 4, 3] * 5 + coarse[0, 0, 4, 4] * 3) / 8
        assert net(image)[0, 0, 15, 15].item() == pytest.approx(
            ((middle * 5 + lower * 3) / 8).item(), abs=1e-5
        )


def numbers(net: torch.nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def test_plain_unet_counts_its_parameters() -> None:
    """Widths 4 8 16 32 64 64; a layer has 9 in out + 2 out, the head 4 + 1."""
    down = [(1, 4), (4, 4), (4, 8), (8, 8), (8, 16), (16, 16), (16, 32), (32, 32), (32, 64), (64, 64)]
    down += [(64, 64), (64, 64)]
    up = [(128, 64), (64, 64), (96, 32), (32, 32), (48, 16), (16, 16), (24, 8), (8, 8), (12, 4), (4, 4)]
    assert numbers(made(architecture="plain")) == sum(9 * a * b + 2 * b for a, b in down + up) + 5


def test_the_unet_of_2015_counts_its_parameters() -> None:
    """Convolutions with biases; 2 x 2 up-convolutions have 4 in out + out. 31,030,593 is what other copies have."""
    assert numbers(UNet2015(64, 1)) == 31_030_593
    assert numbers(UNet2015(64, 2)) == 31_030_593 + 65


def test_unet_s5_counts_as_mmsegmentations() -> None:
    net = UNetS5(64, 2, auxiliary=0)
    assert numbers(net) == 28_986_690
    assert numbers(net) - numbers(net.head) == 28_949_568
    # the auxiliary head: 9·128·64 + 2·64 and 2·64 + 2
    assert numbers(UNetS5(64, 2, auxiliary=0.4)) == 28_986_690 + 73_728 + 128 + 130


def test_unet_s5_begins_as_mmsegmentations() -> None:
    torch.manual_seed(0)
    net = UNetS5(64, 2, auxiliary=0)
    deep = net.encoder[4][1][0].weight  # 1024 outputs of 3 x 3: deviation sqrt(2 / 9216)
    assert deep.std().item() == pytest.approx(math.sqrt(2 / 9216), rel=0.01)
    assert net.head.last.weight.std().item() == pytest.approx(0.01, rel=0.2)
    assert net.head.last.bias.abs().max() == 0


def test_double_unet_counts_its_parameters() -> None:
    """VGG-19's convolutions; blocks 9 a b + b + 9 b b + b, 4 b of two norms, squeeze-excite 2 b (b/8) + b + b/8."""

    def block(a: int, b: int) -> int:
        return 9 * a * b + b + 9 * b * b + b + 4 * b + 2 * b * (b // 8) + b + b // 8

    def aspp(a: int) -> int:  # two 1 x 1 and three 3 x 3 of a to 64, one 1 x 1 of 5·64 to 64, a norm each
        return 2 * a * 64 + 3 * 9 * a * 64 + 320 * 64 + 6 * 128

    widths = [1, *[64] * 2, *[128] * 2, *[256] * 4, *[512] * 8]
    vgg = sum(9 * a * b + b for a, b in itertools.pairwise(widths))
    first = block(64 + 512, 256) + block(256 + 256, 128) + block(128 + 128, 64) + block(64 + 64, 32)
    encoder = block(1, 32) + block(32, 64) + block(64, 128) + block(128, 256)
    second = block(64 + 768, 256) + block(256 + 384, 128) + block(128 + 192, 64) + block(64 + 96, 32)
    assert numbers(DoubleUNet(1, None)) == vgg + aspp(512) + first + encoder + aspp(256) + second + 2 * 33


def test_double_unets_first_mask_gates_the_second_networks_image() -> None:
    net = DoubleUNet(1, None).eval()
    image = torch.randn(1, 1, 32, 32, generator=torch.manual_seed(0))
    seen: list[torch.Tensor] = []
    net.second_encoder[0].register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    torch.nn.init.zeros_(net.first_head.weight)
    for bias, gate in ((-30.0, 0.0), (0.0, 0.5), (30.0, 1.0)):
        torch.nn.init.constant_(net.first_head.bias, bias)
        net(image)
        assert torch.allclose(seen[-1], gate * image, atol=1e-6)


@pytest.mark.parametrize("classes", [1, 2])
def test_every_pixel_begins_at_the_prior(classes: int) -> None:
    net = made(architecture="plain", classes=classes, prior=0.02).eval()
    torch.nn.init.zeros_(net.body.head.weight)
    assert net(torch.zeros(1, 1, 64, 64)).sigmoid().mean().item() == pytest.approx(0.02)


def test_the_image_head_multiplies_the_mask() -> None:
    mask, image = torch.tensor([0.0, 3.0, -40.0, 50.0]), torch.tensor(-1.0)
    wanted = mask.sigmoid() * image.sigmoid()
    assert torch.allclose(product(mask, image).sigmoid(), wanted)
    assert torch.isfinite(product(torch.tensor(90.0), torch.tensor(90.0)))
    net = made(architecture="plain", image_head=1.0).eval()
    torch.nn.init.constant_(net.image_head.bias, -50.0)
    assert net(torch.randn(1, 1, 64, 64)).max() < -20


def test_log_odds_are_the_softmax() -> None:
    two = torch.tensor([[1.0], [3.0]]).reshape(1, 2, 1, 1)
    assert log_odds(two).sigmoid().item() == pytest.approx(two.softmax(dim=1)[0, 1].item())


def test_a_hub_out_of_reach_names_the_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    message = (
        r"segmentation\.pretrained imagenet: the hub cannot be reached .* resnet18 .*docs/pretrained\.md"
    )
    with pytest.raises(ValueError, match=message):
        made(encoder="resnet18", pretrained="imagenet")
    with pytest.raises(ValueError, match=r"segmentation\.pretrained hf-hub:o/n: the hub cannot be reached"):
        made(encoder="resnet18", pretrained="hf-hub:o/n")


@pytest.mark.parametrize(
    ("name", "side", "inner"),
    [("test_vit", 64, 64), ("vit_tiny_patch16_224", 96, 96), ("vit_small_patch14_dinov2", 64, 70)],
)
def test_a_vision_transformer_gives_a_pyramid(name: str, side: int, inner: int) -> None:
    """Patches of 14 do not divide 64: the image is resized to 70, the maps lie on the strides of 64."""
    encoder = ViTEncoder(name, side).eval()
    assert encoder.input_side(side) == inner
    maps = encoder(torch.randn(2, 1, side, side))
    assert [one.shape[-1] for one in maps] == [side, side // 2, side // 4, side // 8, side // 16, side // 32]
    assert [one.shape[1] for one in maps] == encoder.out_channels


@pytest.mark.parametrize(
    "name", ["vit_base_patch14_dinov2", "vit_base_patch16_dinov3", "vit_small_patch16_dinov3"]
)
def test_the_encoders_of_dino_are_vision_transformers(name: str) -> None:
    """At their true shapes, without memory."""
    assert is_vit(name)
    with torch.device("meta"):
        maps = ViTEncoder(name, 512)(torch.zeros(1, 1, 512, 512))
    assert [one.shape[-1] for one in maps] == [512, 256, 128, 64, 32, 16]


def test_convolutional_networks_are_none() -> None:
    assert not any(
        is_vit(name) for name in ("resnet18", "convnext_tiny", "tf_efficientnetv2_s", "no_such_network")
    )


@pytest.mark.parametrize("scale", [1, 2])
def test_a_u_net_on_a_vision_transformer_learns(scale: int) -> None:
    net = made(encoder="tu-test_vit", image_head=0.1, drop_path=0.1)
    masks, image = net.train()(torch.randn(2, 1, 64, 64))
    loss = masks[-1][1].square().mean() + image.square().mean()
    loss.backward()
    used = [name for name, one in net.named_parameters() if one.grad is None]
    assert not [name for name in used if ".norm." not in name], (
        used
    )  # the ViT's last norm lies behind the maps
    assert net.eval()(torch.randn(1, 1, 64 * scale, 64 * scale)).shape == (1, 1, 64 * scale, 64 * scale)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"encoder": "tu-test_vit", "architecture": "fpn"},
            "a vision transformer needs `architecture: unet`",
        ),
        ({"encoder": "resnet18", "drop_path": 0.1}, "only `tu-<timm name>` has it"),
        ({"encoder": "resnet18", "pretrained": "in12k"}, "a timm tag needs an encoder `tu-<timm name>`"),
    ],
)
def test_what_an_encoder_cannot_do_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made(**changes)
