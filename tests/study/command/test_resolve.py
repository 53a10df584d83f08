"""The command line: every field an option, and what cannot be used refused with the option's name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from optuna.trial import FixedTrial

from dcreid.checked import allowed
from dcreid.config import fields
from dcreid.presets import paper, small
from study import run
from study.command.method_options import option_name
from study.command.parser import parser
from study.command.resolve import overrides, resolve, settings_left_out
from study.errors import OptionError
from study.plan import StudyPlan

TOP = parser()
ACTIONS = {action.dest: action for action in TOP._actions}


def plan(*argv: str) -> StudyPlan:
    return resolve(TOP.parse_args(list(argv)))


@pytest.mark.parametrize("name", fields())
def test_every_field_is_an_option_with_help_type_range_and_default(name: str):
    action, field = ACTIONS[name], fields()[name]
    assert option_name(name) in action.option_strings
    assert action.help is not None and action.default is None
    assert field.metadata["help"] in action.help.replace("%%", "%") and "[" in action.help
    if not isinstance(field.default, bool):
        assert callable(action.type)
        extent = "|".join(map(str, field.metadata["choices"] or ())) or allowed(field)
        assert extent in action.help or extent == action.metavar


def test_option_names_are_unique():
    names = [option for action in TOP._actions for option in action.option_strings]
    assert len(names) == len(set(names))


def test_defaults_in_help_are_the_presets():
    text = " ".join(TOP.format_help().split())
    assert "frame height in pixels, >= 16 and <= 2048 [256; synthetic: 64]" in text
    assert "[0.5; duke: 0.4]" in text and "[resnet50; synthetic: shufflenet_v2_x0_5]" in text


def test_help_fits_80_columns(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = parser().format_help().splitlines()
    assert (
        max(len(line) for line in lines if not line.startswith("  python ") and "python" not in line) <= 100
    )


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--lambda1", "abc"], "argument --lambda1: 'abc' is not a number >= 0"),
        (["--lambda1", "-1"], "argument --lambda1: '-1': must be >= 0"),
        (["--lambda1", "nan"], "argument --lambda1: 'nan' is not a number >= 0"),
        (["--height", "3"], "argument --height: '3': must be >= 16 and <= 2048"),
        (["--height", "3.5"], "argument --height: '3.5' is not a whole number"),
        (["--alpha-schedule", "up"], "must be one of linear, fixed, cosine"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["--lambda", "1"], "unrecognized arguments: --lambda"),
        (["--samples", "0"], "argument --samples: '0': must be >= 1"),
        (["--time-budget", "soon"], "argument --time-budget: 'soon': a time such as 90s, 45m, 12h or 2d"),
        (["--name", "a/b"], "argument --name: 'a/b': letters, digits"),
        (["--sampler", "best"], "argument --sampler: invalid choice: 'best'"),
        (["--cpus-per-trial", "0"], "argument --cpus-per-trial: '0': must be >= 0.01 and <= 1024"),
    ],
)
def test_values_that_cannot_be_used(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stopped:
        run.main(argv)
    error = capsys.readouterr().err
    assert stopped.value.code == 2 and said in error and len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--weights", "nofile"], "--weights nofile: no such file"),
        (["--reuse", "nothing"], "--reuse nothing: no study.json in"),
        (["--gpu-hours", "5", "--gpus-per-trial", "0"], "--gpu-hours 5: the trials use no GPU"),
        (["--data-root", "/tmp"], "--data-root: the synthetic data set is drawn, not read"),
        (["--dataset", "mars", "--data-root", "/nonexistent/x"], "/nonexistent/x"),
        (["--space", "defualt"], "did you mean default?"),
        (
            ["--space", "alpha", "--alpha", "0.3", "--alpha-schedule", "fixed"],
            "--space alpha: every parameter",
        ),
        (["--resume", "nothing"], "--resume nothing: no study.json in"),
        (["--storage", "nonsense://x"], "--storage nonsense://x: not a folder or a URI"),
        (["--memory-init", "previous_rows"], "leak_audit = true"),
        (["--merge-method", "identities"], "leak_audit = true"),
        (["--merge-method", "identities", "--leak-audit", "--dry-run"], "use --plan bound"),
        (["--merge-method", "identities", "--leak-audit", "--plan", "fig3"], "use --plan bound"),
        (
            ["--merge-rate", "0.5", "--synthetic-train-identities", "2", "--backbone", "resnet18x"],
            "resnet18x",
        ),
    ],
)
def test_options_that_do_not_go_together(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    assert run.main([*argv, "--studies", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("study/run.py: error: ") and said in error and len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())


class TestWhereTheDataAreFound:
    @pytest.fixture(autouse=True)
    def _elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("DCREID_DATA", raising=False)
        self.monkeypatch, self.here = monkeypatch, tmp_path

    def made(self, *names: str) -> str:
        """A folder below the test's own; its path."""
        folder = self.here.joinpath(*names)
        folder.mkdir(parents=True)
        return str(folder)

    @pytest.mark.parametrize("dataset", ["mars", "duke", "folder"])
    def test_in_data_below_the_current_folder(self, dataset: str):
        root = self.made("data", dataset)
        assert plan("--dataset", dataset).root == root

    def test_dcreid_data_comes_before_it_and_the_option_before_both(self):
        here, everywhere, given = self.made("data", "mars"), self.made("all", "mars"), self.made("given")
        assert plan("--dataset", "mars").root == here
        self.monkeypatch.setenv("DCREID_DATA", str(self.here / "all"))
        assert plan("--dataset", "mars").root == everywhere
        assert plan("--dataset", "mars", "--data-root", "given").root == given
        Path(everywhere).rmdir()
        assert plan("--dataset", "mars").root == here

    def test_where_it_was_looked_for_and_what_should_lie_there_is_told(
        self, capsys: pytest.CaptureFixture[str]
    ):
        assert run.main(["--dataset", "mars", "--samples", "50"]) == 2
        error = capsys.readouterr().err
        assert error.startswith("study/run.py: error: --dataset mars: not found in $DCREID_DATA/mars")
        for output in ("DCREID_DATA is not set", str(self.here / "data" / "mars"), "--data-root FOLDER"):
            assert output in error
        assert "bbox_train/ bbox_test/ info/" in error and "train_split/" in error
        self.monkeypatch.setenv("DCREID_DATA", "/nowhere")
        assert run.main(["--dataset", "duke"]) == 2
        error = capsys.readouterr().err
        assert "not found in /nowhere/duke" in error and "gallery/<identity>/<tracklet>/" in error
        assert len(error.splitlines()) == 1 and not list(self.here.iterdir())


