"""Paint a pneumothorax on radiographs without one: `python -m imaging.painting --studies FOLDER --output FOLDER`."""

from __future__ import annotations

import argparse

from imaging.io import command
from imaging.io.files import check_apart, check_names_folder
from imaging.painting.dataset import write


def main() -> None:
    """Parse the command line and write the data set."""
    given = _parsed()
    for name in ("number", "decoys", "seed"):
        if getattr(given, name) < 0:
            raise ValueError(f"--{name} {getattr(given, name)}: must be at least 0")
    if given.number + given.decoys == 0:
        raise ValueError("--number 0 and --decoys 0: nothing to paint; set one of them above 0")
    check_names_folder(given.studies)
    if not given.studies.is_dir():
        raise ValueError(
            f"--studies {given.studies}: no such folder; give one of studies in SIIM-ACR's format"
        )
    check_apart(given.output, "--output", {"the studies' folder": given.studies})
    made = write(given.studies, given.output, given.number, given.decoys, given.seed, given.copy_studies)
    print(f"{given.output}: {made.painted:,} films with painted air, {made.decoys:,} decoys")
    if made.refused:
        print(f"{len(made.refused):,} films could not be read, for example {made.refused[0]}")
    if (made.painted, made.decoys) != (given.number, given.decoys):
        print("Fewer than requested: no lung was found on the other films.")


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m imaging.painting",
        description="Paint a pneumothorax, with its exact mask, on radiographs that are labelled negative (docs/painting.md).",
    )
    add = parser.add_argument
    add(
        "--studies",
        type=command.place,
        required=True,
        help="folder in SIIM-ACR's format; without patients.csv, the built-in table of SIIM-ACR's ids gives the patients",
    )
    add("--output", type=command.place, required=True, help="folder to write, in the same format")
    add("--number", type=int, default=1000, help="films with painted air (default: %(default)s)")
    add(
        "--decoys",
        type=int,
        default=400,
        help="films with a single sign and no air, labelled negative (default: %(default)s)",
    )
    add("--seed", type=int, default=0, help="default: %(default)s")
    add(
        "--copy-studies",
        action="store_true",
        help="also copy the given studies, with their labels, to the output",
    )
    return parser.parse_args()


if __name__ == "__main__":
    command.run(main)
