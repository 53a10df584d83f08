"""Tables in Markdown, LaTeX and HTML: the text of others stays text."""

from __future__ import annotations

import pandas as pd

from analysis.page.typeset import Table, html_table, latex, markdown

TABLE = Table(
    name="t",
    title="of <img src=x>\x1b]0;t\x07",
    columns=("a|b", "p"),
    rows=(("one\ntwo | <b>", "< 0.001"), (r"\input{x}$", "\x9b2J")),
    caption="<!-- c",
    numbers=pd.DataFrame(),
)


def test_markdown_has_no_codes_no_html_and_one_line_a_row():
    assert markdown(TABLE).splitlines() == [
        r"### of \<img src=x>\x1b]0;t\x07",
        "",
        r"| a\|b | p |",
        "| --- | ---: |",
        r"| one\ntwo \| \<b> | < 0.001 |",
        r"| \input{x}$ | \x9b2J |",
        "",
        r"\<!-- c",
    ]


def test_latex_and_html_have_neither_commands_nor_codes():
    for text in (latex(TABLE), html_table(TABLE)):
        assert not {*text} & {"\x1b", "\x07", "\x9b"}
    assert r"\textbackslash{}input\{x\}\$" in latex(TABLE)
    assert "&lt;b&gt;" in html_table(TABLE) and "<img" not in html_table(TABLE)
