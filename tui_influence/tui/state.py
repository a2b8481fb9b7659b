"""The state of the run on the screen: what was read of it, what is asked about it, and results that are computed.

The app's event loop owns it: screens read it and change it by its methods, threads post messages. Importing it loads
no numpy, since the app has a state before its first paint.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from textual.message import Message

from tui_influence.analysis.probe_types import ProbeKind, ProbeQuestion, ProbeResult
from tui_influence.analysis.question import Question
from tui_influence.analysis.types import ExampleQuestion
from tui_influence.pruning.options import DEFAULT_NAME, ClassList, PruningRequest, counterfactual_paths
from tui_influence.pruning.types import CounterfactualPreview, PlanPreview, PruningProposal
from tui_influence.render.style import Style
from tui_influence.roles import ArmKind
from tui_influence.runs.overview import Overview
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo
from tui_influence.text import printable
from tui_influence.tui.background import LogLine, attempt
from tui_influence.tui.image_cache import ImageCache

if TYPE_CHECKING:
    from tui_influence.analysis.class_effects import TargetEffects
    from tui_influence.analysis.snapshot import RunSnapshot
    from tui_influence.analysis.types import ExampleReport, GroupEffects, RankingResult, ReliabilityCurve
    from tui_influence.pruning.types import CounterfactualResult, PruningResults
    from tui_influence.runs.cost import Cost

Q = TypeVar("Q")
T = TypeVar("T")

IDLE_PER_WORK_SECOND = 30
"""Seconds without work for a second of work: three queries at a time take a tenth of one core together."""
MIN_REFRESH_INTERVAL = 3.0


class RefreshThrottle:
    """When a query is to be computed again, because its question or the number of models has changed.

    Attributes:
        models: the number of models that it was computed from; None if it never was.
        due: the earliest time of the next computation, by the monotonic clock.
        busy: it is being computed.
    """

    def __init__(self) -> None:
        self._question: object = self  # equal to no question
        self.invalidate()

    def invalidate(self) -> None:
        """Make a computation due, whatever was computed before."""
        self._question = self
        self.models: int | None = None
        self.due = 0.0
        self.busy = False

    def start(self, question: object, models: int, *, ended: bool = False) -> bool:
        """Return whether a computation is to start; if so, it counts as started.

        Args:
            question: the question to answer; another one than before is answered at once.
            models: the number of models that there are.
            ended: no more models come, so that there is nothing to wait for.
        """
        if question != self._question:
            self.invalidate()
            self._question = question
        if self.busy or models == self.models:
            return False
        if self.models is not None and time.monotonic() < self.due and not ended:
            return False
        self.busy = True
        return True

    def finish(self, question: object, models: int, seconds: float) -> None:
        """Note the end of a computation; from any thread. One of an earlier question changes nothing."""
        if question == self._question:
            self.busy, self.models = False, models
            self.due = time.monotonic() + max(MIN_REFRESH_INTERVAL, IDLE_PER_WORK_SECOND * seconds)


class Query(Generic[Q, T]):
    """A value that is computed in the background, for one question at a time.

    Attributes:
        name: of the computation; see `queries`.
        question: the current question.
        value: the latest result; may answer an earlier question.
        answered: the question that `value` answers.
        error: why there is no newer result; empty if there is one.
        throttle: limits how often it is computed.
    """

    def __init__(self, name: str, question: Q) -> None:
        self.name, self.question = name, question
        self.value: T | None = None
        self.answered: Q | None = None
        self.error = ""
        self.throttle = RefreshThrottle()

    @property
    def is_stale(self) -> bool:
        """True if there is no answer to the current question."""
        return self.answered != self.question

    def ask(self, question: Q) -> None:
        """Change the question; the value stays until there is another result."""
        if question != self.question:
            self.question, self.error = question, ""

    def accept(self, result: "Result[Q, T]") -> bool:
        """Take a result over and return True, unless it answers an earlier question."""
        if result.question != self.question:
            return False
        self.error = result.error
        if result.value is not None:
            self.value, self.answered = result.value, result.question
        elif self.is_stale:  # an earlier answer is not shown as that to a question without one
            self.value = self.answered = None
        return True


AnyQuery: TypeAlias = Query[Any, Any]


class Result(Message, Generic[Q, T]):
    """The outcome of a query: a value, or the reason why there is none."""

    def __init__(self, query: Query[Q, T], question: Q, value: T | None, error: str = "") -> None:
        self.query, self.question, self.value, self.error = query, question, value, error
        super().__init__()


def run_query(query: Query[Q, T], question: Q, compute: Callable[[Q], T]) -> Result[Q, T]:
    """Answer a question in this thread; what is refused or cannot be read becomes the result's error."""
    return Result(query, question, *attempt(partial(compute, question)))


