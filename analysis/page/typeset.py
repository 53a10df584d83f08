"""A table as Markdown, LaTeX (booktabs, by pandas' Styler), HTML, or, as numbers, CSV."""

from __future__ import annotations

import html
import re
import textwrap
from dataclasses import dataclass, field

import pandas as pd

from dcreid.commandline import visible
from study.record.intervals import MISSING

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "[": "{[}",  # else what stands behind the end of a line is an option of that
    "<": "$<$", ">": "$>$", "λ1": r"$\lambda_1$", "λ2": r"$\lambda_2$", "λ": r"$\lambda$",
    "τ": r"$\tau$", "α": r"$\alpha$", "±": r"$\pm$", "Δ": r"$\Delta$", "−": "$-$", "–": "--", "--": "-{}-",
    "d_ab": "$d_{ab}$", "d_a": "$d_a$", "d_b": "$d_b$", "|": "$|$",
    "×": r"$\times$", "ρ": r"$\rho$", "²": "$^2$", "≥": r"$\geq$", "·": r"$\cdot$",
}  # fmt: skip
_UNBROKEN = re.compile(r"(?<!\S)(--[\w-]+|\w+-\w+)(?!\S)")
_TAG = re.compile("<(?=[A-Za-z/!?])")
_HEADING, _WORDS, _PAGE = 11, 40, 95  # in LaTeX: characters to a line of a heading, of words, of a page
_READABLE = 18  # characters to a line, at least, in a column of words
_LATEX_PATTERN = re.compile(
    "|".join(re.escape(key) for key in sorted(_LATEX, key=len, reverse=True)) + "|[^\x00-\u017f\u2013-\u203a]"
)


@dataclass(frozen=True)
class Table:
    """Cells to read, and the same content as numbers (`numbers`) for a CSV file.

    `left`: how many of the first columns hold words; `quoted`: how many of the last hold what others have
    measured, in italics; `bold`: (row, column) of the cells that are among the best of theirs.
    """

    name: str  # of its file
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str
    numbers: pd.DataFrame = field(repr=False)
    left: int = 1
    quoted: int = 0
    bold: frozenset[tuple[int, int]] = frozenset()

    def is_quoted(self, column: int) -> bool:
        """Whether a column holds what others have measured."""
        return column >= len(self.columns) - self.quoted

    def __post_init__(self) -> None:
        wrong = [row for row in self.rows if len(row) != len(self.columns)]
        if wrong:
            raise ValueError(f"table {self.name}: row {wrong[0]} has not {len(self.columns)} cells")


def number(count: int, what: str, plural: str = "") -> str:
    """`1 tracklet`, `1,200 tracklets`"""
    return f"{count:,} {what if count == 1 else plural or what + 's'}"


def p_value(p: float) -> str:
    """`0.03`, `< 0.001`"""
    if p != p:
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


def markdown(table: Table) -> str:
    """A pipe table under its title, the caption below."""
    bar = ["---"] * table.left + ["---:"] * (len(table.columns) - table.left)
    marked = [[_quoted(table, j, _markdown(cell)) for j, cell in enumerate(table.columns)]]
    for i, row in enumerate(table.rows):
        texts = (_quoted(table, j, _markdown(cell)) for j, cell in enumerate(row))
        marked.append([f"**{text}**" if (i, j) in table.bold else text for j, text in enumerate(texts)])
    lines = [" | ".join(row) for row in marked]
    body = [lines[0], " | ".join(bar), *lines[1:]]
    title, caption = _TAG.sub(r"\\<", visible(table.title)), _TAG.sub(r"\\<", visible(table.caption))
    return "\n".join([f"### {title}", "", *(f"| {line} |" for line in body), "", caption, ""])


def _quoted(table: Table, column: int, cell: str) -> str:
    return f"*{cell}*" if table.is_quoted(column) and cell != MISSING else cell


def _markdown(cell: str) -> str:
    """A cell in one line, without what begins HTML or ends the cell."""
    return _TAG.sub(r"\\<", visible(cell)).replace("|", "\\|")


