"""What to type next."""

from __future__ import annotations

from study.show.next_command import confirm_command, next_command, retry_command


def test_what_to_type_next(plan_of, monkeypatch, tmp_path):
    assert next_command(plan_of("--samples", "6"), False).startswith("to go on: ")
    assert next_command(plan_of("--plan", "table1", "--name", "t"), True).endswith("--seeds 3")
    (tmp_path / "studies").mkdir()
    monkeypatch.chdir(tmp_path)
    assert next_command(plan_of("--samples", "2", "--studies", "studies", "--name", "n"), True) == (
        "more of the same search: python study/run.py --resume n --samples 4"
    )


def test_a_folder_elsewhere_is_named_in_full(plan_of, tmp_path):
    plan = plan_of("--samples", "2")
    assert confirm_command(plan) == f"python study/run.py --resume {tmp_path / 'study'} --confirm 3 --seeds 5"


def test_failed_trials_are_taken_up_by_the_option(plan_of, tmp_path):
    assert retry_command(plan_of()) == f"python study/run.py --resume {tmp_path / 'study'} --retry-failed"
