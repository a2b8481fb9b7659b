"""From a sweep to a pruning that can be trained: its config, its ranking, its arms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from tui_influence.config.explain import problems_of
from tui_influence.config.identity import differences
from tui_influence.config.loader import config_from_json
from tui_influence.config.positions import Node
from tui_influence.config.schema import Config, RunSection
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.influence.estimate import Estimate, interval
from tui_influence.influence.estimators import estimate
from tui_influence.influence.outputs import OutputKind, parse_kind
from tui_influence.pruning.arms import SEEDS, order_of
from tui_influence.pruning.mixture import Mixture, Side, refuse_half_without_examples
from tui_influence.pruning.prediction import predict_gain
from tui_influence.reading import read
from tui_influence.runs.datasets import Datasets, Progress, open_datasets
from tui_influence.store.arms_file import Forecast, Gain, Pruning, RankingUsed, Stages
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo, read_run_info
from tui_influence.text import printable

_NUMBERS_KEPT = 200
"""Numbers of groups for which a gain is predicted, at most."""


@dataclass(frozen=True)
class Asked:
    """What a pruning is to be.

    Attributes:
        weights: of the targets that count, by name.
        estimator: what groups are ranked with.
        output: what they are ranked by.
        settings: of the retraining, instead of the sweep's; dotted keys such as `train.epochs`. `transfer` applies to
            every target.
    """

    weights: Mapping[str, float]
    estimator: str
    output: str
    settings: Mapping[str, Any]


def directory_of(paths: Paths, name: str) -> Paths:
    """Return where a pruning of a sweep is kept.

    Raises:
        ConfigError: it cannot have that name.
    """
    try:
        RunSection(name=name)
    except ValidationError:
        raise ConfigError(
            f'--name "{printable(name, 60)}": must be letters, digits, ".", "_" or "-", and begin with one of the first'
        ) from None
    return Paths(paths.prunings / name)


def names_of(paths: Paths) -> list[str]:
    """Return the names of a sweep's prunings."""
    if not paths.prunings.is_dir():
        return []
    return sorted(entry.name for entry in paths.prunings.iterdir() if Paths(entry).run.exists())


def config_of(info: RunInfo, own: Paths, asked: Asked) -> Config:
    """Return the config that a pruning is trained by: the one it began with, or the sweep's, with other settings.

    Args:
        info: of the sweep.
        own: where the pruning is kept.
        asked: what it is to be.

    Raises:
        ConfigError: a setting is wrong, or not what the pruning began with.
    """
    begun = config_from_json(read_run_info(own.root).config) if own.run.exists() else None
    wanted = (begun or config_from_json(info.config)).model_dump(mode="json")
    wanted["run"] |= {"name": f"{info.name}-{own.root.name}"[:100], "output": str(own.root)}
    wanted["target"] = [target for target in wanted["target"] if target["name"] in asked.weights]
    for key, value in asked.settings.items():
        section, _, field = key.rpartition(".")
        for table in [wanted[section]] if section else wanted["target"]:
            table[field] = value
    try:
        config = Config.model_validate(wanted)
    except ValidationError:
        raise ConfigError(problems_of(wanted, Node(), "")[0].message) from None
    changed = differences(begun, config) if begun else []
    if changed:
        raise _other_settings(own, changed)
    return config


def open_sweep_data(config: Config, info: RunInfo, progress: Progress | None = None) -> Datasets:
    """Open the datasets of a pruning, and check that they are those of its sweep.

    Raises:
        DatasetError: one has moved.
        ConfigError: one has changed since the sweep.
    """
    data = open_datasets(config, progress)
    changed = ["the source"] if data.source.fingerprint != info.source.fingerprint else []
    for section, images in zip(config.target, data.targets, strict=True):
        known = info.targets[info.target_index(section.name)]
        if known.fingerprints != [images.train.fingerprint, images.test.fingerprint]:
            changed.append(f"target {printable(section.name)}")
    if not changed and list(data.groups.names) != info.source.groups:
        changed.append("the grouping of the source")
    if changed:
        raise ConfigError(f"changed since the sweep: {', '.join(changed)}; its ranking is of other data")
    return data


