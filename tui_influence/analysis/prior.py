"""Priors of outputs: what the prior networks of a run say, with the outputs of its models to fit their slopes to."""

from tui_influence.analysis.question import Question
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.errors import ResultsError
from tui_influence.influence.estimators import PLAIN_ESTIMATOR, find_estimator
from tui_influence.influence.outputs import OutputMatrix, mean_outputs_by_label, parse_output_kind
from tui_influence.influence.prior import OutputPrior, class_prior
from tui_influence.text import pluralize, printable


def output_prior(snapshot: RunSnapshot, question: Question) -> OutputPrior | None:
    """Return the prior of the outputs on the target classes; None if the estimator or the run has none.

    Args:
        snapshot: of the question's target.
        question: its estimator, its output, and its split, whose examples the slopes are fitted to.

    Raises:
        ConfigError: there is no such estimator or kind of output.
        ResultsError: no prior network is recorded yet, or stored outputs are NaN or infinite.
    """
    if not find_estimator(question.estimator).needs_prior or not snapshot.info.prior:
        return None
    if not len(snapshot.prior):
        raise ResultsError(
            f"{printable(str(snapshot.paths.root))}: none of its {pluralize(snapshot.info.prior, 'prior network')} is "
            f"recorded; estimate by `{PLAIN_ESTIMATOR}` instead"
        )
    outputs, examples, prior = snapshot.outputs, snapshot.examples, snapshot.prior
    kind = parse_output_kind(question.output_kind)
    matrix = OutputMatrix(outputs.margins, outputs.predicted, examples.labels, kind)
    split, classes = examples.in_split(question.split), len(snapshot.target_info.classes)
    by_class = mean_outputs_by_label(matrix, split, examples.labels, classes)
    return class_prior(prior.mapping, prior.ablation, by_class, prior.class_clusters)
