"""Requests for retrainings, as the command line and the app read and write them; importing this loads no numpy.

A counterfactual is a pruning too: its results directory is named after the example.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tui_influence.analysis.question import Question
from tui_influence.errors import ConfigError
from tui_influence.roles import ArmKind
from tui_influence.store.paths import Paths
from tui_influence.text import printable

DEFAULT_NAME = "main"
"""Name of a pruning that is given none."""


@dataclass(frozen=True)
class ClassList:
    """Groups that the user chose by hand.

    Attributes:
        kind: `keep` or `drop`: what an arm does with the groups.
        groups: their names.
        name: of the list, in messages and tables.
    """

    kind: ArmKind
    groups: tuple[str, ...]
    name: str

    @property
    def label(self) -> str:
        """The label of its arm in tables."""
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class PruningRequest:
    """A user's request for retrainings; None or empty where nothing is chosen.

    Attributes:
        drop_counts: numbers of groups to drop.
        lists: lists of groups to keep or to drop.
        seeds: repeats of each arm.
        baselines: kinds of arms that a single model ranks for.
        weights: of the targets that count, by name.
        estimator: of the influences that groups are ranked by.
        output: that the influences are on.
        ci_half_width: half width, as a fraction, that the interval of an accuracy's gain may have; seeds are added
            until it is reached. 0 adds none, which is also what `seeds` alone means.
        max_seeds: repeats of an arm at most, however wide its interval is.
        settings: of the retraining that differ from the sweep's, by dotted keys such as `train.epochs`. `transfer`
            applies to every target.
        same: what all arms have in common: `epochs`, or `steps`, as many as keeping everything takes.
        devices: instead of the config's.
    """

    drop_counts: tuple[int, ...] = ()
    lists: tuple[ClassList, ...] = ()
    seeds: int | None = None
    baselines: tuple[ArmKind, ...] | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    estimator: str = ""
    output: str = ""
    ci_half_width: float | None = None
    max_seeds: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    same: Literal["epochs", "steps"] | None = None
    devices: list[str] | str | None = None

    @property
    def chooses_arms(self) -> bool:
        """Whether it names arms, seeds or baselines."""
        return bool(self.drop_counts or self.lists) or self.seeds is not None or self.baselines is not None

    def command(
        self, results: Path, name: str, *, question: Question | None = None, list_file: Path | None = None
    ) -> str:
        """Return the command line that retrains the same arms, ready to be pasted into a shell.

        Args:
            results: the sweep's results directory.
            name: of the pruning.
            question: that ranks the groups; None where the pruning has a ranking of its own.
            list_file: the file that holds the groups of the first list.
        """
        default = Question()
        question = question or default
        class_list = self.lists[0] if self.lists else None
        options = {
            "--name": name if name != DEFAULT_NAME else None,
            "--drop-counts": ",".join(map(str, self.drop_counts)) or None,
            f"--{class_list.kind if class_list else 'drop'}": str(list_file) if class_list and list_file else None,
            "--seeds": self.seeds,
            "--baselines": None if self.baselines is None else ",".join(self.baselines) or "none",
            "--target": question.target,
            "--estimator": question.estimator if question.estimator != question.default_estimator else None,
            "--output-kind": question.output_kind if question.output_kind != default.output_kind else None,
        }
        given = [f"{option}={value}" for option, value in options.items() if value is not None]
        return shlex.join(["tinfl", "prune", *given, "--", str(results)])


def parse_drop_counts(text: str) -> tuple[int, ...]:
    """Return the numbers that a list such as "10,20,40" names.

    Raises:
        ConfigError: they are no numbers.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        raise ConfigError(f'--drop-counts "{printable(text, 60)}": must be numbers of classes, such as 10,20,40')
    return tuple(int(part) for part in parts)


def class_list_text(names: Sequence[str]) -> str:
    """Return a list of groups as `--keep` and `--drop` read it."""
    return "".join(f"{name}\n" for name in names)


_NAME = re.compile(r"(?:target-\d+-)?example-(\d+)")


def counterfactual_paths(sweep: Paths, target: int, example: int) -> Paths:
    """Return the results directory of an example's counterfactual, whether it exists or not: a pruning named after it.

    Args:
        sweep: the sweep that the influences on the example come from.
        target: position of the target, which is part of the name unless it is the first.
        example: number of the test example.
    """
    name = f"example-{example}" if not target else f"target-{target}-example-{example}"
    return Paths(sweep.prunings / name)


def counterfactual_example(name: str) -> int | None:
    """Return the example that a pruning is the counterfactual of, by its name; None if it is none."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def counterfactual_command(question: Question, results: str | Path, seeds: int | None = None) -> str:
    """Return the command line that starts, extends or reports the counterfactual of the question's example."""
    more = [] if seeds is None else [f"--seeds={seeds}"]
    return shlex.join(["tinfl", "failures", "--verify", *more, *question.arguments(results, "failures")[1:]])


def describe_weights(weights: Mapping[str, float]) -> str:
    """Return targets and their shares in words, such as "birds 75%, cars 25%": equal mixes give equal words."""
    total = sum(weights.values())
    if len(weights) == 1:
        return printable(next(iter(weights)))
    return ", ".join(f"{printable(name)} {100 * weight / total:.3g}%" for name, weight in sorted(weights.items()))
