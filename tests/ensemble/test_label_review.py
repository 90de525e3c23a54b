"""The queue by hand, planted errors, and what is written after a review."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ensemble import label_review
from ensemble.labels import errors
from ensemble.labels import queue as queues
from imaging.io.files import sha256
from imaging.prepared import Prepared

TABLE = pd.DataFrame(
    {
        "image_id": list("abcdef"),
        "patient_id": list("abcdef"),
        "label": [0, 0, 0, 1, 1, 1],
        "prob": [0.1, 0.2, 0.9, 0.6, 0.7, 0.2],
    }
)


def test_the_queue_by_hand() -> None:
    """Mean self-confidence: negative (.9 + .8 + .1) / 3 = .6, positive .5."""
    found = errors.queue(TABLE).set_index("image_id")
    assert found.index[:2].tolist() == ["c", "f"]
    assert found["margin"]["c"] == pytest.approx(0.1 - 0.6)
    assert found["margin"]["f"] == pytest.approx(0.2 - 0.5)
    assert found.index[found["likely_error"]].tolist() == ["c", "f"]
    assert found["rank"].tolist() == [1, 2, 3, 4, 5, 6]
    with pytest.raises(ValueError, match="both labels"):
        errors.queue(TABLE.assign(label=1))


def test_planted_errors_stand_in_front() -> None:
    random = np.random.Generator(np.random.PCG64(0))
    label = random.random(400) < 0.3
    prob = np.where(label, random.beta(8, 2, 400), random.beta(2, 8, 400))
    ids = [f"i{k}" for k in range(400)]
    table = pd.DataFrame({"image_id": ids, "patient_id": ids, "label": label.astype(int), "prob": prob})
    hits, flipped, expected = errors.planted(table, 0.05, seed=1, first=40)
    assert (flipped, expected) == (20, 2)
    assert hits >= 18


def test_accepted_changes_become_a_new_file(world, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = Prepared()
    labels = prepared.index[["image_id", "patient_id", "label"]].astype({"label": int})
    table = labels.assign(prob=np.where(labels["label"] == 1, 0.8, 0.1))
    table.loc[3, "prob"] = 1 - table.loc[3, "prob"]
    assert "100 of 160 labels" in label_review.write_queue(table, 100, prepared)
    queue = label_review.OUTPUT / "queue.csv"
    assert (label_review.OUTPUT / "queue.png").stat().st_size > 1000
    reviewed = pd.read_csv(queue, dtype={"decision": str})
    assert reviewed["image_id"][0] == labels["image_id"][3]
    reviewed["decision"] = ["accepted", "rejected", *[""] * 98]
    reviewed.to_csv(queue, index=False)
    before = {path: sha256(path) for path in Path("data/prepared").iterdir()}
    assert "160 labels, 1 changed, 1 confirmed" in queues.apply(queue, Path("new.csv"), prepared)
    made = pd.read_csv("new.csv").set_index("image_id")
    assert (made["label"] != made["previous"]).sum() == 1
    assert made["label"][labels["image_id"][3]] == 1 - labels["label"][3]
    note = json.loads(Path("new.json").read_text())
    assert note["queue"]["sha256"] == sha256(queue)
    assert note["data_fingerprint"] == prepared.fingerprint
    assert before == {path: sha256(path) for path in Path("data/prepared").iterdir()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decision": "yes"}, "decision 'yes'"),
        ({"label": 1}, "its label is no longer 1"),
        ({"image_id": "z"}, "z: not among"),
    ],
)
def test_a_review_that_does_not_fit_is_refused(change: dict, message: str) -> None:
    reviewed = TABLE.head(1).assign(decision="accepted")
    with pytest.raises(ValueError, match=message):
        queues.corrected(TABLE, reviewed.assign(**change))


def test_folders_in_place_of_files_are_refused(world, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a folder; name a file"):
        queues.read(tmp_path)
    with pytest.raises(ValueError, match="a folder; name a file"):
        queues.apply(tmp_path / "queue.csv", tmp_path, Prepared())
