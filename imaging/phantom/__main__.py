"""Stage `phantom`: write the generated data set to data/phantom, or a note if the settings use another source."""

from __future__ import annotations

from pathlib import Path

from imaging.io import command
from imaging.io.config import load_section
from imaging.io.files import write_text
from imaging.phantom.dataset import NOTE, replaced, write
from imaging.phantom.head import dataset as head
from imaging.settings import DataSettings, PhantomSettings

FOLDER = Path("data/phantom")


def main() -> None:
    """Run the stage."""
    data = load_section("data", DataSettings)
    settings = load_section("phantom", PhantomSettings)
    if data.source == "phantom":
        (head.write if settings.kind == "head_ct" else write)(FOLDER, settings)
    else:
        leave_note(FOLDER, data)


def leave_note(folder: Path, data: DataSettings) -> None:
    """Write a folder with a note only: DVC requires the stage's output to exist."""
    with replaced(folder) as part:
        write_text(
            part / NOTE,
            f"No phantoms: data.source is {data.source!r} and the images come from {data.folder}.\n",
        )


if __name__ == "__main__":
    command.run(main, __doc__)
