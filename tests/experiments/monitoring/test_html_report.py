"""A report as one page."""

from __future__ import annotations

from pathlib import Path

from experiments.monitoring.html_report import page
from imaging.plotting import new_figure, save


def test_tables_and_figures_are_part_of_the_page(tmp_path: Path) -> None:
    for name in ("roc", "pr"):
        save(new_figure(2, 1)[0], tmp_path / f"{name}.png", dpi=200)
    (tmp_path / "report.md").write_text(
        "# Evaluation\n\n## Scores\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n0.5 (-0.1 to +1,200)\n\n"
        "![ROC](roc.png)\n\n![PR](pr.png)\n\nText.\n"
    )
    (tmp_path / "claim.md").write_text("## CLAIM 2024\n\n<mark>Authors: aims</mark>\n")
    found = page(tmp_path / "report.md", tmp_path / "claim.md")
    assert "<title>Evaluation</title>" in found
    assert "<td>2</td>" in found
    assert '0.5 <span class="interval">(-0.1 to +1,200)</span>' in found  # an interval stays on one line
    assert '<a href="#s0">Scores</a><a href="#s1">CLAIM 2024</a>' in found
    assert '<h2 id="s1">CLAIM 2024</h2>' in found
    assert "<mark>Authors: aims</mark>" in found
    assert found.count('<img width="200" src="data:image/png;base64,') == 2  # 400 pixels
    assert found.count('<div class="figures">') == 1
    assert "roc.png" not in found
