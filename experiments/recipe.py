"""Replace params.yaml with a recipe: `python -m experiments.recipe NAME [--data FOLDER] [--set KEY=VALUE] [--scale tiny]`.

A recipe is a whole params file in experiments/recipes/. It is validated before it is put in place. A params.yaml with values that
neither git nor a recipe holds is never overwritten.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from experiments.environment import git
from experiments.settings import params, seeds
from experiments.settings.paths import PATHS
from experiments.settings.scaling import FIXED, SCALES, reduced
from imaging.io import command
from imaging.io.config import PARAMS_FILE, parse_yaml, read_yaml, validate
from imaging.io.files import write_text

FOLDER = Path(__file__).parent / "recipes"
HEADER = "# Written by experiments.recipe from "


@dataclass(frozen=True)
class Choice:
    """A recipe, and how it is changed."""

    name: str
    data: str | None = None
    """The source's folder, in place of the recipe's."""
    overrides: tuple[str, ...] = ()
    """`section.key=value`, with the value in YAML, as if written in the recipe: a scale reduces the networks' settings."""
    scale: str | None = None
    """A key of SCALES: reduced, on generated images."""


def names() -> list[str]:
    """All recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def text_of(choice: Choice) -> str:
    """The content of params.yaml for a choice, with the recipe's comments; ValueError for an invalid choice."""
    if choice.name not in names():
        raise ValueError(f"no recipe {choice.name!r}; known: {', '.join(names())}")
    if choice.scale is not None and choice.data is not None:
        raise ValueError(
            f"--data {choice.data} and --scale {choice.scale}: a reduced recipe runs on generated "
            "images; give only one of the two"
        )
    text = (FOLDER / f"{choice.name}.yaml").read_text(encoding="utf-8")
    if choice == Choice(choice.name):
        return text
    content = _editor().load(text)
    if choice.data is not None:
        _put_folder(content, choice.data)
    for override in choice.overrides:
        _put_override(content, override)
    if choice.scale is not None:
        content = reduced(parse_yaml(_dumped(content)), SCALES[choice.scale])
        for override in choice.overrides:
            if re.split("[.=]", override)[0] in FIXED:
                _put_override(content, override)
        text = yaml.safe_dump(content, sort_keys=False)
    else:
        text = _dumped(content)
    return f"{HEADER}{json.dumps(asdict(choice))}\n{text}"


def _editor() -> YAML:
    """Reads and writes YAML with its comments."""
    editor = YAML()
    editor.width = 10_000
    editor.preserve_quotes = True
    return editor


def _dumped(content: Any) -> str:
    text = io.StringIO()
    _editor().dump(content, text)
    return text.getvalue()


def _put_folder(content: Any, data: str) -> None:
    """Replace the data folder, also where a key names it for the source's own files."""
    folder = Path(data).expanduser()
    if not folder.is_dir():
        fault = "a file; name the folder that holds it" if folder.is_file() else "no such folder"
        raise ValueError(f"--data {data}: {fault}")
    old = content["data"]["folder"]
    for section, key in (path.split(".") for path in ("data.folder", *PATHS)):
        if content[section].get(key, old) == old:
            content[section][key] = str(folder.resolve())


