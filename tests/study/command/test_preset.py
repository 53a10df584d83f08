"""`--preset`: what trial 0 runs, what stands beside it, and what is said of it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from screens import screen, text

from dcreid.data.tracklets import TrackletDataset
from dcreid.presets import PRESETS, laid_over, settings_of
from study.command.driver import Prepared, prepare
from study.command.effects import check_effects, left_unfrozen
from study.command.parser import parser
from study.command.resolve import options_in, overrides, resolve, settings_left_out
from study.errors import OptionError
from study.plan import StudyPlan
from study.record.folder import check_same, describe
from study.show.view import is_base, is_papers
from study.show.wording import parameters, whose


def plan_with(*options: str) -> StudyPlan:
    return resolve(parser().parse_args(["--name", "study", "--studies", "/nonexistent/studies", *options]))


@pytest.mark.parametrize("name", PRESETS)
def test_trial_0_is_the_preset_with_its_budget_and_the_options_on_top(name: str) -> None:
    plan = plan_with("--preset", name, "--temperature", "0.2", "--merge-rate", "0.1")
    chosen = {"train.temperature": 0.2, "merge.merge_rate": 0.1}
    assert plan.config == laid_over(settings_of("synthetic"), name, chosen)
    assert plan.fixed_items()[0][0] == plan.fixed_items()[0][1].label == name == plan.preset
    assert "train.temperature" not in plan.search_space.fields


@pytest.mark.parametrize("name", ["recommended", "buc", "dbc", "oim"])
def test_trial_1_is_the_papers_with_the_same_options_and_nothing_else_is_given(name: str) -> None:
    plan = plan_with("--preset", name, "--temperature", "0.2", "--samples", "30")
    papers = settings_of("synthetic").replace(**{"train.temperature": 0.2})
    (origin, item), *rest = plan.fixed_items()[1:]
    assert (origin, item.label, item.experiments) == ("given", "paper", ("paper",)) and not rest
    assert item.config == papers == plan.papers_config != plan.config
    assert StudyPlan.from_dict(json.loads(json.dumps(plan.to_dict()))).papers_config == papers


def test_the_papers_preset_is_the_default_and_has_its_tables() -> None:
    plan = plan_with("--samples", "30")
    assert plan == plan_with("--samples", "30", "--preset", "paper")
    assert len(plan.given) == 6 and plan.papers_config == plan.config == settings_of("synthetic")
    assert "preset" not in plan.identity()


def test_a_search_of_the_full_space_begins_with_the_recommended_configuration() -> None:
    options = ("--space", "full", "--samples", "3", "--temperature", "0.2")
    plan = plan_with(*options)
    (origin, item), *rest = plan.fixed_items()[1:]
    assert (origin, item.label, item.experiments) == ("given", "recommended", ("recommended",)) and not rest
    assert item.config == laid_over(settings_of("synthetic"), "recommended", {"train.temperature": 0.2})
    assert plan.papers_config == plan.config == settings_of("synthetic").replace(**{"train.temperature": 0.2})
    assert StudyPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
    check_effects(options_in((*options, "--tables")), plan)
    assert plan_with(*options, "--no-tables").given == []


def test_options_that_recommended_cannot_have_leave_it_out_by_name() -> None:
    options = ("--space", "full", "--memory-init", "carry", "--samples", "3")
    assert plan_with(*options).given == []
    left_out = settings_left_out(parser().parse_args(options))
    assert [line.split(" = ")[0] for line in left_out] == [
        "left out, the recommended configuration: train.memory_init"
    ]


def test_a_preset_makes_another_study() -> None:
    one, two = plan_with(), plan_with("--preset", "oim")
    assert two.identity()["preset"] == "oim" and one.identity() != two.identity()
    assert len({resolve(parser().parse_args(["--preset", name])).name for name in PRESETS}) == len(PRESETS)


def test_studies_without_the_field_are_the_papers() -> None:
    stored = plan_with().to_dict()
    del stored["preset"]
    assert StudyPlan.from_dict(stored) == plan_with()


def test_a_resumed_study_keeps_its_preset() -> None:
    plan = plan_with("--preset", "buc")
    given = parser().parse_args(["--resume", "study"])
    kept = overrides(plan, given, ["--resume", "study"])
    assert kept.preset == "buc" and kept.config == plan.config
    with pytest.raises(OptionError, match="--preset cannot change"):
        overrides(plan, given, ["--resume", "study", "--preset", "dbc"])


def test_a_folder_of_another_preset_is_refused_by_name(
    plan_of: Callable[..., StudyPlan], data: TrackletDataset, tmp_path: Path
) -> None:
    description = describe(plan_of("--preset", "buc"), data, "")
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "study.json").write_text(json.dumps(description))
    with pytest.raises(Exception, match="holds another study"):
        check_same(folder, plan_of("--preset", "dbc"), data)


def test_a_stored_preset_must_be_known() -> None:
    with pytest.raises(
        Exception, match=r"plan.preset = 'bux': must be one of paper, recommended, buc, dbc, oim"
    ):
        StudyPlan.from_dict(plan_with().to_dict() | {"preset": "bux"})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("paper2", "did you mean paper?"),
        ("BUC", "must be one of paper, recommended, buc, dbc, oim"),
        ("", "must be one"),
    ],
)
def test_misspelt(given: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["--preset", given])
    error = capsys.readouterr().err
    assert said in error and "--preset" in error and len(error.splitlines()) == 1


def test_a_number_of_classes_holds_for_every_method_that_merges() -> None:
    """Those that presets would end elsewhere; and it is fixed, not searched."""
    for preset in ("recommended", "buc", "dbc"):
        plan = plan_with("--preset", preset, "--classes", "5")
        assert [plan.config.merge.joining_steps(24), plan.config.merge.classes] == [
            math.ceil(19 / plan.config.merge.joins_per_step(24)), 5
        ]  # fmt: skip
    rivals = plan_with("--plan", "rivals", "--classes", "5").fixed_items()
    rows = {name: item.config.merge for _, item in rivals for name in item.experiments}
    ends = {label: 24 - sum(merge.joins(24, s) for s in range(1, 30)) for label, merge in rows.items()}
    assert ends.pop("rivals/oim") == 24 - rows["rivals/oim"].joins_per_step(24)
    assert set(ends.values()) == {5}
    space = plan_with("--space", "full", "--classes", "5").search_space
    assert space is not None and "merge.classes" not in space.fields
    given = plan_with("--space", "full", "--classes", "5").fixed_items()
    assert [item.config.merge.classes for _, item in given] == [5, 5]


def test_tables_have_no_effect_beside_a_preset() -> None:
    argv = ("--preset", "buc", "--tables", "--samples", "30")
    with pytest.raises(OptionError, match="--tables has no effect: beside --preset buc"):
        check_effects(options_in(argv), plan_with(*argv))
    options = ["--samples", "30", "--temperature", "0.2"]
    assert settings_left_out(parser().parse_args(options))
    assert settings_left_out(parser().parse_args(["--preset", "buc", *options])) == []


def test_where_every_difference_was_given_the_paper_is_not_there_twice() -> None:
    options = (
        *("--first-epochs", "8", "--alpha-schedule", "linear", "--memory-init", "members"),
        *("--max-steps", "0"),
    )
    plan = plan_with("--preset", "oim", *options)
    assert plan.config == settings_of("synthetic") and len(plan.fixed_items()) == 1


def test_a_preset_is_the_base_of_a_plan() -> None:
    plan = plan_with("--preset", "buc", "--plan", "table3")
    items = [item for _, item in plan.fixed_items()]
    assert plan.given == [] and items[0].config == laid_over(settings_of("synthetic"), "buc")
    assert {item.config.merge.linkage for item in items} == {"nearest"}


@pytest.mark.parametrize("name", ["rivals", "rivals-published"])
def test_rivals_have_no_preset(name: str) -> None:
    with pytest.raises(OptionError, match=f"--preset buc with --plan {name}: the plan runs every preset"):
        plan_with("--preset", "buc", "--plan", name)
    plan = plan_with("--plan", name, "--seeds", "2")
    assert plan.preset == "paper" and len(plan.fixed_items()) == 12


def test_rivals_go_by_their_names(plan_of, play) -> None:
    session = play(plan_of("--plan", "rivals"))
    trials, plan = session.ledger.trials.values(), session.plan
    names = [
        "this method as recommended",
        "BUC",
        "DBC as its code (λ not applied)",
        "DBC with λ1 = 0.1 applied",
        "OIM on single tracklets",
    ]
    assert [parameters(trial, plan) for trial in trials] == ["the paper's", *names]
    assert [is_papers(trial, plan) for trial in trials] == [True, False, False, False, False, False]


def test_rivals_of_random_weights_are_not_frozen_either() -> None:
    notes = left_unfrozen(plan_with("--plan", "rivals"))
    assert [note.split(":")[0] for note in notes] == ["preset recommended", "preset buc", "preset dbc"]


def test_the_recommended_trial_of_a_search_is_not_frozen_with_random_weights_and_the_run_says_so() -> None:
    (note,) = left_unfrozen(plan_with("--space", "full"))
    assert note.startswith("preset recommended: its --batch-norm is left out")
    assert left_unfrozen(plan_with("--space", "full", "--no-tables")) == ()


def prepared(tmp_path: Path, *options: str) -> Prepared:
    argv = ["--studies", str(tmp_path), "--cache", str(tmp_path / "c"), *options]
    return prepare(parser().parse_args(argv), argv)


def test_with_random_weights_the_run_says_what_is_not_frozen(tmp_path: Path) -> None:
    (note,) = prepared(tmp_path, "--preset", "buc").notes
    assert "preset buc" in note and "--frozen-stages" in note and "random" in note
    assert not left_unfrozen(plan_with("--preset", "oim"))
    assert plan_with("--preset", "buc").config.model.frozen_stages == 0


def test_the_help_says_what_each_is() -> None:
    words = "".join(parser().format_help().split())  # lines break at hyphens, too
    assert "--presetpaper|recommended|buc|dbc|oim" in words
    for preset in PRESETS.values():
        assert preset.help.replace(" ", "") in words


# --- in a study

CONFIRM = ("--confirm", "2", "--seeds", "2")


@pytest.fixture
def begun(plan_of, play):
    return play(plan_of("--preset", "buc", "--samples", "4", "--pruner", "none"))


def test_the_two_come_first_and_count_as_samples(begun) -> None:
    trials = begun.ledger.trials
    assert begun.queue.complete and len(trials) == 4
    assert [(t.origin, t.labels) for t in trials.values()][:3] == [
        ("buc", ("buc",)),
        ("given", ("paper",)),
        ("search", ()),
    ]
    config = begun.plan.config.from_dict
    assert config(trials[0].config) == begun.plan.config
    assert config(trials[1].config) == begun.plan.papers_config
    assert {t.config["merge"]["linkage"] for t in trials.values() if t.number != 1} == {"nearest"}


def test_the_sampler_learns_from_the_preset_and_not_from_another_method(begun) -> None:
    told = {t.user_attrs["trial"] for t in begun.optuna.study.trials}
    assert told == set(begun.ledger.trials) - {1}


def test_a_grid_has_the_points_that_the_papers_values_would_be(plan_of, play, tmp_path: Path) -> None:
    """The paper's α schedule is a point of the preset's own grid, with everything else the preset's."""
    path = tmp_path / "small.toml"
    path.write_text('[train.alpha_schedule]\nchoices = ["linear", "fixed", "cosine"]\n')
    options = ("--preset", "buc", "--samples", "10", "--space", str(path), "--sampler", "grid")
    session = play(plan_of(*options))
    drawn = [t for t in session.ledger.trials.values() if t.origin == "search"]
    assert sorted(t.config["train"]["alpha_schedule"] for t in drawn) == ["cosine", "linear"]
    assert session.queue.complete and len(session.ledger.trials) == 4


