"""Configs with mistakes of every kind: each is read, or refused in printable lines, and neither takes long."""

import random
import time
from collections import Counter
from pathlib import Path

from tests.e2e.program import CONFIG
from tui_influence.config.loader import load_config
from tui_influence.errors import ConfigError
from tui_influence.text import printable

_ROOT = Path(__file__).parents[2]
_VALUES = (
    "0", "-1", "1", "3", "0.5", "1e999", "-1e999", "nan", "inf", "-0.0", "1e-320", "1_000", "+1", "0o17", "true",
    "9" * 400, "0x" + "f" * 80, '""', '"x"', "'''a\nb'''", '"\\u0000"', '"\\u001b[2J"', '"a\\u0000b"',
    '"' + "y" * 5000 + '"', "[]", "{}", "[[[]]]", "[" * 900 + "]" * 900, "{a=" * 200 + "1" + "}" * 200, "[1, 'a', {}]",
    "1979-05-27", "07:32:00", '"~nobody-of-that-name/x"', '"/dev/zero"', '"/dev/stdin"',
    '["cpu", "cuda:99999999999999999999"]',
)  # fmt: skip
_PIECES = (
    "\r", "\r\r\n", "\x00", "\x1b", "\ufeff", "\u2028", "\u202e", "\ud800", "[", "]", "[[", "=", '"', "'", "'''",
    "#", "\\", ".", "é", "[source]\n", "[[target]]\n", "[compute.slurm]\n", "a.b.c = 1\n", "[a.b.c]\n", "kind = 1\n",
)  # fmt: skip
_LONGEST = 10.0
"""Seconds that no config of this size may take to be read."""


def attempt(directory: Path, rng: random.Random, configs: int = 1000) -> Counter[str]:
    """Read many configs with a few random mistakes each."""
    originals = [CONFIG.format(output="results", models=10, epochs=1)]
    originals += [path.read_text() for path in sorted((_ROOT / "sample_configs").glob("*.toml"))]
    path, counts = directory / "sweep.toml", Counter[str]()
    for _ in range(configs):
        content = mutated(rng.choice(originals), rng)
        path.write_bytes(content)
        began = time.monotonic()
        refusal = _refusal_of(path)
        if refusal is None:
            counts["configs read"] += 1
        else:
            message, *details = refusal
            assert message
            assert message == printable(message)
            assert all(part == printable(part) for detail in details for part in detail.split("\n"))
            counts["configs refused"] += 1
        assert time.monotonic() - began < _LONGEST, "it takes too long"
    return counts


def _refusal_of(path: Path) -> list[str] | None:
    """Return the lines with which a config is refused; None if it is read."""
    try:
        load_config(path)
    except ConfigError as error:
        return [str(error), *error.details]
    return None


def mutated(text: str, rng: random.Random) -> bytes:
    """Return a config with up to four random mistakes."""
    for _ in range(rng.randint(1, 4)):
        text = rng.choice(_MUTATIONS)(text, rng)
    content = text.encode("utf-8", errors="surrogatepass")
    if rng.random() < 0.02:
        content = content.decode("utf-8", errors="replace").encode("utf-16")
    if rng.random() < 0.05:
        position = rng.randrange(len(content) + 1)
        content = content[:position] + rng.randbytes(rng.randint(1, 4)) + content[position:]
    return content


def _without_a_piece(text: str, rng: random.Random) -> str:
    start = rng.randrange(len(text) + 1)
    return text[:start] + text[start + rng.choice((1, 1, 1, 5, 50, 10**6)) :]


def _with_a_piece(text: str, rng: random.Random) -> str:
    start = rng.randrange(len(text) + 1)
    return text[:start] + rng.choice(_PIECES) + text[start:]


def _lines_moved(text: str, rng: random.Random) -> str:
    lines = text.splitlines(keepends=True) or [""]
    lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
    if rng.random() < 0.5:
        lines.pop(rng.randrange(len(lines)))
    if rng.random() < 0.1:
        rng.shuffle(lines)
    return "".join(lines)


def _another_value(text: str, rng: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    places = [number for number, line in enumerate(lines) if "=" in line]
    if places:
        number = rng.choice(places)
        lines[number] = f"{lines[number].partition('=')[0]}= {rng.choice(_VALUES)}\n"
    return "".join(lines)


def _another_key(text: str, rng: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    places = [number for number, line in enumerate(lines) if "=" in line]
    if len(places) > 1:
        number, other = rng.choice(places), rng.choice(places)
        key, value = lines[other].partition("=")[0], lines[number].partition("=")[2]
        lines[number] = f"{key}={value}"
    return "".join(lines)


def _other_line_ends(text: str, rng: random.Random) -> str:
    return text.replace("\n", rng.choice(("\r\n", "\r\r\n", "\r\r\r\n", "\r", "\n\n")))


_MUTATIONS = (
    _without_a_piece, _with_a_piece, _lines_moved, _another_value, _another_value, _another_key, _other_line_ends,
)  # fmt: skip
