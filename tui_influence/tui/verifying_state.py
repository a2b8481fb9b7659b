"""What the app knows of the verification of the image on the screen, and what becomes of that as more is found out.

Owned by the app's handlers, like the `RunState` that it is part of. Loads nothing: a run has one from its start.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from textual.message import Message

from tui_influence.pruning.types import CounterfactualPreview
from tui_influence.runs.overview import Overview
from tui_influence.store.paths import Paths
from tui_influence.tui.messages import Finding

if TYPE_CHECKING:
    from tui_influence.pruning.types import (
        CounterfactualResult,
    )


class VerifyingFinding(Finding):
    """Something was found out about the verification that is kept at `pruning_paths`."""

    def __init__(self, pruning_paths: Paths) -> None:
        self.pruning_paths = pruning_paths
        super().__init__()


class _Replacing(VerifyingFinding):
    """Only the last of its kind matters, of one verification."""

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, type(self)) and (message.about, message.pruning_paths) == (
            self.about,
            self.pruning_paths,
        )


class VerificationSeen(_Replacing):
    """It was looked at; `overview` is None where there is none, or where `reason` says why it cannot be looked at."""

    def __init__(self, pruning_paths: Paths, overview: Overview | None, reason: str = "") -> None:
        self.overview, self.reason = overview, reason
        super().__init__(pruning_paths)


class VerificationRead(VerifyingFinding):
    """What its retrainings say was read, or cannot be: then `found` is None and `reason` says why."""

    def __init__(self, pruning_paths: Paths, found: "CounterfactualResult | None", reason: str = "") -> None:
        self.found, self.reason = found, reason
        super().__init__(pruning_paths)


class VerificationProposed(VerifyingFinding):
    """What would be retrained was worked out, or nothing can be: then `proposed` is None and `reason` says why."""

    def __init__(self, pruning_paths: Paths, proposed: CounterfactualPreview | None, reason: str = "") -> None:
        self.proposed, self.reason = proposed, reason
        super().__init__(pruning_paths)


class VerificationPreparing(_Replacing):
    """One that is being worked out, or started, says what it does."""

    def __init__(self, pruning_paths: Paths, what: str) -> None:
        self.what = what
        super().__init__(pruning_paths)


class VerificationStarted(VerifyingFinding):
    """One was started, or refused: then `reason` says why."""

    def __init__(self, pruning_paths: Paths, reason: str = "") -> None:
        self.reason = reason
        super().__init__(pruning_paths)


@dataclass
class VerifyingState:
    """The verification of the image on the screen, as far as it has been read.

    Attributes:
        pruning_paths: where it is, or would be, kept; None where no image is on the screen.
        overview: how it stands; None where there is none.
        problem: why it cannot be looked at.
        found: what its retrainings say.
        unread: why that cannot be read (any more).
        preparing: what those that are being started do, whichever images they are of.
    """

    pruning_paths: Paths | None = None
    overview: Overview | None = None
    problem: str = ""
    found: "CounterfactualResult | None" = None
    unread: str = ""
    preparing: dict[Paths, str] = field(default_factory=dict)

    @property
    def exists(self) -> bool:
        """Whether it was begun."""
        return self.overview is not None and (self.overview.info is not None or self.overview.is_active)

    def open(self, pruning_paths: Paths | None) -> None:
        """Look at that of another image, or of none."""
        if pruning_paths != self.pruning_paths:
            self.pruning_paths, self.overview, self.found = pruning_paths, None, None
            self.problem = self.unread = ""

    def take(self, found: VerifyingFinding) -> None:
        """Take what was found out; of the verification of another image nothing is taken."""
        match found:
            case VerificationSeen() if found.pruning_paths == self.pruning_paths:
                self.overview, self.problem = found.overview, found.reason
            case VerificationRead() if found.pruning_paths == self.pruning_paths:
                self.found, self.unread = found.found or self.found, found.reason
            case VerificationPreparing():
                self.preparing[found.pruning_paths] = found.what
            case VerificationProposed() | VerificationStarted():
                self.preparing.pop(found.pruning_paths, None)
