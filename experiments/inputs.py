"""Stage `inputs`: list the input files that params.yaml names, with their checksums: `python -m experiments.inputs`.

Weights that `pretrained` names by a file, a folder or an earlier run are listed too. The stage runs each time, since only it
can detect a changed file; a later stage reruns when its list changes. Each list is a CSV of path and SHA-256 (or why there is
none). A key that names the data folder itself gets an empty list, since the folder's own list covers it. Checksums are
remembered in data/.checksums.json, so that unchanged files are not read again.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from experiments.networks import earlier_run
from experiments.settings.common import TrainingSettings
from experiments.settings.decision import SubmitSettings
from experiments.settings.training import ClassificationSettings, SegmentationSettings, for_model
from imaging.io import command
from imaging.io.config import load_section
from imaging.io.inventory import Checksums, inventory
from imaging.io.tables import write_csv
from imaging.settings import DataSettings

FOLDER = Path("data/inputs")
CHECKSUMS = Path("data/.checksums.json")


def main() -> None:
    """Write a list for each path in params.yaml, named by its key."""
    data, submit = load_section("data", DataSettings), load_section("submit", SubmitSettings)
    places = {"data.patients": data.patients, "submit.images": submit.images, "submit.sample": submit.sample}
    listed = {
        name: [] if place is None or Path(place) == Path(data.folder) else [Path(place)]
        for name, place in places.items()
    }
    listed["data.folder"] = [Path(data.folder)]
    for stage, cls in (("classification", ClassificationSettings), ("segmentation", SegmentationSettings)):
        listed[f"{stage}.pretrained"] = weights_of(load_section(stage, cls), stage)
    checksums = Checksums(CHECKSUMS)
    for name, paths in listed.items():
        write_csv(FOLDER / f"{name}.csv", listing(name, paths, checksums))
    checksums.save()


def listing(key: str, paths: Iterable[Path], checksums: Checksums) -> pd.DataFrame:
    """Path and SHA-256 of every file of the paths that a key names; ValueError names the key where a file is missing or
    unreadable."""
    rows: list[tuple[str, str]] = []
    for path in paths:
        try:
            rows += inventory([path], checksums)
        except ValueError:
            raise ValueError(f"params: `{key}` is '{path}': no such file or folder") from None
        except OSError as error:
            raise ValueError(f"params: `{key}` is '{path}': cannot be read ({error.strerror})") from None
    return pd.DataFrame(rows, columns=["path", "sha256"])


def weights_of(section: TrainingSettings, stage: str) -> list[Path]:
    """Files and folders of the weights that a stage's networks start from; of an earlier run its bundle's index of checksums."""
    wishes = sorted({for_model(section, model).pretrained for model in section.models})
    runs = {wish: earlier_run.is_run(wish) for wish in wishes}
    return [
        earlier_run.bundle_of(wish, f"{stage}.pretrained") / earlier_run.INDEX if runs[wish] else Path(wish)
        for wish in wishes
        if runs[wish] or Path(wish).exists()
    ]


if __name__ == "__main__":
    command.run(main, __doc__)