@dataclass(eq=False)
class RunHandle:
    """A run that is followed: the sweep, or a pruning or counterfactual of it.

    Attributes:
        root: its results directory.
        kind: "sweep", "pruning" or "counterfactual", as users read it.
        overview: its latest overview; None if there is none yet.
        error: why its overview cannot be read, or not any more.
    """

    root: Path
    kind: str
    overview: Overview | None = None
    error: str = ""

    @property
    def info(self) -> RunInfo | None:
        """The contents of its run.json, if they have been read."""
        return self.overview.info if self.overview is not None else None

    @property
    def is_active(self) -> bool:
        """True while models are being trained."""
        return self.overview is not None and self.overview.is_active

    @property
    def name(self) -> str:
        """Its name, safe to print."""
        info = self.info
        return printable(info.name if self.kind == "sweep" and info is not None else self.root.name, 60)


@dataclass(frozen=True)
class GroupQuestion:
    """A source group on the Class screen.

    Attributes:
        effects: the effects of all groups.
        group: its number.
    """

    effects: "TargetEffects"
    group: int

    def __eq__(self, other: object) -> bool:
        """Return whether both are about one group of the same effects."""
        return isinstance(other, GroupQuestion) and self.group == other.group and self.effects is other.effects

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class GroupDetail:
    """A source group on the Class screen: what it does, and its images.

    Attributes:
        effects: the effects of all groups.
        group: its number.
        moved: its effects on the target's classes and examples.
        samples: positions of its images among the stored images of the source.
        samples_error: why these cannot be read; empty if they can.
    """

    effects: "TargetEffects"
    group: int
    moved: "GroupEffects"
    samples: tuple[int, ...] = ()
    samples_error: str = ""


@dataclass(frozen=True)
class ProbeTraits:
    """The properties of a kind of probe that a screen needs before there is a result.

    Attributes:
        title: its name.
        uses_estimator: it is possible by either estimator, not by the default alone.
        takes_source: it can be limited to one source group.
    """

    title: str
    uses_estimator: bool = True
    takes_source: bool = False


PROBE_TRAITS = {
    ProbeKind.FAILURES: ProbeTraits("Failures"),
    ProbeKind.SUBPOPULATIONS: ProbeTraits("Subpopulations", takes_source=True),
    ProbeKind.LEAKS: ProbeTraits("Leaks", uses_estimator=False),
}
"""The properties of each kind of probe; `probes.PROBES` has its functions."""


class ProbeState:
    """The probe on the screen, and the latest result of each kind.

    Attributes:
        kind: of the probe on the screen.
        source: the group that subpopulations are limited to; None for all.
        queries: one a kind.
    """

    def __init__(self) -> None:
        self.kind = ProbeKind.FAILURES
        self.source: int | None = None
        self.queries: dict[ProbeKind, Query[ProbeQuestion, ProbeResult]] = {
            kind: Query(kind, ProbeQuestion(kind, Question())) for kind in ProbeKind
        }

    @property
    def query(self) -> Query[ProbeQuestion, ProbeResult]:
        """The query of the kind that is on the screen."""
        return self.queries[self.kind]

    def turn(self) -> None:
        """Go to the next kind."""
        kinds = tuple(ProbeKind)
        self.kind = kinds[(kinds.index(self.kind) + 1) % len(kinds)]

    def update(self, question: Question) -> None:
        """Ask each kind the question of the run, as far as the kind uses it."""
        question = question.about_examples()
        for kind, query in self.queries.items():
            traits = PROBE_TRAITS[kind]
            estimator = question.estimator if traits.uses_estimator else Question().estimator
            source = self.source if traits.takes_source else None
            query.ask(ProbeQuestion(kind, replace(question, estimator=estimator), source))


