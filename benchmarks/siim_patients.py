"""Build imaging/identity/siim_patients.csv from a table of SIIM-ACR's image ids and NIH ChestX-ray14's image names.

    python -m benchmarks.siim_patients TABLE.csv

TABLE.csv has a header and the columns image id and NIH image name (`00028864_007.png`, whose first part is the patient).
The output has, sorted, twelve hex digits of each id's SHA-256 and the patient's number.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from imaging.identity.siim_patients import TABLE, hashed
from imaging.io.files import sha256, write_text


def build(table: Path) -> str:
    """The table as text; ValueError when two ids have one hash."""
    with table.open(encoding="utf-8-sig", newline="") as file:
        _, *rows = csv.reader(file)
    found = {hashed(image_id): int(name.split("_")[0]) for image_id, name in rows}
    if len(found) != len(rows):
        raise ValueError(f"{table}: {len(rows):,} rows, but {len(found):,} different ids")
    return "id,patient\n" + "".join(f"{key},{patient}\n" for key, patient in sorted(found.items()))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    write_text(TABLE, build(parser.parse_args().table))
    print(f"{TABLE}: SHA-256 {sha256(TABLE)}, to be entered in imaging/identity/siim_patients.py")


if __name__ == "__main__":
    main()
