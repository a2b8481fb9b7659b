"""What the app knows of what the Probe mode shows, and what becomes of it when something was found out.

Owned by the app's handlers, like the `RunState` that it is part of. Loads nothing: a run has one from its start.
"""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tui_influence.analysis.question import Question
from tui_influence.analysis.types import ProbeKind, ProbeQuestion, ProbeResult
from tui_influence.tui.messages import Finding

if TYPE_CHECKING:
    pass


class Probed(Finding):
    """A probe was made, or could not be: then `found` is None and `reason` says why."""

    def __init__(self, asked: ProbeQuestion, found: ProbeResult | None, reason: str = "") -> None:
        self.asked, self.found, self.reason = asked, found, reason
        super().__init__()


@dataclass
class ProbeState:
    """What is probed of a run, as far as it is known.

    Attributes:
        view: that is shown.
        source: the group that subpopulations are narrowed to; None for none.
        answers: what was found last, a view each, perhaps for an older question.
        problems: why that is not known for what is asked now, a view each; empty where it is.
    """

    view: ProbeKind = ProbeKind.FAILURES
    source: int | None = None
    answers: dict[ProbeKind, ProbeResult] = field(default_factory=dict)
    problems: dict[ProbeKind, str] = field(default_factory=dict)

    @property
    def found(self) -> ProbeResult | None:
        """What is to be shown, perhaps of an older question."""
        return self.answers.get(self.view)

    @property
    def problem(self) -> str:
        """Why there is nothing to be shown, or nothing newer."""
        return self.problems.get(self.view, "")

    def asked(self, question: Question, view: ProbeKind | None = None) -> ProbeQuestion:
        """Return what is asked of a view, by default of the one that is shown, where `question` is the run's."""
        view = view or self.view
        if view is ProbeKind.LEAKS:
            question = replace(question, estimator=Question().estimator)  # the only one that is possible
        return ProbeQuestion(view, question, self.source if view is ProbeKind.PARTS else None)

    def take(self, probed: Probed, question: Question) -> None:
        """Take what was found out; of what is asked no longer, nothing is taken."""
        view = probed.asked.kind
        if probed.asked != self.asked(question, view):
            return
        self.problems[view] = probed.reason
        if probed.found is not None:
            self.answers[view] = probed.found
        elif view in self.answers and self.answers[view].question != probed.asked:
            del self.answers[view]

    def forget_problems(self) -> None:
        """Something else is asked: what stood in its way may not."""
        self.problems.clear()
