"""From what pydantic complains about to problems: every mistake of a config at once, in plain words, with its place.

Names come first (`names`), as nothing can be said about the value of a key that does not exist; then values; then
what two keys must agree on.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from tui_influence.config.document import MOST_PROBLEMS, Document, Path
from tui_influence.config.names import TablePath, check_names
from tui_influence.config.positions import Node
from tui_influence.config.problems import Problem
from tui_influence.config.schema import BALANCED_ALPHA, SAME_NAME, Config, balance_is_possible, repeated
from tui_influence.config.vocabulary import KINDS, as_toml, example, header, inner_tables, keys
from tui_influence.config.wording import found, got, is_union, quoted, sentence, wanted, way_out


def problems_of(data: Mapping[str, Any], positions: Node, text: str) -> list[Problem]:
    """Return everything that is wrong with a config that was refused, in the order of the file.

    Args:
        data: the tables of the config; they are not changed.
        positions: where they stand; mended along with a copy of `data`. Empty if that is nowhere.
        text: of the file, with line ends as `positions` counts them.
    """
    document = Document(dict(data), positions, text)
    unclear = check_names(document)
    wrong = _values(document, unclear)
    _check_balance(document, wrong)
    _check_target_names(document, wrong)
    return document.problems


def _values(document: Document, unclear: set[TablePath]) -> set[TablePath]:
    """Note what pydantic finds; return the paths of the keys it concerns."""
    try:
        Config.model_validate(document.data)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
    else:
        return set()
    seen: set[TablePath] = set()
    for details in errors[: 10 * MOST_PROBLEMS]:
        if details["type"] in (BALANCED_ALPHA, SAME_NAME):
            continue
        table, rest = _split(details["loc"])
        section = ".".join(str(step) for step in table if isinstance(step, str))
        if not rest:
            _section_problem(document, section, table, details)
            continue
        key = str(rest[0])
        if table in unclear and any(key not in model.model_fields for model in KINDS[section].values()):
            continue
        kind = document.table(table).get("kind") if section in KINDS else None
        field = keys(section, kind)[key]
        if details["type"] == "missing":
            if table not in unclear:
                _missing_key(document, section, kind, [*table, key], field)
            continue
        path = _value_path(document, [*table, key], rest[1:], field)
        if path is not None and tuple(path) not in seen:
            seen.add(tuple(path))
            value = document.table(path)
            is_item = isinstance(path[-1], int)
            shown = f"an item of {section}.{key}" if is_item else f"{section}.{key}"
            reason = sentence(field, details, value, is_item=is_item)
            document.add(f"{shown} {reason}", path, None if is_item else way_out(field, value), at_value=True)
    return seen


def _split(location: TablePath) -> tuple[TablePath, tuple[str | int, ...]]:
    """Return the path of the table and what follows it, without the kind that pydantic puts between the two."""
    is_inner = len(location) > 1 and location[1] in inner_tables(str(location[0]))
    length = 2 if is_inner or (location[0] == "target" and len(location) > 1) else 1
    rest = location[length:]
    return location[:length], rest[1:] if location[0] in KINDS else rest


def _value_path(
    document: Document, path: list[str | int], rest: tuple[str | int, ...], field: FieldInfo
) -> list[str | int] | None:
    """Return the path of the value that is meant; none if it is what another member of a union would have to be."""
    if not is_union(field):
        return [*path, rest[0]] if rest and isinstance(rest[0], int) else path
    in_list = isinstance(document.table(path), list) and "a list" in wanted(field.annotation)
    if in_list and not any("list" in str(step) for step in rest):
        return None
    return [*path, rest[-1]] if in_list and isinstance(rest[-1], int) else path


def _section_problem(document: Document, section: str, table: Path, details: ErrorDetails) -> None:
    if details["type"] in ("missing", "too_short"):
        known = keys(section, "builtin" if section in KINDS else None)
        needed = [f"{key} = {as_toml(example(field))}" for key, field in known.items() if field.is_required()]
        what = "at least one [[target]] is needed" if section == "target" else f"section {header(section)} is missing"
        hint = f"for example: {header(section)} and below it {' and '.join(needed)}"
        document.add(what, table, hint, at_value=True)
        return
    value = document.table(table)
    document.add(
        f"{section} must be a section, not {found(value)}",
        table,
        f"write {header(section)} on a line of its own, and its keys below it",
    )


def _missing_key(document: Document, section: str, kind: str | None, path: Path, field: FieldInfo) -> None:
    key = path[-1]
    why = f'kind "{kind}" needs it' if kind and section in KINDS else field.description
    line = f"{key} = {as_toml(example(field))}"
    document.add(f"{key} is missing in {header(section)}", path, f"for example: {line} ({why})")


def _check_balance(document: Document, wrong: set[TablePath]) -> None:
    design = document.data.get("design")
    if not isinstance(design, dict) or ("design", "alpha") in wrong:
        return
    alpha = design.get("alpha", 0.5)
    if not balance_is_possible(design.get("kind"), alpha):
        reason = "a balanced design keeps half of the groups"
        document.add(
            f"design.alpha must be 0.5: {reason} (got {got(alpha)})",
            ["design", "alpha"],
            'leave alpha out, or choose kind "fixed" or "bernoulli"',
            at_value=True,
        )


def _check_target_names(document: Document, wrong: set[TablePath]) -> None:
    targets = document.data.get("target")
    named = [
        (index, _name(target))
        for index, target in enumerate(targets if isinstance(targets, list) else [])
        if isinstance(target, dict) and ("target", index, "name") not in wrong
    ]
    entries = [(index, name) for index, name in named if isinstance(name, str)]
    names = [name for _, name in entries]
    for position in repeated(names)[:MOST_PROBLEMS]:
        index, name = entries[position]
        first = next(other for other, known in entries if known.casefold() == name.casefold())
        line = document.line_of(["target", first])
        where = f" (that of line {line})" if line else ""
        document.add(
            f"target.name must differ from the names of the other targets, and {quoted(name)} is another's{where}",
            ["target", index, "name"],
            "one name for each [[target]]; case makes no difference",
            at_value=True,
        )


def _name(target: dict[str, Any]) -> object:
    """Return the name of a target: as it stands, or as its kind has it by default."""
    model = KINDS["target"].get(str(target.get("kind")))
    default = model.model_fields["name"].default if model else None
    return target.get("name", default)
