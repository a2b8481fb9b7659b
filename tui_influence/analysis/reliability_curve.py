"""Reliability of a ranking against the number of models, and the accuracies of the models.

Every point is the reliability of a ranking from the first so many models alone; what comes after the last one is
Spearman and Brown's forecast, not a measurement. There is none for an estimator with a prior, which does not grow with
the models.
"""

import numpy as np

from tui_influence.analysis.prior import output_prior
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import select_examples
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.analysis.types import MIN_MODELS, ReliabilityCurve
from tui_influence.influence.estimators import estimate
from tui_influence.influence.forecast import forecast_models, reliability_at
from tui_influence.influence.outputs import OutputMatrix, mean_output, parse_output_kind
from tui_influence.influence.reliability import expected_reliability, split_half
from tui_influence.influence.types import Reliability

N_POINTS = 8
"""Numbers of models at which reliability is measured."""


def reliability_curve(snapshot: RunSnapshot, question: Question) -> ReliabilityCurve:
    """Measure how the reliability of a ranking grew with the models of a run.

    Raises:
        ConfigError: the question does not fit the run.
        ResultsError: stored outputs are NaN or infinite.
    """
    info, outputs = snapshot.info, snapshot.outputs
    example_indices = select_examples(snapshot.target_info, snapshot.examples, question)
    m = len(outputs)
    prior = None
    measured: list[tuple[int, Reliability]] = []
    if m >= MIN_MODELS:
        kind = parse_output_kind(question.output_kind)
        labels = snapshot.examples.labels
        of_classes = output_prior(snapshot, question)
        prior = of_classes and of_classes.of_mean(labels[example_indices])
        mean = mean_output(OutputMatrix(outputs.margins, outputs.predicted, labels, kind), example_indices)
        clusters = snapshot.clusters
        for count in _counts(m):
            first_clusters = None if clusters is None else clusters[:count]
            first_masks, first_mean = outputs.masks[:count], mean[:count]
            if prior is None:
                reliability = split_half(first_masks, first_mean, question.estimator, first_clusters, seed=info.seed)
            else:
                first_prior = prior.of_models(np.arange(count))
                reliability = expected_reliability(
                    estimate(question.estimator, first_masks, first_mean, first_clusters, first_prior)
                )
            if reliability is not None:
                measured.append((count, reliability))
    last = measured[-1][1] if measured and measured[-1][0] == m else None
    needed = forecast_models(last, m) if last and prior is None else None  # a prior does not grow with the models
    return ReliabilityCurve(
        models=m,
        measured=tuple(measured),
        forecast=_forecast(last, m, max(info.models, needed.n_models or 0)) if needed else (),
        models_needed=(needed.n_models, needed.low, needed.high) if needed and needed.n_models else None,
        source_accuracy=_metric(outputs.metrics, "source_accuracy"),
        target_accuracy=_metric(outputs.metrics, "target_accuracy"),
        has_prior=prior is not None,
    )


def _counts(m: int) -> list[int]:
    """Even numbers of models (a mask and its complement belong together), evenly spread, up to all."""
    steps = np.linspace(0, m, N_POINTS + 1)[1:-1]
    return sorted({int(step) // 2 * 2 for step in steps if step >= MIN_MODELS} | {m})


def _forecast(last: Reliability | None, m: int, until: int) -> tuple[tuple[int, float], ...]:
    if last is None or not last.low > 0 or until <= m:
        return ()
    until = min(until, 20 * m)  # a forecast for more models is not reliable
    return tuple((int(n), reliability_at(last.value, n / m)) for n in np.linspace(m, until, N_POINTS + 1)[1:])


def _metric(metrics: list[dict[str, float]], name: str) -> tuple[float, ...]:
    values = (model.get(name) for model in metrics)
    return tuple(value for value in values if isinstance(value, int | float) and np.isfinite(value))
