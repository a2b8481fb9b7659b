"""The help: the widget that has the focus, what it does and its keys, and those of the screen around it.

A widget that describes itself is `Helpable`; it needs no base class for that.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from textual.dom import DOMNode
from textual.screen import Screen

from tui_influence.tui.actions import Action, actions_of
from tui_influence.tui.keymap import Keys

_KEYS = 8
"""Cells of the column of keys."""


@runtime_checkable
class Helpable(Protocol):
    """A widget, or a screen, that describes itself."""

    @property
    def help(self) -> str:
        """A name, a full stop, and a description. `<rank.filter>` is replaced by the key of that action."""

    @property
    def scope(self) -> str:
        """The scope of its own actions; empty if it has none."""


@dataclass(frozen=True)
class Section:
    """A part of the help.

    Attributes:
        title: of it.
        text: in sentences; may be empty.
        keys: lines of a key and what it does.
    """

    title: str
    text: str = ""
    keys: tuple[str, ...] = ()


def explain(screen: Screen[Any], scope: str, keys: Keys) -> list[Section]:
    """Return the help of a screen: what has the focus first, then the screen's keys, then what else there is on it.

    Args:
        screen: to be explained.
        scope: of its actions.
        keys: that do things now.
    """
    focused = _nearest_helpable(screen.focused) or (screen if isinstance(screen, Helpable) else None)
    others = [widget for widget in _helpables(screen) if focused is None or widget.help != focused.help]
    listed = tuple(_line(action, keys) for action in actions_of(scope))
    return [
        *([_section(focused, keys, scope)] if focused is not None else []),
        Section(f"Keys: {scope.capitalize()}", keys=listed),
        *(_section(widget, keys, scope) for widget in others),
    ]


def _section(widget: Helpable, keys: Keys, listed: str) -> Section:
    """Return what a widget says of itself, and its own keys unless they are listed anyway."""
    title, _, text = keys.put_into(widget.help).partition(". ")
    actions = actions_of(widget.scope) if widget.scope and widget.scope != listed else []
    return Section(title, text, tuple(_line(action, keys) for action in actions))


def _line(action: Action, keys: Keys) -> str:
    first, *others = keys.all(action.id)
    column = first
    for key in others:
        if len(column) + 1 + len(key) <= _KEYS:
            column += f" {key}"
    return f"{column:<{_KEYS}} {action.tooltip}"


def _nearest_helpable(node: DOMNode | None) -> Helpable | None:
    """Return the widget that has the focus, or the nearest around it that says something."""
    while node is not None:
        if isinstance(node, Helpable):
            return node
        node = node.parent
    return None


def _helpables(screen: Screen[Any]) -> Iterator[Helpable]:
    texts = set()
    for node in screen.walk_children():
        if isinstance(node, Helpable) and node.help not in texts:
            texts.add(node.help)
            yield node
