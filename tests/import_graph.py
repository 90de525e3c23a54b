"""Read the project's import graph from its source: layers, circles between folders, and the modules that a stage loads."""

from __future__ import annotations

import ast
import re
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

LAYERS = {"imaging": 0, "experiments": 1, "classification": 2, "segmentation": 2, "ensemble": 3}
"""A package imports from lower layers only; the two stages never import each other."""

NEUTRAL = (
    "imaging/io",
    "imaging/caption.py",
    "imaging/outline.py",
    "imaging/plotting.py",
    "imaging/settings.py",
    "experiments/environment.py",
    "experiments/hardware.py",
    "experiments/monitoring",
    "experiments/params.py",
    "experiments/provenance.py",
    "experiments/ranks.py",
    "experiments/run_group.py",
    "experiments/settings",
    "experiments/tracking.py",
)
"""Loaded by stages without deciding a result: files, plots, tracking, and settings, whose values are DVC params."""


def source_of(module: str) -> Path | None:
    """Source file of a dotted name; None when it is no module of this project."""
    path = Path(*module.split("."))
    if path.parts[0] not in LAYERS:
        return None
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


@cache
def imported(path: Path) -> frozenset[Path]:
    """Project files that a source file imports, wherever in it the import stands."""
    found: set[Path | None] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            members = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if source_of(name) else node.module for name in members]
        found |= {source_of(name) for name in names}
    return frozenset(p for p in found if p is not None and p != path)


def loaded(path: Path) -> set[Path]:
    """All project files that running a source file loads, itself included."""
    seen: set[Path] = set()
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if file not in seen:
            seen.add(file)
            waiting += imported(file)
    return seen


def upward_imports() -> list[str]:
    """Imports from a lower layer to a higher one, a line each."""
    return [
        f"{path} imports {target}: {package} may not depend on {target.parts[0]}"
        for package, layer in LAYERS.items()
        for path in sorted(Path(package).rglob("*.py"))
        for target in sorted(imported(path))
        if target.parts[0] != package and LAYERS[target.parts[0]] >= layer
    ]


def circle(folders: bool) -> list[str]:
    """The files (or folders) of one import circle, [] when there is none.

    In a folder that has folders each module counts for itself: commands there import the folders below them.
    """
    graph: dict[str, set[str]] = {}
    for package in LAYERS:
        for path in Path(package).rglob("*.py"):
            for target in imported(path):
                a, b = (_room(p) if folders else p.as_posix() for p in (path, target))
                if a != b:
                    graph.setdefault(a, set()).add(b)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def _room(path: Path) -> str:
    has_folders = any(other.parent.parent == path.parent for other in path.parent.glob("*/*.py"))
    return path.as_posix() if has_folders else path.parent.as_posix()


def commands() -> set[Path]:
    """Modules that are run with `python -m`."""
    return {
        path
        for package in LAYERS
        for path in Path(package).rglob("*.py")
        if 'if __name__ == "__main__"' in path.read_text(encoding="utf-8")
    }


def commands_imported() -> list[str]:
    """Imports of a command by another module: what is shared belongs in a module of its own."""
    return [
        f"{path} imports the command {target}"
        for package in LAYERS
        for path in sorted(Path(package).rglob("*.py"))
        for target in sorted(imported(path) & commands())
    ]


def missing_deps(command: str, deps: list[str]) -> list[str]:
    """Modules that the command `python -m module …` loads and that lie neither under its deps nor in NEUTRAL."""
    match = re.search(r"-m ([\w.]+)", command)
    source = (source_of(f"{match[1]}.__main__") or source_of(match[1])) if match else None
    if source is None:
        raise ValueError(f"{command!r} runs no module of this project")
    return sorted(
        path.as_posix()
        for path in loaded(source)
        if path.name != "__init__.py" or path.parent.as_posix() == "imaging/dicom"
        if not any(_under(path, place) for place in (*NEUTRAL, *deps))
    )


def _under(path: Path, place: str) -> bool:
    return path.as_posix() == place or path.is_relative_to(place)
