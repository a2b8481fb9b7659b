"""What a trained model is for."""

from enum import StrEnum


class Role(StrEnum):
    """What a model is for. The value names its directory of records."""

    ESTIMATE = "estimate"
    """Influences are estimated from it."""
    HELDOUT = "heldout"
    """Predicted from the influences, to check them (LDS)."""
    ARM = "arm"
    """A retraining on classes that were chosen, not drawn: what a pruning is measured by."""
