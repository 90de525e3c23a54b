"""Where the time of `python -m ensemble.predict` goes: milliseconds a study for each stage alone, and for the whole command.

Give a bundle and a folder: `python benchmarks/predict.py --bundle models/bundle --folder data/phantom/dicom-images-train`.
Stages alone run one after another and see every image; the whole overlaps them and skips what the classifiers rule out.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import timing
from ensemble.inference import inputs
from ensemble.inference.bundle import Bundle
from ensemble.inference.predictor import BATCH, Predictor, Scored
from ensemble.inference.results_writer import KINDS, Results
from experiments.networks.inference import quantise
from imaging.decoding.radiograph import to_uint8
from imaging.formats.reader import read
from imaging.io.threads import cores, ordered_map

Times = dict[str, list[float]]


def main() -> None:
    """Print the table."""
    options = arguments()
    paths = inputs.find(options.folder).files[: options.studies]
    bundle = Bundle.load(options.bundle)
    predictor = bundle.predictor()
    times: Times = defaultdict(list)
    stages(
        predictor, bundle, options.folder, paths[:BATCH], defaultdict(list)
    )  # first calls load and allocate
    for _ in range(options.rounds):
        masks = stages(predictor, bundle, options.folder, paths, times)
        whole(predictor, bundle, options.folder, paths, times)
    print(timing.machine(), f"{len(paths)} studies, {masks} with a mask, {options.rounds} rounds", sep=", ")
    for name, seconds in times.items():
        print(f"{name:28} {1e3 * statistics.median(seconds) / len(paths):8.2f} ms a study")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bundle", type=Path, default=Path("models/bundle"))
    parser.add_argument("--folder", type=Path, default=Path("data/phantom/dicom-images-train"))
    parser.add_argument("--studies", type=int, default=96, help="how many at most")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def stages(predictor: Predictor, bundle: Bundle, folder: Path, paths: list[Path], times: Times) -> int:
    """Each stage by itself over all studies; returns how many have a mask."""
    with clock(times, "read (decode, reduced)"):
        found = [to_uint8(read(path, predictor.side).pixels) for path in paths]
    with clock(times, "resize"):
        squares = [predictor.prepare(pixels) for pixels in found]
    starts = range(0, len(paths), BATCH)
    with clock(times, "classify"):
        looks = [[member(squares[k : k + BATCH])[:, 0] for member in predictor.classifiers] for k in starts]
    with clock(times, "segment"):
        maps = [
            [quantise(member(squares[k : k + BATCH])[:, 0]) for member in predictor.masks] for k in starts
        ]
    scored = []
    with clock(times, "decide"):
        for i, (path, (_, facts)) in enumerate(zip(paths, read, strict=True)):
            batch, row = divmod(i, BATCH)
            probs = by_name(predictor.classifiers, [float(look[row]) for look in looks[batch]])
            levels = by_name(predictor.masks, [level[row].numpy() for level in maps[batch]])
            answer = predictor.decision.predict(
                {name: list(folds.values()) for name, folds in probs.items()},
                levels,
                (facts.height, facts.width),
            )
            scored.append(Scored(path, facts, answer))
    for kinds in ((), *((kind,) for kind in KINDS)):
        with tempfile.TemporaryDirectory() as output, clock(times, f"write {'+ '.join(kinds) or 'pictures'}"):
            results = Results(Path(output), bundle, kinds)
            for file in scored:
                results.write(file, file.path.relative_to(folder))
    return sum(bool(file.prediction and file.prediction.mask.any()) for file in scored)


def whole(predictor: Predictor, bundle: Bundle, folder: Path, paths: list[Path], times: Times) -> None:
    """As the command does it, without loading the bundle; and the plain way, one study after the other."""
    with tempfile.TemporaryDirectory() as output, clock(times, "one by one, pictures"):
        results = Results(Path(output), bundle, ())
        for path in paths:
            results.write(next(predictor.files([path], cascade=False)), path.relative_to(folder))
    for name, kinds in (("whole, pictures", ()), ("whole, DICOM objects too", KINDS)):
        with tempfile.TemporaryDirectory() as output, clock(times, name):
            results = Results(Path(output), bundle, kinds)
            write = partial(write_one, results, folder)
            list(ordered_map(write, predictor.files(paths), cores()))


def write_one(results: Results, folder: Path, file: Scored) -> None:
    results.write(file, file.path.relative_to(folder))


def by_name(members: list, values: list) -> dict:
    """Values of the members as model -> fold -> value."""
    found: dict = defaultdict(dict)
    for member, value in zip(members, values, strict=True):
        found[member.name][member.fold] = value
    return found


@contextmanager
def clock(times: Times, name: str) -> Iterator[None]:
    """Note how long the body takes."""
    start = time.perf_counter()
    yield
    times[name].append(time.perf_counter() - start)


if __name__ == "__main__":
    main()
