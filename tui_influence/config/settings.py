"""Settings of the command line, `--set section.key=value`, which take the place of those in a config file.

Key and value are TOML; what is no TOML value is a text, so that names need no quotes in a shell. They are checked with
the file, by the same schema, and a message about one names it instead of a line of the file.
"""

import json
import tomllib
from collections.abc import Sequence
from typing import Any

from tui_influence.config.errors import TomlTable
from tui_influence.config.messages import KINDS, join_with_or
from tui_influence.config.positions import Node
from tui_influence.errors import ConfigError
from tui_influence.text import printable

_LIST = "target"
"""The section of which there may be several: the step behind it is a name, or a number from 1."""


def apply_settings(data: TomlTable, positions: Node, settings: Sequence[str]) -> None:
    """Change the tables of a config, and record the settings at the positions of their keys.

    Args:
        data: tables of the file; changed.
        positions: of everything in them; changed.
        settings: each `section.key=value`, or `section.key=` to remove a key. The last of a key counts.

    Raises:
        ConfigError: a setting is not of this form, or there is no such target.
    """
    for setting in settings:
        path, value = _parse(setting)
        place = f"--set {printable(setting, 200)}"
        *parents, key = path
        table, node = _table(data, positions, parents, place)
        if value is None:
            table.pop(key, None)
            node.children.pop(key, None)
        else:
            table[key] = value
            node.children[key] = Node(setting=place)


def _parse(setting: str) -> tuple[list[str], Any]:
    """Return the steps to a key, and its value; None to remove it."""
    name, equals, text = setting.partition("=")
    path = _steps(name)
    if not equals or len(path) < 2:
        raise ConfigError(f'--set {printable(setting, 200)}: write section.key=value, such as "train.epochs=8"')
    text = text.strip()
    return path, _value(text) if text else None


def _steps(name: str) -> list[str]:
    """Return the steps of a dotted key; none if it is no key of TOML."""
    try:
        table: Any = tomllib.loads(f"{name.strip()} = 0") if "\n" not in name else {}
    except tomllib.TOMLDecodeError:
        return []
    steps = []
    while isinstance(table, dict) and table:
        ((step, table),) = table.items()
        steps.append(step)
    return steps


def _value(text: str) -> Any:
    try:
        tables = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return tables["value"] if len(tables) == 1 else text


def _table(data: TomlTable, positions: Node, path: Sequence[str], place: str) -> tuple[TomlTable, Node]:
    """Return the table at a path, and its node; both are made where the file has no such table."""
    table, node = data, positions
    for depth, step in enumerate(path):
        above = table.setdefault(step, {})
        node = node.children.setdefault(step, Node(setting=place))
        if isinstance(above, list) and depth == 0 and step == _LIST:
            if len(path) < 2:
                raise ConfigError(f"{place}: name the target, as in target.NAME.key=value{_names(above)}")
            return _table_of_target(above, node, path[1:], place)
        if not isinstance(above, dict):
            raise ConfigError(f"{place}: {printable('.'.join(path[: depth + 1]), 80)} is a value, not a section")
        table = above
    return table, node


def _table_of_target(targets: list[Any], node: Node, path: Sequence[str], place: str) -> tuple[TomlTable, Node]:
    step, rest = path[0], path[1:]
    names = [_name(target) for target in targets]
    index = names.index(step) if step in names else int(step) - 1 if step.isdecimal() and step.isascii() else -1
    if not 0 <= index < len(targets) or not isinstance(targets[index], dict):
        raise ConfigError(f"{place}: there is no target {json.dumps(printable(step, 60))}{_names(targets)}")
    inner = node.items[index] if index < len(node.items) else Node()
    return _table(targets[index], inner, rest, place)


def _names(targets: Sequence[Any]) -> str:
    names = [printable(name, 60) for target in targets if (name := _name(target))]
    return f"; the config has {join_with_or(names[:10])}" if names else ""


def _name(target: Any) -> str:
    """Return the name of a target, or that of its kind where it needs none; empty if it has none."""
    if not isinstance(target, dict):
        return ""
    model = KINDS[_LIST].get(str(target.get("kind")))
    default = model.model_fields["name"].default if model is not None else None
    name = target.get("name", default)
    return name if isinstance(name, str) else ""
