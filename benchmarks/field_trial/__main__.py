"""Train methods at one budget and judge them on the same real studies: `python -m benchmarks.field_trial --help`."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from benchmarks.field_trial import decisions, ordinary, recipes, report
from benchmarks.field_trial.budget import Budget, flops_of
from benchmarks.field_trial.cohorts import REAL, TRIALS, Cohort, cohort, prepared_data
from benchmarks.field_trial.decisions import Predicted, cases_of
from benchmarks.field_trial.methods import METHODS, ORDINARY, plan
from ensemble.evidence.evidence import Cases
from imaging.io import command
from imaging.io.files import write_json, write_text

REAL_SHARE = 0.6
"""Of the images that T3 shows, in the ordinary loop."""


def main() -> None:
    """Run what is missing and write the report."""
    given = arguments()
    torch.set_num_threads(given.threads)
    train = {trial: given.phantoms if trial == "T0" else given.train for trial in TRIALS}
    for seed in range(given.first_seed, given.first_seed + given.seeds):
        for trial in given.trials:
            for method in given.methods:
                if train[trial] is None:
                    raise ValueError("T0: give --phantoms FOLDER, made by `python -m imaging.phantom`")
                run(given, trial, method, seed, train[trial])
    found = report.read(given.output / "results")
    if not given.no_report:
        text = report.markdown(found, given.peer, given.draws)
        write_text(given.output / "report.md", text)
        print(text)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.field_trial",
        description="Train methods at one budget and judge them on the same real studies. Finished runs are not repeated.",
    )
    add = parser.add_argument
    add(
        "--train",
        type=Path,
        required=True,
        help="studies to learn from, in SIIM-ACR's form, with patients.csv",
    )
    add("--real", type=Path, required=True, help="real labelled studies to be judged on, in the same form")
    add("--phantoms", type=Path, help="for T0: generated studies in the same form")
    add(
        "--weights",
        type=Path,
        help="ImageNet weights of tf_efficientnet_lite0 (docs/pretrained.md); none: random in all trials",
    )
    add("--trials", nargs="+", choices=TRIALS, default=["T1", "T2", "T3"], help="T3 goes on from T2")
    add(
        "--methods",
        nargs="+",
        choices=[ORDINARY, *METHODS],
        default=[ORDINARY, "ours"],
        help="what is compared",
    )
    add(
        "--set",
        nargs="*",
        default=[],
        metavar="KEY=VALUE",
        help="settings of the recipe changed, such as segmentation.ema=0.99",
    )
    add("--name", help="name of the changed method in the report (default: method and changes)")
    add("--seeds", type=int, default=3, help="number of seeds (default: 3)")
    add("--first-seed", type=int, default=0, help="the first of them (default: 0)")
    add("--folds", type=int, default=5, help="folds of the real studies in T3 (default: 5)")
    add(
        "--images",
        type=int,
        default=2500,
        help="budget: images that the ordinary loop is shown (default: 2500)",
    )
    add("--tune-images", type=int, default=800, help="the same of each fold's training in T3 (default: 800)")
    add("--size", type=int, default=256, help="side of the images in pixels (default: 256)")
    add(
        "--mix",
        type=float,
        default=0.15,
        help="recipes in T3: share of the other images that an epoch draws from (default: .15)",
    )
    add(
        "--fitted",
        type=int,
        default=240,
        help="out-of-fold images for the decision in T0 to T2 (default: 240)",
    )
    add(
        "--output",
        type=Path,
        default=Path("field-trial"),
        help="folder for data, weights and results (default: field-trial)",
    )
    add("--peer", default=ORDINARY, help="method that the others are compared with")
    add("--draws", type=int, default=report.DRAWS, help="bootstrap draws")
    add("--threads", type=int, default=torch.get_num_threads(), help="processor threads")
    add("--no-report", action="store_true", help="train only")
    return parser.parse_args()


def run(given: argparse.Namespace, trial: str, method: str, seed: int, train: Path) -> None:
    """One method in one trial with one seed, unless its result is there."""
    name = given.name or "+".join([method, *given.set])
    folder = given.output / "results" / f"{trial}-{name}-{seed}"
    if (folder / "facts.json").exists():
        return
    start = None
    if trial == "T3":
        run(given, "T2", method, seed, given.train)
        start = given.output / "results" / f"T2-{name}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    side = given.output / ("phantoms" if trial == "T0" else "data")
    base = prepared_data(train, given.real, side, given.size)
    chosen = cohort(base, trial, given.folds, seed, given.fitted)
    weights = given.weights if trial in ("T2", "T3") else None
    images = given.tune_images if trial == "T3" else given.images
    reference = flops_of(ordinary.network(None), given.size)
    budget = Budget(images, reference)
    begun = time.perf_counter()
    runner: Any = _ordinary if method == ORDINARY else _recipe
    fit, judged, facts, settings = runner(given, method, chosen, budget, weights, seed, folder, start)
    table, rule = decisions.decide(chosen, fit, judged, settings)
    table.to_csv(folder / "studies.csv", index=False, float_format="%.6f")
    np.savez_compressed(folder / "evidence.npz", above=np.concatenate([one.evidence.above for one in judged]))
    facts |= {
        "trial": trial, "method": name, "seed": seed, "rule": rule, "set": given.set, "size": given.size,
        "folds": len(chosen.folds), "wall": time.perf_counter() - begun, **report.measures(table),
    }  # fmt: skip
    write_json(folder / "facts.json", facts)
    print(
        f"{trial} {name} seed {seed}:",
        {k: round(v, 3) if isinstance(v, float) else v for k, v in facts.items()},
        flush=True,
    )


def _recipe(
    given: argparse.Namespace, method: str, chosen: Cohort, budget: Budget, weights: Path | None, seed: int,
    folder: Path, start: Path | None,
) -> tuple[Any, ...]:  # fmt: skip
    planned = plan(method, weights, given.size, tuple(given.set))
    cost = recipes.Cost({})
    fit: list[Cases] = []
    judged: list[Cases] = []
    for fold in chosen.folds:
        nets = recipes.train(planned, chosen, fold, budget, seed, folder, start, cost, given.mix)
        for rows, into in ((chosen.fit[fold], fit), (chosen.judged[fold], judged)):
            if into is judged and chosen.fit is chosen.judged:
                judged.append(fit[-1])
                continue
            found = recipes.predict(nets, planned, chosen, rows)
            np.savez_compressed(
                folder / f"maps{fold}{'f' if into is fit else ''}.npz",
                rows=rows,
                maps=found.maps,
                prob=found.prob,
            )
            into.append(cases_of(chosen.prepared, fold, Predicted(rows, found.prob, found.maps)))
    facts = {
        "images": sum(cost.images.values()),
        "shown": cost.images,
        "flop": cost.flop,
        "seconds": cost.seconds,
    }
    return fit, judged, facts, planned.ensemble


def _ordinary(
    given: argparse.Namespace, method: str, chosen: Cohort, budget: Budget, weights: Path | None, seed: int,
    folder: Path, start: Path | None,
) -> tuple[Any, ...]:  # fmt: skip
    fit: list[Cases] = []
    judged: list[Cases] = []
    seconds = 0.0
    source = (chosen.prepared.index["source"] == REAL).to_numpy(bool)
    for fold in chosen.folds:
        begun = time.perf_counter()
        rows = recipes.train_fold.training_rows(chosen.prepared, fold, masks=True)
        path = folder / f"network{fold}.safetensors"
        torch.manual_seed(seed)
        net = ordinary.network(None if weights is None or start is not None else str(weights))
        if start is not None:
            net.load_state_dict(load_file(start / "network0.safetensors"))
        if path.exists():
            net.load_state_dict(load_file(path))
        else:
            data = ordinary.Pictures.of(chosen.prepared, rows, given.size)
            share = None if start is None else _shares(source[rows])
            rate = ordinary.RATE if start is None else ordinary.TUNED_RATE
            ordinary.train(net, data, budget.images, seed, rate, share)
            save_file({name: value.contiguous() for name, value in net.state_dict().items()}, path)
        seconds += time.perf_counter() - begun
        for places, into in ((chosen.fit[fold], fit), (chosen.judged[fold], judged)):
            if into is judged and chosen.fit is chosen.judged:
                judged.append(fit[-1])
                continue
            prob, maps = ordinary.predict(net, ordinary.Pictures.of(chosen.prepared, places, given.size))
            np.savez_compressed(
                folder / f"maps{fold}{'f' if into is fit else ''}.npz", rows=places, maps=maps, prob=prob
            )
            into.append(cases_of(chosen.prepared, fold, Predicted(places, prob, maps)))
    shown = budget.images // ordinary.BATCH * ordinary.BATCH * len(chosen.folds)
    return fit, judged, {"images": shown, "flop": 3 * budget.reference * shown, "seconds": seconds}, None


def _shares(real: np.ndarray[Any, np.dtype[np.bool_]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Weights with which REAL_SHARE of the drawn images are real."""
    each = np.where(real, REAL_SHARE / max(1, real.sum()), (1 - REAL_SHARE) / max(1, (~real).sum()))
    return np.asarray(each, np.float64)


if __name__ == "__main__":
    command.run(main)
