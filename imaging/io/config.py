"""Read a YAML file and validate it against typed settings, with errors that name the key, the value and the fix."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

PARAMS_FILE = "params.yaml"
MAX_VALUES = 100_000
"""Upper limit of values in a params file: it has a few hundred; nested aliases can expand to any number."""


class Settings(BaseModel):
    """Base of all sections: unknown keys are errors, numbers are finite, instances are frozen, field docstrings become
    descriptions."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _true_is_no_number(cls, values: Any) -> Any:
        for key, value in values.items() if isinstance(values, dict) else ():
            kinds = _kinds(cls.model_fields[key].annotation) if key in cls.model_fields else set()
            if isinstance(value, bool) and bool not in kinds and kinds & {int, float}:
                raise ValueError(f"{key} {str(value).lower()} must be a number, not true or false")
        return values


def _kinds(annotation: Any) -> set[Any]:
    """The types that an annotation allows; for a union, each of them."""
    if get_origin(annotation) is Literal:
        return {type(value) for value in get_args(annotation)}
    if get_origin(annotation) in (Union, UnionType):
        return set().union(*map(_kinds, get_args(annotation)))
    return _kinds(get_args(annotation)[0]) if get_origin(annotation) is Annotated else {annotation}


S = TypeVar("S", bound=Settings)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader that raises an error on duplicate keys instead of taking the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[Any, yaml.Node] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be text", key.start_mark)
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                first = seen[key.value].start_mark.line + 1
                raise yaml.constructor.ConstructorError(
                    None, None, f"key `{key.value}` is given twice (first in line {first})", key.start_mark
                )
            seen[key.value] = key
        return super().construct_mapping(node, deep)


def _decimal(loader: _Loader, node: yaml.ScalarNode) -> Any:
    """A number; an error for YAML 1.1's octal 010 and base 60 1:30, which nobody means."""
    text = str(node.value)
    if ":" in text or re.match(r"[-+]?0[0-9_]", text):
        raise yaml.constructor.ConstructorError(
            None, None, f"{text} is not a decimal number; write one, or put text in quotes", node.start_mark
        )
    kind = loader.construct_yaml_int if node.tag.endswith(":int") else loader.construct_yaml_float
    try:
        return kind(node)
    except ValueError:
        raise yaml.constructor.ConstructorError(
            None, None, f"{text!r} is not a number", node.start_mark
        ) from None


for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _decimal)


def parse_yaml(text: str, name: str = "text") -> Any:
    """Parse YAML without objects; yaml.YAMLError on a syntax error or a duplicate key, with the line and `name`."""
    loader = _Loader(text)
    loader.name = name
    try:
        return loader.get_single_data()
    except (ValueError, AttributeError, TypeError) as error:  # PyYAML's own, of a date such as 2020-13-01
        raise yaml.constructor.ConstructorError(None, None, f"{error} (text needs quotes)", None) from error
    except RecursionError as error:
        raise yaml.constructor.ConstructorError(None, None, "nested too deeply", None) from error
    finally:
        loader.dispose()


def read_yaml(path: str | Path = PARAMS_FILE) -> dict[str, Any]:
    """Read a params file; ValueError names the file and the fault."""
    path = Path(path)
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such params file; run from the repository root") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(content, dict):
        found = "the file is empty" if content is None else f"found {_shortened(content)}"
        raise ValueError(f"{path}: expected sections such as `data:` and `segmentation:`; {found}")
    if _values(content, {}) > MAX_VALUES:
        raise ValueError(f"{path}: its aliases expand to more than {MAX_VALUES:,} values; write them out")
    return content


def _shortened(content: Any) -> str:
    text = repr(content)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _values(node: Any, seen: dict[int, int]) -> int:
    """Count the values of a tree of lists and dictionaries after expanding aliases; shared branches are visited once."""
    if not isinstance(node, dict | list):
        return 1
    if id(node) not in seen:
        seen[id(node)] = 0  # of a branch within itself
        branches = node.values() if isinstance(node, dict) else node
        seen[id(node)] = 1 + sum(_values(branch, seen) for branch in branches)
    return seen[id(node)]


