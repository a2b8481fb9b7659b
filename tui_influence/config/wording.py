"""What a value must be and what was found instead, in plain words.

Ranges and choices are read from pydantic's errors and from the schema. All text returned is safe to print.
"""

import types
from collections.abc import Iterable
from datetime import date, datetime, time
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from tui_influence.config.fields import PREDICATE
from tui_influence.config.vocabulary import any_of, as_toml, choices, nearest
from tui_influence.text import printable

SHOWN_CHARACTERS = 60
"""The most that is repeated of a value from the file."""

_RANGES = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}
_TYPES: dict[Any, str] = {int: "an integer", float: "a number", bool: "true or false", str: "text", dict: "a table"}


def quoted(text: str) -> str:
    """Return text in double quotes, cut and safe."""
    return f'"{printable(text, SHOWN_CHARACTERS)}"'


def got(value: object) -> str:
    """Return a value as it would be written, cut and safe."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a number of {int(value.bit_length() * 0.30103) + 1} digits"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool | int | float):
        return as_toml(value)
    return found(value)


def found(value: object) -> str:
    """Return what a value is, with its type: `the text "eight"`, `a list`."""
    if isinstance(value, str):
        return f"the text {quoted(value)}"
    if isinstance(value, bool):
        return as_toml(value)
    if isinstance(value, int | float):
        return got(value) if isinstance(value, int) and value.bit_length() > 200 else f"the number {got(value)}"
    if isinstance(value, date | datetime | time):
        return "a date or a time"
    if value is None:
        return "nothing"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return "a table" if isinstance(value, dict) else "something else"


def wanted(annotation: Any, marks: Iterable[object] = ()) -> list[str]:
    """Return what a type allows: `["an integer of at least 1", '"auto"']`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return wanted(inner, [*marks, *more])
    if origin in (Union, types.UnionType):
        return [text for part in get_args(annotation) if part is not type(None) for text in wanted(part)]
    if origin is Literal:
        return [f'"{choice}"' for choice in get_args(annotation)]
    if origin is list:
        return ["a list"]
    plain = _TYPES.get(origin or annotation, "something else")
    lowest = [part.ge for mark in marks for part in getattr(mark, "metadata", ()) if hasattr(part, "ge")]
    return [f"{plain} of at least {lowest[0]}" if plain == "an integer" and lowest else plain]


def is_union(field: FieldInfo) -> bool:
    """Whether values of several types are allowed, so that pydantic complains once for each."""
    return len({text[0] == '"' for text in wanted(field.annotation)}) == 2


def sentence(field: FieldInfo, error: ErrorDetails, value: object, *, is_item: bool = False) -> str:
    """Return what is wrong with a value, to be put after the name of its key: `must be an integer, not ...`.

    Args:
        field: of the key.
        error: what pydantic says.
        value: what is there.
        is_item: whether it is an item of the list that the key may be; there are only lists of texts.
    """
    kind, context = error["type"], error.get("ctx", {})
    if is_item and kind == "string_type":
        return f"must be text, not {found(value)}"
    if is_union(field) and kind != PREDICATE:
        return f"must be {any_of(wanted(field.annotation))}, not {found(value)}"
    if kind == PREDICATE:
        return f"{context['text']} (got {got(value)})"
    if kind in _RANGES:
        words, bound = _RANGES[kind]
        limit = context[bound]
        plain = int(limit) if isinstance(limit, float) and limit.is_integer() else limit
        return f"must be {words} {plain} (got {got(value)})"
    if kind == "literal_error":
        options = any_of(wanted(field.annotation))
        return f"must be {options}, not {got(value) if isinstance(value, str) else found(value)}"
    if kind == "finite_number":
        return f"must be a finite number (got {got(value)})"
    if kind == "too_short":
        return "must not be empty"
    if kind == "string_unicode":
        return "must be text that can be written as UTF-8"
    if kind.endswith("_type"):
        return f"must be {any_of(wanted(field.annotation))}, not {found(value)}"
    return f"is not valid: {printable(error['msg'])} (got {got(value)})"


def way_out(field: FieldInfo, value: object) -> str | None:
    """Return a hint for a value that is not allowed, where one is likely to help."""
    kinds = wanted(field.annotation)
    if isinstance(value, str):
        near = nearest(value, choices(field))
        if near is not None:
            return f'did you mean "{near}"?'
        if "a list" in kinds:
            return f"a list stands in brackets: [{as_toml(printable(value, SHOWN_CHARACTERS))}]"
        if _reads_as_number(value) and any(kind.startswith(("an integer", "a number")) for kind in kinds):
            return f"without quotes: {value.strip()}"
        if value.lower() in ("true", "false") and "true or false" in kinds:
            return f"without quotes: {value.lower()}"
    elif isinstance(value, bool | int | float) and kinds == ["text"]:
        return f'text stands in quotes: "{got(value)}"'
    return None


def _reads_as_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return len(text) <= 20 and text.isascii() and "_" not in text
