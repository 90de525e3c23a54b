"""Write the prepared data for another tool, with the same folds: `python -m imaging.export mmsegmentation|nnunet --output DIR`.

Images are read from their original files and written at full resolution as 8-bit PNG; masks are 0 and 1. Unlabelled images are
omitted. docs/sources.md explains the use with each tool.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from imaging.export import mmsegmentation, nnunet
from imaging.export.writer import write
from imaging.io import command
from imaging.prepared import FOLDER, Prepared

TOOLS = {
    "mmsegmentation": (mmsegmentation.save, mmsegmentation.tables),
    "nnunet": (nnunet.save, nnunet.tables),
}


def export(tool: str, output: Path, data: str | Path = FOLDER, reduced: bool = False) -> int:
    """Export prepared and split data and return the number of images; ValueError when data is missing or the output exists."""
    if tool == "nnunet":
        nnunet.check_name(output)
    save, tables = TOOLS[tool]
    return write(Prepared(data), output, reduced, save, tables)


def main() -> None:
    """Parse the command line and export."""
    parser = argparse.ArgumentParser(
        prog="python -m imaging.export", description="Write the prepared data for another tool."
    )
    parser.add_argument("tool", choices=TOOLS)
    parser.add_argument("--output", type=command.place, required=True, help="folder to create")
    parser.add_argument("--data", default=FOLDER, help="prepared data (default: %(default)s)")
    parser.add_argument(
        "--reduced",
        action="store_true",
        help="export the prepared square images, when the original files are gone",
    )
    given = parser.parse_args()
    count = export(given.tool, given.output, given.data, given.reduced)
    print(f"{count:,} images in {given.output}")


if __name__ == "__main__":
    command.run(main)
