"""Search spaces, weights and study.json."""

from __future__ import annotations

from bad_input import made
from bad_input.case import cases_of

RUN = "study/run.py"

_TOML = {
    "not TOML": "[",
    "binary": bytes(range(256)) * 9,
    "empty": "",
    "20,000 brackets": "x = " + "[" * 20_000,
    "20,000 tables": "[" + ".".join("a" * 20_000) + "]",
    "5,000 digits": "[merge.lambda1]\nlow = 0\nhigh = " + "9" * 5000,
    "400 digits": "[merge.lambda1]\nlow = 0\nhigh = 1" + "0" * 400,
    "NaN": "[merge.lambda1]\nlow = 0.0\nhigh = nan",
    "an unknown field": "[merge.lamda1]\nlow = 0.0\nhigh = 1.0",
    "an unknown key": "[merge.lambda1]\nlow = 0.0\nhihg = 1.0",
    "a field that is no table": "merge = 3",
    "bounds the wrong way": "[merge.lambda1]\nlow = 1.0\nhigh = 0.5",
    "one choice": '[model.head]\nchoices = ["none"]',
    "choices of another kind": "[model.head]\nchoices = [1, 2]",
    "a text for a list": '[model.head]\nchoices = "none"',
    "a condition on nothing": '[model.dropout]\nlow = 0.1\nhigh = 0.5\nwhen = { "model.head" = "embedding" }',
    "searched seeds": "[seed]\nlow = 0\nhigh = 9",
    "searched data": '[data.dataset]\nchoices = ["mars", "duke"]',
    "drawn data": "[data.synthetic.cameras]\nlow = 2\nhigh = 4",
    "a network that is not there": '[model.backbone]\nchoices = ["resnet18", "nosuch"]',
    "stages that are not there": "[model.frozen_stages]\nlow = 0\nhigh = 99",
    "weights that are not there": '[model.weights]\nchoices = ["none", "/nosuch.pt"]',
    "a title": '["\\u001b]0;title\\u0007"]\nlow = 1',
}
_SAID = {"network": "nosuch", "stages": "frozen_stages = 99", "weights": "/nosuch.pt"}
_FAST_SPACES = {
    "binary",
    "empty",
    "20,000 brackets",
    "5,000 digits",
    "400 digits",
    "a network that is not there",
}
SPACES = cases_of(
    "spaces",
    RUN,
    ("no such file", "--space s.toml", "s.toml", {"fast": True}),
    ("no such name", "--space lambda", "did you mean lambdas", {"fast": True}),
    ("a folder", "--space s.toml", "s.toml", {"prepare": made.folder("s.toml")}),
    (
        "nothing left to search",
        "--space temperature --temperature 0.1",
        "every parameter in it was given",
        {"fast": True},
    ),
    *(
        (
            name,
            "--space s.toml --dry-run",
            next((said for word, said in _SAID.items() if word in name and "there" in name), "s.toml: "),
            {"prepare": made.file("s.toml", text), "fast": name in _FAST_SPACES},
        )
        for name, text in _TOML.items()
    ),
)
_NO_RESNET = {"prepare": made.weights(lambda tensor: tensor)}
WEIGHTS = cases_of(
    "weights",
    RUN,
    ("no such file", "--weights w.pt", ("--weights", "w.pt"), {"fast": True}),
    ("a folder", "--weights w.pt", ("--weights", "w.pt"), {"prepare": made.folder("w.pt")}),
    *(
        (name, "--weights w.pt --dry-run", ("w.pt", *said), {"prepare": prepare, "fast": True})
        for name, prepare, *said in (
            ("empty", made.file("w.pt", ""), "not a PyTorch state dict"),
            ("HTML", made.file("w.pt", "<!DOCTYPE html>\n<html>\n" * 99), "not a PyTorch state dict"),
            ("noise", made.file("w.pt", bytes(range(256)) * 99), "not a PyTorch state dict"),
            ("code in a pickle", made.saved(made.Harmful()), "not a PyTorch state dict"),
            ("a list", made.saved([1, 2]), "holds no state dict"),
            ("no tensors", made.saved({"conv1.0.weight": 1}), "holds no state dict"),
            ("nothing in it", made.saved({}), "missing"),
            ("NaN", made.weights(lambda tensor: tensor * float("nan")), "conv1.0.weight", "NaN"),
            ("infinite", made.weights(lambda tensor: tensor / 0), "conv1.0.weight", "infinite"),
            ("integers", made.weights(lambda tensor: tensor.char()), "conv1.0.weight", "torch.int8"),
            ("complex", made.weights(lambda tensor: tensor + 0j), "conv1.0.weight", "torch.complex64"),
            ("sparse", made.weights(lambda tensor: tensor.to_sparse()), "conv1.0.weight", "torch.sparse_coo"),
            ("meta", made.weights(lambda tensor: tensor.to("meta")), "conv1.0.weight", "no values"),
            ("another shape", made.weights(lambda tensor: tensor[:1]), "conv1.0.weight", "shape"),
        )
    ),
    ("ImageNet's of another network", "--weights w.pt --backbone resnet18", "missing", _NO_RESNET),
)


