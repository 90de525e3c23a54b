"""One line of the table that `make bench` prints: a ratio, against whom, and what it should be at least."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """How many times as fast as a named peer, both measured in the same run."""

    what: str
    against: str
    ratio: float | None
    """None where this machine cannot show it; `note` says why."""
    at_least: float | None = None
    """The goal; None for a line that only informs."""
    note: str = ""

    @property
    def name(self) -> str:
        """Key in reports/bench.json."""
        return f"{self.what} / {self.against}"

    @property
    def verdict(self) -> str:
        """`reached`, `missed`, `not here` or nothing."""
        if self.ratio is None:
            return "not here"
        if self.at_least is None:
            return ""
        return "reached" if self.ratio >= self.at_least else "missed"


def against(
    what: str, seconds: Mapping[str, float], ours: str, goals: Mapping[str, float | None], note: str = ""
) -> list[Row]:
    """A row for each peer in `goals`, from the seconds that each way took."""
    return [Row(what, peer, seconds[peer] / seconds[ours], goal, note) for peer, goal in goals.items()]


def table(rows: list[Row]) -> str:
    """All rows as Markdown."""
    lines = ["| what | against | ratio | at least | |", "|---|---|---:|---:|---|"]
    for row in rows:
        ratio = "–" if row.ratio is None else f"{_digits(row.ratio)} ×"
        goal = "" if row.at_least is None else f"{_digits(row.at_least)} ×"
        remark = ": ".join(part for part in (row.verdict, row.note) if part)
        lines.append(f"| {row.what} | {row.against} | {ratio} | {goal} | {remark} |")
    return "\n".join(lines)


def _digits(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.3g}"
