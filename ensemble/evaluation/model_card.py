"""The model card of a bundle, in the form that model hubs show: YAML facts, then prose. Written from the run's own files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from ensemble.decision import refit
from ensemble.decision.decision import Decision
from ensemble.evaluation import ledger
from ensemble.evaluation.wording import POOLED, PROBABILITIES, displayed, in_words, name_of
from experiments.networks.refit import FOLDER as REFIT
from experiments.networks.refit import NO_HOLDOUT
from experiments.networks.weights import MODELS, load_facts, path_of
from imaging.io.config import load_section
from imaging.io.files import read_json
from imaging.resize import PLAIN
from imaging.settings import DataSettings, SplitSettings

REPORT = Path("reports/evaluation/report")
Measures = Mapping[str, Mapping[str, float | None]]

ABOUT = {
    "phantom": """**Trained on generated chest phantoms: drawings, not patients.** It shows that the pipeline works, and nothing
else; its predictions for a real radiograph are meaningless.""",
    "siim": """Trained on SIIM-ACR Pneumothorax: frontal chest radiographs of one American hospital (NIH ChestX-ray14), 8 bits,
outlined by radiologists of SIIM, ACR and STR. The data's own terms apply to anything made from it.""",
}
WITH_MASKS = """\
An ensemble of classifiers estimates the probability of a pneumothorax, an ensemble of U-Nets its outline; a fitted
decision rule determines whether to draw it."""
MASKS_ALONE = """\
An ensemble of segmentation networks outlines a pneumothorax. Its probability is pooled from their maps (the mean logit of the
highest 0.5 % of each map's pixels); there is no classifier. A fitted decision rule determines whether to draw the outline."""
WITHOUT_MASKS = """\
An ensemble of classifiers estimates the probability of a pneumothorax, and a fitted gate thresholds it. **No masks: it
was trained on image-level labels, draws no mask and cannot localise a pneumothorax.**"""
UNMEASURED = f"""\
**{NO_HOLDOUT}**
The scores below are those of the run whose trainings were repeated, with the same settings and the same decision, before the
hold-out was added to the training images.
"""
CARD = """{front_matter}

# Pneumothorax on chest radiographs ({source})

{what} {about}

**For research. Not for diagnosis, not a medical device.**

## Intended use

Research on reading, triage and segmentation of frontal chest radiographs; a baseline to compare with; teaching.

## Out of scope

Any decision about a patient; use without a reader who sees the radiograph; children, unless measured on them.

## How to use

    python -m ensemble.predict FOLDER --output OUT --bundle THIS_FOLDER

FOLDER holds DICOM, PNG or JPEG files; OUT gets a table for triage, outlines and DICOM objects. From Python:
`Bundle.load(folder).predictor()`.

## Training data

### Classes

{classes}

### Masks

{masks}

### Patients

{patients}

### Folds

Split scheme `{scheme}`, folds {folds}; one network per model and fold. Prepared data: fingerprint `{fingerprint}`.
{leaks}
## Networks

{networks}

## Scores

{unmeasured}
{holdout} images of {holdout_patients} patients that were held out, {holdout_positives} with a pneumothorax; 95 % intervals
over patients.

{scores}

{openings}

Rule `{rule}`, fitted on {images} out-of-fold images of {fitted_patients} patients.

## Subgroups

{subgroups}

## Limits

- Frontal chest radiographs only. Other views, other parts of the body and photographs of screens get a prediction too, but it is
  meaningless.
- Measured on data of the same source as the training data; at another hospital, on another machine or with another share of
  positive studies, scores and calibration differ. Measure there first.
- Small lesions are missed more often than large ones: see the subgroups.
- A chest drain is itself a sign of a treated pneumothorax; a network may have learned the drain. An empty mask does not rule
  out a pneumothorax.
- The decision is fitted to the Kaggle Dice, which rewards empty masks on negative images; it does not measure clinical utility.

## Licence

See LICENSE. It covers this project's own work; the terms of the data apply as well.
"""


def write(decision: Decision) -> str:
    """The card of the run in the working folder; a ValueError names the report that is missing."""
    source, scheme = load_section("data", DataSettings).source, load_section("split", SplitSettings).scheme
    measured, fitted = read_json("reports/evaluation/metrics.json"), decision.fitted
    data = _read(Path("reports/data/dataset_card.md"))
    holdout = pd.read_csv(REPORT / "per_image.csv", usecols=["patient_id", "label"])
    return CARD.format(
        front_matter=_front_matter(source, {} if refit.is_refit(decision) else measured, _names(decision)),
        unmeasured=UNMEASURED if refit.is_refit(decision) else "",
        source=source,
        what=_what(decision),
        about=ABOUT.get(source, f"Trained on data of the kind `{source}`."),
        **{name.lower(): section(data, name) for name in ("Classes", "Masks", "Patients")},
        scheme=scheme,
        folds=", ".join(str(fold) for fold in fitted["folds"]),
        fingerprint=fitted["data_fingerprint"],
        leaks=_warnings(_read(REPORT / "report.md")),
        networks=_networks(decision),
        holdout=f"{len(holdout):,}",
        holdout_patients=f"{holdout['patient_id'].nunique():,}",
        holdout_positives=f"{int(holdout['label'].sum()):,}",
        scores=_scores(measured, _names(decision)),
        openings=ledger.sentence(ledger.read_count()),
        rule=decision.rule.kind,
        images=f"{fitted['images']:,}",
        fitted_patients=f"{fitted['patients']:,}",
        subgroups=section(_read(REPORT / "report.md"), "Subgroups"),
    )


