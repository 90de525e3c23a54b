"""A decision is fitted to single networks' out-of-fold outputs and meets means over folds on the hold-out: does that cost?

`python benchmarks/fold_shift.py [RUN]` reads a finished run on phantoms and answers its hold-out in four ways with every rule:
one fold's networks alone (measured for each fold), the mean of probabilities, the mean of logits, and the matched mean: ranks of
the mean, values of its members (Ebert 2001, doi:10.1175/1520-0493(2001)129<2461:AOAPMS>2.0.CO;2), as extreme as one network.
Differences to the mean of probabilities are paired over patients. A study of phantoms: nothing may be chosen by it for a hold-out
that shall be reported.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ensemble.decision import crossfit
from ensemble.decision.decision import Decision
from ensemble.evidence import predictions
from ensemble.evidence.evidence import Cases
from ensemble.evidence.gather import counts, gather, maps_of_images
from ensemble.evidence.histograms import Levels, resized
from ensemble.evidence.mask_average import Maps
from ensemble.evidence.predictions import Predictions
from ensemble.metrics import breakdown
from experiments.statistics.bootstrap import PatientDraws
from experiments.statistics.intervals import percentile_interval
from imaging.prepared import Prepared

DRAWS = 2000
MEAN = "mean of probabilities"


def matched(maps: Maps) -> Levels:
    """The pixels' order from the mean over folds, their values from all folds' pixels together; of one fold, itself."""
    levels = list(next(iter(maps.values())).values())
    total = np.sum([level.astype(np.int64) for level in levels], axis=0)
    pool = np.bincount(np.concatenate([level.ravel() for level in levels]), minlength=256)
    reached = np.cumsum(np.bincount(total.ravel(), minlength=255 * len(levels) + 1)[::-1])[::-1] * len(levels)
    value = np.searchsorted(-np.cumsum(pool[::-1])[::-1], -reached, side="right") - 1
    return value[total].astype(np.uint8)


def one_fold(fold: int) -> Callable[[Maps], Levels]:
    return lambda maps: next(iter(maps.values()))[fold]


def shown(cases: Cases, found: Predictions, prepared: Prepared, look: Callable[[Maps], Levels]) -> Cases:
    """The same images with maps combined in another way."""
    size = prepared.index.set_index("image_id")[["height", "width"]]
    pairs = [
        counts(resized(look(maps), tuple(map(int, size.loc[name]))), prepared.truth[name])
        for name, maps in maps_of_images(found)
    ]
    total, hit = (np.stack(part) for part in zip(*pairs, strict=True))
    return replace(cases, evidence=replace(cases.evidence, above=total), hit=hit)


def ways(found: Predictions, prepared: Prepared, decision: Decision) -> dict[str, list[Cases]]:
    """Each way's cases; the single folds' are several."""
    masks, classifiers = decision.masks, decision.classifiers
    mean = gather(found, classifiers, masks.model_copy(update={"average": "probability"}), prepared, MEAN)
    logits = masks.model_copy(update={"average": "logit"})
    tables = next(iter(found.classification.values()))
    single = []
    for fold in sorted(tables["fold"].unique()):
        one = {name: table[table["fold"] == fold] for name, table in found.classification.items()}
        probs = np.stack(
            [one[name].set_index("image_id")["prob"].loc[found.ids] for name in classifiers], axis=1
        )
        evidence = replace(mean.evidence, members=probs.astype(np.float64))
        single.append(shown(replace(mean, evidence=evidence), found, prepared, one_fold(fold)))
    return {
        "one fold alone": single,
        MEAN: [mean],
        "mean of logits": [shown(mean, found, prepared, lambda maps: logits.combine(maps)[0])],
        "matched mean": [shown(mean, found, prepared, matched)],
    }


def measured(decision: Decision, cases: list[Cases]) -> np.ndarray:
    """Dice (N,) of each image, the mean over several versions of it."""
    return np.mean([case.dice_at(crossfit.apply(decision, case)[0]) for case in cases], axis=0)


def main() -> None:
    """Print score, TNR and D⁺ of every rule and way, and the difference to the mean of probabilities."""
    with contextlib.chdir(sys.argv[1] if len(sys.argv) > 1 else "."):
        rules = {
            path.stem: Decision.load(path) for path in sorted(Path("models/ensemble/rules").glob("*.json"))
        }
        some = next(iter(rules.values()))
        if len(some.masks.weights) > 1:
            sys.exit("this study is of one mask model over its folds; the run has several")
        prepared = Prepared()
        found = predictions.read("holdout", list(some.classifiers), list(some.masks.weights))
        cases = ways(found, prepared, some)
    reference = cases[MEAN][0]
    draws, label = PatientDraws(reference.patient, DRAWS, 0), reference.label
    rows = []
    for kind, decision in rules.items():
        dice = {way: measured(decision, of) for way, of in cases.items()}
        for way, values in dice.items():
            parts, gap = breakdown(values, label), values - dice[MEAN]
            low, high = percentile_interval(draws.mean(gap), draws.patients())
            between = f"{gap.mean():+.4f} ({low:+.4f} to {high:+.4f})" if way != MEAN else ""
            rows.append((kind, way, parts.score, parts.tnr, parts.dice_positive, between))
    table = pd.DataFrame(rows, columns=["rule", "way", "score", "TNR", "D+", f"against the {MEAN}"])
    print(f"{len(label)} hold-out images, {int(label.sum())} positive")
    print(table.to_string(index=False, float_format="%.4f"))
    print(table.groupby("way", sort=False)[["score", "TNR", "D+"]].mean().to_string(float_format="%.4f"))


if __name__ == "__main__":
    main()