def validate(cls: type[S], values: Any, where: str, options: Mapping[str, str] | None = None) -> S:
    """Build `cls` from plain values; a ValueError has one line for each fault, with key, value and what is allowed.

    options: the option of a command line that gave a key's value, by key; a fault of that value names the option.
    """
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        faults = [_fault(cls, where, fault, options or {}) for fault in _by_key(error, values)]
        raise ValueError(without_passwords("\n".join(faults))) from None


def _by_key(error: ValidationError, values: Any) -> list[dict[str, Any]]:
    """The faults, one for each key: pydantic has one for each type of a union, and puts the type's name behind the key."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for fault in error.errors():
        loc = fault["loc"] if fault["type"] == "missing" else _within(fault["loc"], values)
        if loc in found:
            found[loc]["msg"] += f", or {fault['msg'].removeprefix('Input should be ')}"
        else:
            found[loc] = {**fault, "loc": loc, "of_key": fault["loc"][-1:] == ("[key]",)}
    return list(found.values())


def _within(loc: tuple[Any, ...], values: Any) -> tuple[Any, ...]:
    """The parts of a path that exist in the values: without a union's kind in the middle and a type's name at the end."""
    found = []
    for part in loc:
        if part in values if isinstance(values, dict) else isinstance(values, list) and isinstance(part, int):
            found.append(part)
            values = values[part]
    return tuple(found)


def without_passwords(text: str) -> str:
    """Replace the password in every `//user:password@host` by `***`."""
    return re.sub(r"(//[^:/@\s]*):\S*@", r"\1:***@", text)


def load_section(name: str, cls: type[S], path: str | Path = PARAMS_FILE) -> S:
    """Read one section of the params file, for example `load_section("data", DataSettings)`."""
    return validate(cls, read_yaml(path).get(name, {}), name)


def _fault(cls: type[BaseModel], where: str, fault: Any, options: Mapping[str, str]) -> str:
    if options and (not fault["loc"] or fault["loc"][0] in options):
        return _fault_of_option(cls, fault, options)
    key = ".".join(str(part) for part in (*([where] if where else []), *fault["loc"]))
    if fault["type"] == "extra_forbidden":
        return f"params: unknown key `{key}` (value {fault['input']!r}); {_suggestion(cls, fault['loc'])}"
    if fault["type"] == "missing":
        return f"params: `{key}` is missing"
    if fault["type"] == "literal_error" and fault["of_key"]:
        return f"params: unknown key `{key}`; known here: {fault['ctx']['expected']}"
    message = _in_words(fault)
    if message.startswith(
        "params: "
    ):  # from settings within settings, such as a model's variant: it names the whole key
        return message
    if not fault["loc"] or (fault["type"] == "value_error" and isinstance(fault["input"], dict)):
        # a contradiction between keys: the message names them itself
        return f"params: `{key}`: {message}" if key else f"params: {message}"
    return f"params: `{key}` is {fault['input']!r}: {message}"


def _in_words(fault: Any) -> str:
    """Pydantic's message, reworded where it names Python's types."""
    if fault["type"] == "model_type":
        return "must be a section of `key: value` lines; leave it out for the defaults"
    if fault["type"] == "too_short":
        return f"must hold {fault['ctx']['min_length']} or more"
    return fault["msg"].removeprefix("Value error, ")


def _fault_of_option(cls: type[BaseModel], fault: Any, options: Mapping[str, str]) -> str:
    message = fault["msg"].removeprefix("Value error, ")
    if not fault["loc"]:  # a contradiction between keys: the message names them itself
        return f"{', '.join(dict.fromkeys(options.values()))}: {message}"
    name = ".".join([options[fault["loc"][0]], *map(str, fault["loc"][1:])])
    if fault["type"] == "extra_forbidden":
        return f"{name}: unknown key; {_suggestion(cls, fault['loc'])}"
    return f"{name} {fault['input']!r}: {message}"


def _suggestion(cls: type[BaseModel], loc: tuple[Any, ...]) -> str:
    return did_you_mean(str(loc[-1]), _known(cls, loc))


def did_you_mean(key: str, known: Sequence[str]) -> str:
    """A phrase with the known key that looks like an unknown one, or with all known keys."""
    close = get_close_matches(key, known, n=1)
    return f"did you mean `{close[0]}`?" if close else f"known here: {', '.join(known)}"


def _known(cls: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    for part in loc[:-1]:
        annotation = cls.model_fields[part].annotation if part in cls.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            break
        cls = annotation
    return sorted(cls.model_fields)
