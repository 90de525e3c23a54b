"""Start a segmentation encoder from the weights of a classifier that was trained on the same fold."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from experiments.networks import checkpoint_mean, weights
from experiments.networks.normalisation import NORMALISATION, set_normalisation
from imaging.io.files import read_json

PATH = Path("models/segmentation/start.json")


def origin(classifier: str | None, fold: int, folder: str = weights.MODELS) -> str | None:
    """SHA-256 of the weights that an encoder starts from, as recorded by the stage; None without any.

    Outside the pipeline's folder (a refit) there is no stage; the classifier's sidecar has it.
    """
    if classifier is None:
        return None
    if folder != weights.MODELS:
        path = weights.path_of("classification", classifier, fold, folder)
        return str(weights.load_facts(path)["weights_sha256"])
    return read_json(PATH).get(classifier, {}).get(str(fold))


def transfer(net: nn.Module, classifier: str, fold: int, folder: str = weights.MODELS) -> None:
    """Give the encoder of `net` the weights of the classifier that was trained on the same fold.

    ValueError when the weights are not those that the stage recorded, or do not fit the encoder.
    """
    path = weights.path_of("classification", classifier, fold, folder)
    if origin(classifier, fold, folder) != weights.load_facts(path)["weights_sha256"]:
        raise ValueError(
            f"{PATH}: does not match the weights in {path}; run `dvc repro`, or `python -m segmentation.encoder_transfer`"
        )
    encoder: nn.Module = net.encoder  # type: ignore[assignment]
    encoder.load_state_dict(
        fitting(checkpoint_mean.best(weights.load_state(path)), encoder.state_dict(), str(path))
    )
    set_normalisation(net, weights.load_facts(path).get("normalisation", NORMALISATION))


def fitting(source: dict[str, Tensor], target: dict[str, Tensor], where: str) -> dict[str, Tensor]:
    """The classifier's tensor for every tensor of the encoder, by name; both name the layers of a timm network alike.

    `backbone.` of a localising head and `model.` of smp's timm encoders are dropped; timm writes `stages_0` for `stages.0`
    where it cuts a network at its stages.
    """
    found = {_plain(name): value for name, value in source.items()}
    missing = [
        name
        for name, value in target.items()
        if _plain(name) not in found or found[_plain(name)].shape != value.shape
    ]
    if missing:
        raise ValueError(
            f"{where} does not fit segmentation.encoder: it has no {missing[0]} of that shape, and {len(missing) - 1} more "
            "are missing; use encoder `tu-<classification.architecture>`"
        )
    return {name: found[_plain(name)] for name in target}


def _plain(name: str) -> str:
    return name.removeprefix("backbone.").removeprefix("model.").replace(".", "_")