class PruningState:
    """The prunings of the run, the one on the screen, and what could be retrained.

    Attributes:
        names: query of the names of all prunings.
        name: of the one on the screen; it may not exist yet.
        request: the arms that are to be retrained.
        marked: groups that were marked in the ranking.
        run: the pruning's own run.
        arms: query of the results of its arms.
        plan: query of the plan that the request leads to.
        cost: query of a timed estimate of that plan's cost.
    """

    def __init__(self, sweep: Path) -> None:
        self._sweep = sweep
        self.names: Query[None, tuple[str, ...]] = Query("prunings", None)
        self.marked: tuple[str, ...] = ()
        self.open(DEFAULT_NAME)

    def open(self, name: str) -> None:
        """Put another pruning on the screen, or one that does not exist yet."""
        self.name, self.request = name, PruningRequest()
        self.run = RunHandle(Paths(self._sweep).prunings / name, "pruning")
        self.arms: Query[None, PruningResults] = Query("arms", None)
        self.plan: Query[PruningProposal | None, PlanPreview] = Query("plan", None)
        self.cost: Query[PruningProposal | None, Cost] = Query("cost", None)

    @property
    def exists(self) -> bool:
        """True if there is a pruning of this name."""
        return self.names.value is not None and self.name in self.names.value

    @property
    def is_proposed(self) -> bool:
        """True if retrainings are proposed: a pruning that does not exist yet, or more arms of one that does."""
        if self.names.value is None:
            return False
        return not self.exists or (self.request.chooses_arms and not self.run.is_active)

    def update(self, question: Question) -> None:
        """Ask for the plan of the current request; `question` ranks the groups of a pruning that does not exist yet."""
        self.plan.ask(PruningProposal(self.name, self.request, None if self.exists else question))

    def note_start(self, name: str) -> None:
        """Note that retrainings of a pruning have been started."""
        if name == self.name:
            self.request = PruningRequest()
        self.names.value = tuple(sorted({*(self.names.value or ()), name}))


def marked_classes(kind: ArmKind, groups: tuple[str, ...]) -> ClassList:
    """Return groups that were marked in the ranking as a list of an arm."""
    return ClassList(kind, groups, f"{len(groups):,} marked")


class CounterfactualState:
    """The counterfactual of the example on the screen.

    Attributes:
        run: its run, which may not exist; None while no example is on the screen.
        result: query of what its retrainings show, by the example's number.
        preview: query of what would be retrained.
    """

    def __init__(self) -> None:
        self.open(None, 0)

    def open(self, root: Path | None, example: int) -> None:
        """Go to the counterfactual of another example, or to none."""
        self.run = RunHandle(root, "counterfactual") if root is not None else None
        self.result: Query[int, CounterfactualResult] = Query("counterfactual", example)
        self.preview: Query[Question | None, CounterfactualPreview] = Query("preview", None)

    @property
    def exists(self) -> bool:
        """True if it was started."""
        return self.run is not None and (self.run.info is not None or self.run.is_active)


