"""What a search found on the page, compared with the ledger; and in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import WIDTHS, draw_all, opened, overflowing
from page_parts import specs

from analysis.data.results import Group, load
from analysis.page import frame
from analysis.sections.search import search
from analysis.sections.trials import trials
from analysis.stats import searched as found
from search_spaces.spaces import load_space


def group_of(made) -> Group:
    return load([made.folder]).groups[0]


def body_of(made, **options) -> str:
    section = search(group_of(made), **options)
    assert section is not None
    return str(section.body)


def test_values_are_the_ledgers_and_pruned_trials_are_among_them(searched):
    first, _, contour, *slices, parallel = specs(body_of(searched))
    held = {one["number"]: one for one in first["datasets"]["points"]}
    ledger = searched.ledger.trials
    assert set(held) == {0, *range(2, 14)}  # trial 1 is trial 0 on another seed
    for number, one in held.items():
        last = max(ledger[number].steps)
        assert one["value"] == round(100 * ledger[number].steps[last]["mAP"], 3) and one["ended"] == last
    kinds = [one["kind"] for one in held.values()]
    assert kinds.count("pruned") == 3 and kinds[0] == "the paper's setting"
    for spec in (contour, *slices):
        assert len(spec["datasets"]["points"]) == 13
    assert len(slices) == 5 and len(parallel["datasets"]["lines"]) == 13


def test_the_contour_is_over_the_papers_weights(searched):
    contour = specs(body_of(searched))[2]
    held = {one["number"]: one for one in contour["datasets"]["points"]}
    assert (held[0]["across"], held[0]["up"]) == ("0.06", "0.003")
    drawn = {number: trial.config["merge"] for number, trial in searched.ledger.trials.items()}
    assert all(held[n]["across"] == f"{drawn[n]['lambda1']:.3g}" for n in held)
    assert all(held[n]["up"] == f"{drawn[n]['lambda2']:.3g}" for n in held)


def test_without_both_weights_the_contour_is_over_the_two_numbers_that_matter_most(make):
    space = load_space("default").without({"merge.lambda1": 0.06, "train.alpha_schedule": "linear"})
    made = make("duke", space=space.to_dict())
    for i in range(20):
        changes = {"train.temperature": 0.05 + 0.01 * i, "merge.lambda2": 0.002 + 0.003 * (7 * i % 20)}
        made.trial(
            made.base.replace(**changes), lambda config, step: config.train.temperature, origin="search"
        )
    body = body_of(made)
    assert "mAP (%) over τ and λ2" in body or "mAP (%) over λ2 and τ" in body


def test_too_few_trials_are_said_in_one_line(make, lambdas_space):
    made = make("duke", space=lambdas_space)
    made.trial(made.base, origin="paper")
    made.trial(made.base.replace(**{"merge.lambda1": 0.2}), origin="search")
    body = body_of(made)
    assert "4 complete trials are needed, 2 are there." in body and len(specs(body)) == 1


def test_a_search_of_which_nothing_has_ended_says_so(make, lambdas_space):
    made = make("duke", space=lambdas_space)
    made.trial(made.base, origin="paper", steps=-1, state="running")
    section = search(load([made.folder], finished=False).groups[0])
    assert section is not None and "No trial of the search has ended yet." in section.body


def test_without_scikit_learn_the_extra_is_named(searched, monkeypatch):
    monkeypatch.setattr(found, "fanova", lambda: None)
    body = body_of(searched)
    assert "pip install -e &#39;.[analysis]&#39;" in body
    methods = {one["method"] for one in specs(body)[1]["datasets"]["shares"]}
    assert methods == {"PED-ANOVA"}


def test_plans_have_no_such_section_and_several_searches_have_headings(make, lambdas_space):
    plan = make("duke", name="plan", experiments="table1")
    plan.run_plan(1)
    assert search(group_of(plan)) is None
    one, other = (make("duke", name=name, space=lambdas_space) for name in ("one", "<b>other"))
    for made in (one, other):
        made.trial(made.base, origin="paper")
    section = search(load([one.folder, other.folder]).groups[0], suffix="2", heading="Searches")
    assert section is not None and (section.key, section.heading) == ("search2", "Searches")
    assert "<h3>one</h3>" in section.body and "<h3>&lt;b&gt;other</h3>" in section.body
    first, second = specs(section.body)
    assert first["datasets"]["points"][0]["key"] == "0/0" and second["datasets"]["points"][0]["key"] == "1/0"


@pytest.fixture
def page_file(searched, tmp_path: Path) -> Path:
    path = tmp_path / "page.html"
    group = group_of(searched)
    made = search(group)
    assert made is not None
    path.write_text(frame.page("a search", [trials(group), made]), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", WIDTHS)
def test_in_a_browser_all_is_drawn_and_a_row_isolates_its_trial_everywhere(page_file: Path, width: int):
    with opened(page_file, width) as (page, wrong):
        assert draw_all(page) == []
        assert wrong == [] and overflowing(page) <= 0
        page.click("tr[data-value='3']")
        dimmed = "one.querySelector('.alive path[opacity=\"0.07\"]')"
        faint = f"[...document.querySelectorAll('.chart[data-isolates]')].every(one => {dimmed})"
        page.wait_for_function(f"() => {faint}", timeout=5000)
