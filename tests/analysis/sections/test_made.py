"""The commands that a page names: those of its scripts, of the studies, and of each configuration."""

from __future__ import annotations

import html
import re

from analysis.data.results import load
from analysis.sections.made import left_out, made


def test_the_scripts_are_named_with_the_studies_folders_as_a_shell_reads_them(make):
    study = make("duke", name="a study", experiments="fig3")
    study.run_plan(1)
    text = html.unescape(re.sub(r"</?span[^>]*>", "", made(load([study.folder])).body))
    for script in ("report", "tables", "curves"):
        assert f"python analysis/{script}.py '{study.folder}'" in text
    assert "python study/run.py --dataset duke" in text  # as study.json has it
    assert "--plan fig3" in text


def test_nothing_left_out_takes_no_place():
    assert left_out([]) is None
    section = left_out(["<b>", "two"])
    assert section is not None and "<li>&lt;b&gt;</li>" in section.body
