"""Fill a reporting checklist from the facts of a run; what only the authors can answer is marked.

Each item of `claim.yaml` and `tripod_ai.yaml` has an answer with the facts' names in braces, a part for the authors, or both.
`external` takes the answer's place in the checklist of an external validation.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

FILES = {
    "claim": Path(__file__).with_name("claim.yaml"),
    "tripod_ai": Path(__file__).with_name("tripod_ai.yaml"),
}
"""Name in the report's folder -> items."""


def fill(name: str, facts: Mapping[str, str], external: bool = False) -> str:
    """One checklist of FILES as Markdown, of a run or of an external validation; open parts in `<mark>`."""
    content: dict[str, Any] = yaml.safe_load(FILES[name].read_text(encoding="utf-8"))
    rows = [
        f"| {item['number']} | {item['item']} | {answer(item, facts, external)} |"
        for item in content["items"]
    ]
    left = sum("<mark>" in row for row in rows)
    head = [
        f"## {content['title']}",
        "",
        f"{content['source']} {len(rows) - left} of {len(rows)} items are filled from this run; "
        "<mark>marked</mark> parts are left to the authors.",
        "",
        "| no. | item | this run |",
        "|---|---|---|",
    ]
    return "\n".join([*head, *rows]) + "\n"


def answer(item: Mapping[str, Any], facts: Mapping[str, str], external: bool = False) -> str:
    """An item's answer from the facts, and what is left to the authors."""
    text = item.get("external", item.get("answer", "")) if external else item.get("answer", "")
    known = str(text).format_map(facts)
    left = str(item.get("authors", ""))
    parts = [known] if known else []
    return " ".join([*parts, f"<mark>Authors: {left}</mark>"] if left else parts)