def refuse_other_question(own: Paths, pruning: Pruning, asked: Asked) -> None:
    """Refuse to go on with a pruning that was ranked by something else.

    Raises:
        ConfigError: it was; the differences are named.
    """
    used = pruning.ranking
    was = {"targets": used.targets, "estimator": used.estimator, "output": used.output}
    now = {"targets": dict(asked.weights), "estimator": asked.estimator, "output": asked.output}
    changed = [f"{key}: {was[key]} -> {now[key]}" for key in was if was[key] != now[key]]
    if changed:
        raise _other_settings(own, changed)


def plan(paths: Paths, info: RunInfo, asked: Asked, ks: Sequence[int]) -> Pruning:
    """Rank for a pruning by what a sweep has recorded by now, and predict its gains; it has no arms yet.

    Args:
        paths: of the sweep.
        info: of the sweep.
        asked: what the pruning is to be.
        ks: numbers of groups to drop, among those whose gain is predicted.

    Raises:
        ResultsError: no model is recorded yet, or a half of the test examples is empty.
        ConfigError: the question does not fit the run.
    """
    sides = []
    for name in asked.weights:
        reading = read(paths, info, name)
        reading.refuse_if_empty()
        sides.append(Side(name, reading.examples, reading.outputs))
        refuse_half_without_examples(sides[-1])
    mixture = Mixture.of(sides, asked.weights)
    score = mixture.mean(parse_kind(asked.output), estimate=True)
    found = estimate(asked.estimator, mixture.masks, score, mixture.clusters)
    if not np.isfinite(found.influence).any():
        raise ResultsError(
            f"{printable(str(paths.root))}: {len(score)} model{'' if len(score) == 1 else 's'} recorded: "
            "too few to rank by; see `tinfl status`"
        )
    ranking = _used(found, info, asked, len(score))
    bare = Pruning(info.name, info.identity, info.seed, tuple(info.source.groups), ranking, (), (), Stages(SEEDS))
    return _with_forecast(bare, mixture, ks)


def _with_forecast(pruning: Pruning, mixture: Mixture, ks: Sequence[int]) -> Pruning:
    most = len(pruning.groups) - 2
    numbers = sorted({*ks, *np.unique(np.linspace(1, most, min(most, _NUMBERS_KEPT)).round().astype(int)).tolist()})
    order = order_of(pruning.ranking.influence)
    sets = [order[:k] for k in numbers]
    gains: list[list[Gain | None]] = []
    for over_random in (True, False):
        for kind in (OutputKind.MARGIN, OutputKind.CORRECT):
            output = mixture.mean(kind, estimate=True)
            found = predict_gain(mixture.masks, output, mixture.clusters, sets, over_random=over_random)
            if found is None:
                gains.append([None] * len(numbers))
            else:
                ends = zip(found.gain, found.low, found.high, strict=True)
                gains.append([(float(gain), float(low), float(high)) for gain, low, high in ends])
    forecast = tuple(
        Forecast(k, margin_random, accuracy_random, margin, accuracy)
        for k, margin_random, accuracy_random, margin, accuracy in zip(numbers, *gains, strict=True)
        if margin_random is not None and accuracy_random is not None
    )
    return replace(pruning, forecast=forecast)


def _used(found: Estimate, info: RunInfo, asked: Asked, models: int) -> RankingUsed:
    influence, se = found.influence[:, 0].astype(float), found.se[:, 0].astype(float)
    low, high = interval(influence, se, found.df)
    return RankingUsed(
        targets=dict(asked.weights),
        estimator=asked.estimator,
        output=asked.output,
        design=info.design_label,
        models=models,
        relative=found.relative,
        influence=_known(influence),
        low=_known(low),
        high=_known(high),
    )


def _known(values: NDArray[Any]) -> tuple[float | None, ...]:
    return tuple(float(value) if isfinite(value) else None for value in values)


def _other_settings(own: Paths, changed: Sequence[str]) -> ConfigError:
    error = ConfigError(f"{printable(str(own.root))} holds a pruning with other settings; choose another --name")
    error.details = tuple(changed)
    return error
