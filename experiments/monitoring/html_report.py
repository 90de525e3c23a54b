"""A Markdown report with its figures as one HTML page, which MLflow displays and which needs no other file."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from markdown_it import MarkdownIt

STYLE = (
    "body {font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem} img {max-width: 100%} "
    "table {border-collapse: collapse} td, th {border: 1px solid #ccc; padding: .25rem .6rem; text-align: left}"
)


def page(path: Path) -> str:
    """HTML of a Markdown file; its images, by relative path, are part of the page."""
    title = path.parent.parent.name
    body = MarkdownIt("commonmark").enable("table").render(path.read_text(encoding="utf-8"))
    body = re.sub(r'src="([^":]+\.png)"', lambda found: f'src="{_inline(path.parent / found[1])}"', body)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>\n'
        f"<body>{body}</body></html>\n"
    )


def _inline(picture: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"
