"""Reliability of a ranking against the number of models, and the accuracies of the models.

Every point is the reliability of a ranking from the first so many models alone; what comes after the last one is a
forecast, not a measurement.
"""

import numpy as np

from tui_influence.analysis.prior import output_prior
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import select_examples
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.analysis.types import MIN_MODELS, ReliabilityCurve
from tui_influence.influence.estimators import estimate
from tui_influence.influence.forecast import ReliabilityGrowth, expected_growth, forecast_models, reliability_growth
from tui_influence.influence.outputs import OutputMatrix, mean_output, parse_output_kind
from tui_influence.influence.reliability import expected_reliability, sweep_reliability
from tui_influence.influence.types import MAX_FORECAST_FACTOR, Reliability

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
    growth = needed = None
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
                reliability = sweep_reliability(
                    first_masks, first_mean, question.estimator, first_clusters, seed=info.seed
                )
            else:
                first_prior = prior.of_models(np.arange(count))
                reliability = expected_reliability(
                    estimate(question.estimator, first_masks, first_mean, first_clusters, first_prior)
                )
            if reliability is not None:
                measured.append((count, reliability))
        whole = estimate(question.estimator, outputs.masks, mean, clusters, prior)
        growth = reliability_growth(whole, outputs.masks, clusters)
    last = measured[-1][1] if measured and measured[-1][0] == m else None
    if growth is not None:
        needed = forecast_models(whole, outputs.masks, clusters, reliability=last)
    return ReliabilityCurve(
        models=m,
        measured=tuple(measured),
        forecast=_forecast(growth, last, m, max(info.models, needed.n_models or 0)) if growth and needed else (),
        models_needed=needed,
        source_accuracy=_metric(outputs.metrics, "source_accuracy"),
        target_accuracy=_metric(outputs.metrics, "target_accuracy"),
    )


def _counts(m: int) -> list[int]:
    """Even numbers of models (a mask and its complement belong together), evenly spread, up to all."""
    steps = np.linspace(0, m, N_POINTS + 1)[1:-1]
    return sorted({int(step) // 2 * 2 for step in steps if step >= MIN_MODELS} | {m})


def _forecast(growth: ReliabilityGrowth, last: Reliability | None, m: int, until: int) -> tuple[tuple[int, float], ...]:
    if last is None or not last.low > 0 or until <= m:
        return ()
    counts = np.linspace(m, min(until, MAX_FORECAST_FACTOR * m), N_POINTS + 1)[1:]
    return tuple(zip(counts.astype(int).tolist(), expected_growth(growth, last.value, counts / m), strict=True))


def _metric(metrics: list[dict[str, float]], name: str) -> tuple[float, ...]:
    values = (model.get(name) for model in metrics)
    return tuple(value for value in values if isinstance(value, int | float) and np.isfinite(value))
