"""The keys of the app: those of the table of actions, except where the user's config has others.

Every action and every key of the config must exist, and no two actions that are possible together may share a key.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from textual.binding import Binding
from textual.keys import REPLACED_KEYS, key_to_character
from textual.keys import Keys as KnownKeys

from tui_influence.text import printable
from tui_influence.tui.actions import ACTIONS, BY_ID, Action

if TYPE_CHECKING:
    from textual.app import App

    from tui_influence.config.user import KeyLine, UserConfig

_PLACEHOLDER = re.compile(r"<([a-z]+\.[a-z-]+)>")
_NAMES = {"escape": "esc"}


class Keys:
    """The keys of every action."""

    def __init__(self, changed: Mapping[str, str] | None = None) -> None:
        """Take over the changes of a user.

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


def actions_in(text: str) -> list[str]:
    """Return the ids of the actions whose keys a text names, as in `put_into`."""
    return [action for action in _PLACEHOLDER.findall(text) if action in BY_ID]


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


_MODIFIERS = frozenset({"ctrl", "shift", "alt", "super", "hyper", "meta"})
_NAMED = frozenset(key.value for key in KnownKeys if "+" not in key.value)
_QUIT = "ctrl+q"
"""The key that textual itself keeps for leaving."""


def user_keys() -> Keys:
    """Return the keys that the user has chosen, and the usual ones where they have chosen none.

    Raises:
        InvalidConfigError: an action or a key that does not exist, or two actions with one key; all of them at once.
        ConfigError: the config cannot be read.
    """
    from tui_influence.config.user import read_user_config  # here, because it loads pydantic

    config = read_user_config()
    changed = {line.action: keys for line in config.keys if (keys := _parse_keys(config, line))}
    _check_clashes(config, changed)
    config.raise_problems()
    return Keys({action: ",".join(keys) for action, keys in changed.items()})


def _parse_keys(config: "UserConfig", line: "KeyLine") -> list[str]:
    """Return the keys of a line as textual calls them; note what is wrong, and return nothing then."""
    name, action = printable(line.action, 60), BY_ID.get(line.action)
    if action is None:
        near = _nearest(line.action, BY_ID)
        config.add(f"unknown action {name}; {f'did you mean {near}?' if near else '`tinfl keys` lists them'}", line)
        return []
    written = [key.strip() for key in line.keys.split(",")]
    if not all(written):
        config.add(f"{name} has an empty key; a comma is called comma, and a space space", line)
        return []
    keys = [binding.key for binding in Binding.make_bindings([Binding(line.keys, "")])]
    problems = [problem for key in keys if (problem := _problem(action, key))]
    for problem in problems:
        config.add(problem, line)
    return [] if problems else keys


def _problem(action: Action, key: str) -> str:
    """Say what is wrong with a key; nothing if it is right."""
    *modifiers, base = key.split("+")
    if not _MODIFIERS.issuperset(modifiers) or not (base in _NAMED or typed(base)):
        near = _nearest(base, [*_NAMED, *REPLACED_KEYS])
        hint = f"; did you mean {'+'.join([*modifiers, near])}?" if near and near != base else ""
        return f'{action.id}: no key is called "{printable(key, 40)}"{hint}'
    if "shift" in modifiers and len(base) == 1 and base.isalpha():
        return f"{action.id}: shift+{base} is written {base.upper()}"
    if action.beside_field and not modifiers and typed(base):
        return (
            f"{action.id}: {shown_key(key)} could not be typed into a field any more; take a key such as f2 or ctrl+b"
        )
    if key == _QUIT and action.id != "app.quit":
        return f"{action.id}: {_QUIT} always leaves"
    return ""


def _check_clashes(config: "UserConfig", changed: dict[str, list[str]]) -> None:
    """Note every two actions that would share a key where both are possible."""
    lines = {line.action: line for line in config.keys}
    order = list(changed)
    for position, name in enumerate(order):
        action = BY_ID[name]
        others = [other for other in _sharing(action) if other.id not in order[position + 1 :]]
        for other in others:
            for key in changed[name]:
                if key in _keys(other, changed):
                    config.add(f"{name} and {other.id} have the same key: {shown_key(key)}", lines[name])


def _sharing(action: Action) -> Iterator[Action]:
    return (other for other in ACTIONS if action.clashes_with(other))


def _keys(action: Action, changed: dict[str, list[str]]) -> list[str]:
    return changed.get(action.id) or action.keys.split(",")


def _nearest(word: str, candidates: Iterable[str]) -> str | None:
    from tui_influence.config.messages import closest_match  # here, because it loads pydantic

    return closest_match(word, candidates)
