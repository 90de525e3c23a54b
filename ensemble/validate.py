"""Measure a bundle on labelled images that it was not trained on.

    python -m ensemble.validate --data FOLDER --output OUT [--bundle DIR]

--data names the images: a folder (its kind is found from what is in it), FILE.csv with labels, SOURCE:FOLDER with a source of
docs/sources.md, or phantom:drains, generated phantoms with and without a chest tube. OUT is a new folder, or one with an earlier
report, which is replaced. It gets report.md, report.html, metrics.json, tables and pictures; with --recalibrate also bundle/, the
bundle recalibrated to these data. Only the bundle is needed, not the data that it was trained on. docs/validation.md explains the
report.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from ensemble.decision.decision import Decision
from ensemble.decision.image_table import per_image
from ensemble.decision.operating_points import RULE, OperatingPoint
from ensemble.evaluation import clinical, pictures, subgroups
from ensemble.evaluation.checklists.fill import FILES, fill
from ensemble.evaluation.lesions import figure as lesion_figure
from ensemble.evaluation.lesions import per_image as lesion_table
from ensemble.evaluation.lesions import summary as lesion_summary
from ensemble.evaluation.lesions.detection import froc
from ensemble.evaluation.wording import in_words
from ensemble.evidence.gather import gather
from ensemble.evidence.predictions import Predictions
from ensemble.inference import bundle as bundles
from ensemble.inference import output
from ensemble.inference.bundle import Bundle
from ensemble.validation import (
    checklist_facts,
    dataset,
    measures,
    networks,
    new_bundle,
    profile,
    training_data,
)
from ensemble.validation import report as validation_report
from ensemble.validation.comparisons import leak_lines
from ensemble.validation.dataset import External
from ensemble.validation.results import Results
from experiments.monitoring import html_report
from experiments.settings.decision import EvaluationSettings
from experiments.statistics.bootstrap import PatientDraws
from imaging.identity import identities
from imaging.io import command
from imaging.io.config import did_you_mean, load_section, parse_yaml
from imaging.io.files import atomic_folder, check_apart, write_json, write_text
from imaging.plotting import save

MARK = "VALIDATION.txt"
"""The file that marks an older report, which the next one replaces."""


def main() -> None:
    """The command line."""
    given = arguments().parse_args()
    made = run(given, shlex.join(["python", "-m", "ensemble.validate", *sys.argv[1:]]))
    auroc = made.measured["auroc"]
    print(f"{given.output}: {len(made.table):,} images, AUROC {in_words(auroc)}; read report.html")


def arguments() -> argparse.ArgumentParser:
    """The command line's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m ensemble.validate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data", required=True, metavar="DATA", help="FOLDER, SOURCE:FOLDER or phantom:drains"
    )
    parser.add_argument(
        "--output",
        type=command.place,
        required=True,
        help="the folder to write; an older report in it is replaced",
    )
    parser.add_argument(
        "--bundle",
        type=command.place,
        default=Path(bundles.PATH),
        help=f"the bundle's folder (default: {bundles.PATH})",
    )
    parser.add_argument(
        "--set",
        action="append",
        type=_setting,
        default=[],
        metavar="KEY=VALUE",
        help="a key of the section data, for reading them: without_mask=negative, patients=FILE, preset=nih, word=Pneumothorax, "
        "columns.path=file; may be repeated",
    )
    parser.add_argument(
        "--refused",
        type=command.share,
        default=0.0,
        help="share of the images that may be refused (default: 0)",
    )
    parser.add_argument(
        "--recalibrate", action="store_true", help="refit the calibration to these data; write OUT/bundle"
    )
    parser.add_argument(
        "--refit-decision",
        action="store_true",
        help="with --recalibrate: refit the rule's thresholds and the operating points too",
    )
    return parser


