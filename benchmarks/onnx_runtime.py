"""Forward passes on a CPU: PyTorch against ONNX Runtime in float32 and in int8.

    python benchmarks/onnx_runtime.py [--bundle models/bundle] [--rounds 7]

Networks: the bundle's first classifier and mask network as they are applied (test-time augmentation included), and an
untrained U-Net on ResNet-34 at 512 px, the size of published solutions. Inputs are phantoms; int8 scales are measured on
other phantoms. What int8 does to the Dice of trained networks is measured, and decided, by `python -m ensemble.onnx_export
--int8`.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timing import machine, medians

from ensemble.inference import bundle
from ensemble.inference.predictor import Member
from ensemble.onnx_export import write
from ensemble.runtimes import parity, quantise
from ensemble.runtimes.onnx_runtime import ask, session
from experiments.settings.training import SegmentationSettings
from imaging.io.threads import cores
from imaging.phantom.chest.render import render
from imaging.settings import PhantomSettings
from segmentation.architectures import build

SEEN, CALIBRATION = 8, 16


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bundle", type=Path, default=Path(bundle.PATH))
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(cores())
    phantoms = PhantomSettings()
    squares = [render(1, index, phantoms).pixels for index in range(SEEN + CALIBRATION)]
    print(
        f"{machine()}; {cores()} threads each; milliseconds an image, batches of {SEEN}, medians of {given.rounds} rounds\n"
    )
    print(
        f"{'network':<44}{'torch':>8}{'onnx':>8}{'int8':>8}{'onnx':>9}{'int8':>7}   largest, mean change of int8"
    )
    for stage, member in networks(given.bundle).items():
        row(stage, member, squares, given.rounds)


def networks(folder: Path) -> dict[str, Member]:
    """By stage, with a remark."""
    predictor = bundle.Bundle.load(folder).predictor()
    settings = SegmentationSettings(
        models=["u"], architecture="unet", encoder="resnet34", image_size=512, flip_tta=False
    )
    large = Member(
        "resnet34 U-Net, untrained",
        0,
        build(settings).eval().to(memory_format=torch.channels_last),
        settings,
        "",
    )
    return {
        "classification": predictor.classifiers[0],
        "segmentation": predictor.masks[0],
        "segmentation ": large,
    }


def row(stage: str, member: Member, squares: list[Any], rounds: int) -> None:
    """Export, quantise, time and compare one network."""
    batch = parity.inputs(squares[:SEEN], member)[0]
    with tempfile.TemporaryDirectory() as folder:
        plain, small = Path(folder, "fp32.onnx"), Path(folder, "int8.onnx")
        write(member, stage.strip(), plain)
        quantise.quantise(plain, small, parity.inputs(squares[SEEN:], member))
        fp32, int8 = session(plain), session(small)
    tensor = torch.from_numpy(batch)
    times = medians(
        {
            "torch": (member.probabilities, [tensor]),
            "onnx": (lambda x: ask(fp32, x), [batch]),
            "int8": (lambda x: ask(int8, x), [batch]),
        },
        rounds,
    )
    ms = {name: 1000 * value / SEEN for name, value in times.items()}
    change = np.abs(ask(int8, batch) - ask(fp32, batch))
    size = (
        f"{member.name}, {member.settings.image_size} px{', flipped too' if member.settings.flip_tta else ''}"
    )
    print(
        f"{stage[:4]}. {size:<38}{ms['torch']:8.1f}{ms['onnx']:8.1f}{ms['int8']:8.1f}{ms['torch'] / ms['onnx']:8.2f}x"
        f"{ms['torch'] / ms['int8']:6.2f}x   {change.max():.3f}, {change.mean():.4f}"
    )


if __name__ == "__main__":
    main()
