"""The types of single config values that need more than a range: names, paths, devices, networks, arguments.

Each check raises a `PydanticCustomError` whose text is a predicate ("must be ..."), which `explain` puts after the
name of the key. Nothing here touches the file system.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from tui_influence.text import printable

PREDICATE = "predicate"
"""The type of the errors raised here."""

ARGUMENT_LEVELS = 8
"""How deep tables and lists of arguments may be nested."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_DEVICE = re.compile(r"(cpu|cuda)(:[0-9]{1,3})?")
_ARCH = re.compile(r"[A-Za-z_]\w*|[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", re.ASCII)
_PYTHON_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)
_OWN_ARCHS = ("small-cnn", "resnet9")
_GROUP_WORDS = ("class", "example")


@dataclass(frozen=True)
class Location:
    """Marks a field as saying where data lie, not what they are: `identity` leaves it out beside a fingerprint.

    Attributes:
        words: values that are no places, and count as they are.
        instead: what counts in place of any other value; None is nothing at all.
    """

    words: tuple[str, ...] = ()
    instead: str | None = None


def _predicate(text: str) -> PydanticCustomError:
    return PydanticCustomError(PREDICATE, "{text}", {"text": text})


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise _predicate('must be 1 to 100 letters, digits, ".", "_" or "-", and begin with a letter or a digit')
    return value


def _path(value: str) -> str:
    if not value.strip():
        raise _predicate("must not be empty")
    if printable(value) != value:
        raise _predicate("must be a path without control characters or invisible ones")
    return value


def _groups(value: str) -> str:
    if value in _GROUP_WORDS or value.lower().endswith(".csv"):
        return _path(value)
    raise _predicate('must be "class", "example", or a path that ends in .csv')


def _device(value: str) -> str:
    if not _DEVICE.fullmatch(value):
        raise _predicate('must be "cpu", "cuda", or a numbered device such as "cuda:0"')
    return value


def _arch(value: str) -> str:
    if value in _OWN_ARCHS:
        return value
    plain = re.sub(r"[-_ ]", "", value.lower())
    for own in _OWN_ARCHS:
        if plain == own.replace("-", ""):
            raise _predicate(f'must be spelt "{own}"')
    if not _ARCH.fullmatch(value):
        raise _predicate(
            'must be "small-cnn", "resnet9", the name of a torchvision.models classifier, or "module:callable"'
        )
    return value


def _python_name(value: str) -> str:
    if not _PYTHON_NAME.fullmatch(value):
        raise _predicate("must be the name of a class, such as CIFAR10")
    return value


def _arguments(value: dict[str, Any]) -> dict[str, Any]:
    for level, item in _walk(value):
        if level > ARGUMENT_LEVELS:
            raise _predicate(f"must not be nested more than {ARGUMENT_LEVELS} levels deep")
        if isinstance(item, bool | str | list | dict):
            continue
        if isinstance(item, int) and -(2**63) <= item < 2**63:
            continue
        if isinstance(item, float) and math.isfinite(item):
            continue
        raise _predicate(
            "must hold only text, finite numbers of at most 64 bits, true, false, lists and tables of these"
        )
    return value


def _walk(value: object) -> Iterator[tuple[int, object]]:
    """Yield every value inside `value` with its depth, without recursion and no deeper than is allowed."""
    waiting: list[tuple[int, object]] = [(0, value)]
    while waiting:
        level, item = waiting.pop()
        yield level, item
        inner = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        waiting.extend((level + 1, child) for child in inner)


Name = Annotated[str, AfterValidator(_name)]
"""A run's or a target's name: also a file name, everywhere."""

PathText = Annotated[str, AfterValidator(_path)]
DataPath = Annotated[PathText, Location()]
OptionalPath = Annotated[PathText | None, Location()]
Groups = Annotated[str, AfterValidator(_groups), Location(words=_GROUP_WORDS, instead="csv")]
Device = Annotated[str, AfterValidator(_device)]
Arch = Annotated[str, AfterValidator(_arch)]
PythonName = Annotated[str, AfterValidator(_python_name)]
Arguments = Annotated[dict[str, Any], AfterValidator(_arguments)]
"""Keyword arguments for somebody else's constructor: JSON values, so that a saved config holds them exactly."""

Count = Annotated[int, Field(le=10**9)]
"""How many of something; more would be a slip of the pen, and is no number that a saved config could hold."""

Positive = Annotated[int, Field(ge=1, le=10**9)]
