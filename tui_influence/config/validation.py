"""Validation of a config: every mistake at once, in plain words, with its position.

Names are checked first, as the value of a key that does not exist cannot be judged: an unknown section, kind or key is
reported and then corrected in the document, under the name that was probably meant, or deleted, so that a typing error
gives one message and not three. Then come values, as pydantic checks them, and last what two keys must agree on.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from tui_influence.config.combinations import (
    are_repeats_possible,
    growth_problem,
    is_balance_possible,
    repeated_names,
    stored_side_problem,
)
from tui_influence.config.errors import MAX_PROBLEMS, Document, KeyPath, Problem
from tui_influence.config.messages import (
    KINDS,
    SECTIONS,
    as_toml,
    closest_match,
    describe_error,
    describe_type,
    describe_value,
    example_value,
    format_value,
    hint_for_value,
    inner_tables,
    is_union,
    join_with_or,
    kinds_with,
    quote,
    section_header,
    section_keys,
    tables_with_key,
)
from tui_influence.config.positions import Node
from tui_influence.config.schema import (
    BALANCED_ALPHA,
    CLUSTERS_OF_OTHER_GROUPS,
    CLUSTERS_WITHOUT_PRIOR,
    CROP_TWICE,
    EPOCHS_AND_STEPS,
    GROWTH,
    SAME_NAME,
    STORED_SIDE,
    TOO_MANY_REPEATS,
    Config,
    DesignSection,
)
from tui_influence.text import printable

TablePath = tuple[str | int, ...]

_CROSS_CHECKS = (
    BALANCED_ALPHA,
    EPOCHS_AND_STEPS,
    CROP_TWICE,
    STORED_SIDE,
    SAME_NAME,
    TOO_MANY_REPEATS,
    GROWTH,
    CLUSTERS_WITHOUT_PRIOR,
    CLUSTERS_OF_OTHER_GROUPS,
)
"""Types of errors about several keys, which a function each reports."""
_GROWTH_KEYS = ("models", "until", "max_models")

FALLBACK_KIND = "folder"
"""The kind that a section of unknown kind is checked as; only problems with keys of every kind are reported then."""


def check_names(document: Document) -> set[TablePath]:
    """Report every unknown name, and correct or delete it in the document.

    Returns:
        paths of the tables of an unknown kind.
    """
    for name in list(document.data):
        if name not in SECTIONS:
            _report_unknown_section(document, name)
    _check_shapes(document)
    tables = _tables(document)
    tables_of_unknown_kind = {
        path for section, path in tables if section in KINDS and not _check_kind(document, section, path)
    }
    for section, path in tables:
        table = document.table(path)
        kind = table.get("kind") if section in KINDS and path not in tables_of_unknown_kind else None
        for key in [key for key in table if key not in section_keys(section, kind)]:
            if document.is_full:
                del table[key]
            else:
                _report_unknown_key(document, section, kind, [*path, key])
    return tables_of_unknown_kind


def _report_unknown_section(document: Document, name: str) -> None:
    value = document.data[name]
    if document.is_full:
        del document.data[name]
        return
    is_section = isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))
    tables, match = tables_with_key(name), closest_match(name, SECTIONS)
    printable_name = printable(name, 60)
    message = (
        f"unknown section [{printable_name}]"
        if is_section
        else f'unknown key "{printable_name}" outside of any section'
    )
    parents = [table for table in tables if name in inner_tables(table)]
    if is_section and parents:
        document.add(message, [name], f"write {section_header(f'{parents[0]}.{name}')}")
    elif tables:
        verb = "is a key of" if is_section else "belongs in"
        document.add(
            message, [name], f"{printable_name} {verb} {join_with_or(section_header(table) for table in tables)}"
        )
    elif match:
        document.add(message, [name], f"did you mean {section_header(match)}?")
    else:
        document.add(message, [name], f"the sections are {', '.join(section_header(section) for section in SECTIONS)}")
    if is_section and match and not tables and match not in document.data:
        document.move([name], [match])
    else:
        del document.data[name]


def _check_shapes(document: Document) -> None:
    """Report and correct `[target]` for `[[target]]` and `[[train]]` for `[train]`."""
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
    tables: list[tuple[str, TablePath]] = []
    for section, value in document.data.items():
        if isinstance(value, dict):
            tables.append((section, (section,)))
            inner = [key for key in inner_tables(section) if isinstance(value.get(key), dict)]
            tables += [(f"{section}.{key}", (section, key)) for key in inner]
        elif isinstance(value, list):
            tables += [(section, (section, i)) for i, item in enumerate(value) if isinstance(item, dict)]
    return tables


def _check_kind(document: Document, section: str, path: KeyPath) -> bool:
    """Report a missing or unknown kind and replace it by the likely one or the fallback; return whether it is clear."""
    table: dict[str, Any] = document.table(path)
    kinds = KINDS[section]
    kind_path = [*path, "kind"]
    options = join_with_or(f'"{kind}"' for kind in kinds)
    match: str | None = None
    misspelt_keys = [
        key for key in table if key not in section_keys(section) and closest_match(key, section_keys(section)) == "kind"
    ]
    if "kind" not in table and misspelt_keys:
        document.add(*_suggestion(section, None, misspelt_keys[0], "kind", path))
        document.move([*path, misspelt_keys[0]], kind_path)
    kind = table.get("kind")
    if isinstance(kind, str) and kind in kinds:
        return True
    if "kind" not in table:
        document.add(
            f"kind is missing in {section_header(section)}; it decides which other keys there are",
            kind_path,
            f'for example: kind = "{FALLBACK_KIND}" (it may be {options})',
        )
    elif isinstance(kind, str):
        match = closest_match(kind, kinds)
        hint = f'did you mean "{match}"?' if match else "the kind decides which other keys there are"
        document.add(f"{section}.kind must be {options}, not {format_value(kind)}", kind_path, hint, at_value=True)
    else:
        document.add(f"{section}.kind must be {options}, not {describe_value(kind)}", kind_path, at_value=True)
    table["kind"] = match or FALLBACK_KIND
    return match is not None


def _report_unknown_key(document: Document, section: str, kind: str | None, path: KeyPath) -> None:
    *table_path, name = path
    key, table = str(name), document.table(table_path)
    valid = section_keys(section, kind)
    other_tables = [other for other in tables_with_key(key) if other != section]
    match = closest_match(key, valid)
    message = f"unknown key {quote(key)} in {_describe_table(section, kind)}"
    if kind and kinds_with(section, key):
        kinds = join_with_or(f'"{other}"' for other in kinds_with(section, key))
        document.add(message, path, f"{key} is for kind {kinds}; kind {quote(kind)} has {_list_keys(valid)}")
    elif other_tables:
        document.add(message, path, f"{key} belongs in {join_with_or(section_header(other) for other in other_tables)}")
        home = document.data.get(other_tables[0])
        if isinstance(table[key], dict):
            pass  # its keys are not checked, as it is in no section
        elif len(other_tables) == 1 and other_tables[0] not in KINDS and isinstance(home, dict) and key not in home:
            document.move(path, [other_tables[0], key])
            return
    elif match:
        document.add(*_suggestion(section, kind, key, match, table_path))
        if match not in table and not isinstance(table[key], dict):
            document.move(path, [*table_path, match])
            return
    else:
        document.add(message, path, f"{_describe_table(section, kind)} has {_list_keys(valid)}")
    del table[key]


def _suggestion(section: str, kind: str | None, key: str, match: str, table: KeyPath) -> tuple[str, KeyPath, str]:
    return f"unknown key {quote(key)} in {_describe_table(section, kind)}", [*table, key], f"did you mean {match}?"


def _describe_table(section: str, kind: str | None) -> str:
    return f'{section_header(section)} of kind "{kind}"' if kind else section_header(section)


def _list_keys(valid: dict[str, Any]) -> str:
    return ", ".join(key for key in valid if key != "kind")


def find_problems(data: Mapping[str, Any], positions: Node, text: str) -> list[Problem]:
    """Return all problems of a config that pydantic refused, in the order of the file.

    Args:
        data: tables of the config; they are not changed.
        positions: positions of everything in the tables; corrected along with a copy of `data`. Empty without a file.
        text: text of the file, with the line ends that `positions` counts.
    """
    document = Document(dict(data), positions, text)
    tables_of_unknown_kind = check_names(document)
    invalid_paths = _check_values(document, tables_of_unknown_kind)
    _check_balance(document, invalid_paths)
    _check_repeats(document, invalid_paths)
    _check_duration(document)
    _check_crops(document)
    _check_stored_side(document, invalid_paths)
    _check_clusters(document, invalid_paths)
    _check_growth(document, invalid_paths)
    _check_target_names(document, invalid_paths)
    return document.problems


def _check_values(document: Document, tables_of_unknown_kind: set[TablePath]) -> set[TablePath]:
    """Report the errors of pydantic; return the paths of their keys."""
    try:
        Config.model_validate(document.data)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
    else:
        return set()
    invalid_paths: set[TablePath] = set()
    for details in errors[: 10 * MAX_PROBLEMS]:
        if details["type"] in _CROSS_CHECKS:
            continue
        table, key_steps = _split_location(details["loc"])
        section = ".".join(str(step) for step in table if isinstance(step, str))
        if not key_steps:
            _report_section(document, section, table, details)
            continue
        key = str(key_steps[0])
        if table in tables_of_unknown_kind and any(key not in model.model_fields for model in KINDS[section].values()):
            continue
        kind = document.table(table).get("kind") if section in KINDS else None
        field = section_keys(section, kind)[key]
        if details["type"] == "missing":
            if table not in tables_of_unknown_kind:
                _report_missing_key(document, section, kind, [*table, key], field)
            continue
        path = _value_path(document, [*table, key], key_steps[1:], field)
        if path is not None and tuple(path) not in invalid_paths:
            invalid_paths.add(tuple(path))
            value = document.table(path)
            is_item = isinstance(path[-1], int)
            subject = f"an item of {section}.{key}" if is_item else f"{section}.{key}"
            reason = describe_error(field, details, value, is_item=is_item)
            document.add(f"{subject} {reason}", path, None if is_item else hint_for_value(field, value), at_value=True)
    return invalid_paths


def _split_location(location: TablePath) -> tuple[TablePath, tuple[str | int, ...]]:
    """Return the path of the table and the rest, without the kind that pydantic puts between the two."""
    is_inner = len(location) > 1 and location[1] in inner_tables(str(location[0]))
    length = 2 if is_inner or (location[0] == "target" and len(location) > 1) else 1
    key_steps = location[length:]
    return location[:length], key_steps[1:] if location[0] in KINDS else key_steps


def _value_path(
    document: Document, path: list[str | int], value_steps: tuple[str | int, ...], field: FieldInfo
) -> list[str | int] | None:
    """Return the path of the invalid value; None if the error is that of another member of a union."""
    if not is_union(field):
        return [*path, value_steps[0]] if value_steps and isinstance(value_steps[0], int) else path
    in_list = isinstance(document.table(path), list) and "a list" in describe_type(field.annotation)
    if in_list and not any("list" in str(step) for step in value_steps):
        return None
    return [*path, value_steps[-1]] if in_list and isinstance(value_steps[-1], int) else path


def _report_section(document: Document, section: str, table: KeyPath, details: ErrorDetails) -> None:
    if details["type"] in ("missing", "too_short"):
        fields = section_keys(section, next(iter(KINDS[section])) if section in KINDS else None)
        required = [f"{key} = {as_toml(example_value(field))}" for key, field in fields.items() if field.is_required()]
        message = (
            "at least one [[target]] is needed"
            if section == "target"
            else f"section {section_header(section)} is missing"
        )
        hint = f"for example: {section_header(section)} and below it {' and '.join(required)}"
        document.add(message, table, hint, at_value=True)
        return
    value = document.table(table)
    document.add(
        f"{section} must be a section, not {describe_value(value)}",
        table,
        f"write {section_header(section)} on a separate line, and its keys below it",
    )


def _report_missing_key(document: Document, section: str, kind: str | None, path: KeyPath, field: FieldInfo) -> None:
    key = path[-1]
    reason = f'kind "{kind}" needs it' if kind and section in KINDS else field.description
    line = f"{key} = {as_toml(example_value(field))}"
    document.add(f"{key} is missing in {section_header(section)}", path, f"for example: {line} ({reason})")


def _check_balance(document: Document, invalid_paths: set[TablePath]) -> None:
    design = document.data.get("design")
    if not isinstance(design, dict) or ("design", "alpha") in invalid_paths:
        return
    alpha = design.get("alpha", 0.5)
    if not is_balance_possible(design.get("kind"), alpha):
        reason = "a balanced design keeps half of the groups"
        document.add(
            f"design.alpha must be 0.5: {reason} (got {format_value(alpha)})",
            ["design", "alpha"],
            'leave alpha out, or choose kind "fixed" or "bernoulli"',
            at_value=True,
        )


def _check_repeats(document: Document, invalid_paths: set[TablePath]) -> None:
    design = document.data.get("design")
    keys = ("heldout", "heldout_repeats")
    if not isinstance(design, dict) or any(("design", key) in invalid_paths for key in keys):
        return
    heldout, repeats = (design.get(key, DesignSection.model_fields[key].default) for key in keys)
    if isinstance(heldout, int) and isinstance(repeats, int) and not are_repeats_possible(heldout, repeats):
        document.add(
            f"design.heldout_repeats must be at most heldout, {heldout} (got {repeats})",
            ["design", "heldout_repeats"],
            "heldout counts models, not masks: of 20 with 2 repeats there are 10 masks",
            at_value=True,
        )


def _check_duration(document: Document) -> None:
    train = document.data.get("train")
    if isinstance(train, dict) and train.get("epochs") is not None and train.get("steps") is not None:
        document.add(
            "train.epochs and train.steps both say how long a model is trained; only one of them may be given",
            ["train", "steps"],
            "leave out epochs to train every model for so many steps, or steps to train it for so many epochs",
        )


def _check_crops(document: Document) -> None:
    targets = document.data.get("target")
    tables: list[tuple[list[str | int], object]] = [(["train"], document.data.get("train"))]
    tables += [(["target", index], target) for index, target in enumerate(targets if isinstance(targets, list) else [])]
    for path, table in tables:
        if isinstance(table, dict) and table.get("crop") and table.get("resized_crop") is not None:
            document.add(
                f"{path[0]}.crop and {path[0]}.resized_crop both say how images are cut; only one of them may be given",
                [*path, "resized_crop"],
                "leave out crop to cut and scale at random, or resized_crop to shift at random",
            )


def _check_stored_side(document: Document, invalid_paths: set[TablePath]) -> None:
    model, train = (document.data.get(section, {}) for section in ("model", "train"))
    keys = (("model", "stored_side"), ("model", "resolution"), ("train", "resolutions"))
    if not isinstance(model, dict) or not isinstance(train, dict):
        return
    if any(path[: len(key)] == key for path in invalid_paths for key in keys):
        return
    problem = stored_side_problem(model.get("stored_side"), model.get("resolution"), train.get("resolutions"))
    if problem is not None:
        key, predicate = problem
        section, _, name = key.partition(".")
        value = {"model": model, "train": train}[section].get(name)
        got = "" if value is None else f" (got {format_value(value)})"
        where = [section, name] if value is not None else ["train", "resolutions"]
        document.add(f"{key} {predicate}{got}", where, None, at_value=True)


def _check_clusters(document: Document, invalid_paths: set[TablePath]) -> None:
    design, source = document.data.get("design"), document.data.get("source")
    if not isinstance(design, dict) or not design.get("clusters") or ("design", "clusters") in invalid_paths:
        return
    path = ["design", "clusters"]
    if design.get("prior") == 0 and ("design", "prior") not in invalid_paths:
        document.add(
            "design.clusters needs prior networks, by whose features classes are clustered, and design.prior is 0",
            path,
            "set prior to 1 or more (8 by default), or clusters to 0",
            at_value=True,
        )
    groups = source.get("groups", "class") if isinstance(source, dict) else "class"
    if groups != "class" and ("source", "groups") not in invalid_paths:
        document.add(
            f"design.clusters are clusters of classes, and source.groups is {format_value(groups)}",
            path,
            'set groups to "class", or clusters to 0',
            at_value=True,
        )


def _check_growth(document: Document, invalid_paths: set[TablePath]) -> None:
    design, source = document.data.get("design"), document.data.get("source")
    if not isinstance(design, dict) or any(("design", key) in invalid_paths for key in _GROWTH_KEYS):
        return
    groups = source.get("groups") if isinstance(source, dict) else None
    models, until, max_models = (design.get(key) for key in _GROWTH_KEYS)
    problem = growth_problem(models, until, max_models, groups)
    if problem is not None:
        key, predicate = problem
        hint = None if groups == "example" else "for example: until = 0.9 and max_models = 400"
        document.add(
            f"design.{key} {predicate} (got {format_value(design[key])})", ["design", key], hint, at_value=True
        )


def _check_target_names(document: Document, invalid_paths: set[TablePath]) -> None:
    targets = document.data.get("target")
    names_by_index = [
        (index, _target_name(target))
        for index, target in enumerate(targets if isinstance(targets, list) else [])
        if isinstance(target, dict) and ("target", index, "name") not in invalid_paths
    ]
    entries = [(index, name) for index, name in names_by_index if isinstance(name, str)]
    names = [name for _, name in entries]
    for position in repeated_names(names)[:MAX_PROBLEMS]:
        index, name = entries[position]
        first_index = next(other for other, other_name in entries if other_name.casefold() == name.casefold())
        line = document.line_of(["target", first_index])
        line_note = f" (that of line {line})" if line else ""
        document.add(
            f"target.name must differ from the names of the other targets, and {quote(name)} is another's{line_note}",
            ["target", index, "name"],
            "one name for each [[target]]; case makes no difference",
            at_value=True,
        )


def _target_name(target: dict[str, Any]) -> object:
    """Return the name of a target, or the default of its kind."""
    model = KINDS["target"].get(str(target.get("kind")))
    default = model.model_fields["name"].default if model else None
    return target.get("name", default)
