"""Faults in models, in what a search finds, and in what studies keep. How they are read: `mutants.py`."""

from __future__ import annotations

from mutation.run import Mutant, of

MODELS: list[Mutant] = [
    *of(
        "models",
        "dcreid/model.py",
        "tests/dcreid/test_model.py",
        (
            "frames are not made of length 1",
            "v = l2_normalize(self._images(given))",
            "v = self._images(given)",
        ),
        (
            "a tracklet's frames are of length 1 before their mean",
            "pooled = self._images(frames).mean(dim=0, keepdim=True)",
            "pooled = l2_normalize(self._images(frames)).mean(dim=0, keepdim=True)",
        ),
        (
            "a card forgets the evaluation's normalisation",
            "return self.config.merge.camera_normalise or self.config.evaluate.camera_normalise",
            "return self.config.merge.camera_normalise",
        ),
        (
            "one known set is enough to normalise",
            "everyone = np.concatenate(known) if len(known) == len(found) else None",
            "everyone = np.concatenate(known) if len(known[:1]) == len(found) else None",
        ),
        (
            "made-up cameras are normalised by",
            "known = given.cameras if given.cameras_known else None",
            "known = given.cameras",
        ),
        (
            "the card's word goes before the caller's",
            "return cameras_known and (self.card.camera_normalise if wanted is None else wanted)",
            "return cameras_known and (self.card.camera_normalise or bool(wanted))",
        ),
        ("a newer card is read", 'if card.get("format") != _FORMAT:', 'if card.get("format", 1) < _FORMAT:'),
    ),
    *of(
        "models",
        "dcreid/network/tracklets.py",
        "tests/dcreid/test_model.py",
        (
            "mirror images are left out of frames' features",
            "return (features + self.frame_features(frames.flip(2))) / 2 if self._mirrored else features",
            "return (features + self.frame_features(frames)) / 2 if self._mirrored else features",
        ),
    ),
    *of(
        "hits",
        "dcreid/hits.py",
        "tests/dcreid/test_hits.py",
        (
            "the same camera counts",
            "or (who == found and self.queries.cameras[query] == self.gallery.cameras[hit]):",
            "or (who != who):",
        ),
        (
            "junk is wrong",
            "if found == JUNK or (who",
            "if (who",
        ),
        ("ranks begin at 0", '"rank": row + 1,', '"rank": row,'),
        ("one hit less where the query is among them", "w[others], top + 1)", "w[others], top)"),
        (
            "rows among other cameras are taken for rows of the gallery",
            "found = others[places.cpu().numpy()]",
            "found = places.cpu().numpy()",
        ),
        (
            "a query that is in the gallery gets the last row",
            "new = np.flatnonzero(itself < 0)",
            "new = np.flatnonzero(itself < -1)",
        ),
        (
            "queries without an answer are asked",
            "same & (self.gallery.cameras !=",
            "same | (self.gallery.cameras !=",
        ),
        (
            "the first frame is shown",
            "int(split.offsets[row] + split.offsets[row + 1]) // 2)",
            "int(split.offsets[row]))",
        ),
    ),
    *of(
        "hits",
        "dcreid/vectors.py",
        "tests/dcreid/test_vectors.py",
        (
            "made-up cameras are written",
            "return split.cameras if split.cameras_known else np.full(len(split), _UNKNOWN, dtype=np.int64)",
            "return split.cameras",
        ),
        (
            "junk has no identity",
            "mask=np.full(len(split), split.identities is None)",
            "mask=identities == _UNKNOWN",
        ),
    ),
    *of(
        "hits",
        "dcreid/data/given.py",
        "tests/dcreid/data/test_given.py",
        (
            "the gallery for the query",
            'data.query if part == "query" else data.gallery',
            'data.gallery if part == "query" else data.query',
        ),
    ),
    *of(
        "models that are kept",
        "study/models.py",
        "tests/study/test_models.py",
        (
            "the selected step is the last",
            '"selected": trial.selected_step,',
            '"selected": max(0, trial.last_step) or None,',
        ),
        ("the best step is selected", '"best": trial.highest_step("mAP"),', '"best": trial.selected_step,'),
        (
            "scores of the last step",
            "scores=measured(trial.steps.get(step, {})),",
            "scores=measured(trial.steps.get(trial.last_step, {})),",
        ),
        (
            "the untrained network's scores are the step's",
            "untrained=measured(trial.steps.get(0, {})),",
            "untrained=measured(trial.steps.get(step, {})),",
        ),
        (
            "models of a trial that was taken over",
            "return None if best is None or best.reused else best",
            "return best",
        ),
        (
            "trials that end early keep everything",
            "if trial.state in FINISHED and number",
            'if trial.state == "complete" and number',
        ),
        ("models are written at every turn", "if wanted != self._written.get(which):", "if True:"),
        (
            "writing takes all of the time",
            "self._not_before = now + (now - started) / _TIME_SHARE",
            "self._not_before = now",
        ),
    ),
    *of(
        "models that are kept",
        "study/worker/checkpoints.py",
        "tests/study/worker/test_checkpoints.py",
        (
            "a finished trial keeps its memory",
            "save_state(storage, name, Algorithm.without_training(state), stamp)",
            "save_state(storage, name, state, stamp)",
        ),
        (
            "a finished trial loses its last checkpoint",
            "if step != steps[-1] and step not in chosen:",
            "if step not in chosen:",
        ),
        (
            "another's checkpoint is stamped",
            "state = load_state(storage, name, stamp, storage.pass_over)",
            "state = load_state(storage, name, {}, storage.pass_over)",
        ),
    ),
    *of(
        "models that are kept",
        "study/worker/rows.py",
        "tests/study/worker/test_trainable.py",
        (
            "a finished trial keeps whole checkpoints",
            "if algorithm.finished:",
            "if not algorithm.steps_done:",
        ),
    ),
]
