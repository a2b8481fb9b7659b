"""Survivors that may stay, each with the reason: `accepted.toml`."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

FILE = Path(__file__).with_name("accepted.toml")


class Why(StrEnum):
    """What a test would have to tell apart to notice."""

    EQUIVALENT = "equivalent"
    """Nothing: no input makes a difference."""
    SPEED = "speed"
    """Time or memory."""
    ARM_STYLES = "looks"
    """Words, or how something is drawn."""
    CHOICE = "choice"
    """Another value that would do as well: a seed's stream, the length of a grid, a bound against rounding."""


@dataclass(frozen=True)
class Accepted:
    """Mutants of one line that may survive, known by what is changed and not by where that stands.

    Attributes:
        module: path of the module, relative to the repository.
        function: name of the innermost function or class; "" at the module's top.
        before: the line as it is, stripped.
        after: what it may be changed to, each stripped.
        why: the kind of reason.
        reason: the reason.
    """

    module: str
    function: str
    before: str
    after: tuple[str, ...]
    why: Why
    reason: str

    @property
    def keys(self) -> list[tuple[str, str, str, str]]:
        """What tells these mutants from others, see `Mutant.key`."""
        return [(self.module, self.function, self.before, after) for after in self.after]


def load(path: Path = FILE) -> list[Accepted]:
    """Load the list.

    Raises:
        ValueError: an entry lacks something or gives no known kind of reason.
    """
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("mutant", [])
    return [Accepted(**{**entry, "after": tuple(entry["after"]), "why": Why(entry["why"])}) for entry in entries]


def outdated(accepted: Iterable[Accepted], root: Path) -> list[Accepted]:
    """Return the entries whose line no longer exists."""
    return [entry for entry in accepted if not _has_line(root / entry.module, entry.before)]


def _has_line(module: Path, line: str) -> bool:
    return module.is_file() and line in map(str.strip, module.read_text(encoding="utf-8").splitlines())
