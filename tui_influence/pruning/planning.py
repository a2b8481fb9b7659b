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
from tui_influence.designs import MIN_GROUPS
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.influence.estimate import Estimate, interval
from tui_influence.influence.estimators import estimate
from tui_influence.influence.outputs import Floats, OutputKind, parse_kind
from tui_influence.pruning.arms import SEEDS
from tui_influence.pruning.mixture import Mixture, Side, mix_words, refuse_half_without_examples
from tui_influence.pruning.prediction import predict_gain
from tui_influence.reading import read
from tui_influence.runs.datasets import Datasets, Progress, open_datasets
from tui_influence.store.arms_file import Forecast, Gain, Pruning, RankingUsed, Stages
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo, read_run_info
from tui_influence.text import printable

_NUMBERS_KEPT = 200
"""Numbers of groups for which a gain is predicted, at most."""


class OtherSettingsError(ConfigError):
    """A pruning of that name is there, and asks for something else; `details` are the differences."""


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

    They are packed as the sweep's were, though a target that is left out may have been the one in colour.

    Raises:
        DatasetError: one has moved.
        ConfigError: one has changed since the sweep.
    """
    data = open_datasets(config, progress, (info.resolution, info.channels))
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
    was = {"target": mix_words(used.targets), "estimator": used.estimator, "output": used.output}
    now = {"target": mix_words(asked.weights), "estimator": asked.estimator, "output": asked.output}
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
    shape = info.resolution, info.channels
    bare = Pruning(
        info.name, info.identity, info.seed, tuple(info.source.groups), ranking, (), (), Stages(SEEDS), shape
    )
    return _with_forecast(bare, mixture, score, ks)


def _with_forecast(pruning: Pruning, mixture: Mixture, score: NDArray[np.float64], ks: Sequence[int]) -> Pruning:
    most = len(pruning.groups) - MIN_GROUPS
    spread = np.unique(np.linspace(1, most, min(most, _NUMBERS_KEPT)).round().astype(int)).tolist()
    numbers = sorted({*ks, *spread})
    outputs = np.stack([mixture.mean(kind, estimate=True) for kind in (OutputKind.MARGIN, OutputKind.CORRECT)], axis=1)
    found = predict_gain(mixture.masks, score, outputs, mixture.clusters, pruning.ranking.estimator, numbers)
    if found is None:
        return pruning

    def gain(side: Floats | None, place: int, quantity: int) -> Gain | None:
        if side is None:
            return None
        value, low, high = (float(end) for end in side[:, place, quantity])
        return value, low, high

    forecast = []
    for place, k in enumerate(numbers):
        margin, accuracy = (gain(found.over_random, place, quantity) for quantity in range(2))
        assert margin is not None
        assert accuracy is not None
        everything = [gain(found.over_all, place, quantity) for quantity in range(2)]
        forecast.append(Forecast(k, margin, accuracy, *everything))
    return replace(pruning, forecast=tuple(forecast))


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


def _other_settings(own: Paths, changed: Sequence[str]) -> OtherSettingsError:
    error = OtherSettingsError(f"{printable(str(own.root))} holds a pruning with other settings; choose another --name")
    error.details = tuple(changed)
    return error
