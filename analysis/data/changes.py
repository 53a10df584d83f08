"""What a configuration changes, in words: the base in its data set's settings, a trial in the base."""

from __future__ import annotations

from analysis.data.results import Group
from analysis.data.symbols import symbol
from dcreid.config import Config
from dcreid.presets import settings_of
from search_spaces.symbols import value_text


def changed_in_settings(group: Group) -> str:
    """What the base configuration changes in its data set's settings: `merge.lambda1 = 0.1`"""
    own, standard = group.base.flat(), settings_of(group.dataset).flat()
    synthetic = group.dataset == "synthetic"
    changed = [
        f"{name} = {own[name]}"
        for name in own
        if own[name] != standard[name] and name != "seed" and (synthetic or ".synthetic." not in name)
    ]
    return ", ".join(changed) or "nothing"


def changed_in_base(config: Config, group: Group) -> str:
    """What a configuration changes in the base: `λ1 0.02, τ 0.08`"""
    own, base = config.flat(), group.base.flat()
    changed = [name for name in own if own[name] != base[name] and name != "seed"]
    return ", ".join(f"{symbol(name)} {value_text(own[name])}" for name in changed) or group.whose
