"""Leaks: source images that significantly help single test examples; and those that hurt them, which mislead.

The influence here is class-relative (see `class_relative`): what a source image does to all of a class is no leak, and
what a training run does to all of a class is no evidence. Works on groups of any kind; where they are single images,
the pairs are of two images.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.analysis.class_relative import class_centered_outputs
from tui_influence.analysis.names import groups_are_images, source_class_of
from tui_influence.analysis.probe_types import Leak, Leaks
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import select_examples
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.influence.difference import difference
from tui_influence.influence.estimate import interval
from tui_influence.influence.outputs import Floats
from tui_influence.influence.strongest_pairs import min_detectable_influence, models_needed, strongest_pairs
from tui_influence.influence.types import SIGNIFICANCE_LEVEL, Pairs, RankedGroup, Ranking
from tui_influence.store.run_info import RunInfo
from tui_influence.text import did_you_mean, pluralize, printable

MAX_PAIRS = 1000
"""Pairs of each sign that are listed."""


def groups_of_class(info: RunInfo, name: str) -> NDArray[np.intp]:
    """Return the groups that are single images of a source class.

    Raises:
        ConfigError: there is no such class, or no image of it varied.
    """
    if name not in info.source.classes:
        raise ConfigError(f'the source has no class "{printable(name, 60)}"{did_you_mean(name, info.source.classes)}')
    indices = [index for index, group in enumerate(info.source.groups) if source_class_of(info, group) == name]
    if not groups_are_images(info):
        remedy = "" if info.is_imported else "; `tinfl leaks --init FILE --source CLASS` writes a sweep over those"
        raise ConfigError(f"--source CLASS: the groups of this run are not single images{remedy}")
    if not indices:
        raise ConfigError(f'no single image of class "{printable(name, 60)}" was left out of any model of this run')
    return np.array(indices, dtype=np.intp)


def rows_of_groups(ranking: Ranking, groups: NDArray[np.intp]) -> tuple[RankedGroup, ...]:
    """Return the rows of a ranking that are of some groups, without those whose influence is unknown."""
    indices = set(groups.tolist())
    return tuple(row for row in ranking.rows if row.index in indices and np.isfinite(row.influence))


def find_leaks(snapshot: RunSnapshot, question: Question, groups: NDArray[np.intp] | None = None) -> Leaks:
    """Find the pairs of a group and a test example with the most significant influence.

    Args:
        snapshot: of the question's target.
        question: its output, split and class; a single example if it names one. Influences are by `difference`.
        groups: the groups to examine; all by default.

    Raises:
        ConfigError: the question does not fit the run.
        ResultsError: nothing is recorded, outputs are NaN or infinite, or there are too few models for so many pairs;
            the message says how many are needed.
    """
    outputs = snapshot.outputs
    example_indices = select_examples(snapshot.target_info, snapshot.examples, question)
    snapshot.require_models()
    n_pairs = (outputs.masks.shape[1] if groups is None else len(groups)) * len(example_indices)
    min_models = models_needed(n_pairs)
    if len(outputs) < min_models:
        remedy = "" if snapshot.info.is_imported else "; more `models` in the config extend the run"
        raise ResultsError(
            f"{pluralize(len(outputs), 'model')} recorded: too few to tell {n_pairs:,} pairs from chance, "
            f"which takes at least {min_models:,}{remedy}"
        )
    centered = class_centered_outputs(snapshot, question.output_kind, example_indices)
    assert centered.averages is not None
    assert centered.scale is not None
    rows, label = slice(0, len(outputs)), snapshot.examples.labels[example_indices]
    on_class = difference(outputs.masks, centered.averages, snapshot.clusters, only=groups).influence.astype(np.float32)
    scale = centered.scale[label].astype(np.float32)

    def on_example(of: slice, influence: Floats) -> Floats:
        """Influence on the example itself, (K', c), from that beyond its class."""
        return influence / scale[of] + np.take(on_class, label[of], axis=1)

    strongest = strongest_pairs(
        outputs.masks,
        lambda of: centered.block(rows, of),
        len(example_indices),
        snapshot.clusters,
        max_pairs=MAX_PAIRS,
        level=SIGNIFICANCE_LEVEL,
        only=groups,
        is_eligible=lambda of, influence: on_example(of, influence) * influence > 0,
    )
    group_indices = np.arange(outputs.masks.shape[1]) if groups is None else groups
    helped, hurt = (
        _leaks(pairs, example_indices, strongest.df, pairs.influence / scale[pairs.example]
                + on_class[np.searchsorted(group_indices, pairs.group), label[pairs.example]])
        for pairs in (strongest.helped, strongest.hurt)
    )  # fmt: skip
    spread = centered.block(rows, slice(0, min(len(example_indices), 512))).std(axis=0)
    median_share = np.median(np.mean(outputs.masks if groups is None else outputs.masks[:, groups], axis=0))
    clipped_share = min(max(float(median_share), 1 / len(outputs)), 1 - 1 / len(outputs))
    smallest = min_detectable_influence(strongest.n_tested, float(np.median(spread)), len(outputs), clipped_share)
    return Leaks(
        helped,
        hurt,
        strongest.n_helped,
        strongest.n_hurt,
        strongest.n_tested,
        len(example_indices),
        len(outputs),
        smallest,
    )


def _leaks(
    pairs: Pairs, example_indices: NDArray[np.int64], df: float, on_example: NDArray[np.floating[Any]]
) -> tuple[Leak, ...]:
    low, high = interval(pairs.influence, pairs.se, df)
    numbers = (pairs.influence, pairs.se, low, high, pairs.q, on_example)
    rows = zip(pairs.group, example_indices[pairs.example], *numbers, strict=True)
    return tuple(Leak(int(group), int(example), *map(float, numbers)) for group, example, *numbers in rows)
