"""A study of alpha, gamma and lr on generated phantoms, and what its values are worth against the source recipe's.

    python benchmarks/tuning.py FOLDER

Twenty trials of a small U-Net choose on fold 0; then both sets of values train three times with the same budget, a rule is fitted
to fold 0 and applied to the hold-out, which the study has never seen. Everything lies in FOLDER, and a
killed run goes on where it was; without FOLDER nothing is done. About ten minutes on two cores that have nothing else to do.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml

from ensemble.evidence.evidence import Cases, Evidence
from ensemble.evidence.histograms import above, histogram
from ensemble.metrics import breakdown
from ensemble.rules.triplet import Triplet
from experiments.networks import inference
from experiments.networks.inference import quantise
from experiments.settings.params import Params
from experiments.settings.tuning import of_trial
from experiments.training import loop, train_fold, tuned_params
from experiments.tuning import study
from imaging import prepare, split
from imaging.data.dataset import Images
from imaging.io.config import validate
from imaging.io.files import atomic
from imaging.phantom import __main__ as phantom
from imaging.prepared import Prepared
from segmentation.architectures import build
from segmentation.objective import Objective

PARAMS: dict[str, Any] = {
    "data": {"source": "phantom", "folder": "data/phantom", "image_size": 160},
    "phantom": {"train": 800, "test": 1, "difficulty": 0.0, "least_area": 6000},
    "split": {"folds": 3, "holdout": 0.25},
    "train_folds": [0, 1, 2],
    "classification": {"models": ["unused"], "image_size": 128},
    "segmentation": {
        "models": ["unet"],
        "architecture": "plain",
        "base_channels": 8,
        "image_size": 64,
        "epochs": 4,
        "validate_every": 2,
        "batch_size": 4,
    },
    "tune_segmentation": {
        "trials": 20,
        "share": 0.5,
        "space": {
            "alpha": {"low": 0.05, "high": 3.0, "log": True},
            "gamma": {"low": 0.5, "high": 4.0},
            "lr": {"low": 1e-5, "high": 1e-2, "log": True},
        },
    },
}
SOURCE = {"alpha": 0.3, "gamma": 3.5, "lr": 1e-5}
"""The source recipe's values."""
SEEDS = (0, 1, 2)


def main() -> None:
    """Study, comparison, table."""
    if len(sys.argv) < 2:  # `make bench` asks for speed, in minutes
        return print("a study, not a speed: python benchmarks/tuning.py FOLDER")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    Path("params.yaml").write_text(yaml.safe_dump(PARAMS))
    params = validate(Params, PARAMS, "")
    if not Path("data/prepared/folds.csv").exists():
        phantom.main()
        prepare.main()
        split.main()
    study.tune("segmentation", params.segmentation, params.tune_segmentation, build, Objective)
    values = {"source": SOURCE, "found": tuned_params.values("segmentation")}
    done = Path("compared.csv")
    rows = pd.read_csv(done).to_dict("records") if done.exists() else []
    for seed in SEEDS:  # interleaved: a busy minute of the machine hurts both
        for name, chosen in values.items():
            if not any((row["values"], row["seed"]) == (name, seed) for row in rows):
                rows.append({"values": name, "seed": seed, **compare(params, {**chosen, "seed": seed})})
                with atomic(done) as temporary:
                    pd.DataFrame(rows).to_csv(temporary, index=False)
    return report(pd.DataFrame(rows), values)


def compare(params: Params, values: dict[str, Any]) -> dict[str, float]:
    """Train on folds 1 and 2, fit the rule on fold 0, measure on the hold-out."""
    settings = of_trial(params.segmentation, params.tune_segmentation, values, "compare")
    prepared, resume = Prepared(), Path("resume")
    shutil.rmtree(resume, ignore_errors=True)
    torch.manual_seed(settings.seed)
    net = build(settings)
    train, validation = train_fold.datasets(prepared, 0, settings, share=params.tune_segmentation.share)
    made = loop.fit(net, Objective(settings), train, validation, settings, title=str(values), resume=resume)
    net.load_state_dict(made.state)
    fitted, locked = (cases(net, settings, prepared, part) for part in (0, "holdout"))
    level = Triplet.fit(fitted, settings.image_size**2).thresholds(locked.evidence)
    found = breakdown(locked.dice[np.arange(len(locked)), level], locked.label)
    return {
        "score": found.score,
        "tnr": found.tnr,
        "dice_positive": found.dice_positive,
        "empty": found.all_empty,
    }


def cases(net: torch.nn.Module, settings: Any, prepared: Prepared, part: int | str) -> Cases:
    """What the rule sees of one fold, at the network's size."""
    rows = prepared.fold_rows(part)
    images = Images(prepared, rows, settings.image_size, None, seed=0)
    maps = torch.cat([quantise(prob[:, 0]) for prob in inference.over(net, images, settings)]).numpy()
    total = np.stack([above(histogram(level)) for level in maps])
    truth = [np.asarray(images[i]["mask"][0]).astype(bool) for i in range(len(rows))]
    hit = np.stack([above(histogram(level, mask)) for level, mask in zip(maps, truth, strict=True)])
    none = np.zeros(len(rows))
    evidence = Evidence(prob=none, raw=none, members=none[:, None], above=total, agreement=none)
    table = prepared.index.iloc[rows]
    return Cases(
        evidence, hit, none.astype(int), table["patient_id"].to_numpy(), table["image_id"].to_numpy()
    )


def report(rows: pd.DataFrame, values: dict[str, dict[str, float]]) -> None:
    """Means over the seeds, and each seed's difference."""
    for name, chosen in values.items():
        mine = rows[rows["values"] == name]
        said = "  ".join(f"{key} {value:.3g}" for key, value in chosen.items())
        parts = "  ".join(f"{part} {mine[part].mean():.3f}" for part in ("score", "tnr", "dice_positive"))
        print(f"{name:8s} {said}: hold-out {parts}  (all empty {mine['empty'].mean():.3f})")
    table = rows.pivot(index="seed", columns="values", values="score")
    print("found - source, by seed:", ", ".join(f"{d:+.3f}" for d in table["found"] - table["source"]))


if __name__ == "__main__":
    main()
