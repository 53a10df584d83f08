"""Tables in Markdown, LaTeX and HTML: the text of others stays text."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from ledgers import rewrite

from analysis.data.results import load
from analysis.page.typeset import Table, html_table, latex, markdown
from analysis.tables import tables

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


AWKWARD = "a_b & 100 % {x} $y ~^\\ <b> | 漢"


def with_bold(**changes) -> Table:
    return Table(
        "t", AWKWARD, ("variant", "{step}", "mAP", "quoted"),
        (("a", "best", "41.3 ± 0.5", "29.4"), ("λ1 (d_a)", "last", "−3 – 5", "–")),
        "caption", pd.DataFrame(), left=2, quoted=1, bold=frozenset({(0, 2)}), **changes,
    )  # fmt: skip


def test_the_best_are_bold_and_what_is_quoted_is_in_italics_everywhere():
    table = with_bold()
    assert "| a | best | **41.3 ± 0.5** | *29.4* |" in markdown(table)
    assert r"a & best & \textbf{41.3 $\pm$ 0.5} & \textit{29.4} \\" in latex(table)
    assert r"$\lambda_1$ ($d_a$) & last & $-$3 -- 5 & \textit{--} \\" in latex(table)
    assert r"variant & \{step\} & mAP & \textit{quoted} \\" in latex(table)
    assert '<b>41.3 ± 0.5</b></td><td class="number quoted">29.4</td>' in html_table(table)
    assert (
        latex(table).count("textbf") == markdown(table).count("**") / 2 == html_table(table).count("<b>") == 1
    )


def test_latex_has_rules_a_label_and_columns_of_words_on_the_left():
    text = latex(with_bold())
    for part in (
        r"\toprule",
        r"\midrule",
        r"\bottomrule",
        r"\label{tab:t}",
        r"\begin{tabular}{llrr}",
        r"\caption{a\_b",
    ):
        assert text.count(part) == 1
    assert r"\ifdim\width>\linewidth\linewidth\else\width\fi" in text  # narrow ones do not grow
    wide = dataclasses.replace(
        with_bold(),
        rows=(("a " * 30, "b", "--seeds 5" * 9, "–"),),
        columns=("x", "y", "rank-1 [over people]", "z"),
    )
    assert text.count("{table}") == 2 and latex(wide).count("{sidewaystable}") == 2
    assert r"\begin{tabular}{p{20em}lrr}" in latex(wide)
    assert r"x & y & \shortstack[r]{rank-1 \\ {[}over \\ people]} & \textit{z} \\" in latex(wide)
    assert "-{}-seeds 5" in latex(wide) and "--seeds" not in latex(wide)  # no dash
    assert "U+6F22" in text and "漢" not in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_every_table_of_a_study_compiles_whatever_it_is_called(make, tmp_path: Path):
    study = make("duke", experiments="paper")
    study.run_plan(1)
    rewrite(
        study.folder / "study.json",
        lambda text: text.replace("DukeMTMC-VideoReID", json.dumps(AWKWARD)[1:-1]),
    )
    group = load([study.folder]).groups[0]
    heads = ("x", "y", "rank-1 [over people]", "z")
    options = dataclasses.replace(with_bold(), columns=heads, rows=(("[x] a", "b", "[1, 2]", "3"),) * 2)
    made = [options, *tables(group)]
    assert AWKWARD in group.name and len(made) >= 7
    body = "\n".join(map(latex, made))
    whole = "\\documentclass{article}\\usepackage{booktabs,graphicx,rotating}\n"
    (tmp_path / "all.tex").write_text(f"{whole}\\begin{{document}}\n{body}\n\\end{{document}}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]
    wide = [
        line for line in done.stdout.splitlines() if line.startswith("Overfull") and "in paragraph" in line
    ]
    assert not wide
