"""The whole params.yaml, typed: what each section may hold, with a docstring under each field.

`python -m experiments.params` validates params.yaml (or the files named) and says what is wrong, one line a fault.
"""

from __future__ import annotations

import argparse
import sys

from experiments.settings.params import load
from imaging.io import command
from imaging.io.config import PARAMS_FILE


def main() -> None:
    """Validate the files named on the command line, or params.yaml."""
    parser = argparse.ArgumentParser(prog="python -m experiments.params", description="Validate params.yaml.")
    parser.add_argument(
        "files", nargs="*", default=[PARAMS_FILE], help="files to validate (default: params.yaml)"
    )
    for path in parser.parse_args().files:
        try:
            load(path)
        except ValueError as error:
            sys.exit(f"{path}:\n{error}")
        print(f"{path}: valid")


if __name__ == "__main__":
    command.run(main)
