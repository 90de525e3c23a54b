"""Which modules of this project a module imports, read from the source: `python -m experiments.imports`
checks dvc.yaml by it, with `--write` mends it.

DVC does not follow Python imports: a stage whose deps miss a module is silently not run again when that module changes.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from imaging.io.files import write_text

# Imports run to the left only; classification and segmentation never import each other.
LAYERS = {"imaging": 0, "experiments": 1, "classification": 2, "segmentation": 2, "ensemble": 3}


def file_of(module: str) -> Path | None:
    """The source of a dotted name, None when it is no module of this project."""
    path = Path(*module.split("."))
    if module.split(".")[0] not in LAYERS:
        return None
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def direct(path: Path) -> set[Path]:
    """Project files that a source file imports itself, wherever in it, with the `__init__.py` files on the way."""
    found: set[Path] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            chain = [file_of(".".join(parts[: i + 1])) for i in range(len(parts))]
            found |= {file for file in chain if file is not None and file.read_text(encoding="utf-8").strip()}
    return found - {path}


def closure(path: Path) -> set[Path]:
    """All project files that running a source file loads, itself included."""
    seen: set[Path] = set()
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if file not in seen:
            seen.add(file)
            waiting += direct(file)
    return seen


def arrows_back() -> list[str]:
    """Imports against the direction of the layers, a line each."""
    faults = []
    for package, layer in LAYERS.items():
        for path in sorted(Path(package).rglob("*.py")):
            for target in sorted(direct(path)):
                other = target.parts[0]
                if other != package and LAYERS[other] >= layer:
                    faults.append(f"{path} imports {target}: {package} may not depend on {other}")
    return faults


def needed(command: str) -> list[str]:
    """Files of this project that a stage's command `python -m module …` loads, sorted."""
    match = re.search(r"python -m ([\w.]+)", command)
    source = (file_of(f"{match[1]}.__main__") or file_of(match[1])) if match else None
    if source is None:
        raise ValueError(f"dvc.yaml: the command {command!r} runs no module of this project")
    above = [folder / "__init__.py" for folder in source.parents if (folder / "__init__.py").is_file()]
    loaded = closure(source).union(*(closure(init) for init in above))
    return sorted(path.as_posix() for path in loaded if path.read_text(encoding="utf-8").strip())


def faults_of(name: str, stage: dict[str, Any]) -> list[str]:
    """Modules that the stage's deps miss, or list without need; a study must not start again because of an edit."""
    listed = {dep for dep in stage.get("deps", []) if str(dep).endswith(".py")}
    wanted = set() if name.startswith("tune_") else set(needed(stage["cmd"]))
    missing = [f"dvc.yaml: stage {name} misses dep {path}" for path in sorted(wanted - listed)]
    return missing + [
        f"dvc.yaml: stage {name} lists {path}, which it does not load" for path in sorted(listed - wanted)
    ]


def rewrite(text: str) -> str:
    """dvc.yaml's text with the modules among each stage's deps brought up to date; all else stays as it is."""
    found = yaml.safe_load(text)["stages"]

    def block(match: re.Match[str]) -> str:
        name, head, deps = match[1], match[2], match[3]
        kept = [line for line in deps.splitlines() if not line.endswith(".py")]
        if not name.startswith("tune_"):
            kept += [f"      - {path}" for path in needed(found[name]["cmd"])]
        return f"  {name}:\n{head}    deps:\n" + "\n".join(kept) + "\n"

    return re.sub(
        r"^  (\w+):\n((?:    .*\n)*?)    deps:\n((?:      - .*\n)+)", block, text, flags=re.MULTILINE
    )


def main() -> None:
    """Print every fault and exit 1 when there is one; `--write` first brings dvc.yaml's modules up to date."""
    file = Path("dvc.yaml")
    if "--write" in sys.argv[1:]:
        write_text(file, rewrite(file.read_text(encoding="utf-8")))
    stages = yaml.safe_load(file.read_text(encoding="utf-8"))["stages"]
    faults = arrows_back() + [fault for name, stage in stages.items() for fault in faults_of(name, stage)]
    sys.exit("\n".join(faults) or 0)


if __name__ == "__main__":
    main()
