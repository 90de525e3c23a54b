"""A report as one page."""

from __future__ import annotations

from pathlib import Path

from experiments.monitoring.html_report import page


def test_tables_and_figures_are_part_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "roc.png").write_bytes(b"png")
    (tmp_path / "report.md").write_text(
        "# Evaluation\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n![ROC](roc.png)\n"
    )
    found = page(tmp_path / "report.md")
    assert "<td>2</td>" in found
    assert 'src="data:image/png;base64,cG5n"' in found
    assert "roc.png" not in found
