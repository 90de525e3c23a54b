"""Paths in params.yaml that lie outside the pipeline: what they may be, checked before anything runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from experiments.settings.params import Params
from experiments.settings.training import for_model

PHANTOM = Path("data/phantom")
"""Output of the stage `phantom`, which leaves only a note in it where data.source is another."""
PATHS = ("data.patients", "submit.images", "submit.sample")
"""Keys beside `data.folder` that name input files. The data folder itself, or null, stands for the source's own file."""


def check_paths(params: Params) -> None:
    """Raise ValueError, with one line for each fault, when a path that a later stage reads is missing or empty."""
    data = params.data
    values = dict(zip(PATHS, (data.patients, params.submit.images, params.submit.sample), strict=True))
    faults = []
    if data.source != "phantom":
        faults = (
            _missing("data.folder", data.folder)
            or _wrong_kind("data.folder", Path(data.folder))
            or _emptied("data.folder", data.folder, data.source)
        )
    for key, value in values.items():
        if value is not None and Path(value) != Path(data.folder):
            faults += (
                _missing(key, value) or _wrong_kind(key, Path(value)) or _emptied(key, value, data.source)
            )
    faults += _missing_weights(params)
    if faults:
        raise ValueError("\n".join(faults))


def _missing_weights(params: Params) -> list[str]:
    """Faults of `pretrained` where it names a file, a folder or an earlier run; tags and repositories are fetched later."""
    advice = "docs/pretrained.md says how to get it, and `none` starts from random weights"
    faults = []
    for stage in ("classification", "segmentation"):
        section = getattr(params, stage)
        for wish in sorted({for_model(section, model).pretrained for model in section.models}):
            is_path = "/" in wish or wish.endswith(".safetensors")
            if is_path and not wish.startswith("hf-hub:") and not Path(wish.split("#")[0]).exists():
                faults.append(f"params: `{stage}.pretrained` is {wish!r}: no such file or folder; {advice}")
    return faults


def _missing(key: str, value: str) -> list[str]:
    return [] if Path(value).exists() else [f"params: `{key}` is {value!r}: no such file or folder"]


def _emptied(key: str, value: str, source: str) -> list[str]:
    """The fault of a path among the generated images, which are removed as soon as another source is configured, or of a folder
    that links to some of them."""
    if source == "phantom":
        return []
    where = ""
    if not Path(value).resolve().is_relative_to(PHANTOM.resolve()):
        link = _link_into_phantoms(value)
        if link is None:
            return []
        where = f", where the link {link} leads into {PHANTOM}"
    return [
        f"params: `{key}` is {value!r}{where}, but with `data.source: {source}` the stage `phantom` empties {PHANTOM}; "
        "copy what you need to another folder"
    ]


def _link_into_phantoms(folder: str) -> str | None:
    """The first link below a folder that leads to generated images; None without any.

    Links are followed, each folder once. A large folder is listed only where there are generated images to lose: they lie in
    subfolders, the note of another source beside none.
    """
    phantoms = PHANTOM.resolve()
    if not any(entry.is_dir() for entry in _entries(phantoms)):
        return None
    pending, seen = [folder], set[str]()
    while pending:
        place = pending.pop()
        if (real := os.path.realpath(place)) in seen:
            continue
        seen.add(real)
        for entry in _entries(place):
            is_link = entry.is_symlink()
            if is_link and Path(os.path.realpath(entry.path)).is_relative_to(phantoms):
                return entry.path
            # os.path.isdir tolerates circular links; entry.is_dir need not look at each of many thousand files
            if os.path.isdir(entry.path) if is_link else entry.is_dir():
                pending.append(entry.path)
    return None


def _entries(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    """What a folder holds, sorted, without hidden names, which no source reads; nothing where it cannot be read or is not a
    folder."""
    try:
        with os.scandir(folder) as found:
            yield from sorted(
                (one for one in found if not one.name.startswith(".")), key=lambda entry: entry.name
            )
    except OSError:
        return


def _wrong_kind(key: str, path: Path) -> list[str]:
    fault = f"params: `{key}` is '{path}'"
    if key in ("data.folder", "submit.images") and not path.is_dir():
        return [f"{fault}, a file; name the folder that holds it"]
    if key == "data.folder":
        return []
    if key == "submit.images":
        return [] if any(path.iterdir()) else [f"{fault}, an empty folder"]
    return (
        [f"{fault}, a folder; name a CSV file, or give the same path as data.folder"] if path.is_dir() else []
    )
