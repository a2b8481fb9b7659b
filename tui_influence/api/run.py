"""A run in a notebook: its masks, outputs and influences as arrays, and the answers of the commands as values.

Nothing is computed here. A method makes the `Question` that a command makes of its options, and calls the functions
that the command calls, so that both give the same numbers and the same reasons for a refusal.
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, reduce
from operator import index as as_int
from os import PathLike, fspath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.analysis.failures import DEFAULT_GROUPS, find_failures
from tui_influence.analysis.names import group_index
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import data_warnings, rank
from tui_influence.analysis.snapshot import RunSnapshot, read_snapshot
from tui_influence.analysis.subpopulations import driven_examples, find_subpopulations
from tui_influence.analysis.types import RankingResult
from tui_influence.api.results import GroupInfluences, GroupRanking, RunDescription, group_influences
from tui_influence.export.failures import failures_document
from tui_influence.export.pruning import pruning_document
from tui_influence.export.subpopulations import classes_document, source_document
from tui_influence.influence.estimators import PLAIN_ESTIMATOR
from tui_influence.influence.outputs import outputs_of_kind
from tui_influence.pruning.agreement import order_agreement
from tui_influence.pruning.planning import pruning_directory, pruning_names
from tui_influence.pruning.results import load_pruning
from tui_influence.regular_files import expand_home
from tui_influence.runs.overview import overview
from tui_influence.store.examples import Examples
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo, read_run_info
from tui_influence.text import did_you_mean, printable


def open_run(path: str | PathLike[str]) -> "Run":
    """Open the results directory of a run; it may still be training. Nothing is written to it.

    >>> import tui_influence as tinfl
    >>> run = tinfl.open("results/my-run")
    >>> run.info.name
    'small'

    Args:
        path: of the results directory.

    Raises:
        ResultsError: it is missing, damaged, from a newer version, or not one of tinfl.
    """
    return Run(path)


class Run:
    """A run, by its results directory.

    The records of a target are read when it is first asked about, and once: all answers are about the same models.
    Open the run again to include those recorded since.

    >>> import tui_influence as tinfl
    >>> run = tinfl.open("results/my-run")
    >>> run
    Run('results/my-run')
    >>> run.ranking(cls="x").rows[0].group
    'class 00'
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._paths = Paths(expand_home(fspath(path)))
        self._run_info = read_run_info(self._paths.root)
        self._snapshots: dict[int, RunSnapshot] = {}

    def __repr__(self) -> str:
        return f"Run({str(self._paths.root)!r})"

    @property
    def info(self) -> RunDescription:
        """What the run is, and how many models it has by now.

        >>> import tui_influence as tinfl
        >>> info = tinfl.open("results/my-run").info
        >>> len(info.groups), dict(info.targets), info.recorded["estimate"]
        (10, {'digits': ('x', 'y', 'z')}, 120)
        """
        info, state = self._run_info, overview(self._paths, self._run_info, max_failures=0)
        planned, recorded, failed = (
            {role.value: count for role, count in counts.items()}
            for counts in (state.planned, state.done, state.failed)
        )
        return RunDescription(
            name=info.name,
            identity=info.identity,
            classes=tuple(info.source.classes),
            groups=tuple(info.source.groups),
            targets={target.name: tuple(target.classes) for target in info.targets},
            design=info.design_label,
            planned=planned,
            recorded=recorded,
            failed=failed,
        )

    @cached_property
    def indices(self) -> NDArray[np.int64]:
        """Numbers of the usable models, (m,), ascending: those with a sound record for every target."""
        everything = (self._snapshot(target.name).outputs.indices for target in self._run_info.targets)
        return reduce(np.intersect1d, everything)

    @property
    def masks(self) -> NDArray[np.bool_]:
        """Whether each usable model was trained on each group, (m, K) bool; rows as in `outputs`.

        >>> import tui_influence as tinfl
        >>> run = tinfl.open("results/my-run")
        >>> run.masks.shape, run.masks.dtype
        ((120, 10), dtype('bool'))
        """
        outputs = self._snapshot(None).outputs
        return outputs.masks[np.isin(outputs.indices, self.indices)]

    def examples(self, target: str | None = None) -> Examples:
        """Return the n test examples of a target: `labels`, `names`, and `estimate`, the half that rankings are from.

        Args:
            target: its name; None is the first.

        Raises:
            ConfigError: there is no such target.
            ResultsError: its records cannot be read.
        """
        return self._snapshot(target).examples

    def outputs(self, target: str | None = None, kind: str = "margin") -> NDArray[np.float32]:
        """Return the outputs of the usable models on a target's test examples, (m, n) float32; rows as in `masks`.

        >>> import tui_influence as tinfl
        >>> run = tinfl.open("results/my-run")
        >>> run.outputs("digits", kind="probability").shape
        (120, 12)

        Args:
            target: its name; None is the first.
            kind: `margin` (nats), `probability` of the correct class, or `correct` (1 or 0).

        Raises:
            ConfigError: there is no such target or kind.
            ResultsError: its records cannot be read.
        """
        snapshot = self._snapshot(target)
        outputs, rows = snapshot.outputs, np.isin(snapshot.outputs.indices, self.indices)
        values = outputs_of_kind(outputs.margins[rows], outputs.predicted[rows], snapshot.examples.labels, kind)
        return values.astype(np.float32)

    def ranking(
        self,
        target: str | None = None,
        cls: str | None = None,
        example: int | None = None,
        estimator: str | None = None,
        *,
        kind: str = "margin",
        split: str = "estimate",
    ) -> GroupRanking:
        """Rank the groups by their influence on a target, one of its classes or one example, as `tinfl rank` does.

        >>> import tui_influence as tinfl
        >>> ranking = tinfl.open("results/my-run").ranking()
        >>> [row.group for row in ranking][:2]
        ['class 00', 'class 01']
        >>> ranking.to_pandas().shape
        (10, 9)

        Args:
            target: its name; None is the first.
            cls: one of its classes; None is all of them.
            example: number of one test example, from 0.
            estimator: `difference`, `ridge` or `informed`; None is the run's default.
            kind: output that influence is on: `margin`, `probability` or `correct`.
            split: test examples to use: `estimate`, `evaluate` or `all`.

        Raises:
            ConfigError: there is no such target, class, example, estimator, kind or split.
            ResultsError: the run has no records yet, or cannot be read.
        """
        result = self._rank(self._question(target, cls, example, kind, split, estimator))
        return GroupRanking(result.report, result.warnings)

    def influence(
        self,
        target: str | None = None,
        cls: str | None = None,
        estimator: str | None = None,
        *,
        example: int | None = None,
        kind: str = "margin",
        split: str = "estimate",
    ) -> GroupInfluences:
        """Return the numbers of `ranking` as arrays in the order of the groups; arguments as there.

        >>> import tui_influence as tinfl
        >>> influence = tinfl.open("results/my-run").influence("digits")
        >>> influence.groups[0], influence.estimates.shape, influence.intervals.shape
        ('class 00', (10,), (10, 2))

        Raises:
            ConfigError: as `ranking`.
            ResultsError: as `ranking`.
        """
        return group_influences(self._rank(self._question(target, cls, example, kind, split, estimator)).report)

    @property
    def prunings(self) -> Mapping[str, dict[str, Any]]:
        """Results of the run's prunings by name, each as `tinfl prune --json` writes it; read when it is taken.

        >>> import tui_influence as tinfl
        >>> list(tinfl.open("results/my-run").prunings)
        []
        """
        return _Prunings(self._paths, self._run_info)

    def failures(
        self,
        target: str | None = None,
        cls: str | None = None,
        example: int | None = None,
        estimator: str | None = None,
        *,
        kind: str = "margin",
        split: str = "estimate",
        below: float | None = None,
        top: int | None = None,
        groups: int = DEFAULT_GROUPS,
    ) -> dict[str, Any]:
        """Return the examples that most models get wrong, with harmful groups, as `tinfl failures --json` writes them.

        >>> import tui_influence as tinfl
        >>> document = tinfl.open("results/my-run").failures(top=1)
        >>> document["n_examples"], len(document["failures"])
        (6, 1)

        Args:
            target: as in `ranking`.
            cls: as in `ranking`.
            example: as in `ranking`.
            estimator: as in `ranking`; None is `difference`.
            kind: as in `ranking`.
            split: as in `ranking`.
            below: a mean margin, nats; examples with a lower one are included; None includes failures alone.
            top: at most so many; None is all.
            groups: harmful groups for each, at most.

        Raises:
            ConfigError: as `ranking`.
            ResultsError: as `ranking`.
        """
        question = self._question(target, cls, example, kind, split, estimator or PLAIN_ESTIMATOR)
        snapshot = self._warned_snapshot(question)
        floor = -np.inf if below is None else below
        result = find_failures(snapshot, question, below=floor, top=top, n_groups=groups)
        return failures_document(snapshot, question, result)

    def subpopulations(
        self,
        target: str | None = None,
        cls: str | None = None,
        source: str | None = None,
        estimator: str | None = None,
        *,
        kind: str = "margin",
        split: str = "estimate",
        top: int | None = None,
    ) -> dict[str, Any]:
        """Return the examples of each class by the group that drives them, as `tinfl subpops --json` writes them.

        >>> import tui_influence as tinfl
        >>> document = tinfl.open("results/my-run").subpopulations(split="all")
        >>> [part["class"] for part in document["classes"]]
        ['x', 'y', 'z']

        Args:
            target: as in `ranking`.
            cls: as in `ranking`.
            source: only the examples that this source group drives; None is every group.
            estimator: as in `ranking`; None is `difference`.
            kind: as in `ranking`.
            split: as in `ranking`.
            top: at most so many of each list; None is all.

        Raises:
            ConfigError: as `ranking`; or there is no such source group.
            ResultsError: as `ranking`.
        """
        question = self._question(target, cls, None, kind, split, estimator or PLAIN_ESTIMATOR)
        snapshot = self._warned_snapshot(question)
        if source is not None:
            driven = driven_examples(snapshot, question, group_index(snapshot.info, source))
            return source_document(snapshot, question, driven, top)
        return classes_document(snapshot, question, find_subpopulations(snapshot, question), top)

    def _question(
        self, target: str | None, cls: str | None, example: int | None, kind: str, split: str, estimator: str | None
    ) -> Question:
        number = None if example is None else as_int(example)
        return Question(target, cls, number, split, output_kind=kind).about(self._run_info, estimator)

    def _snapshot(self, target: str | None) -> RunSnapshot:
        position = self._run_info.target_index(target)
        if position not in self._snapshots:
            self._snapshots[position] = read_snapshot(self._paths, self._run_info, target)
        return self._snapshots[position]

    def _warned_snapshot(self, question: Question) -> RunSnapshot:
        snapshot = self._snapshot(question.target)
        _warn(data_warnings(snapshot))
        return snapshot

    def _rank(self, question: Question) -> RankingResult:
        result = rank(self._snapshot(question.target), question)
        _warn(result.warnings)
        return result


class _Prunings(Mapping[str, dict[str, Any]]):
    """The prunings of a run by name."""

    def __init__(self, paths: Paths, info: RunInfo) -> None:
        self._paths, self._info = paths, info

    def __getitem__(self, name: str) -> dict[str, Any]:
        names = pruning_names(self._paths)
        if name not in names:
            raise KeyError(f'the run has no pruning "{printable(name)}"{did_you_mean(name, names)}')
        results = load_pruning(pruning_directory(self._paths, name))
        if results.damaged:
            _warn([f"{len(results.damaged)} damaged records were left out: {printable(results.damaged[0])}"])
        return pruning_document(results, order_agreement(results, self._info))

    def __iter__(self) -> Iterator[str]:
        return iter(pruning_names(self._paths))

    def __len__(self) -> int:
        return len(pruning_names(self._paths))

    def __repr__(self) -> str:
        return f"<prunings: {', '.join(map(printable, self)) or 'none'}>"


def _warn(texts: Iterable[str]) -> None:
    for text in texts:
        warnings.warn(text, UserWarning, stacklevel=4)
