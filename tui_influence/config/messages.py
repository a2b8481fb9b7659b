"""Which keys and values the schema knows, and where: what the messages and the template say about it.

Everything here is read from the pydantic models, so it cannot disagree with them.

What a value must be and what was found instead, in plain words.

Ranges and choices are read from pydantic's errors and from the schema. All text returned is safe to print.
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


def _by_kind(union: Any) -> dict[str, type[BaseModel]]:
    models: tuple[type[BaseModel], ...] = get_args(get_args(union)[0])
    return {get_args(model.model_fields["kind"].annotation)[0]: model for model in models}


KINDS: dict[str, dict[str, type[BaseModel]]] = {"source": _by_kind(Source), "target": _by_kind(Target)}
"""For the sections whose keys depend on `kind`: the model of each kind."""

SECTIONS: tuple[str, ...] = tuple(Config.model_fields)


def inner_tables(section: str) -> list[str]:
    """Return the keys of a section that are tables of their own, such as `slurm` of `compute`."""
    if section in KINDS or section not in SECTIONS:
        return []
    return [key for key, field in keys(section).items() if _is_model(field.annotation)]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def all_tables() -> list[str]:
    """Return every table there may be, dotted: the sections, each followed by its inner tables."""
    return [name for section in SECTIONS for name in (section, *(f"{section}.{key}" for key in inner_tables(section)))]


def header(section: str) -> str:
    """Return how a section begins in the file."""
    return f"[[{section}]]" if section == "target" else f"[{section}]"


@cache
def models(section: str, kind: str | None = None) -> tuple[type[BaseModel], ...]:
    """Return the models a section may have: one, unless it is of an unknown kind."""
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


def keys(section: str, kind: str | None = None) -> dict[str, FieldInfo]:
    """Return the keys valid in a section, `kind` first; of any of its kinds when `kind` is None or unknown."""
    found: dict[str, FieldInfo] = {}
    for model in models(section, kind):
        found = {**model.model_fields, **found}
    return dict(sorted(found.items(), key=lambda item: item[0] != "kind"))


def kinds_with(section: str, key: str) -> list[str]:
    """Return the kinds of a section that have this key."""
    return [kind for kind, model in KINDS.get(section, {}).items() if key in model.model_fields]


def homes(key: str) -> list[str]:
    """Return the tables in which this key is valid."""
    return [name for name in all_tables() if key in keys(name)]


def choices(field: FieldInfo) -> list[str]:
    """Return the texts a key may be, where they are few: the members of its Literal types."""
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


def example(field: FieldInfo) -> object:
    """Return a value to show for a key: its example, or its default, or its first choice."""
    if field.examples:
        return field.examples[0]
    if field.is_required():
        return choices(field)[0]
    return field.get_default(call_default_factory=True, validated_data={})


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that was probably meant, if one is near."""
    known = list(candidates)
    plain = {re.sub(r"[-_. ]", "", candidate.casefold()): candidate for candidate in known}
    close = difflib.get_close_matches(re.sub(r"[-_. ]", "", word[:60].casefold()), list(plain), n=1, cutoff=0.65)
    return plain[close[0]] if close else None


def any_of(values: Iterable[str]) -> str:
    """Return a list in words: `a`, `a or b`, `a, b or c`."""
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
