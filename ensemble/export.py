"""Stage `export`: pack a finished run into one folder, the bundle: `python -m ensemble.export [--output DIR]`."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ensemble.decision import refit
from ensemble.decision.decision import PATH as DECISION
from ensemble.decision.decision import Decision
from ensemble.evaluation import model_card
from ensemble.evidence.lineage import check_weights
from ensemble.inference import bundle
from ensemble.inference.bundle import INDEX, Bundle
from ensemble.validation import training_data
from experiments.networks.refit import FOLDER as REFIT
from experiments.networks.weights import MODELS, path_of
from imaging.domain import limits
from imaging.domain.limits import InputLimits
from imaging.io import command
from imaging.io.config import PARAMS_FILE, load_section
from imaging.io.files import atomic_folder, sha256, write_json, write_text
from imaging.prepared import HOLDOUT, Prepared
from imaging.settings import DataSettings

METRICS = Path("reports/evaluation/metrics.json")
LICENCE = Path("LICENSE")


def export(
    output: str | Path = bundle.PATH, hashed: bool = True, models: str = MODELS, decided: str = DECISION
) -> Bundle:
    """Write the bundle of the run in the working folder, and load it once; it appears complete or not at all.

    hashed: include hashes of the training data's pictures and patients, for leak checks.
    models, decided: folder of the networks and file of the decision; those of a refit have no metrics.
    """
    if not Path(decided).is_file():
        maker = "`python -m ensemble.refit`" if models == REFIT else "`make repro`, or `dvc repro`"
        raise ValueError(
            f"{decided}: no such file; there is no finished run here to export; {maker} makes one"
        )
    decision = Decision.load(decided)
    with atomic_folder(output, mark=INDEX) as folder:
        for source, name in parts(decision, models, decided):
            if not source.is_file():
                raise ValueError(f"{source}: missing; run `dvc repro`")
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, folder / name)
        again = refit.is_refit(decision)
        if again:
            write_json(folder / METRICS.name, {})
        known = training_data.record(Prepared(), hashed, holdout=again)
        write_json(folder / training_data.NAME, known.model_dump(mode="json"))
        write_text(folder / "README.md", model_card.write(decision))
        _limits(decision).save(folder / limits.FILE)
        fingerprints = {"data": decision.fitted["data_fingerprint"], "decision": sha256(decided)}
        bundle.write_index(folder, load_section("data", DataSettings).source, fingerprints).predictor()
    return Bundle.load(output)


def _limits(decision: Decision) -> InputLimits:
    """What the networks were trained on: the folds of the decision, and the hold-out for the rate of false alarms."""
    data = Prepared()
    train = np.concatenate([data.fold_rows(fold) for fold in decision.fitted["folds"]])
    return limits.make(data.index, data.images, np.sort(train).tolist(), data.fold_rows(HOLDOUT).tolist())


def parts(decision: Decision, models: str = MODELS, decided: str = DECISION) -> Iterator[tuple[Path, str]]:
    """(file of the run, its name in the bundle) of everything copied; of the networks, those in the decision's lineage."""
    yield from ((Path(decided), "decision.json"), (Path(PARAMS_FILE), "params.yaml"), (LICENCE, "LICENSE"))
    if not refit.is_refit(decision):
        yield METRICS, METRICS.name
    for network, recorded in decision.fitted["lineage"].items():
        stage, model = network.split("/")
        for fold in recorded["weights"]:
            path = path_of(stage, model, fold, models)
            if path.is_file():
                check_weights(decision.fitted["lineage"], stage, model, fold, sha256(path))
            for file in (path, path.with_suffix(".json")):
                yield file, f"{network}/{file.name}"


def main() -> None:
    """The DVC stage export."""
    parser = argparse.ArgumentParser(prog="python -m ensemble.export", description=__doc__)
    parser.add_argument("--output", type=command.place, help=f"the folder to write (default: {bundle.PATH})")
    parser.add_argument(
        "--no-identities",
        action="store_true",
        help="leave out the hashes of the training data's pictures and patients; `ensemble.validate`, and a training that starts"
        " from the bundle, then cannot check for leaks",
    )
    parser.add_argument(
        "--refit",
        action="store_true",
        help="export the networks of `ensemble.refit`, into models/refit/bundle",
    )
    given = parser.parse_args()
    if given.refit:
        output = given.output or Path(REFIT) / "bundle"
        made = export(output, not given.no_identities, REFIT, refit.PATH)
    else:
        made = export(given.output or bundle.PATH, not given.no_identities)
    size = sum((made.folder / name).stat().st_size for name in made.index.files)
    print(
        f"{made.folder}: {made.name}, {len(made.index.files)} files, {size / 1e6:.1f} MB, SHA-256 {made.sha256}"
    )


if __name__ == "__main__":
    command.run(main)
