"""Studies on clusters of several nodes: what a node must have, and what happens when nodes come and go."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from kills import differences, events, results
from ray_nodes import Cluster, until
from torchvision.io import encode_jpeg

from dcreid.data import load_dataset
from dcreid.presets import settings_of
from study.command.parser import parser
from study.command.resolve import resolve
from study.errors import OptionError
from study.on_ray import nodes as module
from study.on_ray.nodes import Nodes, look, wait_for_resources
from study.record.storage import Storage
from study.source import PACKAGES, code_version

REPOSITORY = Path(__file__).resolve().parents[3]
RUN = str(REPOSITORY / "study" / "run.py")
TINY = (
    "--merge-rate",
    "0.2",
    "--first-epochs",
    "1",
    "--later-epochs",
    "1",
    "--height",
    "32",
    "--width",
    "16",
)
EMBEDDED = (*TINY, "--synthetic-train-identities", "4", "--synthetic-test-identities", "3")
ORDERLY = ("--sampler", "random", "--pruner", "none", "--cache", "cache", "--name", "study")
# Trials that hold GPUs of which only Ray knows, and train on the CPU all the same.
ON_CPUS = """
import functools, sys
import study.on_ray.loop as loop
from study.worker.trainable import run_trial

def on_cpu(job):
    run_trial(job | {"gpus": 0.0})

loop.run_session = functools.partial(loop.run_session, trainable=on_cpu, probe=dict.fromkeys)
from study.run import main
sys.exit(main())
"""
IMPATIENT = (
    "import sys, study.on_ray.nodes as n; n._PATIENCE = 3; from study.run import main; sys.exit(main())"
)


# --- data on disk


def write_data(root: Path, seed: int = 0) -> Path:
    """A `folder` data set: 16 training tracklets of two frames, and two people on two cameras."""
    rng = torch.Generator().manual_seed(seed)
    names = [f"train/{i:02d}" for i in range(16)]
    names += ["query/ann/C1_1", "query/bob/C1_1", "gallery/ann/C2_1", "gallery/bob/C2_1"]
    for name in names:
        (root / name).mkdir(parents=True)
        for frame in (1, 2):
            pixels = torch.randint(0, 256, (3, 32, 16), dtype=torch.uint8, generator=rng)
            (root / name / f"{frame}.jpg").write_bytes(bytes(encode_jpeg(pixels).numpy()))
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_data(tmp_path / "data")


def fingerprint(root: Path) -> str:
    return load_dataset(settings_of("folder").data, root).fingerprint()


@pytest.fixture
def asked(root: Path, tmp_path: Path) -> Callable[..., str | None]:
    """Asks this machine what it makes of a study; options differ from those of the study's driver."""
    storage = tmp_path / "trials"
    Storage(str(storage)).write(".nodes", b"token")
    config = settings_of("folder").replace(**{"model.weights": "none"})

    def ask(**other: str) -> str | None:
        given = {"root": str(root), "storage": str(storage), "weights": "none"} | other
        base = config.replace(**{"model.weights": given["weights"]}).to_dict()
        code = given.get("code", code_version())
        version, problem = look(base, given["root"], fingerprint(root), code, given["storage"], "token")
        assert version == torch.__version__
        return problem

    return ask


def test_a_node_that_has_all(asked):
    assert asked() is None


def test_what_a_node_may_lack(asked, root: Path, tmp_path: Path):
    assert asked(root="/nowhere/at/all").startswith("cannot read the data: /nowhere/at/all")
    (tmp_path / "empty").mkdir()
    assert "does not see the driver's" in asked(storage=str(tmp_path / "empty"))
    assert asked(weights="/no/weights.pt") == "has no --weights /no/weights.pt"
    assert asked(code="0123").startswith("has other code of dcreid")
    other = write_data(tmp_path / "other", seed=1)
    assert asked(root=str(other)) == (
        f"has other data under --data-root {other}: fingerprint {fingerprint(other)}, "
        f"the driver's is {fingerprint(root)}"
    )


def test_data_that_were_changed_are_other_data(asked, root: Path):
    config = settings_of("folder").replace(**{"model.weights": "none"}).to_dict()
    before = fingerprint(root)
    shutil.rmtree(root / "train" / "07")
    _, problem = look(config, str(root), before, code_version(), str(root.parent / "trials"), "token")
    assert problem is not None and before in problem and fingerprint(root) in problem


