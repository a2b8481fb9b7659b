"""The names in a config: sections, kinds and keys that the schema does not know, or knows elsewhere.

Each is noted as a problem and then mended in the document, under the name that was probably meant or not at all, so
that what comes after sees only names it knows, and a slip of the pen costs one message and not three.
"""

from typing import Any

from tui_influence.config.document import Document, Path
from tui_influence.config.positions import Node
from tui_influence.config.vocabulary import (
    KINDS,
    SECTIONS,
    any_of,
    header,
    homes,
    inner_tables,
    keys,
    kinds_with,
    nearest,
)
from tui_influence.config.wording import found, got, quoted
from tui_influence.text import printable

TablePath = tuple[str | int, ...]

STAND_IN = "folder"
"""The kind that a section is checked as when its own is unknown; only keys that every kind has count then."""


def check_names(document: Document) -> set[TablePath]:
    """Note every wrong name, and leave none in the document.

    Returns:
        the tables whose kind is not known.
    """
    for name in list(document.data):
        if name not in SECTIONS:
            _unknown_at_top(document, name)
    _check_shapes(document)
    tables = _tables(document)
    unclear = {path for section, path in tables if section in KINDS and not _check_kind(document, section, path)}
    for section, path in tables:
        table = document.table(path)
        kind = table.get("kind") if section in KINDS and path not in unclear else None
        for key in [key for key in table if key not in keys(section, kind)]:
            if document.is_full:
                del table[key]
            else:
                _unknown_key(document, section, kind, [*path, key])
    return unclear


def _unknown_at_top(document: Document, name: str) -> None:
    value = document.data[name]
    if document.is_full:
        del document.data[name]
        return
    is_section = isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))
    places, near = homes(name), nearest(name, SECTIONS)
    shown = printable(name, 60)
    what = f"unknown section [{shown}]" if is_section else f'unknown key "{shown}" outside of any section'
    inner = [place for place in places if name in inner_tables(place)]
    if is_section and inner:
        document.add(what, [name], f"write {header(f'{inner[0]}.{name}')}")
    elif places:
        verb = "is a key of" if is_section else "belongs in"
        document.add(what, [name], f"{shown} {verb} {any_of(header(place) for place in places)}")
    elif near:
        document.add(what, [name], f"did you mean {header(near)}?")
    else:
        document.add(what, [name], f"the sections are {', '.join(header(section) for section in SECTIONS)}")
    if is_section and near and not places and near not in document.data:
        document.move([name], [near])
    else:
        del document.data[name]


def _check_shapes(document: Document) -> None:
    """Mend `[target]` for `[[target]]` and `[[train]]` for `[train]`."""
    for section, value in document.data.items():
        node = document.positions.children.get(section)
        if section == "target" and isinstance(value, dict):
            document.add(
                "a target is written [[target]], with two brackets, as there may be several",
                [section],
                "write [[target]]",
            )
            document.data[section] = [value]
            if node:
                document.positions.children[section] = Node(key=node.key, value=node.value, items=[node])
        elif section != "target" and isinstance(value, list) and value and isinstance(value[0], dict):
            document.add(f"a config has one {section}, which is written [{section}]", [section], f"write [{section}]")
            document.data[section] = value[0]
            if node and node.items:
                document.positions.children[section] = node.items[0]


def _tables(document: Document) -> list[tuple[str, TablePath]]:
    """Return the section and the path of every table in the document."""
    found_tables: list[tuple[str, TablePath]] = []
    for section, value in document.data.items():
        if isinstance(value, dict):
            found_tables.append((section, (section,)))
            inner = [key for key in inner_tables(section) if isinstance(value.get(key), dict)]
            found_tables += [(f"{section}.{key}", (section, key)) for key in inner]
        elif isinstance(value, list):
            found_tables += [(section, (section, i)) for i, item in enumerate(value) if isinstance(item, dict)]
    return found_tables


def _check_kind(document: Document, section: str, path: Path) -> bool:
    """Note a kind that is missing or unknown; put the one that was meant, or the stand-in; say whether it is known."""
    table: dict[str, Any] = document.table(path)
    known = KINDS[section]
    at = [*path, "kind"]
    options = any_of(f'"{kind}"' for kind in known)
    near: str | None = None
    misspelt = [key for key in table if key not in keys(section) and nearest(key, keys(section)) == "kind"]
    if "kind" not in table and misspelt:
        document.add(*_did_you_mean(section, None, misspelt[0], "kind", path))
        document.move([*path, misspelt[0]], at)
    kind = table.get("kind")
    if isinstance(kind, str) and kind in known:
        return True
    if "kind" not in table:
        document.add(
            f"kind is missing in {header(section)}; it decides which other keys there are",
            at,
            f'for example: kind = "{STAND_IN}" (it may be {options})',
        )
    elif isinstance(kind, str):
        near = nearest(kind, known)
        hint = f'did you mean "{near}"?' if near else "the kind decides which other keys there are"
        document.add(f"{section}.kind must be {options}, not {got(kind)}", at, hint, at_value=True)
    else:
        document.add(f"{section}.kind must be {options}, not {found(kind)}", at, at_value=True)
    table["kind"] = near or STAND_IN
    return near is not None


def _unknown_key(document: Document, section: str, kind: str | None, path: Path) -> None:
    *table_path, last = path
    key, table = str(last), document.table(table_path)
    valid = keys(section, kind)
    others = [place for place in homes(key) if place != section]
    near = nearest(key, valid)
    what = f"unknown key {quoted(key)} in {_place(section, kind)}"
    if kind and kinds_with(section, key):
        kinds = any_of(f'"{other}"' for other in kinds_with(section, key))
        document.add(what, path, f"{key} is for kind {kinds}; kind {quoted(kind)} has {_listed(valid)}")
    elif others:
        document.add(what, path, f"{key} belongs in {any_of(header(place) for place in others)}")
        home = document.data.get(others[0])
        if isinstance(table[key], dict):
            pass  # a table's own keys are looked at where it stands, and this one stands nowhere
        elif len(others) == 1 and others[0] not in KINDS and isinstance(home, dict) and key not in home:
            document.move(path, [others[0], key])
            return
    elif near:
        document.add(*_did_you_mean(section, kind, key, near, table_path))
        if near not in table and not isinstance(table[key], dict):
            document.move(path, [*table_path, near])
            return
    else:
        document.add(what, path, f"{_place(section, kind)} has {_listed(valid)}")
    del table[key]


def _did_you_mean(section: str, kind: str | None, key: str, near: str, table: Path) -> tuple[str, Path, str]:
    return f"unknown key {quoted(key)} in {_place(section, kind)}", [*table, key], f"did you mean {near}?"


def _place(section: str, kind: str | None) -> str:
    return f'{header(section)} of kind "{kind}"' if kind else header(section)


def _listed(valid: dict[str, Any]) -> str:
    return ", ".join(key for key in valid if key != "kind")
