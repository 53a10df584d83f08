"""Faults in what studies keep and begin with: schema, the paper's tables in a search, queries, partitions.

How they are read is in `mutants.py`.
"""

from __future__ import annotations

from mutation.run import Mutant, of

RECORDS: list[Mutant] = [
    *of(
        "schema",
        "study/source.py",
        "tests/study/test_source.py",
        (
            "the code beside the study, not the one that is imported",
            "root = Path(dcreid.__file__).parent",
            'root = REPOSITORY / "dcreid"',
        ),
    ),
    *of(
        "schema",
        "dcreid/config.py",
        "tests/dcreid/test_config.py",
        ("a field of its default tells of itself", "if value != defaults[name]}", "if value is not None}"),
    ),
    *of(
        "schema",
        "dcreid/checked.py",
        "tests/dcreid/test_config.py",
        (
            "what this code does not know is dropped in silence",
            "return filled | {name: value for name, value in values.items() if name not in defaults}",
            "return filled",
        ),
        (
            "groups that are stored are not completed",
            "with_defaults(values.get(name, {}), default)",
            "dict(values.get(name, default))",
        ),
    ),
    *of(
        "schema",
        "study/plan.py",
        "tests/study/record/test_schema.py",
        (
            "a search space is no part of a study",
            '"confirm", "given", "pruner"',
            '"confirm", "space", "pruner"',
        ),
        (
            "the base counts with all its fields",
            '| {"base": self.config.difference()}',
            '| {"base": self.config.flat()}',
        ),
        (
            "options that came later are part of a study",
            "for name, value in kept.items() if value != standard[name]}",
            "for name, value in kept.items() if value is not None}",
        ),
    ),
    *of(
        "schema",
        "study/record/folder.py",
        "tests/study/record/test_schema.py",
        (
            "any study of the data set is the command's",
            "if found.identity() == wanted and found.root == plan.root:",
            "if found.root == plan.root:",
        ),
        (
            "a study is created with what is asked for now",
            "given=created.given, storage_folder=created.storage_folder)",
            "given=plan.given, storage_folder=created.storage_folder)",
        ),
        (
            "an older study's trials are looked for in a folder of its own",
            "given=created.given, storage_folder=created.storage_folder)",
            "given=created.given)",
            "tests/study/record/test_storage.py",
        ),
        ("from here to there", "{there[f]} there, {here[f]} here", "{here[f]} there, {there[f]} here"),
    ),
    *of(
        "owners",
        "study/record/owner.py",
        "tests/study/record/test_owner.py",
        ("any study may go on in a place", "if owner.study != me.study:", "if not owner.study:"),
        ("a copy goes on where the study did", "if owner.session not in known:", "if not owner.session:"),
        (
            "a study that was moved is taken for a copy",
            'known = ledger.path.parent.resolve(), {one.get("token") for one in ledger.sessions}',
            'known = ledger.path.parent.resolve(), {one.get("token") for one in ledger.sessions[-1:]}',
        ),
        ("the last session is not noted", 'ledger.sessions[-1]["token"])', 'ledger.sessions[0]["token"])'),
    ),
    *of(
        "owners",
        "study/record/ledger.py",
        "tests/study/record/test_owner.py",
        ("every session has an id of its own", 'if "study" in session:', 'if "study " in session:'),
    ),
    *of(
        "owners",
        "study/command/driver.py",
        "tests/study/record/test_owner.py::test_a_driver_is_let_in_before_it_runs_anything",
        (
            "nobody looks whose a place is",
            "                claim(Storage(plan.place), ledger)",
            "                _ = claim, Storage(plan.place), ledger",
        ),
    ),
    *of(
        "owners",
        "study/record/results.py",
        "tests/study/record/test_results.py",
        ("a replaced driver writes its table", "    ledger.check_alone()", "    _ = ledger.check_alone"),
    ),
    *of(
        "owners",
        "study/plan.py",
        "tests/study/record/test_storage.py",
        (
            "studies with one storage share their folders",
            "return below(self.storage, self.storage_folder) if self.storage_folder else self.storage",
            "return self.storage if self.storage_folder else self.storage",
        ),
    ),
    *of(
        "owners",
        "study/worker/checkpoints.py",
        "tests/study/worker/test_checkpoints.py",
        (
            "those of others are taken",
            "if found.get(key, value) != value]",
            "if found.get(key, value) is None]",
        ),
        (
            "those of older code are not taken",
            "if found.get(key, value) != value]",
            "if found.get(key) != value]",
        ),
        ("a worker that was cut off goes on", "        if found != self._mine:", "        if found is None:"),
        (
            "what does not fit stays",
            "            except ValueError as error:",
            "            except KeyError as error:",
        ),
    ),
    *of(
        "owners",
        "study/worker/rows.py",
        "tests/study/worker/test_trainable.py",
        (
            "any checkpoint of that number is taken",
            "Checkpoints(storage, job.stamp)",
            "Checkpoints(storage, {})",
        ),
        (
            "tables are written by one that was cut off",
            "        checkpoints.check_newest()\n",
            "        _ = checkpoints.check_newest\n",
        ),
    ),
    *of(
        "owners",
        "study/worker/shared_stages.py",
        "tests/study/worker/test_shared_stages.py",
        (
            "a stage is what its name says",
            'load_state(self.storage, f"{key}.pt", {"stage": key}, self.storage.set_aside)',
            'load_state(self.storage, f"{key}.pt", {}, self.storage.set_aside)',
        ),
    ),
    *of(
        "owners",
        "study/record/trial_tables.py",
        "tests/analysis/stats/test_joins.py",
        ("a changed table is believed", 'not in ("", _digest(table)):', "is None:"),
        (
            "any trial's table is taken",
            "if said.get(key, value) != value]",
            "if said.get(key, value) is None]",
        ),
    ),
    *of(
        "stages",
        "study/decide/sharing.py",
        "tests/study/decide/test_sharing.py",
        (
            "those that take stages over wait for one another",
            "if not stages or key in self.ready:",
            "if not stages:",
        ),
        (
            "stages lie ready before they are computed",
            "if trial.last_step >= self.stages(Config.from_dict(trial.config)) > 0:",
            "if self.stages(Config.from_dict(trial.config)) > 0:",
        ),
    ),
    *of(
        "schema",
        "study/record/schema.py",
        "tests/study/record/test_schema.py",
        ("a newer schema is read", "1 <= found <= SCHEMA:", "1 <= found:"),
    ),
    *of(
        "schema",
        "study/record/ledger.py",
        "tests/study/record/test_schema.py",
        (
            "a ledger's configurations stay as they were stored",
            '| {"config": completed(entry["config"])},',
            '| {"config": entry["config"]},',
        ),
        (
            "sessions without a number",
            'len(self.sessions) + 1, "schema": SCHEMA}',
            'len(self.sessions) + 1, "schema": 1}',
        ),
    ),
    *of(
        "the paper's tables",
        "search_spaces/paper.py",
        "tests/study/command/test_resolve.py tests/analysis/test_tables.py",
        (
            "settings of fields that were given",
            "held = [name for name in changes if name in fixed]",
            "held = [name for name in changes if name not in changes]",
        ),
        ("the final setting twice", "elif changes:", "else:"),
        (
            "a figure for a table",
            "for rows in (_table1, _table2, _table3):",
            "for rows in (_table1, _table2, _fig4):",
        ),
    ),
    *of(
        "the paper's tables",
        "study/decide/queue.py",
        "tests/study/command/test_given.py",
        (
            "what is given is no sample",
            "return origin in SEARCHED or",
            'return origin in ("search",) or',
        ),
        (
            "what is given counts beside the samples",
            "origin == self.plan.preset for origin, _, _ in self._given)",
            'origin in ("paper", "given") for origin, _, _ in self._given)',
        ),
        (
            "points of a grid that were given run again",
            "if not any(p.items() <= flat.items() for flat in held)]",
            "if not any(p.items() <= flat.items() for flat in held[:1])]",
        ),
        (
            "given beyond the samples",
            'if origin == "given" and self._enough_samples():',
            'if origin == "given" and self.complete:',
        ),
    ),
    *of(
        "the paper's tables",
        "study/plan.py",
        "tests/study/command/test_given.py",
        (
            "given before trial 0",
            'return [*runs[:1], *(("given", run) for run in self._given_items()), *runs[1:]]',
            'return [*(("given", run) for run in self._given_items()), *runs]',
        ),
    ),
    *of(
        "the paper's tables",
        "study/decide/confirmation.py",
        "tests/study/command/test_given.py",
        (
            "given settings are not confirmed",
            'SEARCHED = ("search", "given", ENQUEUED)',
            'SEARCHED = ("search", ENQUEUED)',
        ),
    ),
    *of(
        "the paper's tables",
        "study/command/resolve.py",
        "tests/study/command/test_resolve.py",
        ("small searches are given settings too", "or samples < TABLES_FROM:", "or samples < 2:"),
        (
            "data here before data everywhere",
            "for place in (*places, here):",
            "for place in (here, *places):",
        ),
    ),
    *of(
        "queries",
        "dcreid/evaluation/retrieval.py",
        "tests/dcreid/evaluation/test_retrieval.py",
        (
            "the second match for the first",
            "first_match=rank[first[measured]].cpu()",
            "first_match=rank[first[measured] + (positives[measured] > 1)].cpu()",
        ),
        (
            "queries without a match are asked for",
            "queries_skipped=self.asked - len(self.query)",
            "queries_skipped=self.asked",
        ),
    ),
    *of(
        "queries",
        "study/record/trial_tables.py",
        "tests/study/worker/test_trainable.py",
        (
            "queries by their rows of the test split",
            "tracklet = data.query[found.query.numpy()]",
            "tracklet = found.query.numpy()",
        ),
        (
            "both precisions by the rectangle rule",
            "            found.average_precision_trapezoid.numpy(),",
            "            found.average_precision.numpy(),",
        ),
    ),
    *of(
        "queries",
        "study/worker/algorithm_rows.py",
        "tests/study/worker/test_trainable.py",
        (
            "the untrained network's queries are lost by a cut",
            "untrained = algorithm.untrained()  # anew",
            "untrained = algorithm.untrained() if recorded < 0 else None  # anew",
        ),
    ),
    *of(
        "state",
        "dcreid/algorithm.py",
        "tests/dcreid/test_algorithm_state.py tests/study/worker/test_trainable.py",
        (
            "queries of a cut run are lost",
            'queries = state.get("queries", {})',
            'queries = state.get("none", {})',
        ),
    ),
    *of(
        "metrics",
        "dcreid/stage.py",
        "tests/dcreid/test_reports.py",
        (
            "quality before is that of after",
            'f"{name}_before": value for name, value in before.values().items()',
            'f"{name}_before": value for name, value in after.values().items()',
        ),
    ),
    *of(
        "metrics",
        "dcreid/evaluation/partitions.py",
        "tests/dcreid/evaluation/test_partitions.py",
        (
            "a partition named by how its classes are called",
            "rank[inverse].tobytes()",
            "np.asarray(labels, dtype=np.int32).tobytes()",
        ),
        ("rows taken for tracklets", "in_split[order] = labels.numpy()", "in_split[:] = labels.numpy()"),
    ),
    *of(
        "tables",
        "analysis/data/runs.py",
        "tests/analysis/data/test_runs.py tests/analysis/test_tables.py",
        (
            "diverged runs leave the tables",
            'else ("complete", "diverged")',
            'else ("complete",)',
        ),
        (
            "a diverged run counts to where it was well",
            "lost = range(self.trial.diverged_at, ",
            "lost = range(self.trial.diverged_at + 1, ",
        ),
    ),
    *of(
        "classes by tracklet",
        "study/record/classes.py",
        "tests/study/record/test_classes.py",
        (
            "the class of the last step",
            "table[table.step == step].set_index",
            "table[table.step == table.step.max()].set_index",
        ),
        (
            "classes in the order of the table",
            '.set_index("tracklet").sort_index()',
            ".reset_index(drop=True)",
        ),
        ("another trial's classes", '{"configuration": trial.digest}', "{}"),
        ("a step that is not there", "or step not in table.step.to_numpy()", "or step not in table.index"),
        ("odd names are spelt otherwise", 'errors="surrogateescape"', 'errors="replace"'),
    ),
    *of(
        "classes by tracklet",
        "study/record/trial_tables.py",
        "tests/study/worker/test_trainable.py::test_the_classes_of_every_step_are_kept_by_tracklet",
        ("classes in the order of the run", "labels.numpy()[row],", "labels.numpy(),"),
        ("the order the other way round", "row = np.argsort(algorithm.order)", "row = algorithm.order"),
        (
            "steps from 0",
            "enumerate(algorithm.labels_history, start=1)",
            "enumerate(algorithm.labels_history)",
        ),
        ("confidence in the order of the run", "sure.numpy()[row],", "sure.numpy(),"),
    ),
    *of(
        "classes by tracklet",
        "dcreid/evaluation/unlabelled.py",
        "tests/dcreid/evaluation/test_unlabelled.py",
        ("a tracklet is its own neighbour", "rows] = -torch.inf", "rows] = torch.inf"),
        ("neighbours beyond the last", "k = min(k, n - 1)", "k = min(k, n)"),
        (
            "the farthest are the nearest",
            "return similar.topk(k, dim=1).indices",
            "return (-similar).topk(k, dim=1).indices",
        ),
    ),
    *of(
        "classes by tracklet",
        "dcreid/algorithm.py",
        "tests/dcreid/test_algorithm.py::test_every_step_keeps_how_sure_its_classes_are_of_each_tracklet",
        ("confidence in the classes before", "confidence(v, self.labels))", "confidence(v, labels))"),
    ),
    *of(
        "classes by tracklet",
        "dcreid/algorithm.py",
        "tests/study/worker/test_trainable.py::test_a_cut_trial_keeps_the_queries_and_classes_of_every_step",
        ("a cut trial is sure of nothing", 'dict(state.get("confidence", {}))', "{}"),
    ),
]