def latex(table: Table) -> str:
    """A table environment that needs the packages booktabs, graphicx and rotating.

    What is wider than a page is set sideways, and shrinks to the line where it has to.
    """
    cells = pd.DataFrame([[_latex(cell) for cell in row] for row in table.rows])
    lines = [
        textwrap.wrap(visible(heading), _HEADING, break_on_hyphens=False) or [""] for heading in table.columns
    ]
    headings: dict[object, str] = {
        j: _stacked(of, "l" if j < table.left else "r") for j, of in enumerate(lines)
    }
    widths = [max(map(len, (*of, *(row[j] for row in table.rows)))) for j, of in enumerate(lines)]
    words, total = widths[: table.left], sum(widths[table.left :]) + 2 * len(widths)
    columns = [f"p{{{_WORDS / 2:g}em}}" if width > _WORDS else "l" for width in words]
    wide = total + sum(min(width, _WORDS) for width in words) > _PAGE
    quoted = ["textit:--rwrap;" * table.is_quoted(j) for j, _ in enumerate(table.columns)]
    marks = [
        ["textbf:--rwrap;" * ((i, j) in table.bold) + mark for j, mark in enumerate(quoted)]
        for i, _ in enumerate(table.rows)
    ]
    style = cells.style.hide(axis="index").format_index(lambda j: headings[j], axis=1)
    style = style.apply(lambda _: pd.DataFrame(marks), axis=None).apply_index(lambda _: quoted, axis=1)
    text = style.to_latex(
        column_format="".join(columns) + "r" * (len(table.columns) - table.left),
        caption=_latex(f"{table.title}. {table.caption}"),
        label=f"tab:{table.name}",
        position_float="centering",
        hrules=True,
        environment="sidewaystable" if wide else "table",
    )
    fits = "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n"
    text = text.replace("\\centering\n", "\\centering\\small\n")
    return text.replace(r"\begin{tabular}", rf"{fits}\begin{{tabular}}").replace(
        r"\end{tabular}", r"\end{tabular}}"
    )


def _stacked(lines: list[str], align: str) -> str:
    """The lines of a heading above each other."""
    text = r" \\ ".join(map(_latex, lines))
    return text if len(lines) == 1 else rf"\shortstack[{align}]{{{text}}}"


def csv(table: Table) -> str:
    """The numbers, unrounded, one row per cell's worth."""
    return table.numbers.to_csv(index=False)


def html_table(table: Table) -> str:
    """A table that scrolls sideways on a narrow screen; equal names under each other stand once."""
    names = [row[0] for row in table.rows]
    body = []
    for i, row in enumerate(table.rows):
        first = ""
        if i == 0 or names[i] != names[i - 1]:
            rows = next((j for j, name in enumerate(names[i:]) if name != names[i]), len(names) - i)
            first = f"<th scope=rowgroup rowspan={rows}>{escaped(row[0])}</th>"
        texts = (f"<b>{escaped(t)}</b>" if (i, j) in table.bold else escaped(t) for j, t in enumerate(row))
        cells = (f"<td{_mark(table, j)}>{text}</td>" for j, text in list(enumerate(texts))[1:])
        body.append(f"<tr>{first}{''.join(cells)}</tr>")
    heads = (f"<th{_mark(table, i)}>{escaped(cell)}</th>" for i, cell in enumerate(table.columns))
    return (
        f"<h3>{html.escape(visible(table.title))}</h3>\n<div class=scroll tabindex=0><table>\n"
        f"<thead><tr>{''.join(heads)}</tr></thead>\n<tbody>\n{chr(10).join(body)}\n</tbody></table></div>\n"
        + (f"<p class=caption>{html.escape(table.caption)}</p>\n" if table.caption else "")
    )


def escaped(text: str) -> str:
    """Text for HTML in which lines do not break within an option (`--lambda1`) or a word with a hyphen."""
    return _UNBROKEN.sub(r"<span class=unbroken>\g<0></span>", html.escape(visible(text)))


def _mark(table: Table, column: int) -> str:
    """Numbers are set right; columns of words are kept from becoming too narrow to read."""
    if column >= table.left:
        return ' class="number quoted"' if table.is_quoted(column) else " class=number"
    longest = max((len(row[column]) for row in table.rows), default=0)
    return f' style="min-width: {min(longest, _READABLE)}ch"'


FORMATS = {"markdown": (markdown, ".md"), "latex": (latex, ".tex"), "csv": (csv, ".csv")}


def _latex(text: str) -> str:
    """Text in which nothing is a command; characters that pdfLaTeX cannot set by their numbers."""
    return _LATEX_PATTERN.sub(lambda found: _LATEX.get(found[0]) or f"U+{ord(found[0]):04X}", visible(text))
