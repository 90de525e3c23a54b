"""Train methods at one budget and judge them on the same real studies: `python -m benchmarks.field_trial --help`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

from benchmarks.field_trial import decisions, exposure, ordinary, protocol, recipes, report
from benchmarks.field_trial.arguments import arguments, run_name, start_folder
from benchmarks.field_trial.budget import Budget, flops_of
from benchmarks.field_trial.cohorts import REAL, STARTS, Cohort, cohort, prepared_data
from benchmarks.field_trial.decisions import Predicted, cases_of
from benchmarks.field_trial.methods import CONTRASTS, EXPOSURE, PEERS, Plan, plan
from ensemble.evidence.evidence import Cases
from imaging import map_levels
from imaging.io import command
from imaging.io.files import write_json, write_text
from imaging.resize import Contrast

REAL_SHARE = 0.6
"""Of the images that T3 shows, in the ordinary loop."""
MEMBER = 100
"""Between the seeds of one method's networks of equal contrast."""
REAL_TIMES = 3
"""How often T4 shows a real study for each time that it shows a simulated one of its class, in the ordinary loop."""


def main() -> None:
    """Run what is missing and write the report."""
    given = arguments()
    torch.set_num_threads(given.threads)
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    for trial, method, seed in product(
        given.trials, given.methods, seeds
    ):  # faults, before hours of training
        folder = _folder(given, trial, method, seed)
        protocol.check(folder, _protocol(given, trial, method, seed))
        if not (folder / "facts.json").exists():
            _cohort(given, trial, method, seed)
    for seed in seeds:
        for trial in given.trials:
            for method in given.methods:
                run(given, trial, method, seed)
    found = report.read(given.output / "results")
    if not given.no_report:
        text = report.markdown(found, given.peer, given.draws)
        write_text(given.output / "report.md", text)
        print(text)


def run(given: argparse.Namespace, trial: str, method: str, seed: int) -> None:
    """One method in one trial with one seed, unless its result is there."""
    name, folder = run_name(given, method), _folder(given, trial, method, seed)
    weights, planned = _weights(given, trial), _planned(given, trial, method)
    start = _start(given, trial, method, seed)
    wanted = _protocol(given, trial, method, seed)
    protocol.check(folder, wanted)
    if (folder / "facts.json").exists():
        return
    if start is not None and given.start_from is None:
        run(given, STARTS[trial], method, seed)
    chosen = _cohort(given, trial, method, seed)
    protocol.write(folder, wanted)
    reference = flops_of(ordinary.network(None), given.size)
    budget = Budget(protocol.images(given, trial), reference)
    begun = time.perf_counter()
    seen = Seen(chosen, folder)
    if planned is None:
        facts = (
            _exposure(seen)
            if method == EXPOSURE
            else _ordinary(given, trial, method, seen, budget, weights, seed, start)
        )
        table, rule = decisions.decide(chosen, seen.fit, seen.judged, None, True)
    else:
        facts = _recipe(given, trial, planned, seen, budget, seed, start)
        table, rule = decisions.decide(chosen, seen.fit, seen.judged, planned.ensemble, planned.share > 0)
    table["pixels"] = table["image_id"].map(seen.pixels).astype(float)
    table.to_csv(folder / "studies.csv", index=False, float_format="%.6f")
    np.savez_compressed(
        folder / "evidence.npz", above=np.concatenate([one.evidence.above for one in seen.judged])
    )
    facts |= {
        "trial": trial, "method": name, "seed": seed, "rule": rule, "set": [] if planned is None else given.set,
        "size": given.size, "folds": len(chosen.folds), "wall": time.perf_counter() - begun, **report.measures(table),
    }  # fmt: skip
    write_json(folder / "facts.json", facts)
    print(
        f"{trial} {name} seed {seed}:",
        {k: round(v, 3) if isinstance(v, float) else v for k, v in facts.items()},
        flush=True,
    )


def _folder(given: argparse.Namespace, trial: str, method: str, seed: int) -> Path:
    return given.output / "results" / f"{trial}-{run_name(given, method)}-{seed}"


def _weights(given: argparse.Namespace, trial: str) -> Path | None:
    return given.weights if trial in ("T2", "T3", "T4") else None


def _planned(given: argparse.Namespace, trial: str, method: str) -> Plan | None:
    """The settings of a recipe; None for a peer."""
    if method in PEERS:
        return None
    return plan(method, _weights(given, trial), given.size, tuple(given.set), trial)


def _start(given: argparse.Namespace, trial: str, method: str, seed: int) -> Path | None:
    """The folder of the run whose networks a trial goes on from; None where it goes on from none."""
    return start_folder(given, trial, method, seed) if trial in STARTS else None


def _protocol(given: argparse.Namespace, trial: str, method: str, seed: int) -> dict[str, Any]:
    start = _start(given, trial, method, seed)
    return protocol.of(given, trial, start, _weights(given, trial), _planned(given, trial, method))


def _cohort(given: argparse.Namespace, trial: str, method: str, seed: int) -> Cohort:
    """The images of a run, prepared at its size where they are not yet."""
    planned = _planned(given, trial, method)
    side = given.size if planned is None else planned.side
    train, name = (given.phantoms, "phantoms") if trial == "T0" else (given.train, "data")
    prepared = prepared_data(train, given.real, given.output / f"{name}-{side}", side)
    return cohort(prepared, trial, given.folds, seed, given.fitted)


