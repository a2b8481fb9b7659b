"""The schema and the values of a config in words, for messages and for the template.

The first half lists sections, kinds and keys; the second describes allowed values and invalid ones. Everything is read
from the pydantic models and errors, so it cannot disagree with them. All text returned is safe to print.
"""

import difflib
import json
import re
import types
from collections.abc import Iterable
from datetime import date, datetime, time
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from tui_influence.config.schema import Config, Source, Target
from tui_influence.config.types import PREDICATE
from tui_influence.text import printable


def _models_by_kind(union: Any) -> dict[str, type[BaseModel]]:
    models: tuple[type[BaseModel], ...] = get_args(get_args(union)[0])
    return {get_args(model.model_fields["kind"].annotation)[0]: model for model in models}


KINDS: dict[str, dict[str, type[BaseModel]]] = {"source": _models_by_kind(Source), "target": _models_by_kind(Target)}
"""The models of each kind, for the sections whose keys depend on `kind`."""

SECTIONS: tuple[str, ...] = tuple(Config.model_fields)


def inner_tables(section: str) -> list[str]:
    """Return the keys of a section that are tables of their own, such as `slurm` of `compute`."""
    if section in KINDS or section not in SECTIONS:
        return []
    return [key for key, field in section_keys(section).items() if _is_model(field.annotation)]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def all_tables() -> list[str]:
    """Return the dotted name of every table: the sections, each followed by its inner tables."""
    return [name for section in SECTIONS for name in (section, *(f"{section}.{key}" for key in inner_tables(section)))]


def section_header(section: str) -> str:
    """Return the header of a section in the file."""
    return f"[[{section}]]" if section == "target" else f"[{section}]"


@cache
def section_models(section: str, kind: str | None = None) -> tuple[type[BaseModel], ...]:
    """Return the models of a section: one, unless it is of an unknown kind."""
    if section in KINDS:
        kinds = KINDS[section]
        return (kinds[kind],) if kind in kinds else tuple(kinds.values())
    outer, _, inner = section.partition(".")
    annotation = Config.model_fields[outer].annotation
    if inner:
        assert isinstance(annotation, type)
        assert issubclass(annotation, BaseModel)
        annotation = annotation.model_fields[inner].annotation
    assert isinstance(annotation, type)
    assert issubclass(annotation, BaseModel)
    return (annotation,)


def section_keys(section: str, kind: str | None = None) -> dict[str, FieldInfo]:
    """Return the keys valid in a section, `kind` first; of any of its kinds when `kind` is None or unknown."""
    fields: dict[str, FieldInfo] = {}
    for model in section_models(section, kind):
        fields = {**model.model_fields, **fields}
    return dict(sorted(fields.items(), key=lambda item: item[0] != "kind"))


def kinds_with(section: str, key: str) -> list[str]:
    """Return the kinds of a section that have this key."""
    return [kind for kind, model in KINDS.get(section, {}).items() if key in model.model_fields]


def tables_with_key(key: str) -> list[str]:
    """Return the tables in which this key is valid."""
    return [name for name in all_tables() if key in section_keys(name)]


def choices(field: FieldInfo) -> list[str]:
    """Return the texts that a key allows: the members of its Literal types."""
    return list(_literals(field.annotation))


def _literals(annotation: Any) -> Iterable[str]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _literals(get_args(annotation)[0])
    elif origin is not None and origin is not list and origin is not dict:
        for part in get_args(annotation):
            if isinstance(part, str):
                yield part
            else:
                yield from _literals(part)


def example_value(field: FieldInfo) -> object:
    """Return the example of a key, or its default, or its first choice."""
    if field.examples:
        return field.examples[0]
    if field.is_required():
        return choices(field)[0]
    return field.get_default(call_default_factory=True, validated_data={})


def closest_match(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that was probably meant, if there is a similar one."""
    plain = {re.sub(r"[-_. ]", "", candidate.casefold()): candidate for candidate in candidates}
    matches = difflib.get_close_matches(re.sub(r"[-_. ]", "", word[:60].casefold()), list(plain), n=1, cutoff=0.65)
    return plain[matches[0]] if matches else None


def join_with_or(values: Iterable[str]) -> str:
    """Return alternatives in words: `a`, `a or b`, `a, b or c`."""
    *others, last = list(values)
    return f"{', '.join(others)} or {last}" if others else last


def as_toml(value: object) -> str:
    """Return a value as it is written in a TOML file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, dict):
        inner = ", ".join(f"{as_toml_key(str(key))} = {as_toml(item)}" for key, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list):
        return f"[{', '.join(as_toml(item) for item in value)}]"
    return repr(value)


