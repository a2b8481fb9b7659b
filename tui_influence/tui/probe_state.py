"""What the app knows of what the Probe mode shows, and what becomes of it when something was found out.

Owned by the app's handlers, like the `RunState` that it is part of. Loads nothing: a run has one from its start.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from tui_influence.analysis.question import Question
from tui_influence.tui.messages import Finding

if TYPE_CHECKING:
    from tui_influence.analysis.snapshot import RunSnapshot
    from tui_influence.analysis.types import (
        ClassSubpopulations,
        DrivenExamples,
        Failures,
        Leaks,
    )


class View(StrEnum):
    """What the mode shows, by the command that says the same."""

    FAILURES = "failures"
    PARTS = "subpops"
    LEAKS = "leaks"


@dataclass(frozen=True)
class Asked:
    """What is asked of a probe.

    Attributes:
        view: which probe.
        question: target, class, estimator and output, as far as the probe heeds them.
        source: only what this group drives, by its column in the masks; None for what drives each class.
    """

    view: View
    question: Question
    source: int | None = None


@dataclass(frozen=True)
class Found:
    """What a probe found.

    Attributes:
        asked: what was asked.
        reading: what it is from.
        what: was found; subpopulations of several classes are one a class.
        notes: what is wrong with the data behind it.
        limit: failures that were estimated at most; None for all.
        samples: where the first image of a group is among the source's images that are kept.
        unsampled: why there are no such; empty if there are.
    """

    asked: Asked
    reading: "RunSnapshot"
    what: "Failures | tuple[ClassSubpopulations, ...] | DrivenExamples | Leaks"
    notes: tuple[str, ...] = ()
    limit: int | None = None
    samples: Mapping[int, int] = field(default_factory=dict)
    unsampled: str = ""


class Probed(Finding):
    """A probe was made, or could not be: then `found` is None and `reason` says why."""

    def __init__(self, asked: Asked, found: Found | None, reason: str = "") -> None:
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

    view: View = View.FAILURES
    source: int | None = None
    answers: dict[View, Found] = field(default_factory=dict)
    problems: dict[View, str] = field(default_factory=dict)

    @property
    def found(self) -> Found | None:
        """What is to be shown, perhaps of an older question."""
        return self.answers.get(self.view)

    @property
    def problem(self) -> str:
        """Why there is nothing to be shown, or nothing newer."""
        return self.problems.get(self.view, "")

    def asked(self, question: Question, view: View | None = None) -> Asked:
        """Return what is asked of a view, by default of the one that is shown, where `question` is the run's."""
        view = view or self.view
        if view is View.LEAKS:
            question = replace(question, estimator=Question().estimator)  # the only one that is possible
        return Asked(view, question, self.source if view is View.PARTS else None)

    def take(self, probed: Probed, question: Question) -> None:
        """Take what was found out; of what is asked no longer, nothing is taken."""
        view = probed.asked.view
        if probed.asked != self.asked(question, view):
            return
        self.problems[view] = probed.reason
        if probed.found is not None:
            self.answers[view] = probed.found
        elif view in self.answers and self.answers[view].asked != probed.asked:
            del self.answers[view]

    def forget_problems(self) -> None:
        """Something else is asked: what stood in its way may not."""
        self.problems.clear()
