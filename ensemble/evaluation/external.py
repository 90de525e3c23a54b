"""Evaluate the decision on external sources: images that are neither trained on nor in the hold-out."""

from __future__ import annotations

import pandas as pd

from ensemble.decision.decision import Decision
from ensemble.decision.image_table import per_image
from ensemble.evaluation import subgroups
from ensemble.evidence import lineage, predictions
from ensemble.evidence.gather import gather
from experiments.settings.decision import EvaluationSettings
from experiments.statistics.bootstrap import PatientDraws
from imaging.prepared import EXTERNAL, Prepared


def measure(decision: Decision, prepared: Prepared, settings: EvaluationSettings) -> dict[str, pd.DataFrame]:
    """Tables `external` (rows of `subgroups.report`, first each source) and `external_per_image`; {} without external sources."""
    if not prepared.external:
        return {}
    lineage.check_files(decision.fitted["lineage"], EXTERNAL)
    found = predictions.read(EXTERNAL, list(decision.classifiers), list(decision.masks.weights))
    strangers = set(found.ids) ^ set(prepared.index["image_id"].iloc[prepared.fold_rows(EXTERNAL)])
    if strangers:
        raise ValueError(
            f"predictions: {len(strangers)} images, {min(strangers)} among them, do not belong to the external "
            "sources; predict again"
        )
    cases = gather(
        found, decision.classifiers, decision.masks, prepared, "external masks", decision.classifier_average
    )
    table = per_image(decision, cases, found, prepared)
    draws = PatientDraws(cases.patient, settings.draws, settings.seed)
    return {"external": subgroups.report(table, draws), "external_per_image": table}


def section(tables: dict[str, pd.DataFrame]) -> str:
    """The report's section on external sources; '' without any."""
    if not tables:
        return ""
    images = tables["external_per_image"]
    return "\n".join(
        [
            "",
            "## External sources",
            "",
            f"{len(images):,} images of {images['patient_id'].nunique():,} patients, neither trained on nor in the hold-out,"
            " under the same decision. They do not count in any figure above.",
            "",
            subgroups.to_markdown(tables["external"]),
            "",
        ]
    )