def as_toml_key(key: str) -> str:
    """Return a key as it is written in a TOML file: bare where that is possible."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else as_toml(key)


MAX_QUOTED = 60
"""Characters of a value from the file that a message repeats."""

_RANGES = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}
_TYPES: dict[Any, str] = {int: "an integer", float: "a number", bool: "true or false", str: "text", dict: "a table"}


def quote(text: str) -> str:
    """Return text in double quotes, shortened and safe."""
    return f'"{printable(text, MAX_QUOTED)}"'


def format_value(value: object) -> str:
    """Return a value as TOML, shortened and safe."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a number of {int(value.bit_length() * 0.30103) + 1} digits"
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, bool | int | float):
        return as_toml(value)
    return describe_value(value)


def describe_value(value: object) -> str:
    """Return a value with its type: `the text "eight"`, `a list`."""
    if isinstance(value, str):
        return f"the text {quote(value)}"
    if isinstance(value, bool):
        return as_toml(value)
    if isinstance(value, int | float):
        return (
            format_value(value)
            if isinstance(value, int) and value.bit_length() > 200
            else f"the number {format_value(value)}"
        )
    if isinstance(value, date | datetime | time):
        return "a date or a time"
    if value is None:
        return "nothing"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return "a table" if isinstance(value, dict) else "something else"


def describe_type(annotation: Any, marks: Iterable[object] = ()) -> list[str]:
    """Return the values that a type allows: `["an integer of at least 1", '"auto"']`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return describe_type(inner, [*marks, *more])
    if origin in (Union, types.UnionType):
        return [text for part in get_args(annotation) if part is not type(None) for text in describe_type(part)]
    if origin is Literal:
        return [f'"{choice}"' for choice in get_args(annotation)]
    if origin is list:
        return ["a list"]
    plain = _TYPES.get(origin or annotation, "something else")
    lowest = [part.ge for mark in marks for part in getattr(mark, "metadata", ()) if hasattr(part, "ge")]
    return [f"{plain} of at least {lowest[0]}" if plain == "an integer" and lowest else plain]


def is_union(field: FieldInfo) -> bool:
    """Whether values of several types are allowed, so that pydantic complains once for each."""
    return len({text[0] == '"' for text in describe_type(field.annotation)}) == 2


def describe_error(field: FieldInfo, error: ErrorDetails, value: object, *, is_item: bool = False) -> str:
    """Return why a value is invalid, as a predicate to the name of its key: `must be an integer, not ...`.

    Args:
        field: field of the key.
        error: error of pydantic.
        value: the invalid value.
        is_item: whether it is an item of a list; all lists are lists of texts.
    """
    kind, context = error["type"], error.get("ctx", {})
    if is_item and kind == "string_type":
        return f"must be text, not {describe_value(value)}"
    if is_union(field) and kind != PREDICATE:
        return f"must be {join_with_or(describe_type(field.annotation))}, not {describe_value(value)}"
    if kind == PREDICATE:
        return f"{context['text']} (got {format_value(value)})"
    if kind in _RANGES:
        words, bound = _RANGES[kind]
        limit = context[bound]
        plain = int(limit) if isinstance(limit, float) and limit.is_integer() else limit
        return f"must be {words} {plain} (got {format_value(value)})"
    if kind == "literal_error":
        options = join_with_or(describe_type(field.annotation))
        return f"must be {options}, not {format_value(value) if isinstance(value, str) else describe_value(value)}"
    if kind == "finite_number":
        return f"must be a finite number (got {format_value(value)})"
    if kind == "too_short":
        return "must not be empty"
    if kind == "string_unicode":
        return "must be text that can be written as UTF-8"
    if kind.endswith("_type"):
        return f"must be {join_with_or(describe_type(field.annotation))}, not {describe_value(value)}"
    return f"is not valid: {printable(error['msg'])} (got {format_value(value)})"


def hint_for_value(field: FieldInfo, value: object) -> str | None:
    """Return a hint for an invalid value, if one is likely to help."""
    kinds = describe_type(field.annotation)
    if isinstance(value, str):
        match = closest_match(value, choices(field))
        if match is not None:
            return f'did you mean "{match}"?'
        if "a list" in kinds:
            return f"write a list in brackets: [{as_toml(printable(value, MAX_QUOTED))}]"
        if _is_number(value) and any(kind.startswith(("an integer", "a number")) for kind in kinds):
            return f"without quotes: {value.strip()}"
        if value.lower() in ("true", "false") and "true or false" in kinds:
            return f"without quotes: {value.lower()}"
    elif isinstance(value, bool | int | float) and kinds == ["text"]:
        return f'write text in quotes: "{format_value(value)}"'
    return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return len(text) <= 20 and text.isascii() and "_" not in text