def test_more_seeds_are_of_the_preset_and_no_samples(plan_of, play, open_session) -> None:
    session = play(plan_of("--preset", "oim", "--samples", "3", "--seeds", "3"))
    trials = session.ledger.trials.values()
    assert [t.origin for t in trials] == ["oim", "given", "oim", "oim", "search"]
    assert session.queue.complete and session.queue.target == 5
    assert open_session(plan_of("--preset", "oim", "--samples", "3")).queue.outlook().startswith("3 done")


def test_the_confirmation_runs_the_preset_and_the_paper_beside_the_best(
    plan_of, open_session, fake_tune
) -> None:
    class PapersBest(fake_tune):
        def rows(self, job):
            for row in super().rows(job):
                yield row | ({"mAP": 0.95} if job.trial == 1 else {})

    session = open_session(plan_of("--preset", "buc", "--samples", "5", "--pruner", "none", *CONFIRM))
    PapersBest(session).run()
    runs = [t for t in session.ledger.trials.values() if t.origin == "confirm"]
    assert session.queue.complete and session.queue.target == 5 + 8 == len(session.ledger.trials)
    assert [t.labels[1] for t in runs[:2]] == ["buc", "paper"] and len(runs) == 8
    papers = session.plan.papers_config.replace(seed=runs[1].seed)
    assert session.plan.config.from_dict(runs[1].config) == papers
    assert not any(label == "trial 1" for t in runs for label in t.labels)
    console = screen(200)
    from study.show.summary import summary

    summary(session, console)
    fresh = text(console).split("on fresh seeds")[1]
    assert "0*" in fresh and "1†" in fresh


def test_what_is_shown_names_the_preset_and_the_paper(begun) -> None:
    from study.show.summary import summary

    console = screen(200)
    summary(begun, console)
    output = text(console)
    assert "* preset buc's configuration" in output and "† the paper's configuration" in output
    assert "0*" in output and "1†" in output
    first, second, third, *_ = begun.ledger.trials.values()
    plan = begun.plan
    assert parameters(second, plan) == "the paper's λ1 0.06 λ2 0.003 τ 0.1 α linear 0.5"
    assert "paper" not in parameters(first, plan) + parameters(third, plan)
    assert [is_base(t, plan) for t in (first, second, third)] == [True, False, False]
    assert [is_papers(t, plan) for t in (first, second, third)] == [False, True, False]
    assert whose(plan) == "preset buc's"