def _setting(text: str) -> tuple[str, Any]:
    """KEY=VALUE or KEY.KEY=VALUE, the value as YAML."""
    key, found, value = text.partition("=")
    if not found or key in dataset.OWN_KEYS:
        raise argparse.ArgumentTypeError(f"{text!r}: give KEY=VALUE; --data sets source, folder and table")
    if key.partition(".")[0] not in dataset.KEYS:
        raise argparse.ArgumentTypeError(f"{text!r}: unknown key; {did_you_mean(key, dataset.KEYS)}")
    try:
        return key, parse_yaml(value)
    except yaml.YAMLError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: the value is not valid YAML: {error}") from None


def run(given: argparse.Namespace, command_line: str) -> Results:
    """Read, predict, measure and write OUT atomically."""
    if given.refit_decision and not given.recalibrate:
        raise ValueError("--refit-decision has no effect without --recalibrate; give both")
    check_apart(given.output, "--output", {"the bundle": given.bundle, **_data_folder(given.data)})
    bundle = Bundle.load(given.bundle)
    output.check_folder(given.output, mark=MARK)
    with tempfile.TemporaryDirectory(prefix="validate-", dir=_nearest(given.output)) as place:
        scratch = Path(place)
        settings = dataset.settings_of(given.data, given.set, scratch)
        predictor = bundle.predictor()
        print(f"Reading {given.data} for {bundle.name}", flush=True)
        external = dataset.read(settings, predictor.side, scratch / "prepared", given.refused, given.data)
        dataset.both_kinds(external)
        found = networks.predict(predictor, external.prepared, scratch)
        with atomic_folder(given.output, MARK) as out:
            made = measure(bundle, predictor.decision, external, found, given, command_line, out)
            write_report(made, out)
            write_json(out / "metrics.json", made.measured)
            write_text(
                out / MARK,
                "A report of `python -m ensemble.validate`; the next one into this folder replaces it.\n",
            )
    return made


def _data_folder(data: str) -> dict[str, str]:
    """The folder that --data names, if it names one; a table's files may lie anywhere."""
    folder = data if Path(data).is_dir() else data.partition(":")[2]
    return {"the folder of --data": folder} if folder and Path(folder).is_dir() else {}


def write_report(made: Results, out: Path) -> None:
    """Write report.md, the filled checklists, and report.html with all of them."""
    write_text(out / "report.md", validation_report.describe(made, [path.stem for path in out.glob("*.png")]))
    known = checklist_facts.of_validation(made)
    for name in FILES:
        write_text(out / f"{name}.md", fill(name, known, external=True))
    pages = [out / "report.md", *(out / f"{name}.md" for name in FILES)]
    write_text(out / "report.html", html_report.page(*pages))


def measure(
    bundle: Bundle,
    decision: Decision,
    external: External,
    found: Predictions,
    given: argparse.Namespace,
    command_line: str,
    out: Path,
) -> Results:
    """Measure the decision; write tables and pictures into `out`."""
    settings = load_section("evaluation", EvaluationSettings, bundle.folder / "params.yaml")
    prepared = external.prepared
    cases = gather(
        found, decision.classifiers, decision.masks, prepared, "masks", decision.classifier_average
    )
    place = prepared.rows(cases.image_id)
    label = prepared.index["label"].iloc[place].to_numpy(np.int64)
    table = per_image(decision, cases, found, prepared)
    table = measures.with_labels(table, label, prepared.has_mask[place])
    draws = PatientDraws(cases.patient, settings.draws, settings.seed)
    measured = measures.measure(table, draws, settings.bins)
    points = clinical.operating_points(table, _points(decision), draws)
    made = Results(
        bundle=bundle,
        decision=decision,
        external=external,
        command=command_line,
        table=table,
        measured=measured,
        drop=measures.drop(measured, bundle.metrics),
        points=points,
        groups=_groups(table, draws),
    )
    drain = external.drain[place]
    if not np.isnan(drain).all():
        made.tubes = measures.by_tube(table, drain, _points(decision), draws)
        made.tube_aurocs = measures.auroc_by_tube(table, drain, draws)
        table["drain"] = drain
    if made.masks_known:
        _lesions(made, found, settings, out)
    _against_training(made, place)
    if given.recalibrate:
        new_bundle.recalibrate(made, cases, decision, draws, settings.bins, given.refit_decision, out)
    _write(made, decision, found, settings, out)
    return made


