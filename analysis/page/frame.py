"""One HTML page in one file: no network; readable on a phone, printable, and without scripts.

Templates (Jinja2) escape everything that is not Markup. A chart is one Vega-Lite specification: a static
picture made from it stands in the page, and a script draws the chart that answers over it. The page's own
scripts are allowed by their hash and nothing else is (Content-Security-Policy): text that slips into the
page as HTML runs nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from analysis.page.typeset import escaped
from dcreid.commandline import visible

_FOLDER = Path(__file__).parent / "templates"
VERSION = "@version@"  # in a page that is served: who serves it puts its own in place
_STATIC_WIDTH = 640  # pixels of a picture whose chart takes the width that there is
_CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": "system-ui, DejaVu Sans, sans-serif",
    "view": {"stroke": None},
    "axis": {"gridColor": "#e6e6e6", "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"},
    "legend": {
        "labelFontSize": 12, "titleFontSize": 12, "orient": "bottom", "columns": 4, "labelLimit": 300,
        "layout": {"bottom": {"anchor": "start", "direction": "vertical"}},
    },
    "header": {"labelFontSize": 12, "titleFontSize": 12},
    "title": {"fontSize": 13, "anchor": "start"},
}  # fmt: skip


@dataclass(frozen=True)
class Section:
    """A part of a page; `key` is its anchor."""

    key: str
    heading: str
    body: Markup


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters["words"] = lambda text: Markup("\n").join(Markup(escaped(one)) for one in text.split("\n"))
    return made


def render(template: str, **values: Any) -> Markup:
    """A template of `templates/`; text in `values` is escaped, Markup is taken as it is."""
    return Markup(_environment().get_template(template).render(**values))


def page(
    title: str,
    sections: Sequence[Section],
    *,
    lead: Markup | None = None,
    pictures: Pictures | None = None,
    renewed: bool = False,
) -> str:
    """The whole page. lead: what stands above all sections, the answer.

    renewed: served by `report.py --watch`, whose page asks the server for newer ones.
    """
    lead = Markup(_shown(lead or Markup()))
    sections = [Section(one.key, _shown(one.heading), Markup(_shown(one.body))) for one in sections]
    scripts = [_script("page.js")]
    if any('class="chart"' in str(one) for one in (lead, *(section.body for section in sections))):
        scripts.insert(0, charting_library())
    return render(
        "page.html",
        title=_shown(title),
        lead=lead,
        sections=sections,
        style=Markup(_script("page.css")),
        scripts=[Markup(one) for one in scripts],
        policy=_policy(scripts, renewed),
        pictures=pictures.definitions() if pictures is not None else Markup(),
        renewed=renewed,
        version=VERSION,
    )


def _shown(text: str) -> str:
    """Text without the codes that a browser or a terminal would act on."""
    return "\n".join(map(visible, text.split("\n")))


def _script(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


@cache
def charting_library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script."""
    library: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return library.replace("</script", "<\\/script")


def _policy(scripts: Iterable[str], renewed: bool) -> str:
    """Content-Security-Policy: these scripts, styles and pictures within the page, and nothing else."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'" for one in scripts
    )
    connect = "; connect-src 'self'" if renewed else ""
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {hashes}; "
        f"base-uri 'none'; form-action 'none'{connect}"
    )


def chart(
    made: alt.TopLevelMixin | dict[str, Any],
    caption: str,
    *,
    isolates: str = "",
    still: alt.TopLevelMixin | dict[str, Any] | None = None,
    static_width: int = _STATIC_WIDTH,
) -> Markup:
    """A chart with its caption. `isolates`: name of a parameter that the row clicked in a table sets.

    A chart of width "container" takes the width that there is, its picture static_width pixels. The chart's
    parameter `isolates` holds what the row's `data-value` says, as text, and "" where all are shown.
    still: what the picture shows, where the chart has more, which only answers to a pointer.
    """
    spec = _with_config(made)
    shown = spec if still is None else _with_config(still)
    wide = spec.get("width") == "container"
    static = vl_convert.vegalite_to_svg({**shown, "width": static_width} if wide else shown)
    return render(
        "chart.html",
        spec=Markup(json.dumps(spec, ensure_ascii=False).replace("<", "\\u003c")),
        static=Markup(static),
        caption=caption,
        isolates=isolates,
        wide=wide,
    )


def _with_config(made: alt.TopLevelMixin | dict[str, Any]) -> dict[str, Any]:
    """A chart's specification in the looks of all charts."""
    spec: dict[str, Any] = made if isinstance(made, dict) else made.to_dict()
    own = spec.get("config", {})
    view = {**own.get("view", {}), **_CONFIG["view"]}  # Altair sets the sizes of views for every chart
    return {**spec, "config": {**_CONFIG, **own, "view": view}}


def command(text: str) -> Markup:
    """A command as it is typed, with a button that copies it."""
    return render("command.html", text=text)


def facts(pairs: Iterable[tuple[str, str | Markup]]) -> Markup:
    """A list of names and values."""
    return render("facts.html", pairs=list(pairs))


def paragraph(text: str) -> Markup:
    """Plain text as a paragraph."""
    return Markup("<p>{}</p>\n").format(text)


def details(heading: str, body: Markup, *, opened: bool = False) -> Markup:
    """A part that a click opens; printed open."""
    return Markup("<details{}>\n<summary>{}</summary>\n{}</details>\n").format(
        Markup(" open") if opened else "", heading, body
    )


class Pictures:
    """Pictures of a page, each written once however often it is shown; none with `--without-pictures`."""

    def __init__(self, *, shown: bool = True) -> None:
        self.shown = shown
        self._known: dict[str, tuple[str, int, int, Callable[[], bytes]]] = {}

    def show(self, name: str, size: tuple[int, int], content: Callable[[], bytes], alt: str) -> Markup:
        """A picture that has a name of its own on the page: `content()` is its JPEG, WebP or PNG.

        size: (width, height) in pixels, as it is shown. Without pictures a grey box of that size.
        """
        key = f"p{hashlib.sha256(name.encode()).hexdigest()[:12]}"
        if self.shown and key not in self._known:
            self._known[key] = (key, *size, content)
        return render("picture.html", key=key, width=size[0], height=size[1], alt=alt, shown=self.shown)

    def definitions(self) -> Markup:
        """All pictures, once, for the end of the page."""
        made = [
            {"key": key, "width": width, "height": height, "source": _data_address(content())}
            for key, width, height, content in self._known.values()
        ]
        return render("pictures.html", pictures=made)


def _data_address(content: bytes) -> str:
    kinds = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"RIFF": "webp"}
    kind = next(kind for start, kind in kinds.items() if content.startswith(start))
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def sparkline(values: Sequence[float | None], *, alt: str, limits: tuple[float, float]) -> Markup:
    """A curve as high as a line of text; `limits` are those of its axis, so that curves compare."""
    low, high = limits
    span, count = (high - low) or 1.0, max(len(values) - 1, 1)
    points = [
        (round(1 + 98 * i / count, 1), round(1 + 18 * (1 - (min(max(v, low), high) - low) / span), 1))
        for i, v in enumerate(values)
        if v is not None and v == v
    ]
    return render("sparkline.html", points=points, alt=alt)
