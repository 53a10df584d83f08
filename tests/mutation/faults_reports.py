"""Faults in the frame of pages, what a report opens with, two studies side by side, and its server."""

from __future__ import annotations

from mutation.run import Mutant, of

REPORTS: list[Mutant] = [
    *of(
        "reports",
        "analysis/page/frame.py",
        "tests/analysis/page/test_frame.py",
        (
            "templates do not escape",
            "loader=FileSystemLoader(_FOLDER), autoescape=True,",
            "loader=FileSystemLoader(_FOLDER), autoescape=False,",
        ),
        (
            "a chart's data may end its script",
            '.replace("<", "\\\\u003c")',
            '.replace("\\x00", "")',
        ),
        (
            "any script may run",
            "script-src {hashes}; ",
            "script-src {hashes} 'unsafe-inline' 'unsafe-eval'; ",
        ),
        (
            "a page without charts brings their library",
            "scripts.insert(0, charting_library())",
            "pass",
        ),
        (
            "pictures are written though none are wanted",
            "if self.shown and key not in self._known:",
            "if key not in self._known:",
        ),
        (
            "codes that a terminal acts on stay",
            'return "\\n".join(map(visible, text.split("\\n")))',
            "return text",
        ),
    ),
    *of(
        "reports",
        "analysis/page/served.py",
        "tests/analysis/page/test_served.py",
        (
            "a page is made at every look",
            "if stamp == self._seen:",
            "if stamp is None:",
        ),
        (
            "another site's name reads the page",
            'if self.headers.get("Host") not in here:',
            'if self.headers.get("Host") is None:',
        ),
        (
            "the whole network is served",
            'ThreadingHTTPServer(("127.0.0.1", port), Handler)',
            'ThreadingHTTPServer(("", port), Handler)',
        ),
        (
            "a page that is known is sent again",
            'known = self.headers.get("If-None-Match") == tag',
            "known = False",
        ),
        (
            "every failed look is told",
            "if str(error) != self._told:",
            "if str(error):",
        ),
    ),
    *of(
        "reports",
        "analysis/sections/answer.py",
        "tests/analysis/sections/test_answer.py",
        (
            "the paper's number stands beside other data",
            "printed = final_setting(group.dataset) if group.is_papers else None",
            "printed = final_setting(group.dataset)",
        ),
        (
            "the lucky run stands for what was confirmed",
            "if not confirmed:\n",
            "if confirmed or not confirmed:\n",
        ),
        (
            "the worst confirmed configuration is the choice",
            "setting = max(confirmed, key=mean)",
            "setting = min(confirmed, key=mean)",
        ),
        ("what is worse is told as better", 'said = f"{_SIGNS[gain.sign]}', 'said = f"{_SIGNS[1]}'),
        (
            "diverged runs are not named",
            "diverged = sum(run.diverged for run in first.runs)",
            "diverged = 0",
        ),
        (
            "runs that have not begun are not missing",
            "left = wanted - sum(_counts(trial) for trial in study.trials)",
            "left = 0 * wanted",
        ),
        (
            "failed trials are not missing",
            "    if failed:\n",
            "    if failed > 99:\n",
        ),
        (
            "claims are counted at the selected step too",
            'one.at in ("last", CURVE)',
            'one.at in ("last", "selected", CURVE)',
        ),
    ),
    *of(
        "reports",
        "analysis/sections/made.py",
        "tests/analysis/sections/test_made.py",
        ("folders as no shell reads them", "shlex.quote(str(study.folder))", "str(study.folder)"),
    ),
    *of(
        "reports",
        "analysis/people/network.py",
        "tests/analysis/people/test_network.py",
        ("a run that confirms is the choice", 'and run.trial.origin != "confirm"]', "]"),
    ),
    *of(
        "reports",
        "analysis/report.py",
        "tests/analysis/test_report.py::test_only_a_page_that_is_written_computes_what_people_need",
        ("a watched page computes features", "compute=not renewed)", "compute=True)"),
    ),
    *of(
        "reports",
        "analysis/stats/comparisons.py",
        "tests/analysis/stats/test_comparisons.py",
        ("another correction than Holm's", 'method="holm"', 'method="fdr_bh"'),
    ),
    *of(
        "reports",
        "analysis/sections/compare.py",
        "tests/analysis/sections/test_compare.py",
        (
            "the difference is turned round",
            "compare(b - a)",
            "compare(a - b)",
        ),
        (
            "another code is not named",
            '("code", _codes(one), _codes(other)),',
            '("code", "", ""),',
        ),
        (
            "the untrained network is tested too",
            'gain.p if at in ("last", "selected") else math.nan',
            "gain.p",
        ),
    ),
]