class RunState:
    """A run as far as it has been read, and what is asked about it.

    Attributes:
        root: its results directory.
        readonly: nothing may be changed.
        from_folder: it was picked from a folder of runs, so that there is a way back.
        style: colours and signs.
        sweep: the run itself.
        preparing: for each run that is being started, by its directory, the step it is at.
        question: target, class, estimator and output that all screens are about.
        ranking: query of the ranking.
        comparison: query of the ranking that it is compared with; its question is None without a comparison.
        reliability: query of how the reliability grew with the models.
        effects: query of the effects of every group.
        group: the group on the Class screen, by its number.
        group_detail: query of its effects.
        example: query of the example on the image screen.
        image_errors: why images of a target (None: the source) are missing; empty where none is.
        images: drawn images.
        log: lines of the log so far.
        probe: the probe on the screen.
        pruning: the pruning on the screen.
        counterfactual: the counterfactual of the example on the image screen.
        snapshots: the latest snapshot of each target; only the thread that computes estimates uses it.
    """

    def __init__(
        self,
        root: Path,
        readonly: bool = False,
        from_folder: bool = False,
        style: Style | None = None,
        overview: Overview | None = None,
    ) -> None:
        self.root, self.readonly, self.from_folder = root, readonly, from_folder
        self.style = style or Style()
        self.sweep = RunHandle(root, "sweep", overview)
        self.preparing: dict[Path, str] = {}
        self.question = Question()
        self.ranking: Query[Question, RankingResult] = Query("ranking", self.question)
        self.comparison: Query[Question | None, RankingResult] = Query("comparison", None)
        self.reliability: Query[Question, ReliabilityCurve] = Query("reliability", self.question)
        self.effects: Query[Question, TargetEffects] = Query("effects", self.question)
        self.group: int | None = None
        self.group_detail: Query[GroupQuestion | None, GroupDetail] = Query("group", None)
        self.example: Query[ExampleQuestion | None, ExampleReport] = Query("example", None)
        self.image_errors: dict[int | None, str] = {}
        self.images = ImageCache()
        self.log: list[LogLine] = []
        self.probe = ProbeState()
        self.pruning = PruningState(root)
        self.counterfactual = CounterfactualState()
        self.snapshots: dict[str | None, RunSnapshot] = {}
        self.update()

    @property
    def overview(self) -> Overview | None:
        """The latest overview of the sweep; None if there is none yet."""
        return self.sweep.overview

    @property
    def info(self) -> RunInfo | None:
        """The contents of the sweep's run.json, if they have been read."""
        return self.sweep.info

    def ask(self, question: Question, comparison: Question | None) -> None:
        """Ask another question, and choose the one that it is compared with."""
        self.question = question
        self.comparison.ask(comparison)
        self.update()

    def update(self) -> None:
        """Pass the question on to the queries that depend on it, and on the state."""
        if self.info is not None and self.question == Question():  # not asked yet: the run decides how to estimate
            self.question = self.question.about(self.info)
        for query in (self.ranking, self.reliability, self.effects):
            query.ask(self.question)
        if self.group is None and self.ranking.value is not None:
            self.group = self.ranking.value.report.ranking.rows[0].index
        if self.effects.value is not None and self.group is not None:
            self.group_detail.ask(GroupQuestion(self.effects.value, self.group))
        self.probe.update(self.question)
        self.pruning.update(self.question)

    def ask_example(self, target: int, question: ExampleQuestion) -> None:
        """Ask about an example of a target, and go to its counterfactual."""
        self.example.ask(question)
        self.example.throttle.invalidate()  # there may be more models than when it was asked about before
        root = counterfactual_paths(Paths(self.root), target, question.example).root
        if self.counterfactual.run is None or self.counterfactual.run.root != root:
            self.counterfactual.open(root, question.example)

    def request_arms(self, request: PruningRequest) -> None:
        """Change the arms that are to be retrained."""
        self.pruning.request = request
        self.update()

    def mark(self, groups: tuple[str, ...]) -> None:
        """Take over groups that were marked, and propose an arm that drops them."""
        self.pruning.marked = groups
        self.request_arms(replace(self.pruning.request, lists=(marked_classes(ArmKind.DROP, groups),)))


@dataclass(frozen=True)
class QueryInput:
    """The input of a query, as it was when the computation started.

    Attributes:
        models: the number of models; a query is computed again when it changes.
        root: the results directory that is read.
        info: the contents of its run.json.
        ended: no more models come.
        overviews: of the sweep, and of the pruning on the screen.
        snapshots: the latest snapshot of each target.
    """

    models: int
    root: Path
    info: RunInfo
    ended: bool
    overviews: tuple[Overview, Overview | None]
    snapshots: "dict[str | None, RunSnapshot]"
