"""What becomes of what is known of a run when something was found out about it. Changes a `RunState`; draws nothing.

An answer may come after another question was asked: it is then kept out, and what answers an older question never
stands under a newer one.
"""

from tui_influence.tui.messages import (
    EffectsFound,
    Finding,
    GroupSeen,
    Grown,
    ImageSeen,
    LogRead,
    OverviewFailed,
    OverviewRead,
    PicturesDrawn,
    Preparing,
    Ranked,
    Started,
)
from tui_influence.tui.probe_state import Probed
from tui_influence.tui.pruning_state import PruningFinding
from tui_influence.tui.state import RunState
from tui_influence.tui.verifying_state import VerifyingFinding


def take(state: RunState, found: Finding) -> None:
    """Take what was found out about a run into its state."""
    match found:
        case OverviewRead():
            state.overview, state.problem = found.overview, ""
        case OverviewFailed():
            state.problem = found.reason
        case LogRead():
            state.log.extend(found.lines)
        case Ranked():
            _ranked(state, found)
        case Grown():
            if found.question == state.question:
                state.growth = found.growth or state.growth
        case EffectsFound():
            _effects(state, found)
        case GroupSeen():
            state.seen = found
        case ImageSeen():
            state.image = found
        case PicturesDrawn():
            state.album.store(found.pictures)
            state.image_problems |= found.reasons
        case Preparing():
            state.preparing = found.what
        case Started():
            state.preparing = ""
        case PruningFinding():
            state.pruning.take(found)
        case VerifyingFinding():
            state.verifying.take(found)
        case Probed():
            state.probe.take(found, state.question)


def _ranked(state: RunState, found: Ranked) -> None:
    if found.question == state.versus:
        state.versus_problem = found.reason
        if found.answer is not None:
            state.second, state.second_answered = found.answer, found.question
        elif state.second_answered != found.question:
            state.second = None
    if found.question != state.question:
        return  # another one has been asked meanwhile, and is being answered
    state.rank_problem = found.reason
    if found.answer is not None:
        state.answer, state.answered = found.answer, found.question
        if state.group is None:
            state.group = found.answer.report.ranking.rows[0].index
    elif state.answered != found.question:
        state.answer = None


def _effects(state: RunState, found: EffectsFound) -> None:
    if found.question != state.question:
        return
    state.effects_problem = found.reason
    if found.effects is not None:
        state.effects = found.effects
    elif state.effects is not None and state.effects.question != found.question:
        state.effects = None