def _what(decision: Decision) -> str:
    """Which networks there are and what they do."""
    if not decision.classifiers:
        return MASKS_ALONE
    return WITH_MASKS if decision.masks.weights else WITHOUT_MASKS


def _names(decision: Decision) -> Mapping[str, str]:
    """Suffix of a measure's name -> which probability it measures."""
    return PROBABILITIES if decision.classifiers else POOLED


def _warnings(report: str) -> str:
    """The report's warnings about the split, which it quotes at its top."""
    return "".join(f"\n{line}\n" for line in report.splitlines() if line.startswith("> **"))


def section(markdown: str, title: str) -> str:
    """The text under a heading `## title`, without pictures, which a bundle does not contain."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", markdown, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"the run's reports have no section `{title}`; run `dvc repro` again")
    return re.sub(r"^!\[.*\n?", "", found[1], flags=re.MULTILINE).strip()


def _read(path: Path) -> str:
    if not path.is_file():
        raise ValueError(f"{path}: missing, and the model card needs it; run `dvc repro`")
    return path.read_text(encoding="utf-8")


def _front_matter(source: str, measured: Measures, names: Mapping[str, str]) -> str:
    metrics = [
        {"type": name, "name": name_of(name, names), "value": round(measure["value"], 4)}
        for name in displayed(measured)
        if (measure := measured[name])["value"] is not None
    ]
    result = {
        "task": {"type": "image-segmentation"},
        "dataset": {"type": source, "name": f"{source}, locked hold-out"},
    }
    facts: dict[str, Any] = {
        "license": "mit"
        if source == "phantom"
        else "other",  # the data's terms apply to what was learned from it
        "library_name": "pytorch",
        "pipeline_tag": "image-segmentation",
        "tags": ["medical", "radiology", "chest-x-ray", "pneumothorax", "dicom", "image-classification"],
        "model-index": [{"name": f"pneumothorax-{source}", "results": [{**result, "metrics": metrics}]}],
    }
    return f"---\n{yaml.safe_dump(facts, sort_keys=False, allow_unicode=True)}---"


def _networks(decision: Decision) -> str:
    starts: list[str] = []
    lines = [
        "| stage | model | architecture | input, px | contrast | folds | SHA-256 |",
        "|---|---|---|---|---|---|---|",
    ]
    models = REFIT if refit.is_refit(decision) else MODELS
    for network, recorded in decision.fitted["lineage"].items():
        stage, model = network.split("/")
        facts = load_facts(path_of(stage, model, min(map(int, recorded["weights"])), models))
        settings = facts["settings"]
        starts += _start(network, facts.get("pretrained"))
        encoder = settings.get("encoder") if settings["architecture"] != "plain" else None
        what = f"{settings['architecture']} ({encoder})" if encoder else settings["architecture"]
        digests = ", ".join(f"{digest[:8]}…" for digest in recorded["weights"].values())
        lines.append(
            f"| {stage} | {model} | {what} | {settings['image_size']} | {settings.get('contrast', PLAIN)} | "
            f"{len(recorded['weights'])} | {digests} |"
        )
    return "\n".join([*lines, *starts])


def _start(network: str, origin: dict[str, Any] | None) -> list[str]:
    """Where a network's initial weights are from; nothing for random ones."""
    if origin is None:
        return []
    overlap, told = origin.get("overlap", {}), ""
    if overlap and not overlap["checked"]:
        told = " **What it was trained on is not known, so scores may be too good.**"
    elif overlap.get("pictures") or overlap.get("patients"):
        told = (
            f" **It was trained on pictures of {overlap['pictures']:,} and patients of {overlap['patients']:,} of the"
            f" {overlap['images']:,} images that measure the first fold: scores are too good.**"
        )
    source = origin.get("bundle") or origin["source"]
    return ["", f"`{network}` starts from {source} (SHA-256 {origin['sha256'][:8]}…).{told}"]


def _scores(measured: Measures, names: Mapping[str, str]) -> str:
    rows = [f"| {name_of(name, names)} | {in_words(measured[name])} |" for name in displayed(measured)]
    return "\n".join(["| measure | value (95 % interval) |", "|---|---|", *rows])
