"""What merges made of the tracklets: real runs against their labels, and trees planted by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tiny_runs import run, tiny

from analysis.data.results import load
from analysis.people.growth import tree
from analysis.people.history import (
    Branch,
    History,
    evenly,
    grown,
    history_of,
    joins_shown,
    labels_of_joins,
    new_classes,
    together,
)
from dcreid.evaluation.joins import RIGHT, WRONG
from study.record.storage import Storage
from study.record.trial_tables import classes_table, joins_table


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two rows of labels are the same partition."""
    return bool(((one[:, None] == one[None]) == (other[:, None] == other[None])).all())


def history(rows: list[list[int]], joins: pd.DataFrame | None = None) -> History:
    """Of labels by step, from step 1 on."""
    labels = np.array([list(range(len(rows[0]))), *rows])
    return History(labels, np.full(labels.shape, np.nan), joins)


# six tracklets: 0 and 1 first, then 3 and 4 and 2 to the first two, then all but 5
GROWN = history([[0, 0, 2, 3, 4, 5], [0, 0, 0, 3, 3, 5], [0, 0, 0, 0, 0, 5]])


@pytest.mark.parametrize("method", ["once", "star", "exact"])
def test_joins_alone_tell_the_classes_of_every_step(method: str):
    algorithm = run(tiny(**{"merge.method": method, "merge.max_steps": 3}))
    n = len(algorithm.order)
    labels = labels_of_joins(joins_table(algorithm.joins), n, 3)
    table = classes_table(algorithm)
    assert alike(labels[0], np.arange(n))
    for step in (1, 2, 3):
        assert alike(labels[step], table[table.step == step]["class"].to_numpy())


def test_the_parts_of_a_join_make_its_class(trained):
    study = load([trained]).studies[0]
    found = history_of(study, study.trials[0])
    assert found is not None and found.joins is not None and found.steps == 3
    for step in (1, 2, 3):
        made = joins_shown(found, step, 100, exact=False)
        assert len(made) == (found.joins.step == step).sum()
        for join in made:
            labels = found.labels[step]
            assert len(np.unique(labels[np.concatenate([join.a, join.b])])) == 1
            assert join.size == (labels == labels[join.a[0]]).sum() >= len(join.a) + len(join.b)
            assert len(np.unique(found.labels[step - 1][join.a])) == 1


def test_without_its_table_the_classes_come_from_the_joins(trained, tmp_path, monkeypatch):
    study = load([trained]).studies[0]
    whole = history_of(study, study.trials[0])
    read = Storage.read
    monkeypatch.setattr(Storage, "read", lambda self, name: None if "classes" in name else read(self, name))
    joined = history_of(study, study.trials[0])
    assert all(alike(a, b) for a, b in zip(whole.labels, joined.labels, strict=True))
    assert np.isnan(joined.confidence).all() and np.isfinite(whole.confidence[1:]).all()
    monkeypatch.setattr(Storage, "read", lambda self, name: None)
    assert history_of(study, study.trials[0]) is None


def test_exact_joins_are_of_what_the_joins_before_them_made():
    joins = pd.DataFrame({"step": 1, "a": [0, 0], "b": [1, 2], "right": RIGHT, "cause": "", "one_camera": 0})
    chained = history([[0, 0, 0, 3]], joins)
    before, after = (joins_shown(chained, 1, 9, exact=exact)[1] for exact in (False, True))
    assert before.a.tolist() == [0] and after.a.tolist() == [0, 1]
    assert after.b.tolist() == [2] and after.size == 3


def test_half_of_the_joins_shown_are_wrong_ones_where_there_are_so_many():
    firsts = np.arange(0, 200, 2)
    columns = {"step": 1, "a": firsts, "b": firsts + 1, "cause": "", "one_camera": 0}
    joins = pd.DataFrame(columns | {"right": [RIGHT] * 90 + [WRONG] * 10})
    classes = [np.repeat(firsts, 2).tolist()]
    made = joins_shown(history(classes, joins), 1, 6, exact=False)
    assert [join.right for join in made] == [RIGHT] * 3 + [WRONG] * 3
    assert [int(join.a[0]) for join in made] == [0, 88, 178, 180, 188, 198]
    few = joins.assign(right=[RIGHT] * 99 + [WRONG])
    made = joins_shown(history(classes, few), 1, 6, exact=False)
    assert [join.right for join in made] == [RIGHT] * 5 + [WRONG]


def test_evenly_has_both_ends_and_no_more_than_there_are():
    assert evenly(range(10, 17), 3) == [10, 13, 16]
    assert evenly([4, 5], 9) == [4, 5] and evenly([4], 0) == [] and evenly([], 3) == []


def test_classes_are_the_largest_first_and_new_ones_those_that_were_not_there():
    assert [one.tolist() for one in GROWN.members(2)] == [[0, 1, 2], [3, 4], [5]]
    assert [one.tolist() for one in new_classes(GROWN, 2)] == [[0, 1, 2], [3, 4]]
    assert [one.tolist() for one in new_classes(GROWN, 3)] == [[0, 1, 2, 3, 4]]
    assert [one.tolist() for one in new_classes(history([[0, 0, 2, 3], [0, 0, 2, 2]]), 2)] == [[2, 3]]


def described(branch: Branch) -> object:
    """(step, parts) of a tree; of a leaf its members."""
    return (
        (branch.step, [described(part) for part in branch.parts]) if branch.parts else branch.members.tolist()
    )


def test_a_tree_tells_which_parts_joined_when():
    found = grown(GROWN, np.arange(5), 3)
    assert described(found) == (3, [(2, [(1, [[0], [1]]), [2]]), (2, [[3], [4]])])
    later = grown(GROWN, np.arange(5), 3, most_leaves=4)
    assert described(later) == (3, [(2, [[0, 1], [2]]), (2, [[3], [4]])])
    alone = grown(GROWN, np.array([5]), 3)
    assert described(alone) == [5]


def test_where_one_step_joined_many_the_smallest_share_a_leaf():
    found = grown(history([[0] * 3 + [3, 4, 5, 6], [0] * 7]), np.arange(7), 2, most_leaves=3)
    assert described(found) == (2, [[0, 1, 2], [3], [4, 5, 6]])
    assert [part.classes for part in found.parts] == [1, 1, 3]


def test_classes_made_anew_have_no_tree_but_a_share_that_was_together():
    mixed = history([[0, 0, 2, 2], [0, 1, 0, 0], [0, 0, 0, 0]])
    assert grown(mixed, np.arange(4), 3) is None
    assert together(mixed, np.arange(4), 3) == [0.25, 0.5, 0.75, 1.0]


def test_merges_in_a_tree_are_right_or_wrong_by_the_commonest_persons():
    found = grown(GROWN, np.arange(5), 3)
    persons = np.array([7, 7, 7, 8, 8, 9])
    drawn = tree(found, 3, lambda leaf: f"leaf {leaf.members[0]}", persons)
    assert drawn.count('class="right"') == 3 and drawn.count('class="wrong"') == 1
    assert "merge step 3: 3 + 2 tracklets, several persons" in drawn
    assert "merge step 2: 2 + 1 tracklets, the same person" in drawn
    unknown = tree(found, 3, lambda leaf: "<b>", None)
    assert 'class="right"' not in unknown and 'class="wrong"' not in unknown
    assert "<b>" not in unknown and "&lt;b&gt;" in unknown
