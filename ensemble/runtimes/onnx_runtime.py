"""Trained networks as ONNX files, run by ONNX Runtime or OpenVINO: the same predictions faster on a CPU.

    python -m ensemble.onnx_export          writes models/onnx from models/bundle

`models/onnx/onnx.json` names the bundle that the files were made from, and how far each is from its PyTorch network. A file is
self-contained but for the equalised contrast of a network that was trained with it, which its metadata then names: uint8 squares
in, probabilities out, normalisation and test-time augmentation inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from torch import Tensor

from ensemble.inference.predictor import Member, Predictor
from ensemble.runtimes import openvino_runtime
from imaging.io.config import Settings
from imaging.io.files import read_json, sha256
from imaging.io.threads import cores

PATH = "models/onnx"
INDEX = "onnx.json"
OPSET = 18
"""Version of the ONNX operators: ONNX Runtime from 1.14 and OpenVINO of 2023 read it. With 17, OpenVINO misreads the axes of a
log-sum-exp and pools the whole batch into one answer."""
TOLERANCE = 1e-4
"""Largest difference of a probability from PyTorch's, due to the order of summing. Maps may also differ by one level."""
Engine = Literal["onnx", "openvino"]
Precision = Literal["fp32", "bf16", "int8"]
ENGINES: dict[Engine, tuple[Precision, ...]] = {
    "onnx": ("fp32", "int8"),
    "openvino": ("fp32", "bf16", "int8"),
}
"""Precisions of each runtime."""


class File(Settings):
    """One ONNX file."""

    sha256: str
    """SHA-256 of its content."""
    weights_sha256: str
    """SHA-256 of the PyTorch weights that it was made from."""
    difference: float = Field(ge=0)
    """Largest absolute difference of a probability from PyTorch's, on the images it was tried on."""


class Index(Settings):
    """onnx.json."""

    version: Literal[1] = 1
    """Version of this file's format."""
    bundle: str
    """SHA-256 of the bundle.json of the bundle that the networks come from."""
    opset: int
    """Of the ONNX operators."""
    files: dict[str, File]
    """By path inside the folder: `fp32`, `int8-onnx` or `int8-openvino`, then `<stage>/<model>/fold<k>.onnx`."""
    compared: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """By engine and precision, such as `onnx/int8`: the hold-out's Dice with it, and whether it is accepted."""


def kind_of(precision: Precision, engine: Engine) -> str:
    """Folder of the files: in int8 each engine has its own, else both read those of float32."""
    return f"int8-{engine}" if precision == "int8" else "fp32"


def name_of(kind: str, stage: str, member: Member) -> str:
    """Path of a network's file inside the folder."""
    return f"{kind}/{stage}/{member.name}/fold{member.fold}.onnx"


def key_of(engine: Engine, precision: Precision) -> str:
    """Key in `compared`."""
    return f"{engine}/{precision}"


def session(
    path: Path | str, engine: Engine = "onnx", precision: Precision = "fp32", threads: int | None = None
) -> Any:
    """An onnxruntime.InferenceSession on the CPU, or OpenVINO's equivalent, with as many threads as the process has cores."""
    if engine == "openvino":
        return openvino_runtime.Session(path, precision, threads)
    try:
        import onnxruntime  # an extra: the rest of the project works without it
    except ModuleNotFoundError as error:
        raise ValueError("ONNX Runtime is not installed: pip install '.[onnx]'") from error

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or cores()
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def ask(runtime: Any, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities float32 (B, 1) or (B, 1, s, s) of uint8 squares (B, 1, s, s)."""
    return np.asarray(runtime.run(None, {"image": image})[0])


@dataclass(frozen=True)
class OnnxMember(Member):
    """A network whose probabilities come from its ONNX file; `net` is the PyTorch network, for saliency."""

    runtime: Any = None

    def probabilities(self, batch: Tensor) -> Tensor:
        """See Member."""
        return torch.from_numpy(ask(self.runtime, batch.numpy()))


def load(folder: str | Path = PATH) -> Index:
    """Read onnx.json and verify every file; a ValueError names what is missing or changed."""
    folder = Path(folder)
    if not (folder / INDEX).is_file():
        raise ValueError(f"{folder}: no {INDEX}; `python -m ensemble.onnx_export` makes it from a bundle")
    values = read_json(folder / INDEX)
    try:
        index = Index.model_validate(values)
    except ValidationError as error:
        key = ".".join(map(str, error.errors()[0]["loc"])) or "the whole file"
        raise ValueError(f"{folder / INDEX}: {key} is missing or damaged; export again") from None
    for key, found in index.compared.items():
        if not isinstance(found.get("accepted"), bool) or not isinstance(found.get("allowed"), float):
            raise ValueError(f"{folder / INDEX}: compared.{key} is missing or damaged; export again")
    for name, file in index.files.items():
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ValueError(f"{folder / INDEX}: {name!r} is not a path inside the folder")
        if not (folder / name).is_file() or sha256(folder / name) != file.sha256:
            raise ValueError(f"{folder / name}: missing or changed since it was exported; export again")
    return index


def use(
    predictor: Predictor,
    folder: str | Path = PATH,
    precision: Precision = "fp32",
    engine: Engine = "onnx",
    untried: bool = False,
    bundle: str | None = None,
) -> Predictor:
    """The same predictor with its networks run by `engine`.

    bundle: SHA-256 of the bundle that the predictor comes from; None where it comes from none. What was accepted with another
    bundle, such as one with another decision, does not count.

    A ValueError when the files were made from other networks, or when this engine and precision were not accepted on the
    hold-out (`untried` skips that check; float32 in ONNX Runtime needs none, since each file was compared with PyTorch).
    """
    index, folder = load(folder), Path(folder)
    if not untried and (engine, precision, predictor.precision) != ("onnx", "fp32", "32-true"):
        _check_accepted(index, folder, engine, precision, bundle)

    def member(stage: str, known: Member) -> Member:
        name = name_of(kind_of(precision, engine), stage, known)
        if name not in index.files:
            held = sorted({path.split("/")[0] for path in index.files})
            raise ValueError(f"{folder}: no {name} (it holds {', '.join(held)}); export again")
        if index.files[name].weights_sha256 != known.sha256:
            raise ValueError(f"{folder / name}: not made from the bundle's weights; export again")
        runtime = session(folder / name, engine, precision)
        return OnnxMember(known.name, known.fold, known.net, known.settings, known.sha256, runtime)

    classifiers = [member("classification", known) for known in predictor.classifiers]
    masks = [member("segmentation", known) for known in predictor.masks]
    return Predictor(predictor.decision, classifiers, masks, predictor.side, predictor.domain)


def _check_accepted(
    index: Index, folder: Path, engine: Engine, precision: Precision, bundle: str | None
) -> None:
    if precision not in ENGINES[engine]:
        raise ValueError(f"{engine} has no {precision}; it has {', '.join(ENGINES[engine])}")
    key = key_of(engine, precision)
    options = " --openvino" * (engine == "openvino") + " --int8" * (precision == "int8")
    maker = f"`python -m ensemble.onnx_export{options}` does so"
    found = index.compared.get(key)
    if found is None:
        raise ValueError(f"{folder}: {key} has not been tried on the hold-out; {maker}")
    if bundle is not None and index.bundle != bundle:
        raise ValueError(f"{folder}: {key} was tried with another bundle, not with this one; {maker}")
    if not found["accepted"]:
        raise ValueError(
            f"{folder}: {key} changed the hold-out's Dice by more than {found['allowed']:g} and was not accepted; use fp32"
        )
