"""What the app knows of the run on the screen. Owned by the app's handlers; screens read it, and ask by messages."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tui_influence.analysis.question import Question
from tui_influence.render.style import Style
from tui_influence.runs.overview import Overview
from tui_influence.tui.image_cache import ImageCache
from tui_influence.tui.probe_state import ProbeState
from tui_influence.tui.pruning_state import PruningState
from tui_influence.tui.verifying_state import VerifyingState

if TYPE_CHECKING:
    from tui_influence.analysis.class_effects import TargetEffects
    from tui_influence.analysis.types import (
        RankingResult,
        ReliabilityCurve,
    )
    from tui_influence.tui.background import LogLine
    from tui_influence.tui.messages import GroupSeen, ImageSeen


def being_started(state: "RunState") -> str:
    """Return what is done for a run, a pruning or a verification that has not begun yet; empty if none is wanted."""
    return state.preparing or state.pruning.preparing or next(iter(state.verifying.preparing.values()), "")


@dataclass
class RunState:
    """A run as far as it has been read.

    Attributes:
        root: its results directory.
        readonly: nothing may be changed.
        from_folder: it was picked from a folder of runs, so that there is a way back.
        style: colours and signs.
        overview: how it stands; None before it was looked at.
        problem: why it cannot be looked at (any more).
        preparing: what a supervisor that is being started says.
        question: which ranking is wanted.
        answer: the last ranking that was made, perhaps of an older question.
        answered: the question that it answers.
        rank_problem: why there is no ranking.
        versus: the question that it is compared with; None if with none.
        second: the last ranking that was made for a comparison.
        second_answered: the question that it answers.
        versus_problem: why there is none.
        growth: how the models did.
        group: the source group that is looked at, by its column in the masks.
        effects: what every group does, for the question that is asked.
        effects_problem: why that is not known.
        seen: what the last closer look at a group found.
        image: what the last closer look at an image found.
        image_problems: why pictures of a target (None: the source) are missing; empty where none is.
        album: pictures that have been drawn.
        log: lines of the log so far.
        pruning: the pruning that is looked at.
        verifying: the verification of the image that is looked at.
        probe: what is probed.
    """

    root: Path
    readonly: bool = False
    from_folder: bool = False
    style: Style = field(default_factory=Style)
    overview: Overview | None = None
    problem: str = ""
    preparing: str = ""
    question: Question = field(default_factory=Question)
    answer: "RankingResult | None" = None
    answered: Question | None = None
    rank_problem: str = ""
    versus: Question | None = None
    second: "RankingResult | None" = None
    second_answered: Question | None = None
    versus_problem: str = ""
    growth: "ReliabilityCurve | None" = None
    group: int | None = None
    effects: "TargetEffects | None" = None
    effects_problem: str = ""
    seen: "GroupSeen | None" = None
    image: "ImageSeen | None" = None
    image_problems: "dict[int | None, str]" = field(default_factory=dict)
    album: ImageCache = field(default_factory=ImageCache)
    log: "list[LogLine]" = field(default_factory=list)
    pruning: PruningState = field(default_factory=PruningState)
    verifying: VerifyingState = field(default_factory=VerifyingState)
    probe: ProbeState = field(default_factory=ProbeState)
