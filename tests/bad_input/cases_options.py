"""Options, names, paths, numbers and URLs."""

from __future__ import annotations

from bad_input import made
from bad_input.case import Case, cases_of

RUN = "study/run.py"

PLAN = "--plan table1 "
MANY = "9" * 400

OPTIONS = [
    *cases_of(
        "options",
        RUN,
        ("unknown", "--nosuch", "--nosuch"),
        ("abbreviated", "--sample 3", "--sample"),
        ("no value", "--samples", "--samples"),
        ("a value too many", "--dry-run=yes", "--dry-run"),
        ("another choice", "--sampler best", "--sampler", {"fast": True}),
        ("a word too many", "mars", "mars", {"fast": True}),
        ("a word that acts on terminals", ("\x1b]0;title\x07\r",), r"\x1b]0;title\x07\r", {"fast": True}),
        ("an option of another command", "--watch 3", "--watch"),
        ("no such data set", "--dataset cuhk", "--dataset"),
        ("data set not found", "--dataset mars", ("--dataset mars", "--data-root FOLDER"), {"fast": True}),
        ("data for drawn people", "--data-root .", "--data-root", {"fast": True}),
        ("confirm a plan", PLAN + "--confirm 2", "--confirm", {"fast": True}),
        ("confirm on one seed", "--confirm 2", "--confirm 2 needs --seeds", {"fast": True}),
        ("labels that leak", "--memory-init previous_rows", "leak_audit", {"fast": True}),
        (
            "identities without their plan",
            "--merge-method identities --leak-audit",
            "--plan bound",
            {"fast": True},
        ),
        ("merging by identities", "--plan bound --lambda1 0.1", "--lambda1 has no effect", {"fast": True}),
        ("a GPU's part for two processes", "--gpus-per-trial 1.5", "--gpus-per-trial 1.5"),
        ("processes without cores", "--gpus-per-trial 0 --processes-per-trial 2", "--processes-per-trial 2"),
        ("GPU hours without GPUs", "--gpu-hours 3 --gpus-per-trial 0", "--gpu-hours 3"),
        ("compiled and computed again", "--compile --checkpoint-activations", "--checkpoint-activations"),
        ("no such network", "--backbone nosuch", "nosuch", {"fast": True}),
        ("a network that is no classifier", "--backbone raft_small", "raft_small"),
        ("a network with two classifiers", "--backbone googlenet", "googlenet"),
        ("stages that are not there", "--frozen-stages 99", "frozen_stages = 99", {"fast": True}),
        ("frames that are too small", "--height 16 --width 8 --backbone vgg11", "16×8"),
        ("heads in vain", "--dropout 0.3", "--dropout has no effect", {"fast": True}),
        ("grace in vain", "--pruner none --grace 2", "--grace has no effect", {"fast": True}),
        ("rungs in vain", "--pruner median --asha-rungs 2", "--asha-rungs has no effect"),
        ("a plan's rungs", PLAN + "--asha-eta 3", "--asha-eta has no effect"),
        ("a batch of no classes", "--space full --batch-size 18", "batch_size = 18", {"fast": True}),
        ("as many classes as tracklets", "--classes 192 --dry-run", "merge.classes = 192", {"fast": True}),
        ("one class for all", "--classes 1", "--classes"),
        ("two ends of the merging", "--classes 9 --max-steps 3", "--max-steps has no effect"),
        ("neighbours of no neighbours", "--space full --k1 3", "k1 = 3"),
        ("tables in vain", "--tables --space lambdas", "--tables has no effect", {"fast": True}),
        (
            "MARS's identities and others",
            "--synthetic-shape mars --synthetic-train-identities 9",
            "--synthetic-train-identities has no effect",
            {"fast": True},
        ),
        ("a plan's samples", PLAN + "--samples 3", "--samples has no effect", {"fast": True}),
        ("a plan's sampler", PLAN + "--sampler tpe", "--sampler has no effect"),
        ("a plan's pruner", PLAN + "--pruner asha", "--pruner has no effect"),
        ("a plan's space", PLAN + "--space alpha", "--space has no effect"),
        ("a plan's tables", PLAN + "--no-tables", "--no-tables has no effect"),
        ("no such plan", "--plan table9", "--plan"),
        ("no such preset", "--preset bucc", "--preset: 'bucc': did you mean buc?", {"fast": True}),
        ("an empty preset", ("--preset", ""), "--preset"),
        (
            "tables beside a preset",
            "--preset buc --tables --samples 30",
            "--tables has no effect",
            {"fast": True},
        ),
        (
            "rivals of a rival",
            "--plan rivals --preset oim",
            "--preset oim with --plan rivals",
            {"fast": True},
        ),
        (
            "rivals in order of identity",
            "--plan rivals --no-shuffle-tracklets",
            "old_classes",
            {"fast": True},
        ),
        ("a preset on no network", "--preset buc --backbone nosuch", "nosuch"),
        ("DBC's rows for classes made anew", "--preset dbc --merge-method anew", "old_classes"),
        ("Ray without its texts", "--samples 3", "-OO", {"environment": {"PYTHONOPTIMIZE": "2"}}),
    ),
    *cases_of(
        "options",
        "study",
        ("no command", "", "status|dashboard", {"fast": True}),
        ("another command", "nosuch", "nosuch"),
        ("no study", "status", "STUDY"),
        ("two studies", "status a b", "b"),
        ("an option of the other command", "status s --port 3", "--port"),
    ),
]
_LONG = "n" * 300
NAMES = cases_of(
    "names",
    RUN,
    ("another folder", "--name ../x", "--name", {"fast": True}),
    ("empty", ("--name", ""), "--name"),
    ("blanks", ("--name", "a b"), "--name"),
    ("hidden", "--name .x", "--name"),
    ("300 letters", f"--name {_LONG}", "--name", {"fast": True}),
    ("other letters", "--name Gängig", "--name"),
    ("acts on terminals", ("--name", "a\x1b[31m"), "--name", {"fast": True}),
    ("two lines", ("--name", "a\nb"), "--name"),
    ("not UTF-8", ("--name", "a\udcff"), r"a\udcff", {"fast": True}),
    ("of another study", "--resume s --name t", "--name t", {"prepare": made.study, "fast": True}),
)


