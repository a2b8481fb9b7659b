"""A proposed pruning as text: the arms that are requested, the models that they take, and the time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from tui_influence.render.numbers import format_points
from tui_influence.roles import ArmKind
from tui_influence.text import format_duration, pluralize

if TYPE_CHECKING:
    from tui_influence.analysis.question import Question
    from tui_influence.pruning.options import PruningRequest
    from tui_influence.pruning.types import PlanPreview
    from tui_influence.render.style import Style
    from tui_influence.runs.cost import Cost

_LABEL = 14
"""Cells of a label."""
_KEY = 4
"""Cells of a key."""
_MIN_TEXT = 8
"""Cells of a text, however narrow the screen."""


@dataclass(frozen=True)
class PlanSummary:
    """A pruning, or an extension of one, that could be started: its arms, models and time.

    Attributes:
        request: the arms.
        question: the ranking of a pruning that does not exist yet.
        target: name of the target, where the question names none.
        n_marked: source classes that are marked in the ranking.
        exists: whether the pruning exists, so that it is extended.
        preview: the plan; None before it has been computed.
        cost: of the plan, by timed steps; None if they were not timed.
        n_done: models that are recorded.
    """

    request: PruningRequest
    question: Question
    target: str
    n_marked: int
    exists: bool
    preview: PlanPreview | None = None
    cost: Cost | None = None
    n_done: int = 0

    def choices(self) -> Iterator[tuple[str, str]]:
        """Yield what can be chosen and its value: counts to drop, list, seeds, baselines and ranking."""
        yield "drop", self._drop_counts()
        yield "list", self._list()
        yield "seeds", self._seeds()
        yield "baselines", self._baselines()
        yield "ranking", self._ranking()

    def models(self) -> list[str]:
        """Return how many models are trained first and later, a line each; nothing before there is a plan."""
        if self.preview is None:
            return []
        pruning = self.preview.pruning
        stages, kinds = pruning.stages, {arm.kind for arm in pruning.arms}
        arms, left = pluralize(len(pruning.arms), "arm"), pruning.n_rows - self.n_done
        more = pluralize(left, "more retraining")
        count = (
            f"{more} ({self.n_done:,} done), {arms} in all"
            if self.n_done
            else f"{pluralize(left, 'retraining')} of {arms}"
        )
        lines = [count]
        if not kinds.issuperset(stages.baselines) and ArmKind.LOWEST in kinds:
            lines.append("then the baselines")
        if stages.within and stages.most > stages.seeds:
            lines.append(f"then up to {stages.most} of an arm, where the interval of its gain is wider")
        if pruning.max_rows > pruning.n_rows:
            lines.append(f"{pruning.max_rows - self.n_done:,} at most")
        return lines

    def duration(self) -> str:
        """Return how long the retrainings take: by timed steps, or at the rate of the last models; else nothing."""
        if self.preview is None:
            return ""
        n_left = self.preview.pruning.n_rows - self.n_done
        if self.cost is not None:
            seconds = self.cost.seconds_per_model * n_left / self.cost.workers
            workers = pluralize(self.cost.workers, "worker")
            return f"{format_duration(seconds)}{self._at_most(seconds)} as timed on {workers}"
        if self.preview.seconds is not None:
            seconds, run = self.preview.seconds, "pruning" if self.exists else "sweep"
            return f"about {format_duration(seconds)}{self._at_most(seconds)}, at the {run}'s rate"
        return ""

    def _at_most(self, seconds: float) -> str:
        if self.preview is None or self.preview.pruning.max_rows <= self.preview.pruning.n_rows:
            return ""
        pruning = self.preview.pruning
        n_left = pruning.n_rows - self.n_done
        longer = (pruning.max_rows - self.n_done) / max(n_left, 1)
        return f" for the first {n_left:,}, {format_duration(seconds * longer)} at most"

    def _drop_counts(self) -> str:
        counts = ", ".join(map(str, self.request.drop_counts))
        if not counts and not self.exists and not self.request.lists:
            arms = self.preview.pruning.arms if self.preview is not None else ()
            usual = ", ".join(map(str, sorted({arm.k for arm in arms if arm.kind is ArmKind.LOWEST})))
            counts = f"{usual} (usual)" if usual else "the usual numbers"
        return f"{counts}; lowest, random, highest" if counts else "no further number"

    def _list(self) -> str:
        if not self.request.lists:
            return f"none of the {self.n_marked:,} marked" if self.n_marked else "none; mark classes in Rank first"
        kind, groups = self.request.lists[0].kind, self.request.lists[0].groups
        verb = "drop" if kind is ArmKind.DROP else "keep only"
        return f"{verb} {pluralize(len(groups), 'class', 'classes')}: {', '.join(groups)}"

    def _seeds(self) -> str:
        if self.preview is None:
            return str(self.request.seeds or "the usual number")
        stages = self.preview.pruning.stages
        first = f"{stages.seeds} of each arm"
        if stages.within and stages.most > stages.seeds:
            return f"{first}, up to {stages.most} for a gain within +-{format_points(100 * stages.within)}"
        return first

    def _baselines(self) -> str:
        if self.preview is None:
            return "off" if self.request.baselines == () else "on"
        return ", ".join(kind.replace("-", " ") for kind in self.preview.pruning.stages.baselines) or "none"

    def _ranking(self) -> str:
        ranking, question = self.preview.pruning.ranking if self.preview is not None else None, self.question
        if self.exists and ranking is not None:
            return f"{', '.join(ranking.targets)}, {ranking.output}, {ranking.estimator}; fixed when it was started"
        models = f", {pluralize(ranking.models, 'model')}" if ranking is not None else ""
        is_narrowed = question.target_class is not None or question.example is not None
        origin = "the whole target, not the part of it asked in Rank" if is_narrowed else "as asked in Rank"
        return f"{question.target or self.target}, {question.output_kind}, {question.estimator}{models}; {origin}"


def choice_lines(plan: PlanSummary, keys: Mapping[str, str], style: Style, width: int) -> list[Text]:
    """Return what is chosen, a line each, with the key that changes it, if there is one."""
    room = max(width - _LABEL - _KEY, _MIN_TEXT)
    return [_line(keys.get(label, ""), label, style.cut(text, room), style) for label, text in plan.choices()]


def cost_lines(plan: PlanSummary, time_key: str, style: Style) -> list[Text]:
    """Return the models and the time that a proposal takes; `time_key` times a few training steps."""
    first, *later = plan.models()
    duration = plan.duration() or f"not known: {time_key} times a few training steps"
    return [
        _line("", "models", first, style),
        *(_line("", "", text, style) for text in later),
        _line("", "time", duration, style),
    ]


def _line(key: str, label: str, text: str, style: Style) -> Text:
    return Text.assemble((f"{key:<{_KEY}}", f"bold {style.good}"), (f"{label:<{_LABEL}}", style.quiet), text)
