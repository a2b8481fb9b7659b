"""The keys that do things now: those of the table of actions, but for what the user has chosen instead."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from textual.keys import REPLACED_KEYS, key_to_character

from tui_influence.tui.actions import BY_ID

if TYPE_CHECKING:
    from textual.app import App

_PLACEHOLDER = re.compile(r"<([a-z]+\.[a-z-]+)>")
_NAMES = {"escape": "esc"}


class Keys:
    """What key does what."""

    def __init__(self, changed: Mapping[str, str] | None = None) -> None:
        """Take over what a user has changed.

        Args:
            changed: ids of actions, each with its keys as Textual calls them, with commas between.
        """
        self.changed = dict(changed or {})

    def all(self, action: str) -> list[str]:
        """Return the keys of an action, as people write them."""
        return [shown_key(key) for key in self.changed.get(action, BY_ID[action].keys).split(",")]

    def first(self, action: str) -> str:
        """Return the first key of an action, as people write it."""
        return self.all(action)[0]

    def put_into(self, text: str) -> str:
        """Return a text with every action's id in angle brackets replaced by its key: `<rank.filter>` by `/`."""
        return _PLACEHOLDER.sub(lambda match: self.first(match[1]) if match[1] in BY_ID else match[0], text)


def shown_key(key: str) -> str:
    """Return a key as people write it, in ASCII where it is one: `/` for `slash`, `esc` for `escape`."""
    modifiers, plus, base = key.rpartition("+")
    sign = typed(base)
    return f"{modifiers}{plus}{sign if sign and sign != ' ' else _NAMES.get(base, base)}"


def typed(key: str) -> str | None:
    """Return what a key types into a field; None if it types nothing."""
    character = key_to_character(REPLACED_KEYS.get(key, key))
    return character if character is not None and character.isprintable() else None


@runtime_checkable
class Keyed(Protocol):
    """An app that knows its keys."""

    keys: Keys


def keys_of(app: "App[Any]") -> Keys:
    """Return the keys of an app."""
    return app.keys if isinstance(app, Keyed) else Keys()
