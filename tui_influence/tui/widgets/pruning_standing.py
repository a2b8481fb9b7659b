"""The state of a pruning, and what is proposed to be retrained, as lines of text; loads no numpy."""

from collections.abc import Iterator

from rich.text import Text

from tui_influence.pruning.options import PruningRequest
from tui_influence.pruning.types import PlanPreview
from tui_influence.render.charts import progress_bar
from tui_influence.render.format import cut, plain
from tui_influence.render.run_words import (
    lost_reason,
)
from tui_influence.render.style import Style
from tui_influence.roles import ArmKind
from tui_influence.runs.heartbeat import State
from tui_influence.runs.overview import Overview
from tui_influence.text import (
    format_duration,
    pluralize,
    printable,
)
from tui_influence.tui.keymap import Keys
from tui_influence.tui.state import PruningState, RunState

_LABEL = 14


def pruning_standing(state: RunState, width: int) -> list[Text]:
    """Return the state of the pruning on the screen."""
    pruning, style = state.pruning, state.style
    run = pruning.run
    overview = run.overview
    name = Text(plain(pruning.name, style.ascii)[:30], style="bold")
    if overview is None:
        return [Text.assemble(name, (f"  {run.error or 'reading the pruning...'}", style.quiet))]
    lines = [retrainings(overview, style, width, name), *starting(state.preparing.get(run.root, ""), style)]
    if run.error:
        lines.append(Text(f"cannot be read any more: {plain(run.error, style.ascii)}", style=style.error))
    return [*lines, *troubles(overview, style)]


def retrainings(overview: Overview, style: Style, width: int, name: Text | None = None) -> Text:
    """Return a line: the state of a run that retrains, its name, how many models are done, and the time left."""
    line = style.banner(overview.state, silent=overview.is_silent)
    if name is not None:
        line = Text.assemble(line, " ", name)
    if overview.total:
        text_style = style.state(overview.state, silent=overview.is_silent)
        short, left = f" {overview.finished:,} of {overview.total:,}", _left(overview)
        count = f"{short} retrainings{left}"
        if len(line.plain) + len(count) > width:
            count = f"{short}{left}"
        room = width - len(line.plain) - len(count) - 2
        if room >= 8:
            done, failed = overview.finished / overview.total, overview.given_up / overview.total
            line = Text.assemble(line, "  ", progress_bar(done, failed, min(room, 40), style, text_style))
        line.append(count)
    line.no_wrap, line.overflow = True, "crop"
    return line


def starting(preparing: str, style: Style) -> list[Text]:
    """Return what one that is being started does; nothing if none is."""
    return [Text(f"at work: {printable(preparing, 200)}", style=style.warning)] if preparing else []


def _left(overview: Overview) -> str:
    heartbeat = overview.heartbeat
    if not overview.is_active or heartbeat is None or not heartbeat.eta or not overview.left:
        return ""
    return f", {format_duration(max(heartbeat.eta[0], 0.0))} left"


def troubles(overview: Overview, style: Style) -> Iterator[Text]:
    """Yield why a run that retrains ended early, and what was given up."""
    heartbeat = overview.heartbeat
    if overview.state is State.FAILED and heartbeat and heartbeat.reason:
        yield Text(f"why: {plain(heartbeat.reason, style.ascii)[:300]}", style=style.error)
    elif overview.state is State.LOST:
        yield Text(f"why: {plain(lost_reason(heartbeat), style.ascii)}", style=style.state(State.LOST))
    if overview.given_up:
        last = f"; the last: {plain(overview.failures[-1].reason, style.ascii)[:200]}" if overview.failures else ""
        yield Text(f"{pluralize(overview.given_up, 'retraining')} given up{last}", style=style.error)


def proposal_lines(state: RunState, keys: Keys, width: int) -> list[Text]:
    """Return what is chosen, each with the key that changes it, and what that comes to: models and time."""
    pruning, style = state.pruning, state.style
    title = f"more retrainings for {pruning.name}" if pruning.exists else f"a pruning, {pruning.name}: not begun"
    step = state.preparing.get(pruning.run.root, "")
    lines = [Text(plain(title, style.ascii)[:width], style="bold"), *starting(step, style)]
    for action, label, text in _choices(state):
        value = cut(plain(text, style.ascii), max(width - _LABEL - 4, 8), style.ellipsis)
        key = keys.first(action) if action else ""
        lines.append(Text.assemble((f"{key:<4}", f"bold {style.good}"), (f"{label:<{_LABEL}}", style.quiet), value))
    lines.append(Text())
    if state.overview is not None and not state.overview.finished:
        lines.append(Text("no model has been recorded yet: there is nothing to rank by", style=style.quiet))
    elif pruning.plan.error:
        lines.append(Text(plain(pruning.plan.error, style.ascii), style=style.error))
    elif pruning.plan.value is None:
        lines.append(Text("working out what that comes to...", style=style.quiet))
    else:
        lines += [_line("", "models", text, style) for text in models_of(pruning, pruning.plan.value)[:1]]
        lines += [_line("", "", text, style) for text in models_of(pruning, pruning.plan.value)[1:]]
        time_key = keys.first("prune.time")
        lines.append(_line("", "time", time_of(state) or f"not known: {time_key} times a few training steps", style))
    return lines


