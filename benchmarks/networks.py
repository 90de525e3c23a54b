"""U-Net ResNet-34 at 256² on the processor: a training step and prediction. `python -m benchmarks.networks`

The peer is segmentation-models-pytorch in float32, eager, NCHW, as most public solutions run it. Weights are untrained: what int8
and bf16 do to the Dice of trained networks is measured, and decided, by `python -m ensemble.onnx_export --int8 --openvino`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from benchmarks import timing
from benchmarks.timing import Row, has_bf16, table
from ensemble.inference.predictor import Member
from ensemble.onnx_export import write
from ensemble.runtimes import parity, quantise
from ensemble.runtimes.onnx_runtime import ask, session
from experiments.settings.training import SegmentationSettings
from imaging.io.threads import cores
from imaging.phantom.chest.render import render
from imaging.settings import PhantomSettings
from segmentation.architectures import build

SIDE, BATCH, ROUNDS = 256, 8, 5
PEER = "smp fp32 eager NCHW"
NO_BF16 = "this processor has no bf16 instructions"


def main() -> None:
    """Print the rows."""
    print(timing.machine(), table(rows()), sep="\n\n")


def rows() -> list[Row]:
    """For `benchmarks.suite`."""
    torch.set_num_threads(cores())
    return [*training_rows(), *inference_rows()]


def plain() -> nn.Module:
    """The library's network unchanged."""
    torch.manual_seed(0)
    return smp.Unet("resnet34", encoder_weights=None, in_channels=1)


def training_rows() -> list[Row]:
    """A step: forward, loss, backward, AdamW."""
    image = torch.rand(BATCH, 1, SIDE, SIDE)
    target = (torch.rand(BATCH, 1, SIDE, SIDE) > 0.9).float()
    cases: dict[str, timing.Case] = {
        PEER: (step(plain(), fused=False), [(image, target)]),
        "channels last": (step(plain().to(memory_format=torch.channels_last), True), [(last(image), target)]),
    }
    if has_bf16():
        net = plain().to(memory_format=torch.channels_last)
        cases["bf16"] = (step(net, True, torch.bfloat16), [(last(image), target)])
    seconds = timing.medians(cases, 3)
    what = f"training step, U-Net ResNet-34 at {SIDE}²"
    ratio = seconds[PEER] / seconds["bf16"] if has_bf16() else None
    return [
        Row(f"{what}, bf16 + channels last", PEER, ratio, 4, "" if has_bf16() else NO_BF16),
        Row(f"{what}, float32, channels last", PEER, seconds[PEER] / seconds["channels last"]),
    ]


def last(image: Tensor) -> Tensor:
    """The same in memory order NHWC."""
    return image.contiguous(memory_format=torch.channels_last)


def step(net: nn.Module, fused: bool, precision: torch.dtype | None = None) -> Callable[[Any], None]:
    """One step of training."""
    net.train()
    optimiser = torch.optim.AdamW(net.parameters(), 1e-4, fused=fused)
    autocast = torch.autocast("cpu", precision) if precision else nullcontext()

    def take(batch: tuple[Tensor, Tensor]) -> None:
        optimiser.zero_grad()
        with autocast:
            logit = net(batch[0])
        nn.functional.binary_cross_entropy_with_logits(logit.float(), batch[1]).backward()
        optimiser.step()

    return take


def inference_rows() -> list[Row]:
    """Probabilities of uint8 images, normalisation and sigmoid included."""
    squares = [render(1, index, PhantomSettings()).pixels for index in range(2 * BATCH)]
    member = unet(SIDE)
    batch, calibration = (parity.inputs(part, member)[0] for part in (squares[:BATCH], squares[BATCH:]))
    eager = plain().eval()
    with tempfile.TemporaryDirectory() as folder:
        float32, int8 = Path(folder, "fp32.onnx"), Path(folder, "int8.onnx")
        write(member, "segmentation", float32)
        quantise.quantise(float32, int8, [calibration], "openvino")
        runtimes = {
            "ONNX Runtime, float32": session(float32),
            "OpenVINO, float32": session(float32, "openvino"),
            "OpenVINO, int8": session(int8, "openvino", "int8"),
        }
        if has_bf16():
            runtimes["OpenVINO, bf16"] = session(float32, "openvino", "bf16")
    cases: dict[str, timing.Case] = {
        PEER: (lambda x: infer(eager, x), [torch.from_numpy(batch)]),
        **{name: (lambda x, found=found: ask(found, x), [batch]) for name, found in runtimes.items()},
    }
    for function, inputs in cases.values():  # the first call allocates
        function(inputs[0])
    seconds = timing.medians(cases, ROUNDS)
    goals = {"OpenVINO, bf16": 10, "OpenVINO, int8": 20}
    what = f"inference, U-Net ResNet-34 at {SIDE}²"
    notes = {} if has_bf16() else {"OpenVINO, int8": "by VNNI; the goal is for processors with AMX"}
    found = [
        Row(f"{what}, {name}", PEER, seconds[PEER] / seconds[name], goals.get(name), notes.get(name, ""))
        for name in runtimes
    ]
    return found if has_bf16() else [*found, Row(f"{what}, OpenVINO, bf16", PEER, None, 10, NO_BF16)]


@torch.inference_mode()
def infer(net: nn.Module, image: Tensor) -> Tensor:
    """As ours: uint8 in, probabilities out."""
    return net((image.float() / 255 - 0.449) / 0.226).sigmoid()


def unet(side: int) -> Member:
    """An untrained U-Net on ResNet-34, without test-time augmentation."""
    settings = SegmentationSettings(
        models=["u"], architecture="unet", encoder="resnet34", image_size=side, flip_tta=False
    )
    torch.manual_seed(0)
    return Member("u", 0, build(settings).eval(), settings, "")


if __name__ == "__main__":
    main()
