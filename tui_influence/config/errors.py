"""What is wrong with a config, and how that is shown: place, reason, the line, a caret, a way out.

The text of `render` and `str` is safe to print: whatever the file holds is escaped. It carries no colour.

A config file while its mistakes are collected: its tables, where they stand, and the problems so far.

The names in a config: sections, kinds and keys that the schema does not know, or knows elsewhere.

Each is noted as a problem and then mended in the document, under the name that was probably meant or not at all, so
that what comes after sees only names it knows, and a slip of the pen costs one message and not three.

From what pydantic complains about to problems: every mistake of a config at once, in plain words, with its place.

Names come first (`names`), as nothing can be said about the value of a key that does not exist; then values; then
what two keys must agree on.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from tui_influence.config.messages import (
    KINDS,
    SECTIONS,
    any_of,
    as_toml,
    example,
    found,
    got,
    header,
    homes,
    inner_tables,
    is_union,
    keys,
    kinds_with,
    nearest,
    quoted,
    sentence,
    wanted,
    way_out,
)
from tui_influence.config.positions import Node, line_and_column
from tui_influence.config.schema import BALANCED_ALPHA, SAME_NAME, Config, balance_is_possible, repeated
from tui_influence.errors import ConfigError
from tui_influence.text import printable

SHOWN_COLUMNS = 100
"""The widest excerpt of a source line; a longer line is cut around the caret."""


@dataclass(frozen=True)
class Problem:
    """One mistake. `line` and `column` count from 1; both are None when it stands nowhere (a missing section)."""

    message: str
    """In plain words and safe to print."""
    line: int | None = None
    column: int | None = None
    source_line: str = ""
    """The line as it is in the file: only `render` makes it safe."""
    hint: str | None = None
    key: str = ""
    """The dotted path of what is wrong, such as `target[1].train`, safe to print."""

    def location(self, name: str) -> str:
        """Return `name:line:column`, as far as they are known; compilers and editors agree on this form."""
        return printable(name) if self.line is None else f"{printable(name)}:{self.line}:{self.column}"

    def render(self, name: str) -> str:
        """Return the lines that explain this problem in the file called `name`."""
        lines = [f"{self.location(name)}: {self.message}"]
        if self.line is not None and self.column is not None:
            excerpt, caret = _excerpt(self.source_line, self.column - 1)
            number = f"{self.line:>5}"
            lines += [f"{number} | {excerpt}", f"{'':>5} | {' ' * caret}^"]
        if self.hint:
            lines.append(f"{'':>5} = {self.hint}")
        return "\n".join(line.rstrip() for line in lines)


class InvalidConfigError(ConfigError):
    """A config that was read and is wrong; every problem in it, in the order of the file."""

    def __init__(self, path: str, problems: Sequence[Problem]) -> None:
        super().__init__(path, tuple(problems))
        self.path = path
        self.problems = tuple(problems)
        self.details = self._details()

    def __str__(self) -> str:
        """One line: the problem if there is one, else how many."""
        if len(self.problems) == 1:
            (problem,) = self.problems
            return f"{problem.location(self.path)}: {problem.message}"
        return f"{printable(self.path)}: {len(self.problems)} problems"

    def render(self) -> str:
        """Return all problems as plain text of several lines."""
        return "\n\n".join(problem.render(self.path) for problem in self.problems)

    def _details(self) -> tuple[str, ...]:
        """Return what `str` leaves out: each problem whole, or of a single one all but its first line."""
        if len(self.problems) > 1:
            return tuple(problem.render(self.path) for problem in self.problems)
        _, _, rest = self.problems[0].render(self.path).partition("\n")
        return (rest,) if rest else ()


def _excerpt(line: str, index: int) -> tuple[str, int]:
    """Return the line made safe, cut to `SHOWN_COLUMNS` around a character, and that character's screen column."""
    skipped = max(index - SHOWN_COLUMNS, 0)
    near = line[skipped : index + SHOWN_COLUMNS]
    cut_after = skipped + len(near) < len(line)
    index -= skipped
    cells = [" " if char == "\t" else printable(char) for char in near]
    widths = [sum(_width(char) for char in cell) for cell in cells]
    first, last = 0, len(cells)
    while sum(widths[first:last]) > SHOWN_COLUMNS:
        surplus_left = index - first > (last - first) * 2 // 3
        step = max((last - first) // 16, 1)
        first, last = (first + step, last) if surplus_left else (first, last - step)
    before = "…" if first or skipped else ""
    after = "…" if last < len(cells) or cut_after else ""
    return before + "".join(cells[first:last]) + after, len(before) + sum(widths[first:index])


def _width(char: str) -> int:
    """Return how many columns a terminal gives a printable character."""
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1


Path = Sequence[str | int]
Table = dict[str, Any]

MAX_PROBLEMS = 100
"""Nobody mends more than this at a time; a file with more is probably not a config at all."""


class Document:
    """Tables that may be mended: what is changed here is a copy of the caller's as deep as the schema has names."""

    def __init__(self, data: Table, positions: Node, text: str) -> None:
        self.data: Table = {name: _copied(value) for name, value in data.items()}
        self.positions = positions
        self._lines = text.split("\n")
        self._text = text
        self._problems: list[Problem] = []

    @property
    def is_full(self) -> bool:
        """Whether no more problems are taken: many more than are shown, as they are not found in their order."""
        return len(self._problems) >= 10 * MAX_PROBLEMS

    @property
    def problems(self) -> list[Problem]:
        """The problems in the order of the file; those that stand nowhere come last."""
        ordered = sorted(self._problems, key=_order)
        if len(ordered) <= MAX_PROBLEMS:
            return ordered
        return [*ordered[:MAX_PROBLEMS], Problem(f"more than {MAX_PROBLEMS} problems; the others are not shown")]

    def line_of(self, path: Path) -> int | None:
        """Return the line of what is at a path, counted from 1."""
        node = self.positions.find(path)
        start = node.start if node else None
        return None if start is None else line_and_column(self._text, start)[0]

    def add(self, message: str, path: Path, hint: str | None = None, *, at_value: bool = False) -> None:
        """Note a problem with what is at `path`, or with what should be there: it stands at the nearest table then.

        Args:
            message: safe to print.
            path: of a key, a table or an item of a list; items are counted from 0.
            hint: safe to print.
            at_value: whether to point at the value, not at the key.
        """
        if self.is_full:
            return
        start = None
        for length in range(len(path), 0, -1):
            node = self.positions.find(path[:length])
            if node is not None:
                start = node.value_start if at_value and length == len(path) else node.start
            if start is not None:
                break
        if start is None:
            self._problems.append(Problem(message, hint=hint, key=_dotted(path)))
            return
        line, column = line_and_column(self._text, start)
        self._problems.append(Problem(message, line, column, self._lines[line - 1], hint, _dotted(path)))

    def move(self, old: Path, new: Path) -> None:
        """Put what is at one path at another, so that it is checked as what it was meant to be."""
        *old_table, old_name = old
        *new_table, new_name = new
        self.table(new_table)[new_name] = self.table(old_table).pop(old_name)
        source, goal = self.positions.find(old_table), self.positions.find(new_table)
        if source and goal and str(old_name) in source.children:
            goal.children[str(new_name)] = source.children.pop(str(old_name))

    def table(self, path: Path) -> Any:
        """Return the table at a path."""
        found: Any = self.data
        for step in path:
            found = found[step]
        return found


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: dict(inner) if isinstance(inner, dict) else inner for key, inner in value.items()}
    if isinstance(value, list):
        return [dict(item) if isinstance(item, dict) else item for item in value]
    return value


def _order(problem: Problem) -> tuple[bool, int, int]:
    return problem.line is None, problem.line or 0, problem.column or 0


def _dotted(path: Path) -> str:
    """Return a path as people write it, with items counted from 1."""
    parts = [f"[{step + 1}]" if isinstance(step, int) else f".{step}" for step in path]
    return printable("".join(parts).removeprefix("."), 200)


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


def find_problems(data: Mapping[str, Any], positions: Node, text: str) -> list[Problem]:
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
    for details in errors[: 10 * MAX_PROBLEMS]:
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
    for position in repeated(names)[:MAX_PROBLEMS]:
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
