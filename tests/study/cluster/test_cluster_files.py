"""Files of study/cluster: right by their own schemas, and the study's command in them by its parser."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from study.command.parser import parser

REPOSITORY = Path(__file__).resolve().parents[3]
CLUSTER = REPOSITORY / "study" / "cluster"
SCHEMAS = Path(__file__).with_name("kuberay.schema.json")

# Long options of sbatch, in the order of its manual page.
SBATCH = Path(__file__).with_name("sbatch_options.txt").read_text().split()


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((CLUSTER / name).read_text()))


def commands(text: str) -> list[list[str]]:
    """Arguments of every `study/run.py …` in a file, comments included."""
    lines = text.replace("\\\n#", " ").replace("\\\n", " ").splitlines()
    found = [line.split("study/run.py", 1)[1] for line in lines if "study/run.py --" in line]
    return [shlex.split(arguments) for arguments in found]


def check_command(argv: list[str]) -> None:
    """Its options exist, and nothing of the study lies in a folder that is not shared."""
    given = parser().parse_args(argv)
    assert given.address == "auto" and given.gpus_per_trial is not None and given.concurrency is not None
    assert given.studies.startswith("/shared/") and given.data_root.startswith("/shared/")
    assert given.cache == "/cache"


# --- AWS


def test_the_cluster_launchers_file_is_as_ray_wants_it():
    util = pytest.importorskip("ray.autoscaler._private.util")
    (config,) = documents("aws.yaml")
    util.validate_config(util.prepare_config(config))
    types = config["available_node_types"]
    assert types["head"]["resources"] == {"CPU": 0, "GPU": 0}
    assert all(kind.get("max_workers", 0) <= config["max_workers"] for kind in types.values())


def test_node_configurations_are_as_ec2_wants_them():
    session = pytest.importorskip("botocore.session").get_session()
    validate = pytest.importorskip("botocore.validate").ParamValidator().validate
    shape = session.get_service_model("ec2").operation_model("RunInstances").input_shape
    for kind in documents("aws.yaml")[0]["available_node_types"].values():
        report = validate({**kind["node_config"], "MinCount": 1, "MaxCount": 1}, shape)
        assert not report.has_errors(), report.generate_report()


def test_what_the_launcher_copies_is_there_and_versions_agree():
    (config,) = documents("aws.yaml")
    assert config["file_mounts"]["/home/ray/dcreid"] == "." and (REPOSITORY / "constraints.txt").is_file()
    pinned = re.search(r"^ray==(.*)$", (REPOSITORY / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    assert f":{pinned[1]}-py311" in config["docker"]["image"]
    assert f":{pinned[1]}-py311" in (CLUSTER / "Dockerfile").read_text()
    assert documents("kuberay.yaml")[1]["spec"]["rayClusterSpec"]["rayVersion"] == pinned[1]


def test_the_command_submitted_on_aws():
    (argv,) = commands((CLUSTER / "aws.yaml").read_text())
    check_command(argv)


def test_start_commands_are_rays():
    from ray.scripts.scripts import start

    known = {name for option in start.params for name in option.opts}
    (config,) = documents("aws.yaml")
    texts = [*config["head_start_ray_commands"], *config["worker_start_ray_commands"]]
    texts.append((CLUSTER / "slurm.sh").read_text())
    lines = [line for text in texts for line in text.splitlines() if not line.startswith("#")]
    ours = [line for line in lines if "ray start" in line or line.startswith("options")]
    used = {name for line in ours for name in re.findall(r"(?:\s|\()(--[a-z-]+)", line)}
    assert used and used <= known, used - known


# --- Kubernetes


def test_the_rayjob_is_as_kuberay_documents_it():
    schemas = yaml.safe_load(SCHEMAS.read_text())
    claim, job = documents("kuberay.yaml")
    for document in (claim, job):
        jsonschema.validate(document, {**schemas, "$ref": f"#/$defs/{document['kind']}"})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec/backofLimit", 3),
        ("spec/rayClusterSpec/headGroupSpec/rayStartParams/num-cpus", 0),
        ("spec/rayClusterSpec/workerGroupSpecs/0/template/spec/containers/0/image", None),
        ("spec/rayClusterSpec/workerGroupSpecs/0/maxReplicas", "4"),
        ("spec/rayClusterSpec/authOptions/mode", "password"),
    ],
)
def test_the_schema_refuses(path: str, value: Any):
    schemas = yaml.safe_load(SCHEMAS.read_text())
    job = documents("kuberay.yaml")[1]
    *parents, last = path.split("/")
    place: Any = job
    for name in parents:
        place = place[int(name) if name.isdigit() else name]
    place[last] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(job, {**schemas, "$ref": "#/$defs/RayJob"})


def test_volumes_are_mounted_where_the_command_looks():
    claim, job = documents("kuberay.yaml")
    check_command(commands(job["spec"]["entrypoint"])[0])
    cluster = job["spec"]["rayClusterSpec"]
    head, (worker,) = cluster["headGroupSpec"]["template"]["spec"], cluster["workerGroupSpecs"]
    for pod, paths in ((head, {"/shared"}), (worker["template"]["spec"], {"/shared", "/cache"})):
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        (container,) = pod["containers"]
        mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}
        assert mounts.keys() == paths
        assert mounts["/shared"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert worker["minReplicas"] <= worker["replicas"] <= worker["maxReplicas"]


def test_the_image_copies_what_is_there():
    copied = re.findall(r"^COPY --chown=\S+ (.+) \S+$", (CLUSTER / "Dockerfile").read_text(), re.MULTILINE)
    names = {name for line in copied for name in line.split()}
    assert all((REPOSITORY / name).exists() for name in names)
    packages = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"][
        "find"
    ]
    assert {package.rstrip("*") for package in packages["include"]} <= names


# --- Slurm


def test_slurm_knows_the_options():
    text = (CLUSTER / "slurm.sh").read_text()
    output = re.findall(r"^#SBATCH (.*)$", text, re.MULTILINE)
    assert output and all(re.fullmatch(r"--[a-z-]+(=\S+)?", line) for line in output)
    names = [line[2:].split("=")[0] for line in output]
    assert set(names) <= set(SBATCH) and len(names) == len(set(names))
    assert text.index("#SBATCH") < text.index("\nset -e")  # later ones are not read
    subprocess.run(["bash", "-n", str(CLUSTER / "slurm.sh")], check=True)


STUBS = {
    "scontrol": 'echo "scontrol $*" >> "$CALLS"; [ "$1" != show ] || printf "node1\\nnode2\\nnode3\\n"',
    # Every task in turn, as one job step.
    "srun": 'echo "srun $*" >> "$CALLS"\n'
    'while [ "$1" != bash ]; do shift; done\n'
    'for SLURM_PROCID in 0 1 2; do export SLURM_PROCID; "$@"; done; sleep 60 & wait',
    "ray": 'echo "ray $*" >> "$CALLS"',
    "python": 'if [ "$1" = -c ]; then echo token; exit; fi\necho "python $*" >> "$CALLS"\n' + "{driver}",
}


@pytest.fixture
def slurm(tmp_path: Path) -> Callable[..., subprocess.Popen]:
    """Starts the script with stand-ins for Slurm, Ray and Python that note how they were called."""
    programs = tmp_path / "venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "activate").write_text(f'export PATH="{programs}:$PATH"\n')

    def start(driver: str, script: Path = CLUSTER / "slurm.sh") -> subprocess.Popen:
        for name, text in STUBS.items():
            (programs / name).write_text("#!/bin/bash\n" + text.replace("{driver}", driver) + "\n")
            (programs / name).chmod(0o755)
        output = {
            "SLURM_SUBMIT_DIR": str(tmp_path), "SLURM_JOB_ID": "4711", "SLURM_JOB_NODELIST": "node[1-3]",
            "SLURM_JOB_NUM_NODES": "3", "SLURM_CPUS_PER_TASK": "16", "SLURM_GPUS_ON_NODE": "4",
            "DCREID_VENV": str(tmp_path / "venv"), "CALLS": str(tmp_path / "calls"), "USER": "me",
        }  # fmt: skip
        command = ["bash", str(script), "--samples", "9", "--name", "a b"]
        return subprocess.Popen(command, env={**os.environ, **output}, stdout=subprocess.PIPE, text=True)

    return start


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


def test_slurm_starts_a_head_nodes_and_the_driver(slurm, tmp_path: Path):
    script = slurm('until [ "$(grep -c "^ray start" "$CALLS")" = 3 ]; do sleep 0.1; done')
    assert script.wait(60) == 0
    made = calls(tmp_path)
    (step,) = [call for call in made if call.startswith("srun")]
    assert step.startswith("srun --nodes=3 --ntasks=3 --ntasks-per-node=1 --cpus-per-task=16")
    nodes = [call for call in made if call.startswith("ray start")]
    same = "--block --num-cpus=16 --num-gpus=4 --temp-dir=/tmp/ray-4711 --disable-usage-stats"
    assert nodes == [
        f"ray start --head --port=24711 --include-dashboard=false {same}",
        *[f"ray start --address=node1:24711 {same}"] * 2,
    ]
    (driver,) = [call for call in made if call.startswith("python")]
    assert driver == "python study/run.py --address node1:24711 --cache /tmp/dcreid-me --samples 9 --name a b"
    assert not any("requeue" in call for call in made)


@pytest.mark.parametrize(("ends", "queued"), [(130, True), (0, False), (2, False)])
def test_slurm_passes_sigterm_on_and_queues_again(slurm, tmp_path: Path, ends: int, queued: bool):
    script = slurm(f"trap 'sleep 1; exit {ends}' TERM; echo ready >> \"$CALLS\"; sleep 60 & wait")
    while not ((tmp_path / "calls").is_file() and "ready" in calls(tmp_path)):
        assert script.poll() is None
    script.send_signal(signal.SIGTERM)
    assert script.wait(60) == ends
    assert ("scontrol requeue 4711" in calls(tmp_path)) == queued


@pytest.mark.parametrize("ends", [1, 2])
def test_slurm_does_not_repeat_what_was_not_stopped(slurm, tmp_path: Path, ends: int):
    assert slurm(f"exit {ends}").wait(60) == ends
    assert not any("requeue" in call for call in calls(tmp_path))


def test_a_driver_that_dies_of_the_signal_is_queued_again(slurm, tmp_path: Path):
    script = slurm('echo ready >> "$CALLS"; exec sleep 60')  # not yet so far as to handle it
    while not ((tmp_path / "calls").is_file() and "ready" in calls(tmp_path)):
        assert script.poll() is None
    script.send_signal(signal.SIGTERM)
    assert script.wait(60) != 0 and "scontrol requeue 4711" in calls(tmp_path)


def test_a_signal_before_the_drivers_number_is_known_is_passed_on(slurm, tmp_path: Path):
    """A script that is slow there: the driver has signalled it by then."""
    slow, text = tmp_path / "slow.sh", (CLUSTER / "slurm.sh").read_text()
    assert text.count("\ndriver=$!\n") == 1
    slow.write_text(text.replace("\ndriver=$!\n", "\nsleep 1\ndriver=$!\n"))
    script = slurm('kill -TERM "$PPID"; exec sleep 60', slow)
    assert script.wait(60) != 0 and "scontrol requeue 4711" in calls(tmp_path)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="no shellcheck")
def test_shellcheck_has_nothing_to_say():
    subprocess.run(["shellcheck", str(CLUSTER / "slurm.sh")], check=True)


# --- all


def test_the_files_are_installed():
    output = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    matched = {path for pattern in output["study"] for path in (REPOSITORY / "study").glob(pattern)}
    assert matched >= {path for path in CLUSTER.iterdir() if path.is_file()}
