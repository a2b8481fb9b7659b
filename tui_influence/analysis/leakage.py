"""Which single source images move which single test images: likely leakage where they help, misleading where they hurt.

An influence here is on one test example *beyond its class* (see `beyond`): what a source image does to all of a class
is no leak, and what a training run does to all of a class is no evidence. Works on groups of any kind; where they are
single images, the pairs are of two images.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.analysis.class_relative import class_centered_outputs
from tui_influence.analysis.names import groups_are_images, source_class_of
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import select_examples
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.analysis.types import Leak, Leaks
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.influence.difference import difference
from tui_influence.influence.estimate import interval
from tui_influence.influence.outputs import Floats
from tui_influence.influence.strongest_pairs import (
    min_detectable_influence,
    models_needed,
    strongest_pairs,
)
from tui_influence.influence.types import (
    SIGNIFICANCE_LEVEL,
    Pairs,
    RankedGroup,
    Ranking,
)
from tui_influence.store.run_info import RunInfo
from tui_influence.text import did_you_mean, pluralize, printable

MAX_PAIRS = 1000
"""Pairs of each sign that are kept."""


def groups_of_class(info: RunInfo, name: str) -> NDArray[np.intp]:
    """Return the groups that are single images of a source class.

    Raises:
        ConfigError: there is no such class, or no image of it varied.
    """
    if name not in info.source.classes:
        raise ConfigError(f'the source has no class "{printable(name, 60)}"{did_you_mean(name, info.source.classes)}')
    places = [place for place, group in enumerate(info.source.groups) if source_class_of(info, group) == name]
    if not groups_are_images(info):
        remedy = "" if info.is_imported else "; `tinfl leaks --init FILE --source CLASS` writes a sweep over those"
        raise ConfigError(f"--source CLASS: the groups of this run are not single images{remedy}")
    if not places:
        raise ConfigError(f'no single image of class "{printable(name, 60)}" was left out of any model of this run')
    return np.array(places, dtype=np.intp)


def rows_of_groups(ranking: Ranking, groups: NDArray[np.intp]) -> tuple[RankedGroup, ...]:
    """Return the rows of a ranking that are of some groups, without those whose influence is unknown."""
    ours = set(groups.tolist())
    return tuple(row for row in ranking.rows if row.index in ours and np.isfinite(row.influence))


def find_leaks(reading: RunSnapshot, question: Question, groups: NDArray[np.intp] | None = None) -> Leaks:
    """Find the groups that move single test examples most surely.

    Args:
        reading: of the question's target.
        question: its output, split and class; a single example if it names one. Influences are by `difference`.
        groups: which to look at; all by default.

    Raises:
        ConfigError: the question does not fit the run.
        ResultsError: nothing is recorded, outputs are NaN or infinite, or the models are too few for so many pairs:
            it says how many are needed.
    """
    outputs = reading.outputs
    columns = select_examples(reading.target_info, reading.examples, question)
    reading.require_models()
    tests = (outputs.masks.shape[1] if groups is None else len(groups)) * len(columns)
    needed = models_needed(tests)
    if len(outputs) < needed:
        remedy = "" if reading.info.is_imported else "; more `models` in the config extend the run"
        raise ResultsError(
            f"{pluralize(len(outputs), 'model')} recorded: too few to tell {tests:,} pairs from chance, "
            f"which takes at least {needed:,}{remedy}"
        )
    beyond = class_centered_outputs(reading, question.output_kind, columns)
    assert beyond.averages is not None
    assert beyond.scale is not None
    rows, label = slice(0, len(outputs)), reading.examples.labels[columns]
    on_class = difference(outputs.masks, beyond.averages, reading.clusters, only=groups).influence.astype(np.float32)
    scale = beyond.scale[label].astype(np.float32)

    def on_example(some: slice, influence: Floats) -> Floats:
        """Influence on the example itself, (K', c), from that beyond its class."""
        return influence / scale[some] + np.take(on_class, label[some], axis=1)

    found = strongest_pairs(
        outputs.masks,
        lambda some: beyond.block(rows, some),
        len(columns),
        reading.clusters,
        max_pairs=MAX_PAIRS,
        level=SIGNIFICANCE_LEVEL,
        only=groups,
        is_eligible=lambda some, influence: on_example(some, influence) * influence > 0,
    )
    places = np.arange(outputs.masks.shape[1]) if groups is None else groups
    helped, hurt = (
        _listed(pairs, columns, found.df, pairs.influence / scale[pairs.example]
                + on_class[np.searchsorted(places, pairs.group), label[pairs.example]])
        for pairs in (found.helped, found.hurt)
    )  # fmt: skip
    spread = beyond.block(rows, slice(0, min(len(columns), 512))).std(axis=0)
    share = np.median(np.mean(outputs.masks if groups is None else outputs.masks[:, groups], axis=0))
    usual = min(max(float(share), 1 / len(outputs)), 1 - 1 / len(outputs))
    smallest = min_detectable_influence(found.n_tested, float(np.median(spread)), len(outputs), usual)
    return Leaks(helped, hurt, found.n_helped, found.n_hurt, found.n_tested, len(columns), len(outputs), smallest)


def _listed(
    pairs: Pairs, columns: NDArray[np.int64], df: float, on_example: NDArray[np.floating[Any]]
) -> tuple[Leak, ...]:
    low, high = interval(pairs.influence, pairs.se, df)
    numbers = (pairs.influence, pairs.se, low, high, pairs.q, on_example)
    rows = zip(pairs.group, columns[pairs.example], *numbers, strict=True)
    return tuple(Leak(int(group), int(example), *map(float, numbers)) for group, example, *numbers in rows)
