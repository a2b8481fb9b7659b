"""Roles of models and kinds of arms."""

from enum import StrEnum


class Role(StrEnum):
    """The purpose of a model. The value is the name of its directory of records."""

    ESTIMATE = "estimate"
    """Influences are estimated from it."""
    HELDOUT = "heldout"
    """Its outputs are compared with those computed from the influences (LDS)."""
    ARM = "arm"
    """A retraining of a pruning, on groups that were chosen, not drawn."""
    PRIOR = "prior"
    """Trained on every group, for half as long; what it says about each group is where estimates start from."""


class ArmKind(StrEnum):
    """The rule that chose the groups which an arm drops."""

    ALL = "all"
    """None is dropped: every other arm is compared with it."""
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
    """All except those in a list of the user."""
    DROP = "drop"
    """Those in a list of the user."""


BASELINES = (ArmKind.LABELS, ArmKind.FEATURES)
"""Rankings from one model that is trained on everything, to compare with influences from many models."""
