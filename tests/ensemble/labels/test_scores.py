"""Scores with and without corrected labels, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ensemble.labels import scores

TABLE = pd.DataFrame(
    {
        "image_id": list("abcd"),
        "patient_id": list("pqrs"),
        "label": [1, 1, 0, 0],
        "prob": [0.9, 0.1, 0.8, 0.2],
        "submitted": [True, False, True, False],
        "dice": [0.5, 0.0, 0.0, 1.0],
    }
)


def labels(*new: int) -> pd.DataFrame:
    return pd.DataFrame({"image_id": list("abcd"), "label": new, "previous": TABLE["label"]})


def test_the_dice_follows_the_new_label() -> None:
    """b becomes negative and had no mask: 1. c becomes positive: its mask is not known."""
    found = scores.with_labels(TABLE, labels(1, 0, 1, 0))
    assert found["label"].tolist() == [1, 0, 1, 0]
    assert found["dice"].tolist()[:2] == [0.5, 1.0]
    assert np.isnan(found["dice"][2])
    assert found["dice"][3] == 1
    # a becomes negative although a mask was submitted: 0.
    assert scores.with_labels(TABLE, labels(0, 1, 0, 0))["dice"].tolist() == [0, 0, 0, 1]


def test_without_masks_there_is_no_dice() -> None:
    assert scores.with_labels(TABLE.assign(dice=np.nan), labels(0, 1, 0, 0))["dice"].isna().all()


def test_the_report_has_both_scores(tmp_path: Path) -> None:
    """As given 2 of 4 pairs are ranked rightly (.9 above both, .1 below both); with b and c changed all of them."""
    path = tmp_path / "table.csv"
    TABLE.to_csv(path, index=False)
    text = scores.describe(labels(1, 0, 1, 0), {"Hold-out": path, "Other": tmp_path / "missing.csv"})
    assert "2 of 4 labels changed, 1 of them to positive" in text
    row = next(line for line in text.splitlines() if line.startswith("| AUROC"))
    assert [cell.split(" (")[0] for cell in row.split(" | ")[1:]] == ["0.500", "1.000"]
    assert "| Kaggle Dice | 0.375 (" in text
    assert "leave out 1 images" in text
    assert "Other" not in text


@pytest.mark.parametrize(
    ("new", "words"), [((1, 1, 0, 0), "No label of these 4 images"), ((0, 0, 0, 0), "the same label")]
)
def test_what_has_no_second_score_is_stated(new: tuple[int, ...], words: str, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    TABLE.to_csv(path, index=False)
    assert words in scores.describe(labels(*new), {"Hold-out": path})
