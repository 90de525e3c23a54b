"""How well a score ranks the judged studies of a field trial, by the share of the map's pixels that it is pooled from.

    python -m benchmarks.pooled_share OUTPUT --train FOLDER --real FOLDER --runs T3-ours-0 T3-ours-1

Predicts again with the finished runs' networks. One row per run: AUROC of the mean logit of the highest pixels, for each share,
and in `rounded` that of the highest thousandth after maps were rounded to 256 levels, with the studies that share the lowest
score.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from benchmarks.field_trial import ordinary
from benchmarks.field_trial.cohorts import cohort, prepared_data
from benchmarks.field_trial.methods import CONTRASTS
from ensemble.metrics import auroc
from experiments.networks import inference, weights
from experiments.settings.training import SegmentationSettings
from imaging import map_levels
from imaging.data.dataset import Images
from imaging.io import command
from imaging.io.config import validate
from imaging.io.files import read_json
from imaging.prepared import Prepared
from segmentation import architectures
from segmentation.pooled import LOGIT_RANGE

SHARES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1)
ROUNDED = 0.001
"""The share of rounded maps that the score was pooled from until 2026-11-30."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pooled_share",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("output", type=command.place, help="output folder of benchmarks.field_trial")
    parser.add_argument("--train", type=command.place, required=True)
    parser.add_argument("--real", type=command.place, required=True)
    parser.add_argument(
        "--runs", nargs="+", required=True, help="names of result folders, of `ours` and the ordinary loop"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    columns = [*(f"{share:.1%}" for share in SHARES), "rounded", "lowest alike"]
    print("| run |", " | ".join(columns), "|")
    print("|" + " --- |" * (1 + len(columns)))
    for name in given.runs:
        label, scores = scored(given.output, name, given.train, given.real)
        values = [f"{auroc(label, column):.3f}".removeprefix("0") for column in scores.T]
        alike = int((scores[:, -1] == scores[:, -1].min()).sum())
        print("|", " | ".join([name, *values, str(alike)]), "|", flush=True)


def scored(output: Path, name: str, train: Path, real: Path) -> tuple[np.ndarray, np.ndarray]:
    """Labels bool (N,) of the judged studies and their scores (N, 7), one column per share and one for rounded maps."""
    folder = output / "results" / name
    facts = read_json(folder / "facts.json")
    by_peer = facts["method"] in CONTRASTS
    side = facts["size"] if by_peer else _settings(folder / "segmentation0.safetensors").image_size
    base = prepared_data(train, real, output / f"data-{side}", side)
    trial = cohort(base, facts["trial"], facts["folds"], facts["seed"], 0)
    label = trial.prepared.index["label"].to_numpy(float) == 1
    labels, scores = [], []
    for fold in trial.folds:
        rows = trial.judged[fold]
        labels.append(label[rows])
        if by_peer:
            path, contrast = folder / f"network{fold}.safetensors", CONTRASTS[facts["method"]]
            pictures = ordinary.Pictures.of(trial.prepared, rows, side, contrast)
            scores.append(_scores(_maps_of_peer(path, pictures)))
        else:
            scores += [
                _scores(prob)
                for prob in _maps(folder / f"segmentation{fold}.safetensors", trial.prepared, rows)
            ]
    return np.concatenate(labels), np.concatenate(scores)


def _settings(path: Path) -> SegmentationSettings:
    return validate(SegmentationSettings, weights.load_facts(path)["settings"], str(path))


def _maps(path: Path, prepared: Prepared, rows: np.ndarray) -> Iterator[Tensor]:
    settings = _settings(path)
    net = weights.restore(architectures.build(settings, trained=True), path)
    return inference.over(
        net,
        Images(prepared, rows, settings.image_size, None, seed=0, masks=False, contrast=settings.contrast),
        settings,
    )


def _maps_of_peer(path: Path, pictures: ordinary.Pictures) -> Tensor:
    net = ordinary.network(None)
    net.load_state_dict(load_file(path))
    return torch.from_numpy(ordinary.predict(net, pictures)[1])


def _scores(prob: Tensor) -> np.ndarray:
    """Scores (B, 7) of maps of probabilities (B, …)."""
    logits = torch.logit(prob.flatten(1).double().clamp(*LOGIT_RANGE))
    levels = torch.from_numpy(map_levels.LOGIT[map_levels.encode(prob.flatten(1).numpy())])
    pools = [_mean_of_highest(logits, share) for share in SHARES]
    return torch.stack([*pools, _mean_of_highest(levels, ROUNDED)], dim=1).numpy()


def _mean_of_highest(values: Tensor, share: float) -> Tensor:
    return values.topk(max(1, round(share * values.shape[1])), dim=1).values.mean(dim=1)


if __name__ == "__main__":
    command.run(main)
