"""How well a score ranks the judged studies of a field trial, by the share of the map's pixels that it is pooled from.

    python -m benchmarks.pooled_share OUTPUT --train FOLDER --real FOLDER [--weights DIR] --runs T3-ours-0 T3-ours-1

Predicts again with the finished runs' networks. A row a run: AUROC of the mean logit of the highest pixels, for each share, and
in `rounded` that of the highest thousandth after maps were rounded to 256 levels, with the studies that share the lowest score.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.field_trial.cohorts import cohort, prepared_data
from benchmarks.field_trial.methods import Plan, plan
from ensemble.metrics import auroc
from experiments.networks import inference, weights
from imaging import map_levels
from imaging.data.dataset import Images
from imaging.io import command
from imaging.io.files import read_json
from segmentation import architectures
from segmentation.pooled import LOGIT_RANGE

SHARES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1)
ROUNDED = 0.001
"""What the score was pooled from, of rounded maps, until 2026-11-30."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pooled_share",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("output", type=Path, help="output folder of benchmarks.field_trial")
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--runs", nargs="+", required=True, help="names of result folders of `ours`")
    given = parser.parse_args()
    torch.set_num_threads(1)
    columns = [*(f"{share:.1%}" for share in SHARES), "rounded", "lowest alike"]
    print("| run |", " | ".join(columns), "|")
    print("|" + " --- |" * (1 + len(columns)))
    for name in given.runs:
        label, scores = scored(given.output, name, given.train, given.real, given.weights)
        values = [f"{auroc(label, column):.3f}".removeprefix("0") for column in scores.T]
        alike = int((scores[:, -1] == scores[:, -1].min()).sum())
        print("|", " | ".join([name, *values, str(alike)]), "|", flush=True)


def scored(
    output: Path, name: str, train: Path, real: Path, pretrained: Path | None
) -> tuple[np.ndarray, np.ndarray]:
    """Labels bool (N,) of the judged studies and their scores (N, 7), a column a share and one of rounded maps."""
    folder = output / "results" / name
    facts = read_json(folder / "facts.json")
    chosen = plan("ours", pretrained, facts["size"], tuple(facts["set"]), facts["trial"])
    base = prepared_data(train, real, output / f"data-{chosen.side}", chosen.side)
    trial = cohort(base, facts["trial"], facts["folds"], facts["seed"], 0)
    rows = [trial.judged[fold] for fold in trial.folds]
    scores = [
        _of_fold(folder / f"segmentation{fold}.safetensors", chosen, Images(
            trial.prepared, trial.judged[fold], chosen.segmentation.image_size, None, seed=0, masks=False
        ))
        for fold in trial.folds
    ]  # fmt: skip
    label = trial.prepared.index["label"].to_numpy(float)[np.concatenate(rows)] == 1
    return label, np.concatenate(scores)


def _of_fold(path: Path, chosen: Plan, images: Images) -> np.ndarray:
    net = weights.restore(architectures.build(chosen.segmentation, trained=True), path)
    return np.concatenate([_scores(prob) for prob in inference.over(net, images, chosen.segmentation)])


def _scores(prob: Tensor) -> np.ndarray:
    """Scores (B, 7) of probability maps (B, 1, s, s)."""
    logits = torch.logit(prob.flatten(1).double().clamp(*LOGIT_RANGE))
    levels = torch.from_numpy(map_levels.LOGIT[map_levels.encode(prob.flatten(1).numpy())])
    pools = [_mean_of_highest(logits, share) for share in SHARES]
    return torch.stack([*pools, _mean_of_highest(levels, ROUNDED)], dim=1).numpy()


def _mean_of_highest(values: Tensor, share: float) -> Tensor:
    return values.topk(max(1, round(share * values.shape[1])), dim=1).values.mean(dim=1)


if __name__ == "__main__":
    command.run(main)