def _line(key: str, label: str, text: str, style: Style) -> Text:
    return Text.assemble((f"{key:<4}", f"bold {style.good}"), (f"{label:<{_LABEL}}", style.quiet), text)


def _choices(state: RunState) -> Iterator[tuple[str, str, str]]:
    """Action, label and value of what can be chosen."""
    pruning = state.pruning
    request, outline = pruning.request, pruning.plan.value
    ks = request.drop_counts
    counts = ", ".join(map(str, ks))
    if not ks and not pruning.exists and not request.lists:
        usual = sorted({arm.k for arm in outline.pruning.arms if arm.kind == "lowest"}) if outline else []
        counts = f"{', '.join(map(str, usual))} (usual)" if usual else "the usual numbers"
    yield "prune.numbers", "drop", f"{counts}; lowest, random, highest" if counts else "no further number"
    yield "prune.list", "list", _listed(request, len(pruning.marked))
    yield "prune.seeds", "seeds", _seeds(state, outline)
    yield "prune.baselines", "baselines", _baselines(pruning)
    used = outline.pruning.ranking if outline else None
    if pruning.exists and used is not None:
        ranking = f"{', '.join(used.targets)}, {used.output}, {used.estimator}, as it began"
    else:
        question = state.question
        info = state.info
        target = question.target or (info.targets[0].name if info else "")
        models = f", {pluralize(used.models, 'model')}" if used else ""
        narrower = question.target_class is not None or question.example is not None
        whence = "the whole target, not the part of it asked in Rank" if narrower else "as asked in Rank"
        ranking = f"{target}, {question.output_kind}, {question.estimator}{models}; {whence}"
    yield "", "ranking", ranking


def _listed(request: PruningRequest, marked: int) -> str:
    if request.lists:
        kind, groups = request.lists[0].kind, request.lists[0].groups
        what = "drop" if kind is ArmKind.DROP else "keep only"
        return f"{what} {pluralize(len(groups), 'class', 'classes')}: {', '.join(groups)}"
    return f"none of the {marked:,} marked" if marked else "none; mark classes in Rank first"


def _seeds(state: RunState, outline: PlanPreview | None) -> str:
    if outline is None:
        return str(state.pruning.request.seeds or "the usual number")
    stages = outline.pruning.stages
    first = f"{stages.seeds} of each arm"
    if stages.within and stages.most > stages.seeds:
        return f"{first}, up to {stages.most} for an interval of +-{100 * stages.within:g} points"
    return first


def _baselines(pruning: PruningState) -> str:
    outline = pruning.plan.value
    if outline is None:
        return "off" if pruning.request.baselines == () else "on"
    kinds = [kind.replace("-", " ") for kind in outline.pruning.stages.baselines]
    return ", ".join(kinds) if kinds else "none"


def models_of(pruning: PruningState, outline: PlanPreview) -> list[str]:
    """Return how many models would be trained, and what follows from those."""
    plan = outline.pruning
    stages = plan.stages
    done = pruning.run.overview.finished if pruning.run.overview else 0
    arms = pluralize(len(plan.arms), "arm")
    lines = [f"{pluralize(plan.n_rows - done, 'retraining')} of {arms}" + (f", {done:,} are there" if done else "")]
    there = {arm.kind for arm in plan.arms}
    if any(kind not in there for kind in stages.baselines) and any(arm.kind == "lowest" for arm in plan.arms):
        lines.append("then the baselines")
    if stages.within and stages.most > stages.seeds:
        lines.append(f"then up to {stages.most} of an arm, where its accuracy varies much")
    if plan.max_rows > plan.n_rows:
        lines.append(f"{plan.max_rows - done:,} at most")
    return lines


def time_of(state: RunState) -> str:
    """Return how long the retrainings take, as far as that is known: timed, or at the rate of the last ones."""
    pruning = state.pruning
    preview, cost, overview = pruning.plan.value, pruning.cost, pruning.run.overview
    if preview is None:
        return ""
    plan, done = preview.pruning, overview.finished if overview else 0
    left = plan.n_rows - done
    longer = (plan.max_rows - done) / max(left, 1)

    def most(seconds: float) -> str:
        return (
            f" for the first {left:,}, {format_duration(seconds * longer)} at most"
            if plan.max_rows > plan.n_rows
            else ""
        )

    if cost.value is not None and cost.answered == pruning.plan.answered:
        on = pluralize(cost.value.workers, "worker")
        seconds = cost.value.seconds_per_model * left / cost.value.workers
        return f"{format_duration(seconds)}{most(seconds)} as timed on {on}"
    if preview.seconds is not None:
        whose = "pruning" if pruning.exists else "sweep"
        return f"about {format_duration(preview.seconds)}{most(preview.seconds)}, at the {whose}'s rate"
    return ""
