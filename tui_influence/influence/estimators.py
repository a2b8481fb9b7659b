"""The estimators by name: the one place that says which there are."""

from typing import Any

from numpy.typing import NDArray

from tui_influence.errors import ConfigError
from tui_influence.influence.difference import ConstantGroupError, difference
from tui_influence.influence.outputs import Floats, Mask, OutputMatrix
from tui_influence.influence.ridge import ridge
from tui_influence.influence.types import (
    Estimate,
    Estimator,
)

__all__ = ["ConstantGroupError", "Estimate", "Estimator", "difference", "estimate", "parse_estimator", "ridge"]


def parse_estimator(name: Estimator | str) -> Estimator:
    """Return the estimator of that name, or raise `ConfigError` naming the ones there are."""
    try:
        return Estimator(name)
    except ValueError:
        raise ConfigError(f"unknown estimator {name!r}: one of {', '.join(Estimator)}") from None


def estimate(
    estimator: Estimator | str,
    masks: Mask,
    outputs: Floats | OutputMatrix,
    clusters: NDArray[Any] | None = None,
) -> Estimate:
    """Estimate by name: masks (m, K), outputs (m, n) or (m,); see the estimators for the rest."""
    method = difference if parse_estimator(estimator) is Estimator.DIFFERENCE else ridge
    return method(masks, outputs, clusters)
