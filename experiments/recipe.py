"""Put a recipe in the place of params.yaml: `python -m experiments.recipe NAME [--data FOLDER] [--scale tiny]`.

A recipe is a whole params file in experiments/recipes/. It is validated before it is put in place, and a params.yaml
with edits of one's own, which neither git nor a recipe holds, is never written over.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from experiments.settings import params
from experiments.settings.scaling import SCALES, reduced
from imaging.io import command
from imaging.io.config import PARAMS_FILE, read_yaml, validate
from imaging.io.files import write_text

FOLDER = Path(__file__).parent / "recipes"


def names() -> list[str]:
    """All recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def text_of(name: str, data: str | None = None, scale: str | None = None) -> str:
    """A recipe's text, with its data folder replaced when one is given, or reduced to a scale on generated images.

    A ValueError lists the recipes there are.
    """
    if name not in names():
        raise ValueError(f"no recipe {name!r}; there are {', '.join(names())}")
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    if scale is not None and data is not None:
        raise ValueError(
            f"DATA={data} and SCALE={scale}: a reduced recipe runs on generated images; leave one out"
        )
    if scale is not None:
        content = reduced(yaml.safe_load(text), SCALES[scale])
        return f"# {name} at scale {scale}, on phantoms\n" + yaml.safe_dump(content, sort_keys=False)
    if data is None:
        return text
    folder = Path(data).expanduser()
    if not folder.is_dir():
        raise ValueError(f"DATA={data}: no such folder")
    return re.sub(r"(?m)^(  folder:) .*$", rf"\1 {folder.resolve()}", text, count=1)


def is_kept_elsewhere(path: Path) -> bool:
    """Whether the params file is that of the last commit, or a recipe with any data folder or at any scale."""
    clean = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", str(path)], capture_output=True)
    if clean.returncode == 0 or not path.exists():
        return True
    mine = _without_folder(read_yaml(path))
    known = [read_yaml(FOLDER / f"{name}.yaml") for name in names()]
    known += [reduced(recipe, scale) for recipe in known for scale in SCALES.values()]
    return any(_without_folder(recipe) == mine for recipe in known)


def put(name: str, data: str | None = None, path: Path = Path(PARAMS_FILE), scale: str | None = None) -> None:
    """Write the recipe as params.yaml; ValueError when the recipe is not valid or own edits would be lost."""
    text = text_of(name, data, scale)
    if not is_kept_elsewhere(path):
        raise ValueError(
            f"{path} has edits of yours that no commit and no recipe holds; commit them, or save them as "
            "experiments/recipes/<name>.yaml"
        )
    validate(params.Params, yaml.safe_load(text), "")
    write_text(path, text)


def _without_folder(content: dict[str, Any]) -> dict[str, Any]:
    return {
        **content,
        "data": {key: value for key, value in content.get("data", {}).items() if key != "folder"},
    }


def main() -> None:
    """Put the recipe named on the command line in place."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.recipe", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("name", help=", ".join(names()))
    parser.add_argument("--data", help="the source's folder, in place of the recipe's")
    parser.add_argument("--scale", choices=SCALES, help="reduced, on generated images: to see it run")
    given = parser.parse_args()
    try:
        put(given.name, given.data, scale=given.scale)
    except ValueError as error:
        sys.exit(str(error))
    print(f"{PARAMS_FILE} is now the recipe {given.name}", flush=True)


if __name__ == "__main__":
    command.run(main)