class TestTheSettingsOfThePapersTables:
    def given(self, *argv: str) -> dict[str, dict[str, object]]:
        """What the search begins with beside trial 0, by its first experiment."""
        rows = plan("--samples", "20", *argv).given
        return {row["experiments"][0]: row["changes"] for row in rows}

    def test_they_are_the_papers_own_six_beside_the_final_setting(self):
        mars = ("--dataset", "mars", "--data-root", ".")
        assert self.given(*mars) == {
            "table1/baseline": {"merge.lambda1": 0.0, "merge.lambda2": 0.0},
            "table1/lambda1": {"merge.lambda2": 0.0},
            "table2/fixed": {"train.alpha_schedule": "fixed"},
            "table3/0.05": {"train.temperature": 0.05},
            "table3/0.08": {"train.temperature": 0.08},
            "table3/0.3": {"train.temperature": 0.3},
        }

    def test_all_of_them_lie_in_the_default_space(self):
        made = plan("--samples", "20")
        space = made.search_space
        assert space is not None and len(made.fixed_items()) == 7
        for _, item in made.fixed_items():
            held = item.config.flat()
            assert space.draw(FixedTrial(space.params_of(item.config))) == {f: held[f] for f in space.fields}

    @pytest.mark.parametrize(
        "argv",
        [("--samples", "19"), ("--no-tables",), ("--space", "method"), ("--plan", "table1")],
    )
    def test_other_searches_keep_trial_0(self, argv: tuple[str, ...]):
        assert plan("--samples", "20", *argv).given == []

    def test_what_changes_a_field_that_the_user_fixed_is_left_out_and_named(self):
        argv = ["--samples", "20", "--lambda1", "0.1", "--temperature", "0.2"]
        assert set(self.given(*argv)) == {"table1/lambda1", "table2/fixed"}
        output = settings_left_out(TOP.parse_args(argv))
        assert any("tables: table1/baseline" in one and "λ1 was given" in one for one in output)
        assert sum("τ was given" in one for one in output) == 4 and len(output) == 5

    def test_they_are_no_part_of_the_studys_name(self):
        names = {plan("--samples", n, *argv).name for n in ("19", "20") for argv in ((), ("--no-tables",))}
        assert len(names) == 1


def test_the_data_sets_preset_is_the_base():
    assert plan().config == small() and plan().samples == 6
    mars = plan("--dataset", "mars", "--data-root", ".")
    assert mars.config == paper("mars") and mars.samples == 50 and mars.root == str(Path.cwd())


