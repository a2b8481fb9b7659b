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
        Verified,
    )


class VerifyingFinding(Finding):
    """Something was found out about the verification that is kept at `own`."""

    def __init__(self, own: Paths) -> None:
        self.own = own
        super().__init__()


class _Replacing(VerifyingFinding):
    """Only the last of its kind matters, of one verification."""

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, type(self)) and (message.about, message.own) == (self.about, self.own)


class VerificationSeen(_Replacing):
    """It was looked at; `overview` is None where there is none, or where `reason` says why it cannot be looked at."""

    def __init__(self, own: Paths, overview: Overview | None, reason: str = "") -> None:
        self.overview, self.reason = overview, reason
        super().__init__(own)


class VerificationRead(VerifyingFinding):
    """What its retrainings say was read, or cannot be: then `found` is None and `reason` says why."""

    def __init__(self, own: Paths, found: "Verified | None", reason: str = "") -> None:
        self.found, self.reason = found, reason
        super().__init__(own)


class VerificationProposed(VerifyingFinding):
    """What would be retrained was worked out, or nothing can be: then `proposed` is None and `reason` says why."""

    def __init__(self, own: Paths, proposed: CounterfactualPreview | None, reason: str = "") -> None:
        self.proposed, self.reason = proposed, reason
        super().__init__(own)


class VerificationPreparing(_Replacing):
    """One that is being worked out, or started, says what it does."""

    def __init__(self, own: Paths, what: str) -> None:
        self.what = what
        super().__init__(own)


class VerificationStarted(VerifyingFinding):
    """One was started, or refused: then `reason` says why."""

    def __init__(self, own: Paths, reason: str = "") -> None:
        self.reason = reason
        super().__init__(own)


@dataclass
class VerifyingState:
    """The verification of the image on the screen, as far as it has been read.

    Attributes:
        own: where it is, or would be, kept; None where no image is on the screen.
        overview: how it stands; None where there is none.
        problem: why it cannot be looked at.
        found: what its retrainings say.
        unread: why that cannot be read (any more).
        preparing: what those that are being started do, whichever images they are of.
    """

    own: Paths | None = None
    overview: Overview | None = None
    problem: str = ""
    found: "Verified | None" = None
    unread: str = ""
    preparing: dict[Paths, str] = field(default_factory=dict)

    @property
    def exists(self) -> bool:
        """Whether it was begun."""
        return self.overview is not None and (self.overview.info is not None or self.overview.is_active)

    def open(self, own: Paths | None) -> None:
        """Look at that of another image, or of none."""
        if own != self.own:
            self.own, self.overview, self.found = own, None, None
            self.problem = self.unread = ""

    def take(self, found: VerifyingFinding) -> None:
        """Take what was found out; of the verification of another image nothing is taken."""
        match found:
            case VerificationSeen() if found.own == self.own:
                self.overview, self.problem = found.overview, found.reason
            case VerificationRead() if found.own == self.own:
                self.found, self.unread = found.found or self.found, found.reason
            case VerificationPreparing():
                self.preparing[found.own] = found.what
            case VerificationProposed() | VerificationStarted():
                self.preparing.pop(found.own, None)