def _with_data(option: str, value: str) -> tuple[str, ...]:
    """An option's value as one word, and a data set that is read where the option says where it is."""
    return (*(("--dataset", "folder") if option == "--data-root" else ()), f"{option}={value}")


_PATHS = (
    *("--data-root", "--cache", "--studies", "--storage", "--weights", "--space", "--resume", "--reuse"),
)
PATHS = cases_of(
    "paths",
    "study",
    ("no such study", "status nosuch", "nosuch", {"fast": True}),
    ("a study that is a file", "status s", "s", {"prepare": made.file("studies/s", "x"), "fast": True}),
    ("a study in a home that is not", "status ~nosuch/s", "STUDY ~nosuch/s: ~nosuch is no home"),
    ("studies in a home that is not", "status s --studies ~nosuch/s", "--studies ~nosuch/s", {"fast": True}),
    ("an empty study", ("status", ""), "STUDY '': an empty path", {"fast": True}),
) + [
    case
    for option in _PATHS
    for case in cases_of(
        "paths",
        RUN,
        (
            f"{option} in a home that is not",
            _with_data(option, "~nosuch/x"),
            f"{option} ~nosuch/x: ~nosuch is",
        ),
        (f"{option} empty", _with_data(option, ""), f"{option} '': an empty path", {"fast": True}),
        (f"{option} too long", _with_data(option, "x" * 300), f"{option} xxx"),
    )
]
_RANGES = {
    "--samples": ("0", "-3", "1.5", "abc", "1_000", "１０", "", " 5", "0x10", "1e3", "100001", MANY),
    "--seeds": ("0", "1000000"),
    "--confirm": ("-1", MANY),
    "--concurrency": ("0", MANY),
    "--max-failures": ("-1",),
    "--grace": ("-1",),
    "--asha-eta": ("1", "2.5", "101"),
    "--asha-rungs": ("0", MANY),
    "--cpus-per-trial": ("0", "-1", "inf", "nan", "1e400", "1e-5", "1_000", "４", "true"),
    "--gpus-per-trial": ("inf", "-1", "nan", "1e9"),
    "--processes-per-trial": ("0", MANY),
    "--time-budget": ("0", "-5m", "soon", "1y", MANY, "１h"),
    "--hang-timeout": ("0s", "inf"),
    "--gpu-hours": ("0", "inf", "nan", MANY),
    "--lr": ("0", "-1", "nan", "inf", "1e400", "abc", "0,1"),
    "--seed": ("-1", "2147483648", "9" * 5000),
    "--height": ("0", "4096"),
    "--batch-size": ("1", MANY),
    "--merge-rate": ("0", "0.6"),
    "--synthetic-train-identities": ("1", MANY),
    "--synthetic-frames": ("0", "10000001"),
}
_FAST = {"--samples 1_000", "--samples １０", "--cpus-per-trial inf", "--cpus-per-trial 1e-5", "--lr 1e400"}
NUMBERS = [
    *(
        Case(name, "numbers", RUN, (f"{option}={value}",), (option,), fast=name in _FAST)
        for option, values in _RANGES.items()
        for value in values
        for name in (f"{option} {value[:12]}",)
    ),
    *cases_of(
        "numbers",
        RUN,
        ("more frames than memory", "--synthetic-frames 1000000", "--synthetic-frames", {"fast": True}),
        ("seeds that end", "--seed 2147483647", "--seed 2147483647", {"fast": True}),
    ),
    *cases_of(
        "numbers",
        "study",
        ("looked at at no time", "status s --watch inf", "--watch", {"fast": True}),
        ("looked at at once", "status s --watch 0", "--watch"),
        ("no such trial", "status s --trial 99", "--trial 99", {"prepare": made.study, "fast": True}),
        ("no trial", "status s --trial -1", "--trial", {"prepare": made.study}),
        ("no port", "dashboard s --port 65536", "--port"),
        ("a port of other digits", "dashboard s --port ８０", "--port"),
    ),
]
_NOBODY = {"RAY_ADDRESS": "127.0.0.1:1"}
URLS = cases_of(
    "urls",
    RUN,
    ("address", "--address x", "--address", {"fast": True}),
    (
        "an address without a cluster",
        "--address 127.0.0.1:1",
        "--address 127.0.0.1:1: no Ray cluster",
        {"fast": True},
    ),
    ("an address of no machine", "--address nosuch.invalid:6379", "--address nosuch.invalid:6379: no Ray"),
    (
        "no cluster here",
        "--address auto",
        "--address auto: no Ray cluster",
        {"environment": _NOBODY, "fast": True},
    ),
    ("Ray Client without a server", "--address ray://127.0.0.1:1", "--address ray://127.0.0.1:1: "),
    ("a port that is none", "--address head:99999", "--address"),
    ("Ray Client at no port", "--address ray://head:0", "--address"),
    ("no database", "--optuna-storage nosuch", "--optuna-storage nosuch", {"fast": True}),
    ("an empty database", ("--optuna-storage", ""), "--optuna-storage"),
    ("a kind of database", "--optuna-storage x://y", "--optuna-storage x://y"),
    ("a database's port", "--optuna-storage postgresql://h:port/x", "--optuna-storage", {"fast": True}),
    ("a database's port too large", "--optuna-storage postgresql://127.0.0.1:99999/x", "--optuna-storage"),
    (
        "a database that is down",
        "--optuna-storage postgresql://127.0.0.1:1/x --dry-run",
        "--optuna-storage postgresql://127.0.0.1:1/x: connection failed",
        {"status": 0},
    ),
    (
        "a database's folder",
        "--optuna-storage sqlite:////proc/nosuch/x.db",
        "--optuna-storage",
        {"fast": True},
    ),
    ("a password", "--optuna-storage postgresql://u:pw@h/x", "password", {"fast": True}),
    ("a password that is not set", "--optuna-storage postgresql://$NOPE@h/x", "$NOPE", {"fast": True}),
    *(
        (f"storage {url}", ("--storage", url, "--dry-run"), "--storage", {"fast": fast})
        for url, fast in (
            ("s3://", True),
            ("s3:///x", False),
            ("s3://b:99999/x", True),
            ("s3://b/x?endpoint_override=h:99999", True),
            ("s3://b/x?nosuch=1", False),
            ("s3://[x/y", False),
            ("nosuch://x", True),
            ("hdfs://h/x", True),
            ("file://host/x", False),
        )
    ),
    ("storage that nobody can write", "--storage file:///proc/x", "--storage file:///proc/x", {"fast": True}),
    ("storage in a file", "--storage f/x", "--storage", {"prepare": made.file("f", ""), "fast": True}),
)

CASES = [*OPTIONS, *NAMES, *PATHS, *NUMBERS, *URLS]