class Seen:
    """What the networks of one run gave: the cases that the decision is fitted on, and those that are judged.

    pixels: see decisions.pixel_aurocs, of the judged images.
    """

    def __init__(self, cohort: Cohort, folder: Path) -> None:
        """folder: where the maps go, as levels."""
        self.cohort, self.folder = cohort, folder
        self.fit: list[Cases] = []
        self.judged: list[Cases] = []
        self.pixels: dict[str, float] = {}

    def add(self, fold: int, predict: Callable[[NDArray[np.int64]], recipes.Outputs]) -> None:
        """Predict what a fold's networks predict; in T3 and T4 both are the same, predicted once."""
        if self.cohort.fit is not self.cohort.judged:
            self.fit.append(self._cases(fold, self.cohort.fit[fold], predict, "f")[0])
        cases, found = self._cases(fold, self.cohort.judged[fold], predict, "")
        self.judged.append(cases)
        if self.cohort.fit is self.cohort.judged:
            self.fit.append(cases)
        self.pixels |= decisions.pixel_aurocs(self.cohort.prepared, self.cohort.judged[fold], found.maps)

    def _cases(
        self, fold: int, rows: NDArray[np.int64], predict: Callable[[Any], recipes.Outputs], mark: str
    ) -> tuple[Cases, recipes.Outputs]:
        found = predict(rows)
        levels = map_levels.encode(found.maps)
        np.savez_compressed(self.folder / f"maps{fold}{mark}.npz", rows=rows, maps=levels, prob=found.prob)
        return cases_of(self.cohort.prepared, fold, Predicted(rows, found.prob, levels)), found


def _recipe(
    given: argparse.Namespace,
    trial: str,
    planned: Plan,
    seen: Seen,
    budget: Budget,
    seed: int,
    start: Path | None,
) -> dict[str, Any]:
    cost = recipes.Cost({})
    for fold in seen.cohort.folds:
        mix = given.mix if trial == "T3" else None
        lengths = (given.images, given.tune_images) if trial == "T4" else ()
        members = [
            (recipes.train(one, seen.cohort, fold, budget, seed + MEMBER * alike, _of_member(seen.folder, k),
                           start and _of_member(start, k), cost, mix, lengths), one)
            for k, (one, alike) in enumerate(planned.members())
        ]  # fmt: skip
        seen.add(
            fold,
            lambda rows, members=members: recipes.averaged(
                [recipes.predict(nets, one, seen.cohort, rows) for nets, one in members]
            ),
        )
    return {
        "images": sum(cost.images.values()),
        "shown": cost.images,
        "flop": cost.flop,
        "seconds": cost.seconds,
    }


def _of_member(folder: Path, number: int) -> Path:
    """Where the weights of a method's networks lie: the first beside the results, the others below."""
    made = folder if number == 0 else folder / f"network{number}"
    made.mkdir(exist_ok=True)
    return made


def _ordinary(
    given: argparse.Namespace,
    trial: str,
    method: str,
    seen: Seen,
    budget: Budget,
    weights: Path | None,
    seed: int,
    start: Path | None,
) -> dict[str, Any]:
    chosen, seconds = seen.cohort, 0.0
    contrast = CONTRASTS[method]
    source = (chosen.prepared.index["source"] == REAL).to_numpy(bool)
    for fold in chosen.folds:
        begun = time.perf_counter()
        rows = recipes.train_fold.training_rows(chosen.prepared, fold, masks=True)
        path = seen.folder / f"network{fold}.safetensors"
        torch.manual_seed(seed)
        net = ordinary.network(None if weights is None or start is not None else str(weights))
        if start is not None:
            net.load_state_dict(load_file(start / "network0.safetensors"))
        if path.exists():
            net.load_state_dict(load_file(path))
        else:
            data = ordinary.Pictures.of(chosen.prepared, rows, given.size, contrast)
            share = _shares(source[rows], trial)
            rate = ordinary.TUNED_RATE if trial == "T3" else ordinary.RATE
            ordinary.train(net, data, budget.images, seed, rate, share)
            save_file({name: value.contiguous() for name, value in net.state_dict().items()}, path)
        seconds += time.perf_counter() - begun
        seen.add(fold, lambda rows, net=net: _ordinary_maps(net, chosen, rows, given.size, contrast))
    shown = budget.images // ordinary.BATCH * ordinary.BATCH * len(chosen.folds)
    return {"images": shown, "flop": 3 * budget.reference * shown, "seconds": seconds}


def _exposure(seen: Seen) -> dict[str, Any]:
    prepared, begun = seen.cohort.prepared, time.perf_counter()
    for fold in seen.cohort.folds:
        known = recipes.train_fold.training_rows(prepared, fold, masks=False)
        seen.add(fold, lambda rows, known=known: exposure.outputs(prepared, known, rows))
    return {"images": 0, "flop": 0.0, "seconds": time.perf_counter() - begun}


def _ordinary_maps(
    net: nn.Module, chosen: Cohort, rows: Any, size: int, contrast: Contrast
) -> recipes.Outputs:
    return recipes.Outputs(
        *ordinary.predict(net, ordinary.Pictures.of(chosen.prepared, rows, size, contrast))
    )


def _shares(real: NDArray[np.bool_], trial: str) -> NDArray[np.float64] | None:
    """Weights with which images are drawn; None: all of them in turn."""
    if trial == "T4":
        return np.where(real, float(REAL_TIMES), 1.0)
    if trial != "T3":
        return None
    each = np.where(real, REAL_SHARE / max(1, real.sum()), (1 - REAL_SHARE) / max(1, (~real).sum()))
    return np.asarray(each, np.float64)


if __name__ == "__main__":
    command.run(main)