# --- nodes that fail, on a made-up Ray


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch, plan_of: Callable[..., Any]) -> SimpleNamespace:
    """`Nodes` of two nodes, `a` and `b`, whose looks find `problem` of each; and what is told."""
    made = SimpleNamespace(now=1000.0, told=[], asked=[], problem={}, freed=[])
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: made.now, time=lambda: made.now))
    ray = SimpleNamespace(
        nodes=lambda: [
            {"NodeID": key, "NodeManagerAddress": key, "Alive": True, "Resources": {"CPU": 4.0}}
            for key in "ab"
        ],
        wait=lambda references, **_: (references, []),
        get=lambda reference: reference,
        cancel=lambda task, force: made.freed.append(task),
    )

    def task(node: Any, function: Any, **_: Any) -> Any:
        def remote(*arguments: Any) -> Any:
            if function is not look:
                return node.key  # keeps trials out
            made.asked.append(node.key)
            return torch.__version__, made.problem.get(node.key)

        return SimpleNamespace(remote=remote)

    monkeypatch.setattr(module, "ray", ray)
    monkeypatch.setattr(module, "_on", task)
    tell = lambda place, problem: made.told.append((place, problem))  # noqa: E731
    made.of = lambda *options: Nodes(plan_of(*options), "fingerprint", 0.0, tell)
    return made


def turns(made: SimpleNamespace, nodes: Nodes, seconds: int) -> None:
    for _ in range(seconds):
        made.now += 1.0
        nodes.poll()


def test_a_node_that_fails_a_trial_is_set_aside_and_looked_at_more_rarely_every_time(watched):
    nodes, waits = watched.of("--address", "auto"), []
    turns(watched, nodes, 20)
    assert sorted(watched.asked) == ["a", "b"] and watched.told == []
    for _ in range(3):
        for _ in range(4):  # trials that ran there
            nodes.failed("a", "NodeError: no room for frames")
        began = watched.now
        assert nodes.room() and nodes.problems == ["a NodeError: no room for frames"]
        nodes.suspect("")  # a crash elsewhere
        while nodes.problems:
            turns(watched, nodes, 1)
        waits.append(watched.now - began)
    assert waits == pytest.approx([60.0, 120.0, 240.0], abs=11)
    assert watched.told == [("a", "NodeError: no room for frames"), ("a", None)] * 3
    assert watched.freed == ["a"] * 4 * 3  # a task for each of its slots


def test_one_machine_is_looked_at_only_when_it_has_failed_a_trial(watched):
    nodes = watched.of()
    turns(watched, nodes, 600)
    assert watched.asked == [] and nodes.room()
    watched.problem = {"a": "cannot read the data", "b": "cannot read the data"}
    nodes.failed("a", "NodeError: cannot read the data")
    nodes.failed("b", "NodeError: cannot read the data")
    assert not nodes.room()
    turns(watched, nodes, 100)
    assert sorted(watched.asked) == ["a", "b"] and not nodes.room()
    watched.problem = {}
    turns(watched, nodes, 130)
    assert nodes.room() and nodes.problems == []


@pytest.mark.parametrize(
    ("cuda", "address", "gpus"), [("12.8", None, 1.0), (None, None, 0.0), (None, "auto", 1.0)]
)
def test_a_gpu_that_this_pytorch_cannot_use_is_none(cuda, address, gpus, monkeypatch, plan_of):
    """As on a Mac. The GPUs of a cluster are its nodes' affair."""
    node = {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 1.0}}
    monkeypatch.setattr(module, "ray", SimpleNamespace(nodes=lambda: [node]))
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.version, "hip", None)
    plan = dataclasses.replace(plan_of(), address=address)
    assert wait_for_resources(plan, lambda: False) == gpus


# --- options


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("head", "'head': auto, HOST:PORT"),
        ("http://head:8265", "auto, HOST:PORT"),
        ("ray://", "ray://HOST:PORT from outside"),
    ],
)
def test_addresses_that_tune_cannot_use(address: str, said: str, capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit):
        parser().parse_args(["--address", address])
    assert re.search(f"argument --address: .*{said}", capsys.readouterr().err)


