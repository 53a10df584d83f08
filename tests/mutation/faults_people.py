"""Faults in what a page shows of people: rank lists, pairs of cameras, merges, albums, hits."""

from __future__ import annotations

from mutation.run import Mutant, of

PEOPLE: list[Mutant] = [
    *of(
        "people",
        "analysis/people/rank_lists.py",
        "tests/analysis/people/test_rank_lists.py",
        (
            "the first match only where it is near",
            " | (counts & (rank == first))",
            " | (near & (rank == first))",
        ),
        (
            "ignored entries take a rank",
            "rank = np.where(counts, np.cumsum(counts), 0)",
            "rank = np.where(counts, np.arange(1, len(counts) + 1), 0)",
        ),
        (
            "ignored entries take places",
            "near = np.cumsum(counts) - counts < min(",
            "near = np.arange(len(counts)) < min(",
        ),
        (
            "every ignored entry is listed",
            "(np.cumsum(~counts) <= most_ignored)",
            "(np.cumsum(~counts) <= len(counts))",
        ),
        (
            "junk may be nearest of a camera",
            "(gallery_cams == b) & (gallery_ids != JUNK)",
            "(gallery_cams == b)",
        ),
        ("queries whose person a camera never saw", " & np.isin(query_ids, gallery_ids[seen])", ""),
        ("a camera with itself", "asked = who & (query_cams != b)", "asked = who & (query_cams != -9)"),
        ("the easiest are in between", "if one.query not in ends]", "if one.query >= 0]"),
    ),
    *of(
        "people",
        "analysis/people/findings.py",
        "tests/analysis/people/test_findings.py",
        ("another network's findings", '"configuration": trial.digest,', '"configuration": "",'),
        ("findings of other data", '"data": study.data["fingerprint"],', '"data": "",'),
        (
            "distractors are one person",
            "(identity, -1) if identity > 0 else",
            "(identity, -1) if identity > -2 else",
        ),
        ("right first ranks are wrong", "if one.hit.kind == WRONG]", "if one.hit.kind]"),
        (
            "the query's person counts by chance",
            "(gallery_ids != who) & (gallery_ids != JUNK)",
            "(gallery_ids != JUNK)",
        ),
    ),
    *of(
        "people",
        "analysis/people/history.py",
        "tests/analysis/people/test_history.py",
        ("joins of this step alone", 'joins[joins["step"] <= step]', 'joins[joins["step"] == step]'),
        ("exact joins of the classes before the step", "now[b] = now[first]", "now[b] = now[b]"),
        (
            "classes of any step are new",
            "for part in history.members(step - 1)}",
            "for part in history.members(0)}",
        ),
        (
            "the smallest class first",
            "key=lambda part: (-len(part), part[0]))\n\n",
            "key=lambda part: (len(part), part[0]))\n\n",
        ),
        ("classes made anew have a tree", "    if not _nested(rows):", "    if len(rows) < 1:"),
        (
            "the size of a class before its step",
            "(history.labels[step] == history.labels[step][first])",
            "(history.labels[step - 1] == history.labels[step - 1][first])",
        ),
    ),
    *of(
        "people",
        "analysis/people/growth.py",
        "tests/analysis/people/test_history.py",
        ("any merge is right", 'return "right" if len(persons) == 1', 'return "right" if len(persons) >= 1'),
    ),
    *of(
        "people",
        "analysis/hits.py",
        "tests/analysis/test_hits.py",
        ("ignored hits stand first", 'if hit.match != "ignored"), None)', "if hit.rank), None)"),
        ("ignored hits take places on the page", 'counted += hit.match != "ignored"', "counted += 1"),
        (
            "the right hit is left out",
            "    if right is not None and right not in shown:",
            "    if right is not None and right.rank < 0:",
        ),
        (
            "paths are looked up here alone",
            "path if path.is_file() else beside / path",
            "path if path.is_file() else path",
        ),
    ),
    *of(
        "people",
        "analysis/album.py",
        "tests/analysis/test_album.py",
        ("the least sure are not shown", "shown = evenly(order, most)", "shown = order[:most].tolist()"),
        (
            "the purity of the rarest person",
            "return_counts=True)[1].max() / len(members)",
            "return_counts=True)[1].min() / len(members)",
        ),
        (
            "together from when they first were",
            "if all(one == 1 for one in shares[at:]))",
            "if any(one == 1 for one in shares[at:]))",
        ),
    ),
]
