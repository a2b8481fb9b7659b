"""What a user chooses of a pruning, as command line and app read it and write it down. Loads nothing heavy."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tui_influence.analysis.question import Question
from tui_influence.errors import ConfigError
from tui_influence.store.paths import Paths
from tui_influence.text import printable

MAIN = "main"
"""Name of a pruning where nobody gives it one."""


@dataclass(frozen=True)
class Choice:
    """What is to be retrained; None or empty where nothing is chosen.

    Attributes:
        ks: numbers of groups to drop.
        seeds: repeats of each arm.
        baselines: whether one model's rankings are compared with.
        verb: `keep` or `drop`: what is done with the groups of `listed`.
        listed: names of groups that were chosen by hand.
    """

    ks: tuple[int, ...] = ()
    seeds: int | None = None
    baselines: bool | None = None
    verb: str = "drop"
    listed: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is chosen."""
        return not (self.ks or self.listed) and self.seeds is None and self.baselines is None

    def command(self, results: Path, name: str, *, question: Question | None = None, listed: Path | None = None) -> str:
        """Return the command line that retrains the same, ready to be pasted into a shell.

        Args:
            results: the sweep's results directory.
            name: of the pruning.
            question: that ranks the groups; None where the pruning has a ranking of its own.
            listed: the file that holds the groups chosen by hand.
        """
        plain = Question()
        asked = question or plain
        options = {
            "--name": name if name != MAIN else None,
            "--drop-counts": ",".join(map(str, self.ks)) or None,
            f"--{self.verb}": str(listed) if self.listed and listed is not None else None,
            "--seeds": self.seeds,
            "--baselines": None if self.baselines is None else BOTH if self.baselines else "none",
            "--target": asked.target,
            "--estimator": asked.estimator if asked.estimator != plain.estimator else None,
            "--output-kind": asked.output_kind if asked.output_kind != plain.output_kind else None,
        }
        given = [f"{option}={value}" for option, value in options.items() if value is not None]
        return shlex.join(["tinfl", "prune", *given, "--", str(results)])


BOTH = "label-mapping,feature-mapping"
"""The baselines, as `--baselines` lists them."""


def numbers(text: str) -> tuple[int, ...]:
    """Return the numbers that a list such as "10,20,40" names.

    Raises:
        ConfigError: they are no numbers.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        raise ConfigError(f'--drop-counts "{printable(text, 60)}": must be numbers of classes, such as 10,20,40')
    return tuple(int(part) for part in parts)


def listed_text(names: Sequence[str]) -> str:
    """Return a list of groups as `--keep` and `--drop` read it."""
    return "".join(f"{name}\n" for name in names)


_NAME = re.compile(r"(?:target-\d+-)?example-(\d+)")


def kept_at(sweep: Paths, target: int, example: int) -> Paths:
    """Return where the verification of an example is, or would be, kept: it is a pruning, called by its example.

    Args:
        sweep: the sweep whose models are asked what is to blame.
        target: position of the target; all but the first are named too.
        example: number of the test example.
    """
    name = f"example-{example}" if not target else f"target-{target}-example-{example}"
    return Paths(sweep.prunings / name)


def example_of(name: str) -> int | None:
    """Return the example that the pruning of a name verifies; None if it is of another kind."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else None


def verify_command(question: Question, results: str | Path, seeds: int | None = None) -> str:
    """Return the command line that verifies the question's example, or shows what that found; or retrains more."""
    more = [] if seeds is None else [f"--seeds={seeds}"]
    return shlex.join(["tinfl", "failures", "--verify", *more, *question.arguments(results, "failures")[1:]])
