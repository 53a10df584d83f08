"""Faults in intervals over people. How they are read is in `mutants.py`."""

from __future__ import annotations

from mutation.run import of

OVER_PEOPLE = (
    *of(
        "over people",
        "analysis/data/queries.py",
        "tests/analysis/data/test_people.py tests/analysis/data/test_candidates.py",
        ("resamples of queries over the number measured", "/ (self.counts @ times)", "/ self.counts.sum()"),
        (
            "the first match within fewer",
            'table["first_match"] <= k for k in',
            'table["first_match"] < k for k in',
        ),
        ("queries of steps that were not kept", "or not {*measured} <= {*table", "or not {0} <= {*table"),
        (
            "any people are the same people",
            "np.array_equal(each.identities,",
            "np.shape(each.counts) == np.shape(",
        ),
    ),
    *of(
        "over people",
        "analysis/data/people.py",
        "tests/analysis/data/test_people.py",
        (
            "people drawn without replacement",
            "rng.multinomial(identities,",
            "rng.multinomial(identities // 2,",
        ),
        ("other people for every run", "np.random.default_rng(_SEED))", "np.random.default_rng())"),
        ("a one-sided interval over people", "[LEVEL / 2, 1 - LEVEL / 2]", "[LEVEL, 1 - LEVEL]"),
        ("runs without queries are passed over", "if 0 < len(values) == len(found) and", "if values and"),
        ("a collapse has the queries from before", "run.lost_at(step):", "run.lost_at(step - 99):"),
        ("seeds that one alone has run", "if run.trial.seed in shared]", "if run.trial.seed >= 0]"),
    ),
    *of(
        "over people",
        "analysis/stats/measures.py",
        "tests/analysis/stats/test_measures.py",
        ("rank-1 over people is mAP", '"rank1_people": "rank1"', '"rank1_people": "mAP"'),
        ("a gain over people without the base", "{experiment: 1.0, base: -1.0}", "{experiment: 1.0}"),
    ),
)
