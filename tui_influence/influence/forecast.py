"""Reliability forecast: the models that a ranking needs to become reliable."""

import math

from tui_influence.influence.types import Reliability, ReliabilityForecast


def forecast_models(reliability: Reliability | None, m: int, target: float = 0.9) -> ReliabilityForecast:
    """Spearman-Brown prophecy: c times the models turn reliability ρ into c ρ / (1 + (c - 1) ρ).

    Hence c = ρ_target (1 - ρ) / (ρ (1 - ρ_target)) (Spearman 1910; Brown 1910). New models are assumed to be like the
    present ones: error variance falls as 1 / m.

    Args:
        reliability: of the ranking from `m` models.
        m: models that it is estimated from.
        target: reliability to reach, between 0 and 1.

    Returns:
        `n_models` is None if the reliability is not significantly above zero.
    """
    if reliability is None:
        return ReliabilityForecast(target, None, None, None, "there are too few models to estimate the reliability")
    if not reliability.low > 0:
        return ReliabilityForecast(target, None, None, None, "the reliability is not significantly above zero yet")
    models = _models(reliability.value, m, target)
    low = _models(reliability.high, m, target)
    high = _models(reliability.low, m, target)
    if models <= m:
        return ReliabilityForecast(target, models, low, high, f"reliability {target:g} is reached")
    return ReliabilityForecast(target, models, low, high, f"about {models} models in all for reliability {target:g}")


def _models(value: float, m: int, target: float) -> int:
    return max(1, math.ceil(m * target * (1 - value) / (value * (1 - target)) - 1e-9))


def reliability_at(value: float, factor: float) -> float:
    """Return the reliability to expect with `factor` times the models: c ρ / (1 + (c - 1) ρ).

    Args:
        value: reliability ρ of the present models, above 0.
        factor: c, above 0.
    """
    return factor * value / (1 + (factor - 1) * value)
