"""Read a YAML file and validate it against typed settings, with errors that name the key, the value and the fix."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

PARAMS_FILE = "params.yaml"
MAX_VALUES = 100_000
"""Values in a params file: a few hundred as written, and any number in a file of nested aliases, which would never end."""


class Settings(BaseModel):
    """Base of all sections: unknown keys are errors, values cannot change, field docstrings are kept."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


S = TypeVar("S", bound=Settings)


def read_yaml(path: str | Path = PARAMS_FILE) -> dict[str, Any]:
    """Read a params file as a dictionary; a ValueError names the file and what is wrong with it."""
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such params file; run from the repository root") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(
            f"{path}: expected sections such as `data:` and `segmentation:`, found {type(content).__name__}"
        )
    if _values(content, {}) > MAX_VALUES:
        raise ValueError(f"{path}: its aliases stand for more than {MAX_VALUES:,} values; write them out")
    return content


def _values(node: Any, seen: dict[int, int]) -> int:
    """Values that a tree of lists and dictionaries stands for, each shared branch looked at once."""
    if not isinstance(node, dict | list):
        return 1
    if id(node) not in seen:
        seen[id(node)] = 0  # of a branch within itself
        branches = node.values() if isinstance(node, dict) else node
        seen[id(node)] = 1 + sum(_values(branch, seen) for branch in branches)
    return seen[id(node)]


def validate(cls: type[S], values: Any, where: str) -> S:
    """Build `cls` from plain values; every fault is said in one line each with key, value and what is allowed."""
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        faults = "\n".join(_fault(cls, where, fault) for fault in error.errors())
        raise ValueError(without_passwords(faults)) from None


def without_passwords(text: str) -> str:
    """The same text with `***` for the password of every `//user:password@host` in it."""
    return re.sub(r"(//[^:/@\s]*):\S*@", r"\1:***@", text)


def load_section(name: str, cls: type[S], path: str | Path = PARAMS_FILE) -> S:
    """Read one section of the params file, for example `load_section("data", DataSettings)`."""
    return validate(cls, read_yaml(path).get(name, {}), name)


def _fault(cls: type[BaseModel], where: str, fault: Any) -> str:
    key = ".".join(str(part) for part in (*([where] if where else []), *fault["loc"]))
    if fault["type"] == "extra_forbidden":
        return f"params: unknown key `{key}` (value {fault['input']!r}); known here: {', '.join(_known(cls, fault['loc']))}"
    if fault["type"] == "missing":
        return f"params: `{key}` is missing"
    message = fault["msg"].removeprefix("Value error, ")
    if not fault["loc"]:  # a contradiction between keys: the message names them itself
        return f"params: `{key}`: {message}"
    return f"params: `{key}` is {fault['input']!r}: {message}"


def _known(cls: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    for part in loc[:-1]:
        annotation = cls.model_fields[part].annotation if part in cls.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            break
        cls = annotation
    return sorted(cls.model_fields)
