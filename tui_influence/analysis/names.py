"""The words for what a run has: its groups and its labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tui_influence.store.run_info import RunInfo


Noun = Literal["class", "example", "group"]


PLURAL: dict[Noun, str] = {"class": "classes", "example": "examples", "group": "groups"}
"""What several of a noun are called."""


def label_name(classes: Sequence[str], label: int) -> str:
    """Return the name of a predicted label, which a record may hold beyond the classes there are.

    The first beyond them stands for any other than the right one, where an import does not say which.
    """
    if label < len(classes):
        return classes[label]
    return "another class" if label == len(classes) else f"label {label}"


def group_noun(info: RunInfo) -> Noun:
    """Return what a group of a run is."""
    source = info.config.get("source")
    match source.get("groups") if isinstance(source, dict) else "class":
        case "class":
            return "class"
        case "example":
            return "example"
        case _:
            return "example" if all(size == 1 for size in info.source.sizes) else "group"
