"""Write every network of a bundle as a self-contained ONNX file.

    python -m ensemble.onnx_export [--bundle models/bundle] [--output models/onnx] [--int8] [--openvino]

Input `image` uint8 (batch, 1, s, s), output `probability` float32 (batch, 1) or (batch, 1, s, s); normalisation, sigmoid and
test-time augmentation are inside. Each file is compared with its PyTorch network before it is kept. `--int8` adds quantised
files, `--openvino` tries OpenVINO on all of them. Each combination of runtime and precision is accepted where it keeps the
hold-out's Dice: ensemble/runtimes/parity.py.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from tqdm import tqdm

from ensemble.inference import bundle
from ensemble.inference.predictor import Member, Predictor
from ensemble.runtimes import openvino_runtime
from ensemble.runtimes import parity as acceptance
from ensemble.runtimes.onnx_runtime import (
    INDEX,
    OPSET,
    PATH,
    TOLERANCE,
    Engine,
    File,
    Index,
    Precision,
    ask,
    name_of,
    session,
)
from experiments.networks import inference
from experiments.networks.normalisation import normalisation_of
from imaging.io import command
from imaging.io.files import atomic_folder, sha256, write_json
from imaging.map_levels import encode
from imaging.resize import IN_WORDS

TRIED = 8
"""Images on which a file is compared with its network, in two batches of different sizes."""


class EndToEnd(nn.Module):
    """A network from uint8 squares (B, 1, s, s) to probabilities, in float32 on the CPU, to be traced."""

    def __init__(self, member: Member) -> None:
        super().__init__()
        self.net = member.net.to("cpu")
        self.settings = member.settings.model_copy(update={"inference_precision": "32-true"})

    def forward(self, image: Tensor) -> Tensor:
        """Probabilities float32 (B, 1) or (B, 1, s, s) of uint8 squares."""
        return inference.probabilities(self.net, image, self.settings)


def main() -> None:
    """Export a bundle and print what was accepted."""
    parser = argparse.ArgumentParser(
        prog="python -m ensemble.onnx_export", description=__doc__.split("\n")[0]
    )
    parser.add_argument(
        "--bundle", type=command.place, default=Path(bundle.PATH), help="default: %(default)s"
    )
    parser.add_argument(
        "--output", type=command.place, default=Path(PATH), help="folder to write (default: %(default)s)"
    )
    parser.add_argument("--int8", action="store_true", help="also quantise, with the run's data/prepared")
    parser.add_argument(
        "--openvino", action="store_true", help="also try OpenVINO, with the run's data/prepared"
    )
    given = parser.parse_args()
    index = export(given.bundle, given.output, given.int8, given.openvino)
    worst = max(file.difference for name, file in index.files.items() if name.startswith("fp32/"))
    print(f"{len(index.files)} networks in {given.output}; opset {OPSET}; fp32 within {worst:.1e} of PyTorch")
    for key, found in index.compared.items():
        print(acceptance.in_words(key, found))


def combinations(int8: bool, openvino: bool) -> list[tuple[Engine, Precision]]:
    """Runtimes and precisions to try on the hold-out; bf16 only where the processor has it."""
    wanted: list[tuple[Engine, Precision]] = [("onnx", "int8")] if int8 else []
    if openvino:
        wanted += [("openvino", "fp32")]
        wanted += [("openvino", "bf16")] if openvino_runtime.has_bf16() else []
        wanted += [("openvino", "int8")] if int8 else []
    return wanted


def export(source: Path, output: Path, int8: bool = False, openvino: bool = False) -> Index:
    """Write the ONNX files of a bundle and onnx.json; the folder is replaced as a whole."""
    loaded = bundle.Bundle.load(source)
    predictor = loaded.predictor()
    with atomic_folder(output, INDEX) as folder:
        files = {
            name_of("fp32", stage, member): write(member, stage, folder / name_of("fp32", stage, member))
            for stage, member in tqdm(list(members(predictor)), "export", disable=None, unit="network")
        }
        index = Index(bundle=loaded.sha256, opset=OPSET, files=files)
        write_json(folder / INDEX, index.model_dump(mode="json"))
        # float32 in ONNX Runtime reproduces PyTorch's float32; a bundle of another precision must be compared.
        plain: list[tuple[Engine, Precision]] = [("onnx", "fp32")] if predictor.precision != "32-true" else []
        for engine, precision in [*plain, *combinations(int8, openvino)]:
            data = loaded.index.fingerprints["data"]
            index = acceptance.add(
                index, loaded.predictor(), folder, data, engine, precision
            )  # as `predict` loads it
            write_json(folder / INDEX, index.model_dump(mode="json"))
        index = acceptance.without_refused(index, folder)
        write_json(folder / INDEX, index.model_dump(mode="json"))
    return index


def members(predictor: Predictor) -> Iterator[tuple[str, Member]]:
    """Every network with its stage."""
    yield from (("classification", member) for member in predictor.classifiers)
    yield from (("segmentation", member) for member in predictor.masks)


def write(member: Member, stage: str, path: Path) -> File:
    """Trace one network into an ONNX file with its metadata; a ValueError when its outputs differ from the network's."""
    side = member.settings.image_size
    path.parent.mkdir(parents=True, exist_ok=True)
    network, example = EndToEnd(member).eval(), torch.zeros(2, 1, side, side, dtype=torch.uint8)
    batch = {"image": {0: "batch"}, "probability": {0: "batch"}}
    with (
        warnings.catch_warnings()
    ):  # about Python numbers that are constant here, and about the deprecated tracer
        warnings.simplefilter("ignore")
        # The tracer (dynamo=False) needs no further package, and shares the weights between an image and its mirror image.
        torch.onnx.export(
            network, (example,), str(path), input_names=["image"], output_names=["probability"],
            dynamic_axes=batch, opset_version=OPSET, dynamo=False,
        )  # fmt: skip
    describe(path, member, stage)
    difference, levels = parity(network, path, side)
    if difference > TOLERANCE or levels > 1:
        raise ValueError(
            f"{path.name} of {stage}/{member.name}: probabilities differ from PyTorch's by {difference:.2g}, maps by "
            f"{levels} levels; {TOLERANCE:g} and 1 are allowed. This architecture does not export faithfully with "
            "this release of PyTorch"
        )
    return File(sha256=sha256(path), weights_sha256=member.sha256, difference=difference)


