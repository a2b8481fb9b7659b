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


class ArmKind(StrEnum):
    """How the groups that an arm drops were chosen."""

    ALL = "all"
    """None is dropped: what every other arm is compared with."""
    LOWEST = "lowest"
    """Those of lowest influence."""
    RANDOM = "random"
    """Drawn anew for every repeat."""
    HIGHEST = "highest"
    """Those of highest influence."""
    LABELS = "label-mapping"
    """Those that a model trained on everything takes fewest target examples for (DP4TL, NeurIPS 2023)."""
    FEATURES = "feature-mapping"
    """Those whose mean feature is nearest to fewest target examples, in a model trained on everything."""
    KEEP = "keep"
    """All but those in a list of the user's."""
    DROP = "drop"
    """Those in a list of the user's."""


BASELINES = (ArmKind.LABELS, ArmKind.FEATURES)
"""Rankings that one model trained on everything gives, which thousands of models have to beat."""
