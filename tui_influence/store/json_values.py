"""JSON from untrusted files: parsed with limits, and checked value by value.

No number is infinite, NaN or huge, and nothing is nested deeper or has more parts than any file that tinfl writes.
"""

import hashlib
import json
from math import isfinite
from typing import Any, NoReturn

from tui_influence.text import printable

_MAX_DIGITS = 20
"""Characters of a whole number, at most: those of 64 bits, with a sign."""
_MAX_PARTS = 2 << 20
"""Objects and arrays in a file, at most: each takes up to 200 bytes of memory for 3 bytes of text."""
_MAX_DEPTH = 100
"""Objects and arrays inside each other, at most."""
_CONTAINERS = (dict, list)
_MAX_NUMBER = 1e100
"""Of any number, so that sums and products of many are finite."""
_DIGEST = "digest"


def parse(content: bytes) -> Any:
    """Return the value in a JSON text.

    Raises:
        ValueError: it is not JSON, or has NaN, an infinity, a number of too many digits, or too many parts.
    """
    parts = content.count(b"{") + content.count(b"[")
    if parts > _MAX_PARTS:
        raise ValueError("too many parts")
    try:
        value = json.loads(content, parse_float=_float, parse_int=_integer, parse_constant=_constant)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if parts > _MAX_DEPTH:
        _check_depth(value)
    return value


def finite(value: Any) -> Any:
    """Return a value that `parse` accepts, without the fields of objects that are NaN, infinite or huge."""
    if isinstance(value, dict):
        return {
            key: finite(part) for key, part in value.items() if not isinstance(part, float) or abs(part) <= _MAX_NUMBER
        }
    return [finite(part) for part in value] if isinstance(value, list | tuple) else value


def with_digest(values: dict[str, Any]) -> dict[str, Any]:
    """Return an object with a digest of all its other fields."""
    return values | {_DIGEST: _digest(values)}


def matches_digest(values: dict[str, Any]) -> bool:
    """Whether an object matches its digest; older versions wrote none."""
    return _DIGEST not in values or values[_DIGEST] == _digest(
        {key: value for key, value in values.items() if key != _DIGEST}
    )


def _digest(values: dict[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=16).hexdigest()


def text(value: Any) -> str:
    """Return a text.

    Raises:
        TypeError: it is not a text; so in every function below.
    """
    if not isinstance(value, str):
        raise TypeError(f"a text expected, not {_excerpt(value)}")
    return value


def texts(value: Any) -> list[str]:
    """Return a list of texts."""
    return [text(item) for item in array(value)]


def array(value: Any) -> list[Any]:
    """Return a list."""
    if not isinstance(value, list):
        raise TypeError(f"a list expected, not {_excerpt(value)}")
    return value


def table(value: Any) -> dict[str, Any]:
    """Return an object."""
    if not isinstance(value, dict):
        raise TypeError(f"an object expected, not {_excerpt(value)}")
    return value


def number(value: Any, minimum: float = float("-inf"), maximum: float = float("inf")) -> float:
    """Return a finite number.

    Raises:
        ValueError: it is below `minimum`, above `maximum`, or not finite.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"a number expected, not {_excerpt(value)}")
    if not (isfinite(value) and minimum <= value <= maximum):
        raise ValueError(f"a number from {minimum:g} to {maximum:g} expected, not {_excerpt(value)}")
    return float(value)


def numbers(value: Any) -> dict[str, float]:
    """Return an object of finite numbers, as `parse` returned it."""
    kinds = set(map(type, table(value).values()))
    if not kinds <= {float, int}:
        raise TypeError(f"numbers expected, not {_excerpt(value)}")
    return value if kinds <= {float} else {name: float(part) for name, part in value.items()}


def count(value: Any, maximum: int = 100_000_000) -> int:
    """Return a whole number from 0 to `maximum`.

    Raises:
        ValueError: it is another number.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"a count expected, not {_excerpt(value)}")
    if not 0 <= value <= maximum:
        raise ValueError(f"a count up to {maximum:,} expected, not {_excerpt(value)}")
    return value


def _check_depth(value: Any) -> None:
    """Refuse nesting that `json.dumps` could not write when it is called deeper in the program."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > _MAX_DEPTH:
            raise ValueError("nested too deep")
        inner = (part.values() if type(part) is dict else part for part in level if type(part) in _CONTAINERS)
        level = [part for parts in inner for part in parts if type(part) in _CONTAINERS]


def _float(digits: str) -> float:
    value = float(digits)
    if not abs(value) <= _MAX_NUMBER:
        raise ValueError("a number beyond what can be computed with")
    return value


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def _constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def _excerpt(value: Any) -> str:
    return printable("null" if value is None else repr(value)[:200], 40)


def describe_damage(error: Exception) -> str:
    """Return why values are damaged, by the exception of one of these functions or of a missing field."""
    return (
        f'"{printable(str(error.args[0]), 60)}" is missing'
        if isinstance(error, KeyError)
        else printable(str(error), 80)
    )