def describe(path: Path, member: Member, stage: str) -> None:
    """Write metadata_props of the ONNX model: stage, model, fold, input, output, weights."""
    model = onnx.load(path)
    model.producer_name, model.doc_string = "pneumothorax", "For research, not for diagnosis."
    facts = {
        "stage": stage,
        "model": member.name,
        "fold": member.fold,
        "input": f"uint8 (batch, 1, {member.settings.image_size}, {member.settings.image_size}), brighter = denser",
        "contrast": IN_WORDS[member.settings.contrast],
        "output": "probability of a pneumothorax, of the image or of each pixel",
        "normalisation_inside": normalisation_of(member.net),
        "weights_sha256": member.sha256,
    }
    onnx.helper.set_model_props(model, {key: str(value) for key, value in facts.items()})
    onnx.checker.check_model(model)
    onnx.save(model, path)


def parity(network: nn.Module, path: Path, side: int) -> tuple[float, int]:
    """Largest difference of a probability, and of a level of a map, between network and file: on smooth random images in
    batches of 1 and the rest. Where maps are nearly 0 or 1, levels differ before probabilities do."""
    coarse = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (TRIED, 1, 9, 9))
    smooth = nn.functional.interpolate(torch.from_numpy(coarse).float(), (side, side), mode="bilinear")
    images, runtime = smooth.round().to(torch.uint8), session(path)
    pairs = [(ask(runtime, part.numpy()), network(part).numpy()) for part in (images[:1], images[1:])]
    levels = [np.abs(encode(a).astype(int) - encode(b)) for a, b in pairs if a.ndim == 4]
    return max(float(np.abs(a - b).max()) for a, b in pairs), max(
        (int(one.max()) for one in levels), default=0
    )


if __name__ == "__main__":
    command.run(main)
