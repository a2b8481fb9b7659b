"""The models that a sweep needs, before any is trained: a rule for typical effects. Loads no numpy.

With K groups, the variance of the effects relative to their error is s = m / (K a), where a depends on the design, the
estimator and the noise. Then the squared correlation with the truth is s / (1 + s) without a prior, and with a prior
that explains the share R² of the effects' variance 1 - (1 - R²) / (1 + (1 - R²) s). With q the noise of a pair's
difference relative to what the masks explain of it, and n that of one model's output (see `forecast`):

    balanced                    a = 2 q
    fixed, bernoulli, ridge     a = n + 1 / (1 + s)
    fixed, bernoulli, means     a = n + 1

q, n and R² are those of the embedded pair, printed characters to handwritten digits (36 groups, `benchmarks/results/
2026-11-30-reference-embedded-pair.md`): there 40% of a pair's difference is explained, and the mapping of 8 networks
correlates at 0.74 with the truth. `benchmarks/simulate_model_count.py` compares the rule with simulated sweeps. Other
data differ: on 40 classes of Tiny-ImageNet half as many models were enough, with 200 single classes four times as many
were not, so the rule states a range of a factor of two in both directions.
"""

import math
from dataclasses import dataclass

from tui_influence.influence.estimators import find_estimator
from tui_influence.influence.types import Reliability

PAIR_NOISE, MODEL_NOISE = 1.56, 3.5
"""q and n."""
PRIOR_EXPLAINED, WEAK_PRIOR, STRONG_PRIOR = 0.55, 0.35, 0.64
"""R² of 8 prior networks: typical, and the ends of its range."""
UNCERTAINTY = 2.0
"""Factor between the expected number of models and either end of the range."""
USABLE = 0.64
"""Reliability of a usable order: it correlates at 0.8 with the truth."""
_MIN_PAIRED_MODELS = 24
"""Models from which it is known how much of a prior to believe."""
_NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class ModelCount:
    """Models for a reliability: expected, and the ends of the range."""

    expected: int
    low: int
    high: int


def models_for(reliability: float, groups: int, kind: str, estimator: str) -> ModelCount:
    """Return the models that a sweep of typical effects needs.

    Args:
        reliability: to reach, between 0 and 1.
        groups: K.
        kind: of the design.
        estimator: name of an estimator.
    """
    has_prior = find_estimator(estimator).needs_prior
    numbers = [
        _ratio_for(reliability, explained) * groups * _models_per_ratio(kind, estimator, reliability) * factor
        for explained, factor in (
            (PRIOR_EXPLAINED * has_prior, 1.0),
            (STRONG_PRIOR * has_prior, 1 / UNCERTAINTY),
            (WEAK_PRIOR * has_prior, UNCERTAINTY),
        )
    ]
    least = _MIN_PAIRED_MODELS if has_prior else 2
    return ModelCount(*(2 * math.ceil(max(number, least) / 2 - 1e-9) for number in numbers))


def reliability_of(models: int, groups: int, kind: str, estimator: str) -> Reliability:
    """Return the reliability to expect of so many models, with the interval that would be stated for it.

    Args:
        models: m.
        groups: K.
        kind: of the design.
        estimator: name of an estimator.
    """
    has_prior = find_estimator(estimator).needs_prior
    value = 0.5
    for _ in range(20):  # what other groups add to the noise depends on the reliability
        ratio = models / (groups * _models_per_ratio(kind, estimator, value))
        unexplained = 1 - PRIOR_EXPLAINED * has_prior
        value = 1 - unexplained / (1 + unexplained * ratio)
    u = math.sqrt((1 + value) / (1 - value))
    margin = _NORMAL_95 * math.sqrt(2 / max(groups - 1, 1))
    low, high = ((end**2 - 1) / (end**2 + 1) for end in (max(u - margin, 0.0), u + margin))
    return Reliability(value, math.nan, low, high, 0)


def _ratio_for(reliability: float, explained: float) -> float:
    """Return s for a reliability: of what a prior does not explain, so much has to be known."""
    return max(1 / (1 - reliability) - 1 / (1 - explained), 0.0)


def _models_per_ratio(kind: str, estimator: str, reliability: float) -> float:
    """Return a, models a group for s = 1."""
    if kind == "balanced":
        return 2 * PAIR_NOISE
    return MODEL_NOISE + (1.0 if estimator == "difference" else 1 - reliability)
