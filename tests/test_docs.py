"""README and docs: limits, links, figures, navigation, and shell commands that name what exists."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md"))
CURRENT = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(page for page in PAGES if page.name != "log.md")]
"""Pages about the present; the log keeps the names of its day."""
KINDS = ("How-to", "Reference", "Explanation")
METRICS = {
    "Kaggle Dice, all images": "kaggle_dice",
    "all-empty baseline": "all_empty",
    "D⁺, mean Dice of positive images": "dice_positive",
    "TNR, share of empty images left empty": "tnr",
    "AUROC, with all mask features": "auroc",
    "AUROC, pooled evidence of the two heads": "auroc_classifier",
}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def shell(path: Path) -> Iterator[str]:
    """The lines of a page's indented and fenced shell blocks, and its inline code."""
    fence = ""
    for line in path.read_text().split("\n"):
        if line.lstrip().startswith("```"):
            fence = "" if fence else line.strip().removeprefix("```") or "text"
        elif fence in ("bash", "sh", "console") or (not fence and line.startswith("    ")):
            yield line.strip()
        elif not fence:
            yield from re.findall(r"`([^`]+)`", line)


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))


def test_the_readme_keeps_its_limits() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 130
    assert max(map(len, lines)) <= 120


def test_the_readmes_tree_names_every_package_folder() -> None:
    text = (ROOT / "README.md").read_text()
    tree = text[text.index("## The tree") : text.index("## Read on")]
    assert len(tree.splitlines()) <= 43
    named = re.findall(r"^([a-z_]+(?:/[a-z_]+)*)/", tree, re.M)
    assert [folder for folder in named if not (ROOT / folder).is_dir()] == []
    packages = ("imaging", "experiments", "classification", "segmentation", "ensemble")
    folders = {
        name(path.parent)
        for package in packages
        for path in (ROOT / package).rglob("__init__.py")
        if len(path.relative_to(ROOT).parts) <= 3
    }
    assert folders - set(named) == {"segmentation/architectures"}  # named in the line of segmentation/


def test_the_readmes_results_are_those_of_the_last_run() -> None:
    measured = json.loads((ROOT / "reports/evaluation/metrics.json").read_text())
    rows = dict(re.findall(r"^\| (.+?) \| ([.\d].*?) \|$", (ROOT / "README.md").read_text(), re.M))
    for row, key in METRICS.items():
        numbers = [float(number) for number in re.findall(r"[\d.]*\d", rows[row])]
        expected = [measured[key][part] for part in ("value", "low", "high")][: len(numbers)]
        assert numbers == [round(number, 3) for number in expected], row


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_says_its_kind_on_top(page: Path) -> None:
    if page.name in ("index.md", "log.md") or (page.parent.name == "decisions" and page.name != "README.md"):
        return
    lead = page.read_text().split("\n\n")[1].lstrip("*")
    assert lead.startswith(tuple(f"{kind}." for kind in KINDS) + tuple(f"{kind}, " for kind in KINDS)), lead[
        :60
    ]


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text()
    named = re.findall(r"[\w/-]+\.md", text[text.index("\nnav:") :])
    assert sorted(named) == sorted(str(page.relative_to(DOCS)) for page in PAGES)
    assert yaml.safe_load(text)["theme"]["font"] is False


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES], ids=name)
def test_links_and_figures_exist(page: Path) -> None:
    text = page.read_text()
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    local = [link.split("#")[0] for link in links if not re.match(r"[a-z]+:|#", link)]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", CURRENT, ids=name)
def test_shell_commands_name_what_exists(page: Path) -> None:
    wrong = []
    for line in shell(page):
        for module in re.findall(r"python3? -m ([\w.]+)", line):
            if module.split(".")[0] not in ("mlflow", "pip", "venv", "ray") and not exists(module):
                wrong.append(module)
        wrong += [
            script for script in re.findall(r"python (\w[\w/]*\.py)", line) if not (ROOT / script).exists()
        ]
        wrong += [target for target in re.findall(r"(?:^|\s)make ([a-z-]+)", line) if target not in targets()]
        wrong += [
            recipe
            for recipe in re.findall(r"RECIPE=([a-z][\w.-]*)", line)
            if recipe != "name" and not (ROOT / f"experiments/recipes/{recipe}.yaml").exists()
        ]
    assert wrong == []


def exists(module: str) -> bool:
    path = ROOT / module.replace(".", "/")
    return path.with_suffix(".py").exists() or (path / "__main__.py").exists()


def test_pages_named_in_the_code_exist() -> None:
    packages = ("imaging", "experiments", "classification", "segmentation", "ensemble", "benchmarks")
    files = [
        path
        for package in packages
        for path in (ROOT / package).rglob("*")
        if path.suffix in (".py", ".yaml")
    ]
    named = {
        (name(path), page) for path in files for page in re.findall(r"\bdocs/[\w/-]+\.md\b", path.read_text())
    }
    assert sorted((file, page) for file, page in named if not (ROOT / page).exists()) == []


@pytest.mark.slow
def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere() -> None:
    if importlib.util.find_spec("zensical") is None:
        pytest.skip("needs the extra docs")
    subprocess.run(["zensical", "build", "--clean", "--strict"], cwd=ROOT, check=True, capture_output=True)
    loaded = r'<(?:script|img|iframe|source)[^>]+src="(?:https?:)?//[^"]+"|<link[^>]+rel="(?:stylesheet|preload|icon)"[^>]+href="https?://'
    pages = list((ROOT / "site").rglob("*.html"))
    assert len(pages) > len(PAGES) / 2
    assert [name(page) for page in pages if re.search(loaded, page.read_text())] == []
