"""The extension of a sweep's plan, once all of it is recorded."""

from tui_influence.designs import Row
from tui_influence.store.paths import Paths


def extend_sweep(paths: Paths) -> list[Row]:
    """Return all rows of a sweep, with those that follow from its records; none if its plan is complete."""
    return []
