"""Which keys and values the schema knows, and where: what the messages and the template say about it.

Everything here is read from the pydantic models, so it cannot disagree with them.
"""

import difflib
import json
import re
from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tui_influence.config.schema import Config, Source, Target


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
