"""The step selected without labels: beside mAP where there is one, and in its place where there is none."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from PIL import Image
from screens import screen, text

from study.__main__ import main
from study.record.folder import describe, write_description
from study.show.console import Display
from study.show.dashboard import Mirror
from study.show.next_command import models_of
from study.show.scores import by_score
from study.show.summary import summary
from study.show.view import of_session
from study.show.wording import come_to, taken_over

SEARCH = ("--samples", "5", "--pruner", "none")


def rows_of(shown: str) -> dict[int, list[str]]:
    """The words of each row of a table, by trial."""
    lines = (line.split() for line in shown.splitlines())
    return {int(words[0].rstrip("*")): words for words in lines if words and words[0].rstrip("*").isdigit()}


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def in_words(score: float) -> str:
    """The made-up scores that go with it."""
    rest = f"stability {percent(score / 2)}, camera excess {percent(1 - score)}"
    return f"score {percent(score)}, self-retrieval {percent(score)}, {rest}"


def selected_of(trial) -> tuple[int, float]:
    """Step and score, by a plain loop."""
    step, highest = 0, -1.0
    for number, row in sorted(trial.steps.items()):
        if number and row["unlabelled"] > highest:
            step, highest = number, row["unlabelled"]
    return step, highest


@pytest.fixture
def blind(play_unlabelled, unlabelled):
    """A finished search on data without labels."""
    session = play_unlabelled(*SEARCH)
    write_description(session.plan.folder, describe(session.plan, unlabelled, "python study/run.py"))
    return session


def summary_of(session, width: int = 160) -> str:
    console = screen(width)
    summary(session, console)
    return text(console)


def test_the_summary_ranks_by_the_selected_score_and_speaks_of_nothing_else(blind):
    shown = summary_of(blind)
    assert "mAP" not in shown and "label" not in shown.replace("without labels", "")
    trials = blind.ledger.trials
    ranked = sorted(trials.values(), key=lambda trial: -selected_of(trial)[1])
    rows = rows_of(shown)
    assert list(rows)[: len(ranked)] == [trial.number for trial in ranked]
    for trial in trials.values():
        step, score = selected_of(trial)
        row = trial.steps[step]
        cells = [percent(score), "at", step, 16 - 3 * step, 1 + step, percent(score)]
        assert rows[trial.number][1:8] == [*map(str, cells), percent(row["same_camera"])]


def test_it_ends_with_the_chosen_trial_and_what_to_do_next(blind):
    shown = summary_of(blind)
    best = max(blind.ledger.trials.values(), key=lambda trial: selected_of(trial)[1])
    step, score = selected_of(best)
    assert step < 5  # or the last step's weights would do
    chosen, before, classes, confirm, *_ = shown[shown.index("chosen:") :].splitlines()
    assert chosen == f"chosen: trial {best.number} at merge step {step}: {in_words(score)}"
    first = best.steps[0]["unlabelled"]
    assert before == f"its network before training: {in_words(first)}"
    others = blind.ledger.trials[0].steps[0]["unlabelled"]
    assert f"untrained network: {in_words(others)}\n" in shown
    assert classes == f"its classes: {16 - 3 * step}, the largest of {1 + step} tracklets"
    assert "--confirm 3 --seeds 5" in confirm


def test_models_that_are_there_are_named_with_what_to_do_with_them(blind):
    assert "models: " not in summary_of(blind)
    models = blind.plan.folder / "models"
    models.mkdir(parents=True)
    for name in ("selected.safetensors", "last.safetensors", "last.json"):
        (models / name).touch()
    lines = summary_of(blind).splitlines()
    at = lines.index(f"models: {models}/ (.safetensors): selected, last")
    search = f"python -m dcreid search {models}/selected.safetensors synthetic:query synthetic:gallery"
    assert lines[at + 1] == f"to search with one: {search}"


def test_tracklets_that_nobody_labelled_are_searched_among_themselves(plan_of, tmp_path: Path):
    root = tmp_path / "my cameras"
    (root / "train" / "a").mkdir(parents=True)
    Image.new("RGB", (8, 16)).save(root / "train" / "a" / "0.png")
    base = plan_of().config.replace(**{"data.dataset": "folder"}).to_dict()
    plan = dataclasses.replace(plan_of(), root=str(root), base=base)
    (plan.folder / "models").mkdir(parents=True)
    (plan.folder / "models" / "last.safetensors").touch()
    assert models_of(plan)[1].endswith(f"last.safetensors '{root}:train' '{root}:train'")
    (root / "query").mkdir()
    assert models_of(plan)[1].endswith(f"last.safetensors '{root}:query' '{root}:gallery'")


def test_what_was_taken_over_says_so(blind):
    best = of_session(blind).best()
    best.reused = "study other, trial 5"
    step, score = selected_of(best)
    assert taken_over(best).endswith(f": complete, score {percent(score)} at {step}")


def test_scores_that_the_data_do_not_have_are_no_columns(blind):
    ranking = summary_of(blind).split("untrained")[0]
    assert "excess" not in ranking and "same" in ranking
    for trial in blind.ledger.trials.values():
        for row in trial.steps.values():
            row["same_camera"] = row["camera_excess"] = None
    assert "same" not in summary_of(blind).split("untrained")[0]
    assert "–" not in summary_of(blind)


def test_where_no_score_can_be_taken_the_summary_says_so(blind):
    for trial in blind.ledger.trials.values():
        trial.value = None
        for row in trial.steps.values():
            row |= dict.fromkeys(("unlabelled", "self_retrieval"))
    shown = summary_of(blind)
    assert "no score could be taken" in shown and "chosen:" not in shown and "mAP" not in shown


def test_without_labels_80_columns_are_enough(blind, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    table = summary_of(blind, 80).split("untrained")[0].splitlines()
    assert main(["status", str(blind.plan.folder)]) == 0
    status = capsys.readouterr().out.split("* given")[0].splitlines()[3:]
    assert max(map(len, table + status)) <= 80


def test_the_confirmation_runs_the_highest_scores_again(play_unlabelled):
    session = play_unlabelled(*SEARCH, "--confirm", "2", "--seeds", "2")
    drawn = [trial for trial in session.ledger.trials.values() if trial.origin == "search"]
    best = sorted(drawn, key=lambda trial: -selected_of(trial)[1])[:2]
    runs = [trial for trial in session.ledger.trials.values() if trial.origin == "confirm"]
    assert session.queue.complete and len(runs) == 6
    assert {trial.labels[1] for trial in runs} == {"paper", *(f"trial {trial.number}" for trial in best)}
    shown = summary_of(session)
    assert "on fresh seeds, the highest score without labels" in shown and "mAP" not in shown
    papers = sorted((trial for trial in runs if trial.labels[1] == "paper"), key=lambda trial: trial.seed)
    both = ", ".join(percent(selected_of(trial)[1]) for trial in papers)
    assert both in shown.split("on fresh seeds")[1]


def test_the_status_shows_scores(blind, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["status", str(blind.plan.folder)]) == 0
    shown = capsys.readouterr().out
    assert "mAP" not in shown and "best" not in shown
    head = next(line for line in shown.splitlines() if line.startswith("trial  "))
    assert head.split()[:6] == ["trial", "state", "step", "score", "selected", "classes"]
    for number, words in rows_of(shown).items():
        trial = blind.ledger.trials[number]
        step, score = selected_of(trial)
        last = percent(trial.steps[5]["unlabelled"])
        assert words[1:8] == ["complete", "5/5", last, percent(score), "at", str(step), str(16 - 3 * step)]
    values = [row["unlabelled"] for t in blind.ledger.trials.values() for s, row in t.steps.items() if s]
    assert f"score in percent, last step; curves by merge step, {percent(min(values))} to " in shown
    assert any(mark in shown for mark in "▁▂▃▄▅▆▇█")


def test_one_trial_shows_its_scores_step_by_step(blind, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["status", str(blind.plan.folder), "--trial", "1"]) == 0
    shown = capsys.readouterr().out
    trial = blind.ledger.trials[1]
    step, score = selected_of(trial)
    assert "mAP" not in shown and "purity" not in shown and "rank-1" not in shown
    assert f"score {percent(score)} at {step}\n" in shown and "┤" in shown
    rows = rows_of(shown)
    assert list(rows) == [0, 1, 2, 3, 4, 5]
    for number, words in rows.items():
        row = trial.steps[number]
        scores = [row[name] for name in ("unlabelled", "self_retrieval", "stability", "camera_excess")]
        assert words[1:7] == [str(16 - 3 * number), *map(percent, scores), str(1 + number)]
    assert max(map(len, shown[shown.index("step  classes") :].split("checkpoints:")[0].splitlines())) <= 80


def test_for_machines_there_are_curve_and_selected_step(blind, capsys):
    assert main(["status", str(blind.plan.folder), "--json"]) == 0
    for told in json.loads(capsys.readouterr().out)["trials"]:
        trial = blind.ledger.trials[told["trial"]]
        assert told["mAP"] == {} and told["selected_step"] == selected_of(trial)[0]
        assert told["unlabelled"] == {str(s): trial.steps[s]["unlabelled"] for s in range(1, 6)}
        assert told["value"] == selected_of(trial)[1]


def test_the_console_shows_scores_while_it_runs(play_unlabelled):
    session = play_unlabelled("--samples", "6", "--pruner", "none", slots=2, cut=9)
    for job in session.running.values():
        job.started = session.began
    console = screen(200)
    display = Display(session, console)
    console.print(display._table(of_session(session)))
    display._drawn = 0.0
    display.poll()
    shown = text(console)
    assert "mAP" not in shown
    assert shown.splitlines()[1].split()[:6] == ["trial", "step", "epoch", "score", "selected", "left"]
    for number, words in rows_of(shown).items():
        trial = session.ledger.trials[number]
        step, score = selected_of(trial)
        last = trial.steps[trial.last_step]["unlabelled"]
        assert f" {trial.last_step}/5 {percent(last)} {percent(score)} at {step} " in " ".join(words)
        assert f"trial {number} step {trial.last_step}/5, score {percent(score)} at {step}" in shown


def test_each_end_is_told_with_its_score_and_the_heading_has_the_best(blind):
    console = screen(200)
    display = Display(blind, console)
    trial = blind.ledger.trials[2]
    step, score = selected_of(trial)
    assert f"complete: score {percent(score)} at {step} · " in display._end_of(trial)
    console.print(display._table(of_session(blind)))
    best = max(blind.ledger.trials.values(), key=lambda trial: selected_of(trial)[1])
    assert f"best score {percent(selected_of(best)[1])} (trial {best.number})" in text(console)
    assert "mAP" not in text(console)


@pytest.mark.parametrize(("objective", "name"), [("last", "mAP"), ("unlabelled", "unlabelled")])
def test_the_dashboard_names_what_it_shows(plan_of, play, data, objective: str, name: str):
    plan = plan_of("--samples", "2", "--objective", objective)
    write_description(plan.folder, describe(plan, data, "c"))
    play(plan)
    mirror = Mirror(str(plan.folder), "studies")
    (study,) = mirror.storage.get_all_studies()
    assert study.system_attrs["study:metric_names"] == [name]


# --- with labels


def test_with_labels_map_at_the_selected_step_stands_beside_last_and_best(plan_of, play):
    session = play(plan_of(*SEARCH))
    rows = rows_of(summary_of(session))
    for trial in session.ledger.trials.values():
        step, _ = selected_of(trial)
        assert (
            " ".join(rows[trial.number])
            .split(" λ1")[0]
            .endswith(f" {percent(trial.steps[step]['mAP'])} at {step}")
        )
        last = trial.steps[5]["mAP"]
        expected = f"mAP {percent(last)}, selected {percent(trial.steps[step]['mAP'])} at {step}"
        assert come_to(trial) == expected
    shown = summary_of(session)
    assert "selected: at the merge step with the highest score without labels" in shown
    assert "chosen:" not in shown and "score" not in shown.replace("highest score", "")


def test_with_labels_a_search_by_the_score_keeps_the_columns_of_map(plan_of, play):
    session = play(plan_of(*SEARCH, "--objective", "unlabelled"))
    shown = summary_of(session)
    assert "trapez." in shown and "chosen: trial" in shown
    ranked = sorted(session.ledger.trials.values(), key=lambda trial: -selected_of(trial)[1])
    assert list(rows_of(shown)) == [trial.number for trial in ranked]


def test_a_run_that_diverged_before_anything_was_measured_is_ranked_last(plan_of, play):
    """In a plan by the score: retrieval is measured later than that."""
    session = play(plan_of("--plan", "table1", "--objective", "unlabelled"))
    trial = session.ledger.trials[1]
    trial.state, trial.value = "diverged", 0.0
    for step in (2, 3, 4, 5):
        del trial.steps[step]
    trial.steps[1]["mAP"] = None
    words = rows_of(summary_of(session))
    assert list(words)[-1] == 1 and words[1][1:6] == ["0.0", "0.0", "0.0", "–", "–"]


def test_studies_from_before_the_scores_show_none(plan_of, open_session, fake_tune, capsys):
    class Older(fake_tune):
        def rows(self, job):
            for row in super().rows(job):
                yield {name: row[name] for name in ("step", "mAP", "mAP_trapezoid", "rank1", "total_steps")}

    session = open_session(plan_of(*SEARCH))
    Older(session).run()
    write_description(session.plan.folder, describe(session.plan, session.data, "c"))
    assert "selected" not in summary_of(session)
    for more in ((), ("--trial", "1")):
        assert main(["status", str(session.plan.folder), *more]) == 0
        shown = capsys.readouterr().out
        assert "selected" not in shown and "score" not in shown and "mAP" in shown


@pytest.mark.parametrize(
    ("objective", "metrics", "expected"),
    [
        ("unlabelled", {}, True),
        ("last", {}, False),
        ("last", {"unlabelled": 0.5}, True),
        ("unlabelled", {"unlabelled": 0.5, "mAP": 0.2}, False),
        ("last", {"unlabelled": 0.5, "mAP": 0.2}, False),
    ],
)
def test_scores_stand_where_nothing_else_can(plan_of, open_session, objective, metrics, expected):
    session = open_session(plan_of("--objective", objective, "--no-share"))
    session.ask("t")
    session.ask("another")  # which has not reported yet
    if metrics:
        session.hear("t", {"step": 1, "total_steps": 5} | metrics)
    assert by_score(session.ledger.trials.values(), session.plan) is expected
