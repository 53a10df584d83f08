"""Search spaces, weights and study.json."""

from __future__ import annotations

from bad_input import made
from bad_input.case import cases_of

RUN = "study/run.py"

SPACES = cases_of(
    "spaces",
    RUN,
    ("no such file", "--space s.toml", "s.toml", {"fast": True}),
    ("not TOML", "--space s.toml", "s.toml", {"prepare": made.file("s.toml", "["), "fast": True}),
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
STUDY_JSON = cases_of(
    "study.json",
    "study",
    ("not JSON", "status s", "study.json", {"prepare": made.file("studies/s/study.json", "{"), "fast": True}),
)

CASES = [*SPACES, *WEIGHTS, *STUDY_JSON]