def _with_plan(name: str, value: object) -> made.Make:
    return made.described(lambda content: content["plan"].update({name: value}))


_OTHER_DATA = {
    "prepare": made.described(lambda content: content["dataset"].update(fingerprint="0")),
    "leaves": (".lock",),
}
_JSON = {
    "not JSON": "{",
    "empty": "",
    "binary": bytes(range(256)) * 9,
    "a list": "[]",
    "100,000 levels": "[" * 100_000,
    "5,000 digits": '{"plan": ' + "9" * 5000 + "}",
}
_FIELDS = {
    "samples": ("many", 10**9, None, 1.5),
    "cpus_per_trial": (float("nan"), "1"),
    "seeds": (0, True),
    "space": (3, {"name": "x", "priors": [3]}),
    "base": ([], {"merge": 3}, {"merge": {"lambda1": float("inf")}}),
    "sampler": ("best", []),
    "given": ([{}], "table1"),
    "cache": ("a\0b", None),
    "reuse": ([3],),
    "nosuch": (3,),
}
STUDY_JSON = [
    *cases_of(
        "study.json",
        "study",
        *(
            (
                name,
                "status s",
                "study.json: ",
                {"prepare": made.file("studies/s/study.json", text), "fast": True},
            )
            for name, text in _JSON.items()
        ),
        (
            "a folder",
            "status s",
            "study.json",
            {"prepare": made.folder("studies/s/study.json"), "fast": True},
        ),
        (
            "of another day",
            "status s",
            "schema 99",
            {"prepare": made.described(lambda c: c.update(schema=99))},
        ),
        ("no data set", "status s", "dataset", {"prepare": made.described(lambda c: c.pop("dataset"))}),
        ("no plan", "status s", "plan", {"prepare": made.described(lambda c: c.pop("plan"))}),
        (
            "no samples",
            "status s",
            "plan.samples",
            {"prepare": made.described(lambda c: c["plan"].pop("samples"))},
        ),
        (
            "a data set's size",
            "status s",
            "dataset.train_tracklets",
            {"prepare": made.described(lambda c: c["dataset"].update(train_tracklets="many")), "fast": True},
        ),
        (
            "a name that acts on terminals",
            "status s",
            r"data: \x1b[31msynthetic, 24 training tracklets",
            {"prepare": made.described(lambda c: c["dataset"].update(name="\x1b[31msynthetic")), "status": 0},
        ),
    ),
    *(
        case
        for name, values in _FIELDS.items()
        for number, value in enumerate(values)
        for case in cases_of(
            "study.json",
            *(("study",) if number % 2 == 0 else (RUN,)),
            (
                f"{name} is {str(value)[:30]!r}",
                "status s" if number % 2 == 0 else "--resume s --dry-run",
                "study.json: ",
                {"prepare": _with_plan(name, value), "fast": number == 0},
            ),
        )
    ),
    *cases_of(
        "study.json",
        RUN,
        ("another data set", "--resume s", "fingerprint", _OTHER_DATA),
        ("no such study", "--resume nosuch", "--resume nosuch: no study.json", {"fast": True}),
        ("a study that is a file", "--resume s", "--resume s", {"prepare": made.file("studies/s", "")}),
        (
            "a name that is taken by a file",
            "--name s",
            "--name s: ",
            {"prepare": made.file("studies/s", ""), "fast": True},
        ),
        (
            "studies that are a file",
            "--studies f",
            "--studies f: ",
            {"prepare": made.file("f", ""), "fast": True},
        ),
        (
            "a cache below a file",
            "--cache f/x",
            "--cache f/x: ",
            {"prepare": made.file("f", ""), "fast": True},
        ),
        ("a folder without a study", "--resume s", "--resume s", {"prepare": made.folder("studies/s")}),
        ("another method", "--resume s --lambda1 0.5", "--lambda1 cannot change", {"prepare": made.study}),
        (
            "another search under its name",
            "--name s --lambda1 0.5",
            "holds another study",
            {"prepare": made.study, "fast": True, "leaves": ("*",)},
        ),
        ("results of no study", "--reuse nosuch", "--reuse nosuch: no study.json", {"fast": True}),
        ("its own results", "--resume s --reuse s", ("--reuse", "is this study"), {"prepare": made.study}),
    ),
]

CASES = [*SPACES, *WEIGHTS, *STUDY_JSON]