def test_options_given_are_held_and_not_searched():
    found = plan("--lambda1", "0.2", "--alpha-schedule", "fixed")
    assert found.config.merge.lambda1 == 0.2 and found.search_space is not None
    assert found.search_space.fields == ("merge.lambda2", "train.temperature", "train.alpha")


def test_options_narrow_what_is_searched_or_are_refused(capsys: pytest.CaptureFixture[str]):
    space = plan("--space", "full", "--batch-size", "12", "--memory-init", "carry").search_space
    assert space is not None
    choices = {prior.field: prior.choices for prior in space.priors}
    assert choices["train.tracklets_per_class"] == (2, 4)
    assert choices["merge.method"] == ("once", "star", "exact")
    assert run.main(["--space", "full", "--batch-size", "18"]) == 2
    error = capsys.readouterr().err
    assert "'full': of train.tracklets_per_class" in error and "batch_size = 18" in error
    assert len(error.splitlines()) <= 3


def test_flags_have_a_no():
    assert not plan("--no-channels-last").config.train.channels_last
    assert plan("--compile").config.train.compile


def test_paths_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pt").write_bytes(b"")
    found = plan("--weights", "w.pt", "--cache", "c", "--studies", "s", "--storage", "t")
    assert found.config.model.weights == str(tmp_path / "w.pt") and found.cache == str(tmp_path / "c")
    assert found.folder.parent == tmp_path / "s" and found.storage == str(tmp_path / "t")


def test_the_same_options_are_the_same_study_and_others_another():
    assert plan().name == plan("--samples", "9", "--concurrency", "2", "--time-budget", "1h").name
    names = {
        plan(*argv).name
        for argv in ((), ("--lambda1", "0.1"), ("--sampler", "gp"), ("--plan", "table1"), ("--seed", "1"))
    }
    assert len(names) == 5 and all(name.startswith("synthetic-") for name in names)


def test_a_plan_is_not_pruned():
    assert plan("--plan", "paper").pruner == "none" and plan("--plan", "paper").space is None


class TestResume:
    def resumed(self, *argv: str) -> StudyPlan:
        given = ["--resume", "x", *argv]
        return overrides(plan("--name", "x"), TOP.parse_args(given), given)

    def test_what_is_not_told_stays(self):
        assert self.resumed() == plan("--name", "x")

    def test_session_options_change(self):
        found = self.resumed("--samples=12", "--concurrency", "2", "--cache", "/c", "--pruner", "none")
        assert (found.samples, found.concurrency, found.cache, found.pruner) == (12, 2, "/c", "none")
        found = self.resumed("--asha-eta", "4", "--asha-rungs=1")
        assert (found.asha_eta, found.asha_rungs) == (4, 1)

    def test_gpu_hours_stay_and_force_is_one_sessions(self):
        before = plan("--name", "x", "--gpu-hours", "4", "--force", "--hang-timeout", "1h")
        found = overrides(before, TOP.parse_args(["--resume", "x"]), ["--resume", "x"])
        assert (found.gpu_hours, found.force, found.hang_timeout) == (4.0, False, 3600.0)
        assert self.resumed("--gpu-hours", "9", "--force").force

    def test_gpu_hours_of_no_gpu_are_refused(self):
        with pytest.raises(OptionError, match=r"--gpu-hours 9: .* use --time-budget"):
            self.resumed("--gpu-hours", "9", "--gpus-per-trial", "0")

    def test_a_time_budget_is_one_sessions(self):
        before = plan("--name", "x", "--time-budget", "1h")
        assert overrides(before, TOP.parse_args(["--resume", "x"]), ["--resume", "x"]).time_budget is None
        assert self.resumed("--time-budget", "2m").time_budget == 120

    def test_another_name_is_refused(self):
        with pytest.raises(OptionError, match="--name y with --resume x: each names a study"):
            self.resumed("--name=y")

    @pytest.mark.parametrize("option", ["--lambda1=0.1", "--sampler=gp", "--no-compile", "--seed=1"])
    def test_options_of_the_study_are_refused(self, option: str):
        with pytest.raises(OptionError, match=f"{option.split('=')[0]} cannot change"):
            self.resumed(option)

    def test_data_root_of_synthetic_is_refused(self):
        with pytest.raises(OptionError, match="--data-root"):
            self.resumed("--data-root", "/d")


@pytest.mark.slow
def test_help_runs_from_anywhere(tmp_path: Path):
    script = Path(run.__file__).resolve()
    done = subprocess.run(
        [sys.executable, str(script), "--help"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "python study/run.py --resume STUDY" in done.stdout and not done.stderr
