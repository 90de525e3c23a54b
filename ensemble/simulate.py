"""Compare the decision rules on generated images whose best possible prediction is known: `python -m ensemble.simulate`."""

from __future__ import annotations

import argparse

from ensemble.gallery.simulation import compare, picture
from imaging.io import command
from imaging.io.files import check_names_file
from imaging.plotting import save


def main() -> None:
    """Print the comparison; with --figure also draw it."""
    parser = argparse.ArgumentParser(prog="python -m ensemble.simulate", description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=command.count, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--figure", type=command.place, help="PNG to write")
    options = parser.parse_args()
    if options.figure:
        check_names_file(options.figure)
    table = compare(options.images, options.seed)
    print(table.to_string(index=False, float_format="%.4f"))
    if options.figure:
        save(picture(table, 3000, options.seed), options.figure)


if __name__ == "__main__":
    command.run(main)
