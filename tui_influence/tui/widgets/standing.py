"""How a run stands, as lines of text of a given width: state, progress, rate, workers, failures.

A pure function of a `RunState`. The most important lines come first, so that a low terminal shows those. Loads no
numpy: it is what the app paints first.
"""

from collections.abc import Iterator

from rich.text import Text

from tui_influence.render.charts import progress_bar
from tui_influence.render.format import plain
from tui_influence.render.run_words import (
    lost_reason,
    silent_reason,
)
from tui_influence.render.style import NARROW, Style
from tui_influence.roles import Role
from tui_influence.runs.heartbeat import FINISHED, Heartbeat, State
from tui_influence.runs.overview import Overview
from tui_influence.text import (
    format_duration,
    pluralize,
    printable,
)
from tui_influence.tui.state import RunState
from tui_influence.tui.widgets.crew import crew_lines
from tui_influence.tui.widgets.tasks import task_lines


def standing(state: RunState, width: int) -> list[Text]:
    """Return how the run stands: state, progress, rate, workers, failures."""
    overview, style = state.overview, state.style
    if overview is None:
        return [Text(state.problem or "reading the run...", style=style.quiet)]
    lines = [*_banner(state, overview, width), *_progress(overview, style, width), *_facts(overview, style, width)]
    if width < NARROW:  # a compact status: a line each, cut rather than wrapped
        for line in lines:
            line.truncate(width, overflow="ellipsis")
    return lines


def _banner(state: RunState, overview: Overview, width: int) -> Iterator[Text]:
    style, heartbeat = state.style, overview.heartbeat
    yield Text.assemble(style.banner(overview.state, silent=overview.is_silent), "  ", _about(overview))
    if width >= NARROW:
        yield Text()
    if state.problem:
        yield Text(f"cannot be read any more: {state.problem}", style=style.error)
    if state.preparing:
        yield Text(f"starting: {printable(state.preparing, 200)}", style=style.warning)
    elif overview.state is State.FAILED and heartbeat and heartbeat.reason:
        yield Text(f"why: {printable(heartbeat.reason, 400)}", style=style.error)
    elif overview.is_silent and width >= NARROW:
        yield Text(f"why: {plain(silent_reason(overview.owner), style.ascii)}", style=style.warning)
    elif overview.state is State.LOST and width < NARROW:
        yield Text("R resumes from the records", style=style.state(State.LOST))
    elif overview.state is State.LOST:
        yield Text(f"why: {plain(lost_reason(heartbeat), style.ascii)}", style=style.state(State.LOST))


def _about(overview: Overview) -> str:
    owner, heartbeat, age = overview.owner, overview.heartbeat, overview.heartbeat_age
    if overview.is_active and owner:
        stage = f"{heartbeat.stage}, " if heartbeat and heartbeat.stage else ""
        silent = f"silent for {format_duration(age)}, " if overview.is_silent and age is not None else ""
        return f"{silent}{printable(stage, 60)}pid {owner.pid} on {printable(owner.host, 30)}"
    if overview.is_active and heartbeat and heartbeat.tasks:
        return printable(heartbeat.stage, 100) or "on the cluster"
    if overview.state is State.QUEUED:
        return "planned, never started"
    if age is None:
        return ""
    finished = dict.fromkeys(FINISHED, "finished")
    since = finished | {State.STOPPED: "stopped", State.FAILED: "ended", State.LOST: "last heard of"}
    return f"{since.get(overview.state, '')} {format_duration(max(age, 0.0))} ago".strip()


def _progress(overview: Overview, style: Style, width: int) -> Iterator[Text]:
    if not overview.total:
        yield Text("The run is being prepared; its plan is not written yet.", style=style.quiet)
        return
    done, failed = overview.finished / overview.total, overview.given_up / overview.total
    count = f"  {overview.finished:,} of {overview.total:,} models  {done:.0%}"
    text_style = style.state(overview.state, silent=overview.is_silent)
    bar = progress_bar(done, failed, max(min(width - len(count), 72), 4), style, text_style)
    yield Text.assemble(bar, (count, "bold"))
    if overview.is_active and overview.heartbeat:
        yield from _pace(overview.heartbeat, overview.left, style, style.quiet if overview.is_silent else "")


def _pace(heartbeat: Heartbeat, left: int, style: Style, text_style: str) -> Iterator[Text]:
    rate = f"{heartbeat.models_per_hour:,.0f} models an hour" if heartbeat.models_per_hour else "not known yet"
    yield style.fact("rate", rate, text_style)
    if heartbeat.eta and left:
        expected, low, high = (format_duration(max(seconds, 0.0)) for seconds in heartbeat.eta)
        between = f"  ({low} to {high})" if low != high else ""
        yield style.fact("time left", f"{expected}{between}", text_style)


def _facts(overview: Overview, style: Style, width: int) -> Iterator[Text]:
    info, heartbeat = overview.info, overview.heartbeat
    if heartbeat and heartbeat.source_accuracy is not None:
        names = [target.name for target in info.targets] if info else []
        targets = "".join(
            f", {plain(name, style.ascii)[:30]} {value:.1%}"
            for name, value in zip(names, heartbeat.target_accuracy, strict=False)
        )
        yield style.fact("accuracy", f"source {heartbeat.source_accuracy:.1%}{targets}")
    for warning in heartbeat.warnings if heartbeat else []:
        yield style.fact("warning", printable(warning, 400), style.warning)
    if overview.given_up:
        count = f"{pluralize(overview.given_up, 'model')} given up; the last:"
        yield style.fact("failed", count if overview.failures else count[: -len("; the last:")], style.error)
    for failure in overview.failures:
        text = f"{failure.role.value} {failure.index}: {printable(failure.reason, 300)}"
        yield style.fact("", text, style.error)
    if overview.is_active and heartbeat:
        yield from crew_lines(heartbeat, style, width, fresh=not overview.is_silent)
        yield from task_lines(heartbeat, style, width)
    if info:
        yield Text()
        planned, done = overview.planned, overview.done
        purpose = Role.ARM if Role.ARM in planned else Role.ESTIMATE
        what = "retrainings of a pruning" if purpose is Role.ARM else "to estimate from"
        parts = f"{done[purpose]:,} of {planned[purpose]:,} {what}"
        if planned[Role.HELDOUT]:
            parts += f", {done[Role.HELDOUT]:,} of {planned[Role.HELDOUT]:,} held out"
        yield style.fact("models", parts)
        yield style.fact(
            "source",
            f"{pluralize(len(info.source.groups), 'group')}, {pluralize(info.source.images, 'image')}; "
            f"{info.design_label}",
        )
        for target in info.targets:
            name = printable(target.name, 24)
            yield style.fact(
                "target",
                f"{name}: {pluralize(len(target.classes), 'class', 'classes')}, {pluralize(target.test, 'test image')}",
            )
        skipped = info.source.skipped + sum(target.skipped for target in info.targets)
        if skipped:
            yield style.fact("skipped", f"{skipped:,} unreadable images", style.warning)
