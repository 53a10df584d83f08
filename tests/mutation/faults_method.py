"""Faults in the method itself: `dcreid`. How they are read is in `mutants.py`."""

from __future__ import annotations

from mutation.run import Mutant, of

METHOD: list[Mutant] = [
    *of(
        "training",
        "dcreid/training.py",
        "tests/dcreid/test_stage_reference.py::test_two_stages_and_their_merges_equal_the_reference",
        ("the loss grows", "loss.backward()  #", "(-loss).backward()  #"),
        (
            "classes of other tracklets in the loss",
            "on_device[tracklets.to(device, non_blocking=True)]",
            "on_device[torch.arange(b, device=device)]",
        ),
        (
            "classes of other tracklets in the update",
            "memory.update(v, labels[tracklets], alpha)",
            "memory.update(v, labels[:b], alpha)",
        ),
        (
            "the memory is never updated",
            "memory.update(v, labels[tracklets], alpha)",
            "memory.update(v[:0], labels[:0], alpha)",
        ),
        (
            "the memory keeps what it should take",
            "memory.update(v, labels[tracklets], alpha)",
            "memory.update(v, labels[tracklets], 1.0 - alpha)",
        ),
        ("one rate for backbone and head", 'group["lr"] = lr * group["factor"]', 'group["lr"] = lr'),
        ("no weight decay", "weight_decay=train.weight_decay", "weight_decay=0.0"),
        ("momentum not Nesterov's", "nesterov=train.momentum > 0", "nesterov=False"),
        (
            "frames as they lie in the store",
            "network.batch_features(augmented, b, backbone_rng)",
            "network.batch_features(frames, b, backbone_rng)",
        ),
        (
            "gradients of all batches add up",
            "optimiser.zero_grad(set_to_none=True)",
            "optimiser.zero_grad(set_to_none=True) if epoch < 0 else None",
        ),
        (
            "every stage draws the same",
            'generator(self.config.seed, "stage", stage)',
            'generator(self.config.seed, "stage", 1)',
        ),
        (
            "mean loss over the largest batch",
            "total += loss.detach() * b",
            "total += loss.detach() * train.batch_size",
        ),
        (
            "frames of one epoch for all",
            "epochs * n * self.config.data.frames)",
            "n * self.config.data.frames)",
            "tests/dcreid/test_algorithm.py::test_the_loop_counts_as_algorithm_1_does",
        ),
    ),
    *of(
        "training",
        "dcreid/network/tracklets.py",
        "tests/dcreid/test_stage_reference.py::test_two_stages_and_their_merges_equal_the_reference",
        (
            "frames not normalised",
            "pixels = normalise(frames, self._channels_last)",
            "pixels = frames.permute(0, 3, 1, 2).contiguous() / 255",
        ),
        ("the highest frame for the mean frame", ".mean(dim=1)", ".amax(dim=1)"),
        (
            "unit features into the head",
            "return l2_normalize(pooled if self.head is None else self.head(pooled))",
            "return l2_normalize(pooled if self.head is None else self.head(l2_normalize(pooled)))",
        ),
        (
            "backbone in evaluation mode",
            "            module.train()",
            "            module.train(module is not self.backbone)",
        ),
        (
            "head in evaluation mode",
            "            module.train()",
            "            module.train(module is self.backbone)",
        ),
        (
            "features of batches in training mode",
            "        self.eval()",
            "        self.train()",
            "tests/dcreid/network/test_tracklets.py::test_features_are_means_over_frames_whatever_the_batch",
        ),
    ),
    *of(
        "training",
        "dcreid/data/loading.py",
        "tests/dcreid/test_stage_reference.py::test_two_stages_and_their_merges_equal_the_reference",
        (
            "always the first frame",
            "store.starts[tracklets][:, None] + within",
            "store.starts[tracklets][:, None] + 0 * within",
        ),
    ),
    *of(
        "training",
        "dcreid/algorithm.py",
        "tests/dcreid/test_stage_reference.py::test_two_stages_and_their_merges_equal_the_reference",
        (
            "frames of tracklets before they were permuted",
            "self.store.reordered(self.order)",
            "self.store.reordered(np.sort(self.order))",
        ),
        (
            "memory rows of other tracklets",
            "class_means(self.network.embed(pooled), ",
            "class_means(self.network.embed(pooled).flip(0), ",
        ),
    ),
    *of(
        "training",
        "dcreid/schedules.py",
        "tests/dcreid/test_schedules.py",
        (
            "the rate falls an epoch early",
            "if epoch > train.lr_decay_epoch",
            "if epoch >= train.lr_decay_epoch",
        ),
        (
            "update rate a step late",
            "share = min(1.0, step * merge_rate)",
            "share = min(1.0, (step - 1) * merge_rate)",
        ),
    ),
    *of(
        "memory",
        "dcreid/memory.py",
        "tests/dcreid/test_memory.py",
        ("logits times the temperature", " / self.temperature", " * self.temperature"),
        (
            "loss summed over the batch",
            "functional.cross_entropy(self.logits(v), labels)",
            'functional.cross_entropy(self.logits(v), labels, reduction="sum")',
        ),
        (
            "rows not normalised after an update",
            "functional.normalize(alpha * self.rows[rows] + (1.0 - alpha) * samples, dim=1)",
            "alpha * self.rows[rows] + (1.0 - alpha) * samples",
        ),
        ("samples of a class in reverse order", ".tril_(-1)", ".triu_(1)"),
        ("memory shares the rows it is given", "rows.float().clone()", "rows.float()"),
        ("class sums are not normalised", "return functional.normalize(sums, dim=1)", "return sums"),
    ),
    *of(
        "memory",
        "dcreid/algorithm.py",
        "tests/dcreid/test_algorithm.py::test_memory_rows_after_a_merge",
        ("rows never start at zero", 'if kind == "zeros" else rows', 'if kind == "" else rows'),
        (
            "rows of the last classes are taken over",
            "self.memory.rows[: self.n_classes]",
            "self.memory.rows[-self.n_classes :]",
        ),
    ),
    *of(
        "criterion",
        "dcreid/precision.py",
        "tests/dcreid/test_memory.py::test_autocast_leaves_logits_loss_and_rows_in_float32",
        (
            "products in the precision of autocast",
            "torch.autocast(device.type, enabled=False)",
            "torch.autocast(device.type, enabled=True)",
        ),
    ),
    *of(
        "metrics",
        "dcreid/algorithm.py",
        "tests/dcreid/test_reports.py::test_retrieval_is_that_of_the_reference_on_unit_features",
        (
            "retrieval by features of any length",
            "v = l2_normalize(self.network.pooled_features(self.test_store, most_frames=most_frames))",
            "v = self.network.pooled_features(self.test_store, most_frames=most_frames)",
        ),
    ),
    *of(
        "metrics",
        "dcreid/evaluation/partitions.py",
        "tests/dcreid/test_reports.py::test_a_step_reports_the_partitions_before_and_after_its_merge",
        (
            "quality of classes in another order",
            "in_split[order] = labels.numpy()",
            "in_split[:] = labels.numpy()",
        ),
    ),
    *of(
        "frame sampling",
        "dcreid/data/sampling.py",
        "tests/dcreid/data/test_sampling.py",
        (
            "the middle of every segment",
            "(np.arange(count) + share) / count",
            "(np.arange(count) + 0.5) / count",
        ),
        (
            "evenly spaced frames from the start",
            "(2 * place + 1) * lengths[owner]",
            "2 * place * lengths[owner]",
        ),
        (
            "one draw of frames for all tracklets",
            "share = rng.random((len(lengths), count))",
            "share = np.repeat(rng.random((1, count)), len(lengths), axis=0)",
        ),
    ),
    *of(
        "frame sampling",
        "dcreid/data/loading.py",
        "tests/dcreid/data/test_loading.py",
        (
            "tracklets in order of the store",
            "batches_of(rng.permutation(len(store)), batch_size)",
            "batches_of(np.arange(len(store)), batch_size)",
        ),
    ),
    *of(
        "frame sampling",
        "dcreid/data/augmentation.py",
        "tests/dcreid/data/test_augmentation.py",
        (
            "vertical shift by the width",
            "rng.integers(-int(shift * h), int(shift * h)",
            "rng.integers(-int(shift * w), int(shift * w)",
        ),
        ("shifted one way only", "right = rng.integers(-int(shift * w)", "right = rng.integers(0"),
        (
            "borders come round from the other side",
            "np.clip(np.arange(w) + right[:, None], 0, w - 1)",
            "(np.arange(w) + right[:, None]) % w",
        ),
        ("means of BGR", "_MEAN = (0.485, 0.456, 0.406)", "_MEAN = (0.406, 0.456, 0.485)"),
    ),
    *of(
        "store",
        "dcreid/disk.py",
        "tests/dcreid/test_disk.py",
        ("no room is taken in advance", "os.posix_fallocate(file.fileno(), 0, size)", "file.fileno()"),
        ("every byte of disk is in KiB", "value < 1024 or", "value < 1 or"),
    ),
    *of(
        "store",
        "dcreid/data/store.py",
        "tests/dcreid/data/test_store.py",
        (
            "half of a small disk is kept spare",
            "min(_SPARE_DISK, disk.total // 20)",
            "min(_SPARE_DISK, disk.total // 2)",
        ),
        ("a large disk's twentieth is kept spare", "min(_SPARE_DISK, disk", "max(_SPARE_DISK, disk"),
        ("room that was taken is not given back", "file.truncate(file.tell())", "file.tell()"),
    ),
    *of(
        "store",
        "dcreid/data/store.py",
        "tests/dcreid/data/test_store.py",
        (
            "tracklets moved the other way",
            "starts=self.starts[order], lengths=self.lengths[order]",
            "starts=self.starts[np.argsort(order)], lengths=self.lengths[np.argsort(order)]",
        ),
        ("readable frames are taken to be the first", "pixels[good]", "pixels[: int(good.sum())]"),
        ("gaps between chunks", "filled += len(pixels)", "filled += max(len(pixels), _FRAMES_AT_ONCE)"),
        (
            "borders of tracklets not in the name",
            "digest.update(np.ascontiguousarray(split.offsets).tobytes())",
            "digest.update(np.ascontiguousarray(split.cameras).tobytes())",
        ),
        (
            "frames not in the name",
            "{_VERSION} {split.frames.fingerprint()} ",
            "{_VERSION} {len(split.frames)} ",
        ),
        (
            "width not in the name",
            'f"{_key(split)}-{height}x{width}"',
            'f"{_key(split)}-{height}x{height}"',
            "tests/dcreid/data/test_store.py::test_sizes_of_one_height_have_stores_of_their_own",
        ),
        ("mended only when all frames are", "return not readable.any()", "return not readable.all()"),
    ),
    *of(
        "state",
        "dcreid/algorithm.py",
        "tests/dcreid/test_algorithm_state.py::test_a_continued_run_reports_all_that_the_cut_run_had_measured",
        (
            "memory rows come back in reverse",
            'else self._memory(state["memory"])',
            'else self._memory(state["memory"].flip(0))',
            "tests/dcreid/test_algorithm_state.py::test_a_run_cut_anywhere_and_continued_equals_the_uncut_run[head]",
        ),
        (
            "only the newest merge comes back",
            'for labels in state["labels_history"]]',
            'for labels in state["labels_history"][-1:]]',
        ),
        ("seconds of a cut stage are lost", '= state["stage_seconds"]', "= 0.0"),
        ("seconds that a cut stage saved are lost", '= state["stage_saved_seconds"]', "= 0.0"),
        (
            "queries of the newest step only come back",
            "QueryResults(**found) for step, found in queries.items()}",
            "QueryResults(**found) for step, found in list(queries.items())[-1:]}",
        ),
    ),
    *of(
        "state",
        "dcreid/network/tracklets.py",
        "tests/dcreid/test_algorithm_state.py::test_a_run_cut_anywhere_and_continued_equals_the_uncut_run[head]",
        (
            "the head stays as it was made",
            'self.head.load_state_dict(state["head"])',
            "self.head.load_state_dict(self.head.state_dict())",
        ),
    ),
    *of(
        "state",
        "dcreid/stage.py",
        "tests/dcreid/test_algorithm_state.py::test_the_cost_of_an_adopted_stage_is_reported_as_saved",
        (
            "any retrieval will do",
            "if of is not None and tuple(of) == retrieval_due:",
            "if of is not None:",
        ),
        (
            "features were no work",
            'saved_seconds=spent["train"] + spent["features"]',
            'saved_seconds=spent["train"]',
        ),
    ),
    *of(
        "state",
        "dcreid/algorithm.py",
        "tests/dcreid/test_algorithm_state.py::test_a_state_of_other_tracklets_is_refused",
        ("one order of tracklets for all seeds", 'generator(config.seed, "order")', 'generator(0, "order")'),
        (
            "tracklets are shuffled all the same",
            "if not config.data.shuffle_tracklets:",
            "if config.seed < 0:",
            "tests/dcreid/test_invariance.py::test_tracklets_keep_their_order_where_that_is_asked_for",
        ),
        (
            "the last step takes a few frames",
            "0 if last else self.config.data.eval_frames",
            "self.config.data.eval_frames",
            "tests/dcreid/test_reports.py::test_evaluation_may_be_rarer_and_the_last_step_uses_all_frames",
        ),
    ),
]
