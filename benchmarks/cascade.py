"""A folder of studies with and without the cascade: the answers are the same, bit for bit, and how much time it saves.

`python benchmarks/cascade.py` generates phantoms at 22 % prevalence (where they shall be like the ones that the networks learned,
give `--difficulty` and `--least-area` of params.yaml) and asks the trained networks in models/. Both ways take turns in one run;
processor time stands beside the clock's, since a busy machine disturbs it little.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import timing
from ensemble.decision.decision import Prediction
from ensemble.inference.predictor import BATCH, Predictor
from imaging.decoding.radiograph import to_uint8
from imaging.formats.reader import read
from imaging.phantom.dataset import write
from imaging.settings import PhantomSettings

WAYS = {"with the cascade": True, "without": False}


def main() -> None:
    """Print seconds for the folder both ways, what was skipped, and the parts of the time."""
    options = arguments()
    predictor = Predictor.load(options.models, options.decision or options.models / "ensemble/decision.json")
    print(timing.machine(), f"{options.rounds} rounds", sep=", ")
    with tempfile.TemporaryDirectory() as temporary:
        paths = studies(Path(temporary), options)
        seconds: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
        for _ in range(options.rounds):
            answers = {way: timed(predictor, paths, cascade, seconds[way]) for way, cascade in WAYS.items()}
            check_equal(*answers.values())
        report(predictor, next(iter(answers.values())), seconds)
        parts(predictor, paths)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument(
        "--decision", type=Path, help="another decision, such as models/ensemble/rules/triplet.json"
    )
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--difficulty", type=float, default=0.0)
    parser.add_argument("--least-area", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=77, help="other phantoms than those of the training")
    return parser.parse_args()


def studies(folder: Path, options: argparse.Namespace) -> list[Path]:
    """The phantoms' DICOM files, in a fixed order."""
    settings = PhantomSettings(
        train=options.studies,
        test=1,
        prevalence=0.22,
        difficulty=options.difficulty,
        least_area=options.least_area,
        seed=options.seed,
    )
    write(folder / "phantom", settings)
    return sorted((folder / "phantom" / "dicom-images-train").rglob("*.dcm"))


def timed(
    predictor: Predictor, paths: list[Path], cascade: bool, into: list[tuple[float, float]]
) -> list[Prediction]:
    """Answers for all files; appends the seconds by the clock and of the processors, from the file to the mask at 1024 x 1024."""
    clock, processors = time.perf_counter(), time.process_time()
    scored = list(predictor.files(paths, cascade))
    into.append((time.perf_counter() - clock, time.process_time() - processors))
    return [file.prediction for file in scored if file.prediction is not None]


def check_equal(fast: list[Prediction], slow: list[Prediction]) -> None:
    """Every mask, probability and reason is the same; an AssertionError names the first study that is not."""
    assert len(fast) == len(slow) > 0
    for place, (one, other) in enumerate(zip(fast, slow, strict=True)):
        assert np.array_equal(one.mask, other.mask), f"masks of study {place} differ"
        assert (one.level, one.skipped, one.reason) == (other.level, other.skipped, other.reason), place


def report(
    predictor: Predictor, answers: list[Prediction], seconds: dict[str, list[tuple[float, float]]]
) -> None:
    """How much was skipped, how much time it saved, and of what nature the bound is."""
    skipped, masks = (sum(a.skipped if k else a.mask.any() for a in answers) for k in (1, 0))
    decision = predictor.decision
    print(
        f"{len(answers)} studies, rule {decision.rule.kind}, bound {decision.lower_bound():.4f} (floor {decision.floor:.4f}): "
        f"{skipped} skipped ({skipped / len(answers):.0%}), {masks} with a mask; all answers equal both ways"
    )
    medians = {
        way: [statistics.median(part) for part in zip(*of, strict=True)] for way, of in seconds.items()
    }
    for way, (clock, processors) in medians.items():
        each = 1000 / len(answers)
        print(
            f"  {way:18} {clock * each:7.1f} ms a study by the clock, {processors * each:7.1f} ms of the processors"
        )
    fast, slow = medians.values()
    print(
        f"  saved {1 - fast[0] / slow[0]:.0%} by the clock, {1 - fast[1] / slow[1]:.0%} of the processors' time"
    )


def parts(predictor: Predictor, paths: list[Path]) -> None:
    """Milliseconds a study of each part without the cascade: how much a skipped study can save at most."""
    batch = paths[:BATCH]
    squares = [predictor.prepare(to_uint8(read(path, predictor.side).pixels)) for path in batch]
    cases: dict[str, timing.Case] = {
        "read and resize": (lambda _: [read(path, predictor.side) for path in batch], [None]),
        "classifiers": (lambda _: [member(squares) for member in predictor.classifiers], [None]),
        "mask networks": (lambda _: [member(squares) for member in predictor.masks], [None]),
    }
    print("parts, milliseconds a study (reading on one thread):")
    for name, value in timing.medians(cases, 3).items():
        print(f"  {name:18} {1000 * value / len(batch):7.1f}")


if __name__ == "__main__":
    main()
