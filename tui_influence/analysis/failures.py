"""Failures of a target (Jain et al. 2022, section 4.2): examples that models get wrong, and the most harmful groups.

An example fails where most models of the sweep predict it wrongly or, if requested, where its mean margin is low. Its
harmful groups are those with the most negative influence on its margin, with the numbers of `tinfl rank --example`.
That is an estimate from the sweep; a counterfactual tests it by retraining without these groups.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tui_influence.analysis.class_effects import example_influences
from tui_influence.analysis.class_relative import require_enough_models
from tui_influence.analysis.examples import majority_predictions
from tui_influence.analysis.prior import output_prior
from tui_influence.analysis.probe_types import Failure, Failures, HarmfulGroup
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import select_examples
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.influence.estimate import benjamini_hochberg, interval, p_values, same_size_masks
from tui_influence.influence.types import Estimate

DEFAULT_GROUPS = 3
"""Harmful groups that are named by default."""
_ROWS = 256


def find_failures(
    snapshot: RunSnapshot,
    question: Question,
    *,
    below: float = -np.inf,
    top: int | None = None,
    n_groups: int = DEFAULT_GROUPS,
) -> Failures:
    """Find the examples that models get wrong, and the groups that hurt them.

    Args:
        snapshot: of the question's target.
        question: its estimator, output, split and class. With an example it is about this one, failing or not.
        below: a mean margin, nats; lower ones count as failures too. Models that are right, but rarely sure, may have
            a negative one on most examples.
        top: at most so many; None for all. Influences are estimated for these alone.
        n_groups: harmful groups named for each, at most.

    Raises:
        ConfigError: the question does not fit the run.
        ResultsError: too few models have been recorded, or stored outputs are NaN or infinite.
    """
    example_indices = select_examples(snapshot.target_info, snapshot.examples, question)
    require_enough_models(snapshot)
    right, margin = _means(snapshot, example_indices)
    is_wrong = right < 0.5
    is_low = ~is_wrong & (margin < below)
    failing = np.flatnonzero(is_wrong | is_low) if question.example is None else np.array([0], dtype=np.intp)
    chosen = failing[np.argsort(margin[failing], kind="stable")][:top]
    return Failures(
        examples=_with_harmful_groups(
            snapshot, question, example_indices[chosen], right[chosen], margin[chosen], n_groups
        ),
        n_wrong=int(np.count_nonzero(is_wrong)),
        n_low_margin=int(np.count_nonzero(is_low)),
        n_examples=len(example_indices),
        models=len(snapshot.outputs),
        relative=same_size_masks(snapshot.outputs.masks),
    )


def harmful_groups(snapshot: RunSnapshot, question: Question, count: int) -> tuple[HarmfulGroup, ...]:
    """Return at most so many groups that hurt the question's example, the worst first; see `find_failures`."""
    if question.example is None:
        raise ValueError("harmful groups are those of one example")
    (failure,) = find_failures(snapshot, replace(question, target_class=None), n_groups=count).examples
    return failure.harmful_groups


def _means(
    snapshot: RunSnapshot, example_indices: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(c,) share of the models that are right about each example, and its mean margin, in one pass."""
    outputs, labels = snapshot.outputs, snapshot.examples.labels[example_indices].astype(np.uint16)
    hits, sums = np.zeros(len(example_indices)), np.zeros(len(example_indices))
    for start in range(0, len(outputs), _ROWS):
        rows = slice(start, start + _ROWS)
        hits += np.count_nonzero(np.take(outputs.predicted[rows], example_indices, axis=1) == labels, axis=0)
        sums += np.take(outputs.margins[rows], example_indices, axis=1).sum(axis=0, dtype=np.float32)
    return hits / len(outputs), sums / len(outputs)


def _with_harmful_groups(
    snapshot: RunSnapshot,
    question: Question,
    example_indices: NDArray[np.int64],
    right: NDArray[np.float64],
    margin: NDArray[np.float64],
    n_groups: int,
) -> tuple[Failure, ...]:
    if not len(example_indices):
        return ()
    labels = snapshot.examples.labels
    estimate = example_influences(snapshot, question, example_indices, output_prior(snapshot, question))
    predicted = majority_predictions(snapshot, example_indices.astype(np.intp))
    return tuple(
        Failure(
            int(example),
            int(labels[example]),
            int(prediction),
            float(share),
            float(mean),
            _most_harmful(estimate, index, n_groups),
        )
        for index, (example, prediction, share, mean) in enumerate(
            zip(example_indices, predicted, right, margin, strict=True)
        )
    )


def _most_harmful(estimate: Estimate, index: int, count: int) -> tuple[HarmfulGroup, ...]:
    influence, se = (array[:, index].astype(np.float64) for array in (estimate.influence, estimate.se))
    q = benjamini_hochberg(p_values(influence, se, estimate.df))
    low, high = interval(influence, se, estimate.df)
    order = np.argsort(np.where(np.isnan(influence), np.inf, influence), kind="stable")[:count]
    numbers: Sequence[NDArray[np.floating]] = (influence, se, low, high, q)
    return tuple(HarmfulGroup(int(k), *(float(array[k]) for array in numbers)) for k in order if influence[k] < 0)
