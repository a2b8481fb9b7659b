"""Whom an influence may be on: what a question about a run can be compared with. Pure functions of a run's info."""

from dataclasses import dataclass

from tui_influence.analysis.question import Question
from tui_influence.store.run_info import RunInfo


@dataclass(frozen=True)
class Choice:
    """Names to choose from, and what each would be.

    Attributes:
        title: what is asked.
        names: to choose from.
        questions: one a name; None is no question.
    """

    title: str
    names: tuple[str, ...]
    questions: tuple[Question | None, ...]


def rivals(info: RunInfo, asked: Question, versus: Question | None) -> Choice:
    """Return what a question can be compared with: other targets, then classes, those of its own target first.

    Args:
        info: the run.
        asked: the question.
        versus: what it is compared with now; then comparing with nothing comes first.
    """
    here = info.target_index(asked.target)
    wholes = [(place, None) for place in range(len(info.targets))]
    places = sorted(range(len(info.targets)), key=lambda place: place != here)
    parts = [(place, name) for place in places for name in info.targets[place].classes]
    found = [
        (_name(info, place, name, here), asked.compared_with(info.targets[place].name, name))
        for place, name in [*wholes, *parts]
        if (place, name) != (here, asked.target_class)
    ]
    none = [("nothing: one ranking alone", None)] if versus else []
    names, questions = zip(*none, *found, strict=True) if none or found else ((), ())
    only = "This run has one target. Compare with which class?"
    return Choice(only if len(info.targets) == 1 else "Compare with which target or class?", names, questions)


def kept_rival(info: RunInfo, asked: Question, versus: Question | None) -> Question | None:
    """Return what a new question is compared with: the same as the old one, unless it is that itself."""
    if versus is None:
        return None
    kept = asked.compared_with(versus.target, versus.target_class)
    same = info.target_index(asked.target) == info.target_index(kept.target)
    return None if same and asked.target_class == kept.target_class else kept


def _name(info: RunInfo, place: int, target_class: str | None, here: int) -> str:
    target = info.targets[place].name
    if target_class is None:
        return "all classes" if place == here else target
    return f"class {target_class}" if place == here else f"{target}, class {target_class}"