def _points(decision: Decision) -> list[OperatingPoint]:
    """The decision's operating points; for a bundle without any, the rule's own."""
    return decision.operating_points or [OperatingPoint.model_construct(name=RULE, threshold=None)]


def _lesions(made: Results, found: Predictions, settings: EvaluationSettings, out: Path) -> None:
    """Measure the submitted masks lesion by lesion, on the images whose mask is known; write their tables and the FROC."""
    table = made.table[made.table["dice"].notna()]
    draws = PatientDraws(table["patient_id"].to_numpy(), settings.draws, settings.seed)
    lesions, candidates = lesion_table.per_image(table, made.decision, found, made.external.prepared)
    measured, numbers = lesion_summary.measure(lesions, candidates, draws)
    made.measured |= measured
    made.lesions = lesion_summary.to_markdown(measured, numbers)
    curve = froc(candidates)
    pictures.write_tables({"lesions": lesions, "froc": curve}, out)
    save(lesion_figure.draw(curve), out / "froc.png", pictures.DPI)


def _groups(table: pd.DataFrame, draws: PatientDraws) -> pd.DataFrame:
    """Subgroups; those by the lesion's size, and scores of masks, only where all masks are known."""
    groups = subgroups.report(table, draws)
    if table["dice"].notna().all():
        return groups
    groups[["score", "low", "high", "dice_positive"]] = np.nan
    return groups[groups["kind"] != "lesion"].reset_index(drop=True)


def _against_training(made: Results, place: np.ndarray) -> None:
    """What differs from the training data, and what is shared with it."""
    training, external = training_data.TrainingData.load(made.bundle.folder), made.external
    unknown = external.prepared.patients.unknown
    if training is None:
        made.leaks = leak_lines(None, None, len(place), external.certain, unknown)
        return
    here = profile.describe(external.prepared, place)
    made.differences = profile.compare(training.profile, here)
    made.profiles = (training.profile, here)
    patients = pictures_shared = None
    if training.pictures:
        index = external.prepared.index
        patients = set(index["patient_id"][identities.shared_patients(training, index)])
        shared = identities.shared_pictures(training, external.hashes[place])
        made.table["in_training_data"] = shared | made.table["patient_id"].isin(patients).to_numpy()
        pictures_shared = int(shared.sum())
    made.leaks = leak_lines(patients, pictures_shared, len(place), external.certain, unknown)


def _write(
    made: Results, decision: Decision, found: Predictions, settings: EvaluationSettings, out: Path
) -> None:
    """Tables and pictures."""
    table, prepared = made.table, made.external.prepared
    frames = {
        "per_image": table,
        "drop": made.drop,
        "operating_points": made.points,
        "predictive_values": clinical.by_prevalence(made.points),
        "decision_curve": clinical.net_benefit(table["label"].to_numpy(bool), table["prob"].to_numpy()),
        "subgroups": made.groups,
        "drains": made.tubes,
        "drains_auroc": made.tube_aurocs,
        "differences": made.differences,
        "recalibration": made.recalibration,
        "rejected": made.external.rejected,
        **pictures.curves(table, settings.bins),
    }
    pictures.write_tables({name: frame for name, frame in frames.items() if frame is not None}, out)
    pictures.pictures(table, made.measured, settings, out)
    pictures.clinical_pictures(table, made.points, out)
    if decision.masks.weights:
        pictures.overlays(table, decision, found, prepared, settings.examples, out)
    if not made.masks_known:  # there is no known mask to compare a predicted one with
        for name in ("overlays.png", "dice_by_area.csv"):
            (out / name).unlink(missing_ok=True)
    if made.profiles:
        save(profile.picture(*made.profiles), out / "differences.png")


def _nearest(path: Path) -> Path:
    """The nearest folder above a path that exists: on the disk that the results go to."""
    folder = path.resolve().parent
    while not folder.exists():
        folder = folder.parent
    return folder


if __name__ == "__main__":
    command.run(main)
