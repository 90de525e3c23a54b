"""Validate params.yaml, the paths that it names and its networks, before anything runs: `python -m experiments.params [FILE …]`.

The stage `params` writes a stamp, a file of constant content: a valid change of a setting starts only the stages that use it. It
lists the classifiers too, so that the folders of their weights and predictions exist where there are none.
"""

from __future__ import annotations

import argparse
import sys

from experiments.plan.stages import check_buildable
from experiments.settings.params import load
from experiments.settings.paths import check_paths
from imaging.io import command
from imaging.io.config import PARAMS_FILE
from imaging.io.files import write_json, write_text

CLASSIFIERS = ("models/classification/models.json", "predictions/classification/models.json")
"""Both hold the list `classification.models`."""


def main() -> None:
    """Validate the files named on the command line, or params.yaml with its paths."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.params", description="Validate params files."
    )
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help=f"params files (default: {PARAMS_FILE} and its paths)"
    )
    parser.add_argument(
        "--stamp", type=command.place, help="write this file, and the lists of classifiers, when all is valid"
    )
    given = parser.parse_args()
    for path in given.files or [PARAMS_FILE]:
        try:
            params = load(path)
            if not given.files:
                check_paths(params)
            check_buildable(params)
        except ValueError as error:
            named = str(error).startswith(f"{path}: ")
            sys.exit(str(error) if named else f"{path}:\n{error}")
        print(f"{path}: valid")
    if given.stamp:
        write_text(given.stamp, "valid\n")
        for path in CLASSIFIERS:
            write_json(path, load().classification.models)


if __name__ == "__main__":
    command.run(main)
