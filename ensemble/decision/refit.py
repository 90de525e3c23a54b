"""The decision of an evaluated run for networks that were trained once more, on the hold-out as well (ensemble.refit).

Nothing is fitted: thresholds, calibration and weights are those fitted out of fold. Only the lineage changes; it states that no
hold-out result exists.
"""

from __future__ import annotations

from pathlib import Path

from ensemble.decision.decision import PATH as EVALUATED
from ensemble.decision.decision import Decision
from experiments.networks import weights
from experiments.networks.refit import FOLDER, NO_HOLDOUT, REPEATS
from imaging.io.files import sha256

PATH = f"{FOLDER}/ensemble/decision.json"


def networks(decision: Decision) -> list[tuple[str, str, int]]:
    """(stage, model, fold) of every network that the decision was fitted with, classifiers first."""
    lineage = decision.fitted["lineage"]
    return [
        (stage, model, int(fold))
        for network in sorted(lineage)
        for stage, model in [network.split("/")]
        for fold in lineage[network]["weights"]
    ]


def applied(decision: Decision) -> Decision:
    """The decision with the refitted networks in its lineage; ValueError when one is missing or repeats other weights."""
    lineage = {network: {**facts, "weights": {}} for network, facts in decision.fitted["lineage"].items()}
    for stage, model, fold in networks(decision):
        path = weights.path_of(stage, model, fold, FOLDER)
        facts = weights.load_facts(path)
        wanted = decision.fitted["lineage"][f"{stage}/{model}"]["weights"][str(fold)]
        if facts.get(REPEATS) != wanted:
            raise ValueError(
                f"{path}: does not repeat the weights that the decision was fitted with; run `python -m ensemble.refit`"
            )
        lineage[f"{stage}/{model}"]["weights"][str(fold)] = facts["weights_sha256"]
    for facts in lineage.values():
        facts.pop("files", None)  # checksums of predictions, since these networks have made none
        facts["holdout"] = NO_HOLDOUT
    refitted = {"holdout": NO_HOLDOUT, "decision_sha256": sha256(Path(EVALUATED))}
    return decision.model_copy(update={"fitted": {**decision.fitted, "lineage": lineage, "refit": refitted}})


def is_refit(decision: Decision) -> bool:
    """Whether the decision is that of networks trained on the hold-out."""
    return "refit" in decision.fitted
