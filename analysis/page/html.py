"""An HTML page in one file: no network, no script; readable on a phone, printable."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from analysis.page.typeset import escaped
from dcreid.commandline import visible

_CSS = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; max-width: 68rem; margin: 0 auto; padding: 1rem;
  color: #1a1a1a; background: #fff; overflow-wrap: anywhere; }
h1 { line-height: 1.2; } h2 { border-top: 2px solid #ddd; padding-top: 1rem; margin-top: 2.5rem; }
h3 { margin-bottom: .4rem; }
nav a { margin-right: 1rem; white-space: nowrap; }
.scroll { overflow-x: auto; max-width: 100%; }
.scroll:focus-visible { outline: 2px solid #0072B2; }
table { border-collapse: collapse; font-size: .88rem; overflow-wrap: normal; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top; }
thead th { border-bottom: 2px solid #555; vertical-align: bottom; }
tbody th { font-weight: normal; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.quoted { font-style: italic; color: #555; background: #f6f6f6; }
td.number, .unbroken { white-space: nowrap; }
.caption, figcaption { font-size: .85rem; color: #444; margin: .4rem 0 1.6rem; }
figure { margin: 1rem 0; } figure img { max-width: 100%; height: auto; display: block; }
code { font-size: .85rem; background: #f3f3f3; padding: .1rem .3rem; }
pre { background: #f3f3f3; padding: .6rem; white-space: pre-wrap; font-size: .8rem; }
dl { display: grid; grid-template-columns: minmax(8rem, 14rem) 1fr; gap: .2rem 1rem; }
dt { color: #555; } dd { margin: 0; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .5rem; }
  figure img { max-width: 44rem; }
  tbody th, thead th:first-child { position: sticky; left: 0; background: #fff; max-width: 9rem; } }
@media print { body { max-width: none; font-size: 10pt; } nav { display: none; }
  .scroll { overflow: visible; } table { font-size: 7.5pt; } th, td { padding: .1rem .3rem; }
  figure img { max-height: 21cm; width: auto; }
  figure, tr { break-inside: avoid; } h2, h3 { break-after: avoid; } }
"""


def page(title: str, sections: Sequence[tuple[str, str, str]]) -> str:
    """sections: (id, heading, body in HTML)."""
    links = " ".join(f'<a href="#{key}">{html.escape(heading)}</a>' for key, heading, _ in sections)
    parts = "\n".join(
        f'<section id="{key}">\n<h2>{html.escape(heading)}</h2>\n{body}\n</section>'
        for key, heading, body in sections
    )
    text = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<title>{html.escape(title)}</title>\n'
        f"<style>{_CSS}</style>\n</head>\n<body>\n<h1>{html.escape(title)}</h1>\n"
        f"<nav>{links}</nav>\n{parts}\n</body>\n</html>\n"
    )
    return "\n".join(map(visible, text.split("\n")))  # codes that a browser or a terminal would act on


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """A list of names and values."""
    return f"<dl>{''.join(f'<dt>{html.escape(a)}</dt><dd>{html.escape(b)}</dd>' for a, b in pairs)}</dl>\n"


def paragraph(text: str) -> str:
    """Plain text as a paragraph."""
    return f"<p>{html.escape(text)}</p>\n"


def preformatted(text: str) -> str:
    """Commands, as they are typed."""
    lines = "\n".join(map(escaped, text.split("\n")))
    return f"<pre>{lines}</pre>\n"


def plot(figure: Figure, caption: str) -> str:
    """A matplotlib figure as an SVG image inside the page; closes it."""
    stream = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "dcreid"}):  # equal figures give equal bytes
        figure.savefig(stream, format="svg", metadata={"Date": None})
    plt.close(figure)
    return _image("svg+xml", stream.getvalue(), caption)


def picture(path: Path, caption: str) -> str:
    """A PNG file inside the page."""
    return _image("png", path.read_bytes(), caption)


def _image(kind: str, content: bytes, caption: str) -> str:
    text = html.escape(caption, quote=True)
    source = f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
    return (
        f'<figure><div class="scroll" tabindex="0"><img src="{source}" alt="{text}"></div>'
        f"<figcaption>{text}</figcaption></figure>\n"
    )
