"""Stage `inputs`: list the input files that params.yaml names, with their checksums: `python -m experiments.inputs`.

It runs each time, since only it can tell whether a file has changed; a later stage reruns when its list is another one. Each list
is a CSV of path and SHA-256 (or why there is none). A key that names the data folder itself has an empty list: the folder's own
covers it. Checksums are remembered in data/.checksums.json, so that unchanged files are not read again.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from experiments.settings.decision import SubmitSettings
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
    places = {
        "data.folder": data.folder,
        "data.patients": data.patients,
        "submit.images": submit.images,
        "submit.sample": submit.sample,
    }
    checksums = Checksums(CHECKSUMS)
    for name, place in places.items():
        own = place is None or (name != "data.folder" and Path(place) == Path(data.folder))
        found = list(inventory([] if own else [str(place)], checksums))
        write_csv(FOLDER / f"{name}.csv", pd.DataFrame(found, columns=["path", "sha256"]))
    checksums.save()


if __name__ == "__main__":
    command.run(main, __doc__)