def test_a_jobs_own_folder_is_no_place_for_a_study(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    folder = tmp_path / "runtime_resources" / "working_dir_files" / "_ray_pkg_1"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    with pytest.raises(OptionError, match=r"--studies studies: .* is deleted with the job"):
        resolve(parser().parse_args([]))
    given = ["--studies", "/shared/studies"]
    with pytest.raises(OptionError, match=r"--cache .cache: .* is deleted with the job"):
        resolve(parser().parse_args(given))
    given += ["--cache", "/disk"]
    with pytest.raises(OptionError, match=r"--storage trials: .* is deleted with the job"):
        resolve(parser().parse_args([*given, "--storage", "trials"]))
    assert resolve(parser().parse_args(given)).studies == "/shared/studies"


# --- clusters


@functools.cache
def unshares() -> bool:
    """Whether a process may have a file system of its own here."""
    command = ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    return bool(shutil.which("unshare")) and subprocess.run(command, capture_output=True).returncode == 0


def seeing(source: Path | None, *targets: Path) -> list[str]:
    """Prefix of a command that sees another folder in the place of each target; an empty one for None."""
    if not unshares():
        pytest.skip("needs mount namespaces (root)")
    mount = "mount -t tmpfs none" if source is None else f"mount --bind '{source}'"
    mounts = " && ".join(f"{mount} '{target}'" for target in targets)
    return ["unshare", "-m", "bash", "-c", f"""{mounts} && exec "$@\"""", "bash"]


@pytest.fixture(scope="module")
def head() -> Iterator[Cluster]:
    cluster = Cluster()
    yield cluster
    cluster.close()


@pytest.fixture
def cluster(head: Cluster) -> Iterator[Cluster]:
    """A cluster without nodes that run trials, as yet."""
    yield head
    for node in list(head.nodes):
        head.stop(node)


class Driver:
    """A driver under way in a folder, on a cluster or on this machine."""

    def __init__(
        self, folder: Path, *options: str, cluster: Cluster | None = None, script: Sequence[str] = (RUN,)
    ):
        folder.mkdir(exist_ok=True)
        self.log = folder / "console.log"
        where = [] if cluster is None else ["--address", cluster.address]
        output = {"PYTHONPATH": str(REPOSITORY)} | ({} if cluster is None else cluster.environment)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *script, *ORDERLY, *options, *where],
                cwd=folder, stdout=log, stderr=log, env={**os.environ, **output},
            )  # fmt: skip

    def until(self, done: Callable[[], bool]) -> None:
        until(done, alive=self.process, log=self.log)

    def finished(self, status: int = 0) -> str:
        """What it has said, once it has ended."""
        try:
            ended = self.process.wait(timeout=1800)
        finally:
            self.process.kill()
        output = self.log.read_text()
        assert ended == status, output
        return output


def steps(folder: Path) -> int:
    return sum(1 for event in events(folder) if event["event"] == "step")


@pytest.mark.slow
def test_a_study_on_three_nodes_of_which_one_dies_and_one_comes(cluster: Cluster, tmp_path: Path):
    options = (*EMBEDDED, "--samples", "5")
    Driver(tmp_path / "one", *options).finished()
    first = cluster.add()
    cluster.add()
    packages = [REPOSITORY / package for package in PACKAGES]
    cluster.add(prefix=seeing(None, *packages) if unshares() else ())  # the code comes with the trials
    driver = Driver(tmp_path / "three", *options, cluster=cluster)
    driver.until(lambda: steps(tmp_path / "three") >= 4)
    driver.until(lambda: bool(first.workers()))
    cluster.kill(first)
    cluster.add()
    output = driver.finished()
    assert "its node died" in output or "goes on from" in output
    assert differences(results(tmp_path / "one"), results(tmp_path / "three")) == []


@pytest.mark.slow
def test_the_code_that_workers_import_is_what_was_sent(cluster: Cluster):
    cluster.add()
    script = (
        "import pathlib, ray, study.on_ray.loop as t, types\n"
        "with t._inside(pathlib.Path('/tmp')):\n"
        f"    t._connect(types.SimpleNamespace(address='{cluster.address}', concurrency=None))\n"
        "task = ray.remote(lambda: [__import__(name).__file__ for name in t.PACKAGES])\n"
        "print(*ray.get(task.options(num_cpus=1).remote()))"
    )
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True,
        cwd=REPOSITORY, env={**cluster.environment, "PYTHONPATH": str(REPOSITORY)},
    ).stdout  # fmt: skip
    assert out.count("/runtime_resources/py_modules_files/") == 3


@pytest.mark.slow
def test_nodes_with_other_data_or_none_are_refused(cluster: Cluster, root: Path, tmp_path: Path):
    other = write_data(tmp_path / "other", seed=1)
    cluster.add()
    cluster.add(prefix=seeing(other, root))
    cluster.add(prefix=seeing(None, root))
    data = ("--dataset", "folder", "--data-root", str(root), "--preset", "paper")
    options = (*data, "--weights", "none", *TINY)
    output = Driver(tmp_path, *options, cluster=cluster).finished(status=2)
    assert "error: 2 of 3 nodes cannot run trials: " in output
    assert f" has other data under --data-root {root}: fingerprint {fingerprint(other)}" in output
    assert f"the driver's is {fingerprint(root)}" in output and " cannot read the data: " in output
    assert not any(event["event"] == "trial" for event in events(tmp_path))


