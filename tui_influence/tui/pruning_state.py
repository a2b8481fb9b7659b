"""What the app knows of the prunings of the run on the screen, and what becomes of it when something was found out.

Owned by the app's handlers, like the `RunState` that it is part of. Loads nothing: a run has one from its start.
"""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from textual.message import Message

from tui_influence.analysis.question import Question
from tui_influence.pruning.options import DEFAULT_NAME, PruningRequest
from tui_influence.pruning.types import PlanPreview, PruningProposal
from tui_influence.runs.overview import Overview
from tui_influence.tui.messages import Finding

if TYPE_CHECKING:
    from tui_influence.pruning.types import (
        PruningResults,
    )
    from tui_influence.runs.cost import Cost


class PruningFinding(Finding):
    """Something was found out about a run's prunings."""


class _Replacing(PruningFinding):
    """Only the last of its kind matters."""

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, type(self)) and message.about is self.about


class NamesFound(PruningFinding):
    """The prunings that there are."""

    def __init__(self, names: tuple[str, ...], reason: str = "") -> None:
        self.names, self.reason = names, reason
        super().__init__()


class PruningSeen(_Replacing):
    """A pruning was looked at, or cannot be: then `overview` is None and `reason` says why."""

    def __init__(self, name: str, overview: Overview | None, reason: str = "") -> None:
        self.name, self.overview, self.reason = name, overview, reason
        super().__init__()


class ArmsMeasured(PruningFinding):
    """The arms of a pruning were measured, or cannot be: then `measured` is None and `reason` says why."""

    def __init__(self, name: str, measured: "PruningResults | None", reason: str = "") -> None:
        self.name, self.measured, self.reason = name, measured, reason
        super().__init__()


class Outlined(PruningFinding):
    """What would be retrained was worked out, or cannot be: then `outline` is None and `reason` says why."""

    def __init__(self, proposal: PruningProposal, outline: PlanPreview | None, reason: str = "") -> None:
        self.proposal, self.outline, self.reason = proposal, outline, reason
        super().__init__()


class Timed(PruningFinding):
    """A few steps of what would be retrained were timed, or could not be: then `cost` is None and `reason` says why."""

    def __init__(self, proposal: PruningProposal, cost: "Cost | None", reason: str = "") -> None:
        self.proposal, self.cost, self.reason = proposal, cost, reason
        super().__init__()


class PruningPreparing(_Replacing):
    """A pruning that is being started, or timed, says what it does."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__()


class PruningStarted(PruningFinding):
    """A pruning was started, or refused: then `reason` says why."""

    def __init__(self, name: str, reason: str = "") -> None:
        self.name, self.reason = name, reason
        super().__init__()


@dataclass
class PruningState:
    """The pruning that is looked at, as far as it has been read.

    Attributes:
        name: of it.
        names: of those that there are; None before that is known.
        request: what is to be retrained, as chosen so far.
        marked: groups that were marked in the ranking.
        overview: how it stands.
        problem: why it cannot be looked at.
        measured: its arms.
        unmeasured: why they cannot be measured (any more).
        outline: what would be retrained.
        outlined: the proposal that is from.
        refused: why nothing can be retrained.
        cost: of what would be retrained, by a few timed steps.
        costed: the proposal that is of.
        preparing: what one that is being started, or timed, does.
    """

    name: str = DEFAULT_NAME
    names: tuple[str, ...] | None = None
    request: PruningRequest = field(default_factory=PruningRequest)
    marked: tuple[str, ...] = ()
    overview: Overview | None = None
    problem: str = ""
    measured: "PruningResults | None" = None
    unmeasured: str = ""
    outline: PlanPreview | None = None
    outlined: PruningProposal | None = None
    refused: str = ""
    cost: "Cost | None" = None
    costed: PruningProposal | None = None
    preparing: str = ""

    @property
    def exists(self) -> bool:
        """Whether there is a pruning of this name."""
        return self.names is not None and self.name in self.names

    @property
    def is_active(self) -> bool:
        """Whether it is being trained."""
        return self.overview is not None and self.overview.is_active

    @property
    def proposes(self) -> bool:
        """Whether something is to be retrained: a pruning that is not there yet, or more of one that is."""
        return self.names is not None and (not self.exists or (self.request.chooses_arms and not self.is_active))

    def proposal(self, question: Question) -> PruningProposal:
        """Return what is proposed; `question` ranks the groups of a pruning that is not there yet."""
        return PruningProposal(self.name, self.request, None if self.exists else question)

    def mark(self, groups: tuple[str, ...]) -> None:
        """Take groups that were marked: an arm that drops them is proposed."""
        self.marked = groups
        self.choose(verb="drop", listed=groups)

    def choose(self, **changes: Any) -> None:
        """Propose something else: some fields of the request change."""
        request = replace(self.request, **changes)
        if request != self.request:
            self.request, self.refused = request, ""

    def open(self, name: str) -> None:
        """Look at another pruning, or at the place of a new one."""
        self.name, self.request = name, PruningRequest()
        self.forget()

    def forget(self) -> None:
        """Know no more of the pruning than its name."""
        self.overview = self.measured = self.outline = self.outlined = self.cost = self.costed = None
        self.problem = self.unmeasured = self.refused = ""

    def take(self, found: PruningFinding) -> None:
        """Take what was found out; of another pruning, or of what is proposed no longer, nothing is taken."""
        match found:
            case NamesFound():
                self.names, self.problem = found.names, found.reason
            case PruningSeen() if found.name == self.name:
                self.overview, self.problem = found.overview or self.overview, found.reason
            case ArmsMeasured() if found.name == self.name:
                self.measured, self.unmeasured = found.measured or self.measured, found.reason
            case Outlined() if (found.proposal.name, found.proposal.request) == (self.name, self.request):
                self.outline, self.outlined, self.refused = found.outline, found.proposal, found.reason
            case Timed():
                self.preparing = ""
                if found.cost is not None:
                    self.cost, self.costed = found.cost, found.proposal
            case PruningPreparing():
                self.preparing = found.what
            case PruningStarted():
                self.preparing = ""
                if not found.reason and found.name == self.name:
                    self.request, self.names = PruningRequest(), tuple(sorted({*(self.names or ()), found.name}))
