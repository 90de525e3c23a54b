"""The README's tree, one line a file, from the modules' own first sentences: `python -m experiments.tree --write`.

Without `--write` it says whether the README is up to date.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from experiments.imports import LAYERS
from imaging.io.files import write_text

README = Path("README.md")
BEGIN, END = "```\nimaging/", "```\n"
WIDTH = 150
FOLDERS = {
    "imaging": "what we look at",
    "experiments": "how a run is run",
    "classification": "is it there?",
    "segmentation": "where is it?",
    "ensemble": "what do we say?",
    "imaging/phantom": "generated chest radiographs in SIIM's form: patients, anatomy, disease, devices, exposure",
}
WHOLE = ("imaging/phantom",)
"""Folders that one line is enough for."""
REST = """\
benchmarks/               speed and scale against the usual ways, as ratios in one run
docs/                     how it works, page by page; the log; decisions with their reasons
tests/                    mirrors the above
dvc.yaml, params.yaml     the pipeline and its settings
"""


def first_sentence(path: Path) -> str:
    """What a module says of itself first, as one line without its full stop."""
    text = " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split())
    ends = [place for sign in (". ", ": `python") if (place := text.find(sign)) > 0]
    text = text[: min(ends, default=len(text))].rstrip(".:")
    room = WIDTH - 28
    return text if len(text) <= room else text[:room].rsplit(" ", 1)[0].rstrip(",;:") + " …"


def lines() -> list[str]:
    """All packages, each with its modules, folder after folder."""
    found: list[str] = []
    for package in LAYERS:
        folders = sorted({path.parent for path in Path(package).rglob("*.py")})
        for folder in folders:
            name = folder.as_posix()
            modules = (
                [] if name in WHOLE else sorted(path for path in folder.glob("*.py") if path.name[0] != "_")
            )
            if any(name.startswith(f"{whole}/") for whole in WHOLE):
                continue
            found.append(
                f"{name + '/':25} {FOLDERS.get(name) or first_sentence(folder / '__init__.py')}".rstrip()
            )
            found += [f"  {path.name:23} {first_sentence(path)}" for path in modules]
    return found


def rewrite(text: str) -> str:
    """The README's text with the tree as it is now."""
    start = text.index(BEGIN)
    end = text.index(END, start + len(BEGIN))
    return f"{text[:start]}```\n" + "\n".join(lines()) + f"\n{REST}{text[end:]}"


def main() -> None:
    """Compare, or write."""
    text = README.read_text(encoding="utf-8")
    if "--write" in sys.argv[1:]:
        write_text(README, rewrite(text))
    elif rewrite(text) != text:
        sys.exit("README.md's tree is not up to date; run `python -m experiments.tree --write`")


if __name__ == "__main__":
    main()
