"""A Markdown report with its figures as one HTML page, which MLflow displays and which needs no other file."""

from __future__ import annotations

import base64
import html
import re
from pathlib import Path

from markdown_it import MarkdownIt

STYLE = """
:root {--ink: #1d2733; --quiet: #5b6775; --line: #dfe4ea; --accent: #0072b2; --paper: #fff; --back: #f4f6f8}
* {box-sizing: border-box}
body {font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; color: var(--ink);
  background: var(--back); margin: 0}
.page {display: grid; grid-template-columns: 15rem minmax(0, 62rem); gap: 2.5rem; max-width: 82rem; margin: 0 auto;
  padding: 0 1.5rem}
nav {position: sticky; top: 0; align-self: start; padding: 2.4rem 0; font-size: .88rem; max-height: 100vh; overflow: auto}
nav a {display: block; color: var(--quiet); text-decoration: none; padding: .2rem 0 .2rem .8rem;
  border-left: 2px solid var(--line)}
nav a:hover {color: var(--accent); border-color: var(--accent)}
main {background: var(--paper); padding: 2.2rem 2.8rem 3rem; margin: 1.5rem 0; border: 1px solid var(--line);
  border-radius: .6rem}
h1 {font-size: 1.8rem; line-height: 1.2; margin: 0 0 1rem}
h2 {font-size: 1.25rem; margin: 2.6rem 0 .8rem; padding-top: 1rem; border-top: 1px solid var(--line); scroll-margin-top: 1rem}
p, blockquote {max-width: 44rem}
blockquote {margin: 1rem 0; padding: .5rem 1rem; background: #fdf0e6; border-left: 4px solid #d55e00; border-radius: .2rem}
blockquote p {margin: 0}
.table {overflow-x: auto; margin: 1rem 0}
table {border-collapse: collapse; font-size: .86rem; line-height: 1.45; font-variant-numeric: tabular-nums; width: 100%}
th {text-align: left; font-weight: 600; border-bottom: 2px solid var(--ink); padding: .35rem .8rem .35rem 0;
  vertical-align: bottom}
td {border-bottom: 1px solid var(--line); padding: .35rem .8rem .35rem 0; vertical-align: top}
tr:hover td {background: #f7fafc}
code {font: .86em ui-monospace, "DejaVu Sans Mono", monospace; background: var(--back); padding: .1em .3em; border-radius: .2rem;
  overflow-wrap: anywhere}
pre {background: var(--back); padding: .8rem 1rem; border-radius: .3rem; overflow-x: auto}
pre code {padding: 0}
.figures {display: flex; flex-wrap: wrap; gap: 1.2rem; margin: 1.4rem 0; align-items: flex-end}
figure {margin: 0; max-width: 100%}
figure.half {flex: 0 1 calc(50% - .6rem)}
figure img {display: block; max-width: 100%; height: auto}
figcaption {font-size: .82rem; color: var(--quiet)}
mark {background: #fff176; padding: .05em .25em; border-radius: .2rem}
.interval {white-space: nowrap}
@media screen and (max-width: 80rem) {.page {display: block; padding: 0 .6rem} nav {display: none}}
@media screen and (max-width: 60rem) {figure.half {flex-basis: 100%} main {padding: 1.2rem}}
@page {margin: 14mm}
@media print {body {background: none; font-size: 9.5pt; line-height: 1.45} nav {display: none} .page {display: block; padding: 0}
  main {border: 0; padding: 0; margin: 0} p, blockquote {max-width: none} h2 {margin-top: 1.6rem; break-after: avoid}
  .table {overflow: visible} table {font-size: 7.5pt; line-height: 1.3} .interval {white-space: normal}
  td, th {padding-right: .4rem} .figures {display: block; margin: 0} figure {margin: .4rem 0 .8rem}
  figure.half {display: inline-block; width: 48%; vertical-align: bottom} figure img {max-height: 11cm; width: auto}
  figure, tr {break-inside: avoid} mark, blockquote {print-color-adjust: exact}}
"""
WIDTH = slice(16, 20)
"""Where a PNG stores its width."""
INTERVAL = re.compile(r"\([-+]?[\d.,]+ to [-+]?[\d.,]+\)")
"""An interval, which is not broken over two lines on a screen."""
HALF = 720
"""Pictures up to this displayed width are placed side by side."""


def page(*paths: Path) -> str:
    """HTML of Markdown files one after the other, with a table of contents; images with relative paths are embedded.

    The first file's heading is the title. Pictures are displayed at half their pixel size, so that they are sharp on any
    screen.
    """
    render = MarkdownIt("commonmark", {"html": True}).enable("table").render
    body = "\n".join(_with_figures(render(path.read_text(encoding="utf-8")), path.parent) for path in paths)
    found = re.search(r"<h1>(.*?)</h1>", body)
    title = found[1] if found else html.escape(paths[0].stem)
    body, contents = _with_contents(_with_intervals(body))
    body = body.replace("<table>", '<div class="table"><table>').replace("</table>", "</table></div>")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{STYLE}</style></head>\n"
        f'<body><div class="page"><nav>{contents}</nav><main>{body}</main></div></body></html>\n'
    )


def _with_intervals(body: str) -> str:
    """Mark the intervals in the text, not those in a tag, such as a picture's title."""
    parts = re.split(r"(<[^>]*>)", body)
    parts[::2] = [INTERVAL.sub(r'<span class="interval">\g<0></span>', text) for text in parts[::2]]
    return "".join(parts)


def _with_contents(body: str) -> tuple[str, str]:
    """Number the second-level headings as link targets; the body, and links to them."""
    links: list[str] = []

    def target(found: re.Match[str]) -> str:
        links.append(f'<a href="#s{len(links)}">{found[1]}</a>')
        return f'<h2 id="s{len(links) - 1}">{found[1]}</h2>'

    return re.sub(r"<h2>(.*?)</h2>", target, body), "".join(links)


def _with_figures(body: str, folder: Path) -> str:
    """Paragraphs of one picture as figures, neighbours side by side, the pictures' bytes inside."""

    def figure(found: re.Match[str]) -> str:
        content = (folder / found[1]).read_bytes()
        width = int.from_bytes(content[WIDTH], "big") // 2
        code = base64.b64encode(content).decode()
        size = f' width="{width}"' if width else ""
        kind = ' class="half"' if width <= HALF else ""
        image = f'<img{size} src="data:image/png;base64,{code}" alt="{found[2]}">'
        return f"<figure{kind}>{image}<figcaption>{found[2]}</figcaption></figure>"

    body = re.sub(r'<p><img src="([^":]+\.png)" alt="([^"]*)" ?/?></p>', figure, body)
    return re.sub(
        r"((?:<figure[^>]*>.*?</figure>\s*)+)", r'<div class="figures">\1</div>', body, flags=re.DOTALL
    )