def _put_override(content: Any, override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ValueError(f"--set {override!r}: write section.key=value, e.g. segmentation.lr=0.001")
    *sections, last = key.split(".")
    place = content
    for section in sections:
        place = place.setdefault(section, {}) if isinstance(place, dict) else None
    if not isinstance(place, dict):
        raise ValueError(f"--set {override!r}: {'.'.join(sections)} holds a value, not a section")
    try:
        found = parse_yaml(value)
    except yaml.YAMLError as error:
        raise ValueError(
            f"--set {override!r}: {value!r} is not valid YAML; a value with spaces needs quotes: "
            f"SET='\"{key}={{a: 1, b: 2}}\"'"
        ) from error
    if isinstance(found, dict) and any(":" in str(name) and found[name] is None for name in found):
        raise ValueError(
            f"--set {override!r}: YAML needs a space after each colon, and quotes around the whole setting: "
            f"SET='\"{key}={{a: 1, b: 2}}\"'"
        )
    place[last] = _quoted(found)


def _quoted(value: Any) -> Any:
    """Text, in quotes where YAML would otherwise read it as something else: the editor follows YAML 1.2, the reader 1.1
    (`no`)."""
    if isinstance(value, dict):
        return {_quoted(key): _quoted(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_quoted(one) for one in value]
    return DoubleQuotedScalarString(value) if isinstance(value, str) and not _is_text(value) else value


def _is_text(value: str) -> bool:
    try:
        return isinstance(parse_yaml(value), str)
    except yaml.YAMLError:
        return False


def changed_by_scale(choice: Choice) -> list[str]:
    """The overrides that have another value at the choice's scale, in words."""
    final, changed = parse_yaml(text_of(choice)), []
    for override in choice.overrides:
        key, _, value = override.partition("=")
        found = final
        for part in key.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        if found != parse_yaml(value):
            changed.append(f"{key} is {found}, not {value}")
    return changed


def is_kept_elsewhere(path: Path) -> bool:
    """Whether the params file is that of the last commit, a recipe, or what this command wrote from one."""
    text = path.read_text(encoding="utf-8", errors="replace").strip() if path.exists() else ""
    if not text or git("show", f"HEAD:./{path.name}", folder=path.parent) == text:
        return True
    mine = read_yaml(path)
    head = path.read_text(encoding="utf-8").split("\n", 1)[0]
    if head.startswith(HEADER):
        try:
            made = json.loads(head.removeprefix(HEADER))
            return parse_yaml(text_of(Choice(**{**made, "overrides": tuple(made["overrides"])}))) == mine
        except (ValueError, TypeError, KeyError):  # an edited header, or a folder that no longer exists
            return False
    return any(read_yaml(FOLDER / f"{name}.yaml") == mine for name in names())


def put(choice: Choice, path: Path = Path(PARAMS_FILE)) -> None:
    """Write the recipe as params.yaml; ValueError when the recipe is invalid or the user's edits would be lost."""
    text = text_of(choice)
    try:
        kept = is_kept_elsewhere(path)
    except ValueError as error:
        raise ValueError(f"{error}\nRepair it, restore it with `git checkout {path}`, or delete it") from None
    if not kept:
        raise ValueError(
            f"{path} has edits that neither git nor a recipe holds; commit them, or save them as "
            "experiments/recipes/<name>.yaml"
        )
    validate(params.Params, parse_yaml(text), "")
    write_text(path, text)


def main() -> None:
    """Put the recipe named on the command line in place."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.recipe", description="Use a recipe as params.yaml."
    )
    parser.add_argument("name", help=", ".join(names()))
    parser.add_argument("--data", help="the source's folder, in place of the recipe's")
    parser.add_argument("--set", default="", help='changed values, e.g. "segmentation.lr=0.001 split.seed=1"')
    parser.add_argument("--scale", choices=SCALES, help="reduced, on generated images, as a trial run")
    given = parser.parse_args()
    try:
        overrides = tuple(shlex.split(given.set))
    except ValueError as error:  # a quote that is not closed
        raise ValueError(f"--set {given.set!r}: {error}") from None
    seeds.recover()
    choice = Choice(given.name, given.data or None, overrides, given.scale)
    put(choice)
    scale = f", reduced to the scale {given.scale}" if given.scale else ""
    print(f"{PARAMS_FILE} is now the recipe {' '.join([given.name, given.set]).strip()}{scale}", flush=True)
    for change in changed_by_scale(choice) if given.scale else []:
        print(f"SCALE={given.scale}: {change}", flush=True)


if __name__ == "__main__":
    command.run(main)
