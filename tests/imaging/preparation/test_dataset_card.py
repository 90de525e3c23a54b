from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from imaging import prepare
from imaging.preparation import dataset_card, dataset_figures
from imaging.prepared import PatientRecord
from imaging.settings import DataSettings

SETTINGS = DataSettings(source="siim", folder="somewhere", image_size=32)


def dataset(labels: list[int | None], **changes) -> dataset_card.Dataset:
    """One image of 100 x 50 px a label; positives have 50, 100, 150 … px inside."""
    rank = np.cumsum([label == 1 for label in labels])
    count = len(labels)
    masks = np.zeros((int(rank[-1]), 16, 16), np.uint8)
    for number, mask in enumerate(masks):
        mask[: number + 2, :4] = 1
    index = pd.DataFrame(
        {
            "image_id": [f"i{number}" for number in range(count)],
            "patient_id": [f"secret{number // 2}" for number in range(count)],
            "path": "x",
            "width": 100,
            "height": 50,
            "sex": ["F", "M"] * (count // 2) + ["F"] * (count % 2),
            "age": [None if number % 3 == 0 else 10 * number for number in range(count)],
            "view": None,
            "spacing_mm": 0.1 + 0.2,
            "label": labels,
            "area_px": [
                None if label is None else 50 * int(rank[i]) * label for i, label in enumerate(labels)
            ],
            "mask_row": [int(rank[i]) - 1 if label == 1 else -1 for i, label in enumerate(labels)],
            "sha256": ["same" if number < 2 else str(number) for number in range(count)],
            "split": "train",
        }
    ).astype(prepare.TYPES)
    given = {
        "tests": 7,
        "rejected": pd.DataFrame(columns=["input", "reason"]),
        "patients": PatientRecord("patients.csv", count, 0),
        "notes": [],
    }
    images = np.full((count, 16, 16), 90, np.uint8)
    return dataset_card.Dataset(
        **{"settings": SETTINGS, "index": index, "images": images, "masks": masks, **given, **changes}
    )


def test_the_classes_and_their_pixels():
    text = dataset_card.text(dataset([1, 0, 1, 0, 0, 0, 0, None]), [])
    assert "| train | pneumothorax | 2 | 25.0% | 0.429% |" in text  # (50 + 100) of 7 x 5,000 px
    assert "| train | negative | 5 | 62.5% |" in text
    assert "| train | unlabelled | 1 | 12.5% |" in text
    assert "| test | unknown | 7 |" in text


def test_the_areas_patients_and_facts():
    text = dataset_card.text(dataset([1, 0, 1, 1, 0, None]), [])
    assert "| smallest | 50 | 1.000% |" in text
    assert "| median | 100 | 2.000% |" in text
    assert "| largest | 150 | 3.000% |" in text
    assert (
        "3 patients, from: patients.csv. 3 of them have more than one image (6 images; at most 2 of one patient)."
        in text
    )
    assert "| sex | F | 3 | 66.7% |" in text
    assert "| view | unknown | 6 | 60.0% |" in text
    assert "| size, px | 100 x 50 | 6 |" in text
    assert "| spacing, mm | 0.3 | 6 |" in text
    assert text.index("| age | under 18 |") < text.index("| age | 18–39 |") < text.index("| age | 40–59 |")
    assert "2 files are identical to a file with another id" in text
    assert "secret" not in text


def test_what_was_left_out_is_said():
    rejected = pd.DataFrame({"input": [f"f{n}.dcm" for n in range(23)], "reason": "no such file"})
    text = dataset_card.text(dataset([0, 1], rejected=rejected, notes=["Odd."]), [])
    assert "23 inputs, all listed in `rejected.csv`:" in text
    assert "- `f19.dcm`: no such file" in text
    assert "f20.dcm" not in text
    assert "… and 3 more." in text
    assert "- Odd." in text
    assert "Nothing." in dataset_card.text(dataset([0, 1]), [])


def test_rare_values_are_summed_up():
    data = dataset([0, 1] * 20)
    data.index["height"] = np.arange(40) // 2 + 10  # twenty sizes
    text = dataset_card.text(data, [])
    assert text.count("| size, px |") == dataset_card.CATEGORIES + 1
    assert "| size, px | other | 20 | 50.0% |" in text
    data.index["spacing_mm"] = np.arange(40) / 100
    text = dataset_card.text(data, [])
    assert "| spacing, mm | -0.001–0.0975 | 10 | 50.0% |" in text
    assert "| spacing, mm | 0.292–0.39 | 10 | 50.0% |" in text


@pytest.mark.parametrize("labels", [[1, 0, 1, None], [0, 0, None], [1], [None]])
def test_written_twice_the_report_is_the_same_and_links_its_figures(tmp_path, labels):
    for name in ("one", "two"):
        dataset_card.write(tmp_path / name, dataset(labels))
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(files) == 5  # four figures, whatever there is: the pipeline expects them
    text = (tmp_path / "one" / "dataset_card.md").read_text()
    assert all(f"]({name})" in text for name in files if name.endswith(".png"))
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_sheet_spans_all_sizes():
    data = dataset([1] * 40)
    figure = dataset_figures.overlay_sheet(data.index, data.images, data.masks)
    titles = [axes.get_title() for axes in figure.axes]
    assert len(titles) == dataset_figures.SHEET
    assert titles[0] == "1.00 %  (50 px)"
    assert titles[-1] == "40.00 %  (2,000 px)"


def test_the_heat_map_counts_masks():
    masks = np.zeros((130, 4, 4), np.uint8)
    masks[:, 0, 0] = 1
    masks[:65, 3, 2] = 1
    shown = dataset_figures.mask_heatmap(masks).axes[0].get_images()[0].get_array()
    assert shown[0, 0] == 100
    assert shown[3, 2] == 50
    assert shown.sum() == 150


def test_the_width_of_intervals_by_the_size_of_the_holdout():
    text = dataset_card.text(dataset([1] * 100 + [0] * 300 + [None]), [])
    assert "- 10 %: 40 images; a Kaggle Dice of 0.8679 will have a 95 % interval of about ±0.105" in text
    assert "- all, by cross-validation: 400 images;" in text
    assert "10 %: 2 images, too few to estimate" in dataset_card.text(dataset([1, 0] * 10), [])


def test_images_that_are_only_trained_on_have_a_weight_and_no_place_in_a_holdout():
    data = dataset([1] * 100 + [0] * 300)
    data.index["source"] = ["siim"] * 300 + ["pseudo"] * 100
    data.index["role"] = ["train"] * 300 + ["train-only"] * 100
    data.index["weight"] = [1.0] * 300 + [0.5] * 100
    text = dataset_card.text(data, [])
    assert "| pseudo | train-only | 100 | 50 | 0 | 100 | 0 | 0 | 0.5 |" in text
    assert "- all, by cross-validation: 300 images;" in text
