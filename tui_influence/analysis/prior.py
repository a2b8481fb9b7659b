"""Priors of outputs: what the prior networks of a run say, with the outputs of its models to fit their slopes to."""

import numpy as np
from numpy.typing import NDArray

from tui_influence.analysis.question import Question
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.errors import ResultsError
from tui_influence.influence.estimators import DEFAULT_ESTIMATOR, find_estimator
from tui_influence.influence.outputs import OutputMatrix, mean_outputs_by_label, parse_output_kind
from tui_influence.influence.prior import OutputPrior, covariates
from tui_influence.text import pluralize, printable


def output_prior(snapshot: RunSnapshot, question: Question, shares: NDArray[np.float64]) -> OutputPrior | None:
    """Return the prior of n outputs; None where the estimator takes none, or the run was planned without.

    Args:
        snapshot: of the question's target.
        question: its estimator, its output, and its split, whose examples the slopes are fitted to.
        shares: (n, C) share of each target class in each output.

    Raises:
        ConfigError: there is no such estimator or kind of output.
        ResultsError: no prior network is recorded yet, or stored outputs are NaN or infinite.
    """
    if not find_estimator(question.estimator).needs_prior or not snapshot.info.prior:
        return None
    if not len(snapshot.prior):
        raise ResultsError(
            f"{printable(str(snapshot.paths.root))}: none of its {pluralize(snapshot.info.prior, 'prior network')} is "
            f"recorded; estimate by `{DEFAULT_ESTIMATOR}` instead"
        )
    outputs, labels, estimate = snapshot.outputs, snapshot.examples.labels, snapshot.examples.estimate
    examples = {"estimate": estimate, "evaluate": ~estimate, "all": np.ones_like(estimate)}[question.split]
    matrix = OutputMatrix(outputs.margins, outputs.predicted, labels, parse_output_kind(question.output_kind))
    return OutputPrior(
        covariates(snapshot.prior.mapping, snapshot.prior.ablation),
        mean_outputs_by_label(matrix, examples, labels, len(snapshot.target_info.classes)),
        shares,
    )