@pytest.mark.slow
def test_a_node_with_other_data_that_comes_later_runs_no_trials(cluster: Cluster, root: Path, tmp_path: Path):
    other = write_data(tmp_path / "other", seed=1)
    data = ("--dataset", "folder", "--data-root", str(root), "--preset", "paper")
    options = (*data, "--weights", "none", *TINY, "--samples", "6")
    cluster.add()
    driver = Driver(tmp_path, *options, cluster=cluster)
    driver.until(lambda: steps(tmp_path) >= 2)
    cluster.add(prefix=seeing(other, root))
    output = driver.finished()
    assert " has other data" in output and "no trial starts there until that is mended" in output
    assert set(results(tmp_path).state) == {"complete"}


@pytest.mark.slow
def test_four_trials_share_a_gpu(cluster: Cluster, tmp_path: Path):
    cluster.add(cpus=1)
    cluster.add(cpus=6, gpus=1)
    options = (*EMBEDDED, "--first-epochs", "20", "--samples", "6", "--gpus-per-trial", "0.25")
    options = (*options, "--concurrency", "6")
    Driver(tmp_path, *options, cluster=cluster, script=("-c", ON_CPUS)).finished()
    running: set[int] = set()
    most = 0
    for event in events(tmp_path):
        if event["event"] == "start":
            assert event["gpus"] == 0.25
            running.add(event["trial"])
        elif event["event"] == "end":
            running.discard(event["trial"])
        most = max(most, len(running))
    assert most == 4


@pytest.mark.slow
def test_a_cluster_whose_gpus_do_not_start_trains_nothing_on_cpus(cluster: Cluster, tmp_path: Path):
    cluster.add(cpus=2, gpus=2)
    driver = Driver(tmp_path, *EMBEDDED, "--samples", "2", cluster=cluster)
    driver.until(lambda: "no place is left that can run a trial" in driver.log.read_text())
    driver.process.terminate()
    output = driver.finished(status=130)
    assert output.count("is set aside: CUDA does not start: ") == 2 and steps(tmp_path) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--cpus-per-trial", "3"], "--cpus-per-trial 3: the largest node of the cluster has 2 CPUs"),
        (["--gpus-per-trial", "2"], "--gpus-per-trial 2: the largest node of the cluster has 1 GPUs"),
        (
            ["--cpus-per-trial", "2", "--gpus-per-trial", "1"],
            "no node of the cluster has 2 CPUs and 1 GPUs together",
        ),
    ],
)
def test_what_no_node_has_is_refused(cluster: Cluster, tmp_path: Path, options: Sequence[str], said: str):
    cluster.add(cpus=2)
    cluster.add(cpus=1, gpus=1)
    driver = Driver(tmp_path, *EMBEDDED, *options, cluster=cluster, script=("-c", IMPATIENT))
    output = driver.finished(status=2)
    assert f"error: {said}" in output and "no node has room for a trial" in output


@pytest.mark.slow
def test_a_driver_whose_own_folder_is_deleted_ends_in_good_order(tmp_path: Path):
    """As `ray job stop` does it: the job's folder goes first, or with the signal."""
    job, study = tmp_path / "job", tmp_path / "studies" / "study"
    job.mkdir()
    places = ("--studies", str(study.parent), "--cache", str(tmp_path / "cache"))
    driver = subprocess.Popen(
        [sys.executable, RUN, *ORDERLY, *EMBEDDED, *places, "--samples", "3"],
        cwd=job, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        until(lambda: (study / "trials" / "0000" / "step-001.pt").is_file(), alive=driver)
        job.rmdir()
        driver.terminate()
        out, _ = driver.communicate(timeout=120)
    finally:
        driver.kill()
    assert driver.returncode == 130 and f"to go on: python study/run.py --resume {study}" in out


@pytest.mark.slow
def test_a_node_that_is_still_coming_up_is_waited_for(cluster: Cluster, tmp_path: Path):
    driver = Driver(tmp_path, *EMBEDDED, "--samples", "1", cluster=cluster)
    time.sleep(1)
    cluster.add()
    driver.finished()
