"""The words for what a run has: its groups and its labels; and the number of a group by its name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tui_influence.errors import ConfigError
from tui_influence.store.run_info import RunInfo
from tui_influence.text import did_you_mean, printable

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
            return "example" if groups_are_images(info) else "group"


def groups_are_images(info: RunInfo) -> bool:
    """Whether the groups of a run are single images."""
    return all(size == 1 for size in info.source.sizes)


def source_class_of(info: RunInfo, image: str) -> str | None:
    """Return the source class of an image by its name, which begins with it; None if it is no image's name."""
    class_name = image.partition("/")[0]
    return class_name if class_name in info.source.classes else None


def group_index(info: RunInfo, name: str) -> int:
    """Return the number of a source group.

    Raises:
        ConfigError: there is none of that name.
    """
    groups = info.source.groups
    if name not in groups:
        raise ConfigError(f'the source has no {group_noun(info)} "{printable(name, 60)}"{did_you_mean(name, groups)}')
    return groups.index(name)
