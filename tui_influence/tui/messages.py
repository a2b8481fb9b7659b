"""What threads tell the app, and what several screens ask of it.

A message that replaces an older one of its kind carries all there is to know. What a thread found out about a run
says which run it is about: another one may be open by the time it is heard.
"""

from typing import TYPE_CHECKING

from textual.message import Message

from tui_influence.runs.overview import Overview

if TYPE_CHECKING:
    from tui_influence.analysis.class_effects import (
        TargetEffects,
    )
    from tui_influence.analysis.ranking import (
        Question,
    )
    from tui_influence.analysis.types import (
        ExampleQuestion,
        ExampleReport,
        GroupEffects,
        RankingResult,
        ReliabilityCurve,
    )
    from tui_influence.tui.background import LogLine
    from tui_influence.tui.image_cache import ImageKey, ImageStrips
    from tui_influence.tui.state import RunState


class Finding(Message):
    """Something was found out about a run; `about` is its state, set by who posts it."""

    about: "RunState | None" = None


class _Latest(Finding):
    """Only the last of its kind matters."""

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, type(self)) and message.about is self.about


class OverviewRead(_Latest):
    """A run was looked at."""

    def __init__(self, overview: Overview) -> None:
        self.overview = overview
        super().__init__()


class OverviewFailed(_Latest):
    """A run cannot be looked at (any more)."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__()


class Ranked(Finding):
    """A ranking was made, or could not be: then `answer` is None and `reason` says why."""

    def __init__(self, question: "Question", answer: "RankingResult | None", reason: str = "") -> None:
        self.question, self.answer, self.reason = question, answer, reason
        super().__init__()


class Grown(Finding):
    """The growth of the reliability of a question's ranking was measured, or could not be."""

    def __init__(self, question: "Question", growth: "ReliabilityCurve | None") -> None:
        self.question, self.growth = question, growth
        super().__init__()


class EffectsFound(Finding):
    """What every group does was estimated, or could not be: then `effects` is None and `reason` says why."""

    def __init__(self, question: "Question", effects: "TargetEffects | None", reason: str = "") -> None:
        self.question, self.effects, self.reason = question, effects, reason
        super().__init__()


class GroupSeen(Finding):
    """A closer look was taken at a group; `moved` is None where that failed, and `reason` says why.

    `samples` are positions of the group's own images among those that are kept.
    """

    def __init__(
        self,
        effects: "TargetEffects",
        group: int,
        moved: "GroupEffects | None",
        samples: tuple[int, ...],
        reason: str = "",
    ) -> None:
        self.effects, self.group, self.moved, self.samples, self.reason = effects, group, moved, samples, reason
        super().__init__()


class ImageSeen(Finding):
    """A closer look was taken at a test example; `found` is None where that failed, and `reason` says why."""

    def __init__(self, asked: "ExampleQuestion", found: "ExampleReport | None", reason: str = "") -> None:
        self.asked, self.found, self.reason = asked, found, reason
        super().__init__()


class PicturesDrawn(Finding):
    """Pictures were drawn, None where that failed; `reasons` has why, for each target (None: the source), if it did."""

    def __init__(self, pictures: "dict[ImageKey, ImageStrips | None]", reasons: "dict[int | None, str]") -> None:
        self.pictures, self.reasons = pictures, reasons
        super().__init__()


class LogRead(Finding):
    """Lines were added to the log; they add up, so none replaces another."""

    def __init__(self, lines: "list[LogLine]") -> None:
        self.lines = lines
        super().__init__()


class Started(Finding):
    """A supervisor was started, or refused: then `reason` says why."""

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        super().__init__()


class Broke(Message):
    """A thread met what nobody expected: a bug, to be shown as one."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        super().__init__()


class CopyAsked(Message):
    """Text is to be copied; `what` it is, in a word or two."""

    def __init__(self, text: str, what: str) -> None:
        self.text, self.what = text, what
        super().__init__()


class Preparing(_Latest):
    """A supervisor that is being started says what it does."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__()
