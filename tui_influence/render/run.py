"""A run as lines of text of a width: its state, progress, rate, workers, tasks, failures, and how its models do.

The most important lines come first, so that a low terminal shows those. Loads no numpy: the app paints it first.
"""

from collections.abc import Iterator, Sequence
from math import isfinite
from statistics import fmean

from rich.text import Text

from tui_influence.analysis.types import MIN_MODELS, ReliabilityCurve
from tui_influence.influence.types import Reliability, reliability_grade
from tui_influence.render.charts import histogram, progress_bar, reliability_chart
from tui_influence.render.format import cut, fit, plain
from tui_influence.render.numbers import with_interval
from tui_influence.render.reliability_forecast import describe_forecast, growth_lines
from tui_influence.render.run_words import (
    align_columns,
    describe_accuracy,
    describe_running,
    describe_waiting,
    device_cells,
    device_name,
    lost_reason,
    silent_reason,
    split_by_state,
    worker_cells,
)
from tui_influence.render.style import LABEL, NARROW, Style
from tui_influence.roles import Role
from tui_influence.runs.cluster.slurm_client import SlurmTask
from tui_influence.runs.heartbeat import FINISHED, DeviceState, Heartbeat, State, WorkerState
from tui_influence.runs.overview import Overview
from tui_influence.text import format_duration, pluralize, printable

MAX_LINES = 8
"""Lines that devices take at most, that workers take, and that running tasks take."""
MAX_WAITING = 4
"""Lines that waiting tasks take at most."""
_BAR = 8
_MIN_NAME = 6


def run_summary(
    overview: Overview | None, style: Style, width: int, *, error: str = "", preparing: str = ""
) -> list[Text]:
    """Return the state of a run, its progress, rate, workers and failures.

    Args:
        overview: of the run; None before it has been read.
        style: colours and signs.
        width: of the lines.
        error: why the run cannot be read, if so.
        preparing: what a supervisor that is being started does, if one is.
    """
    if overview is None:
        return [Text(error or "reading the run...", style=style.quiet)]
    lines = [
        *_banner(overview, style, width, error, preparing),
        *_progress(overview, style, width),
        *_facts(overview, style, width),
    ]
    if width < NARROW:  # a compact status: a line each, cut rather than wrapped
        for line in lines:
            line.truncate(width, overflow="ellipsis")
    return lines


def _banner(overview: Overview, style: Style, width: int, error: str, preparing: str) -> Iterator[Text]:
    heartbeat = overview.heartbeat
    yield Text.assemble(style.banner(overview.state, silent=overview.is_silent), "  ", _since(overview))
    if width >= NARROW:
        yield Text()
    if error:
        yield Text(f"cannot be read any more: {error}", style=style.error)
    if preparing:
        yield Text(f"starting: {printable(preparing, 200)}", style=style.warning)
    elif overview.state is State.FAILED and heartbeat and heartbeat.reason:
        yield Text(f"why: {printable(heartbeat.reason, 400)}", style=style.error)
    elif overview.is_silent and width >= NARROW:
        yield Text(f"why: {plain(silent_reason(overview.owner), style.ascii)}", style=style.warning)
    elif overview.state is State.LOST and width < NARROW:
        yield Text("R resumes from the records", style=style.state(State.LOST))
    elif overview.state is State.LOST:
        yield Text(f"why: {plain(lost_reason(heartbeat), style.ascii)}", style=style.state(State.LOST))


def _since(overview: Overview) -> str:
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
        yield from _rate(overview.heartbeat, overview.left, style, style.quiet if overview.is_silent else "")


def _rate(heartbeat: Heartbeat, left: int, style: Style, text_style: str) -> Iterator[Text]:
    rate = f"{heartbeat.models_per_hour:,.0f} models an hour" if heartbeat.models_per_hour else "not known yet"
    yield style.fact("rate", rate, text_style)
    if heartbeat.eta and left:
        expected, low, high = (format_duration(max(seconds, 0.0)) for seconds in heartbeat.eta)
        between = f"  ({low} to {high})" if low != high else ""
        yield style.fact("time left", f"{expected}{between}", text_style)


def _facts(overview: Overview, style: Style, width: int) -> Iterator[Text]:
    info, heartbeat = overview.info, overview.heartbeat
    if heartbeat and heartbeat.source_accuracy is not None:
        names = [plain(target.name, style.ascii)[:30] for target in info.targets] if info else []
        yield style.fact("accuracy", describe_accuracy(heartbeat, names))
    for warning in heartbeat.warnings if heartbeat else []:
        yield style.fact("warning", printable(warning, 400), style.warning)
    if overview.given_up:
        last = "; the last:" if overview.failures else ""
        yield style.fact("failed", f"{pluralize(overview.given_up, 'model')} given up{last}", style.error)
    for failure in overview.failures:
        text = f"{failure.role.value} {failure.index}: {printable(failure.reason, 300)}"
        yield style.fact("", text, style.error)
    if overview.is_active and heartbeat:
        yield from _worker_lines(heartbeat, style, width, fresh=not overview.is_silent)
        yield from _task_lines(heartbeat, style, width)
    if info:
        yield Text()
        planned, done = overview.planned, overview.done
        purpose = Role.ARM if Role.ARM in planned else Role.ESTIMATE
        what = "retrainings of a pruning" if purpose is Role.ARM else "to estimate from"
        models = [f"{done[purpose]:,} of {planned[purpose]:,} {what}"]
        if planned[Role.HELDOUT]:
            models.append(f"{done[Role.HELDOUT]:,} of {planned[Role.HELDOUT]:,} held out")
        if Role.PRIOR in planned:
            models.append(f"{done[Role.PRIOR]:,} of {pluralize(planned[Role.PRIOR], 'prior network')}")
        yield from _broken_fact("models", models, style, width)
        for label, text in growth_lines(overview.growth.latest, info, done.get(Role.ESTIMATE, 0)):
            yield style.fact(label, plain(text, style.ascii), style.warning if label == "warning" else "")
        source = f"{pluralize(len(info.source.groups), 'group')}, {pluralize(info.source.images, 'image')}"
        yield from _broken_fact("source", [source, info.design_label], style, width, "; ")
        for target in info.targets:
            name = printable(target.name, 24)
            classes = pluralize(len(target.classes), "class", "classes")
            yield from _broken_fact(
                "target", [f"{name}: {classes}", pluralize(target.test, "test image")], style, width
            )
        skipped = info.source.skipped + sum(target.skipped for target in info.targets)
        if skipped:
            yield style.fact("skipped", f"{skipped:,} unreadable images", style.warning)


def _broken_fact(label: str, parts: Sequence[str], style: Style, width: int, separator: str = ", ") -> Iterator[Text]:
    """Yield a fact of some parts: on one line, or a line each where they are too wide for it."""
    text = separator.join(parts)
    if len(text) <= width - LABEL or width < NARROW:
        yield style.fact(label, text)
        return
    last = len(parts) - 1
    for index, part in enumerate(parts):
        yield style.fact("" if index else label, part if index == last else f"{part}{separator.rstrip()}")


def _worker_lines(heartbeat: Heartbeat, style: Style, width: int, *, fresh: bool) -> Iterator[Text]:
    """Yield a line a device, then a line a worker.

    Args:
        heartbeat: of the supervisor.
        style: colours and signs.
        width: of the lines.
        fresh: whether it is recent; an old one is written as secondary text.
    """
    text_style = "" if fresh else style.quiet
    devices, workers = heartbeat.devices, heartbeat.workers
    yield from _devices(devices[:MAX_LINES], style, width, text_style)
    if len(devices) > MAX_LINES:
        yield style.fact("", f"and {len(devices) - MAX_LINES} more devices", text_style)
    listed = workers if len(workers) <= MAX_LINES else workers[: MAX_LINES - 1]
    yield from _workers(listed, style, width, text_style, named=len(devices) != 1)
    if left := workers[len(listed) :]:
        busy = sum(1 for worker in left if worker.row)
        done = sum(worker.models for worker in left)
        yield style.fact("", f"and {len(left)} more: {busy} in training, {done:,} done", text_style)


def _devices(devices: Sequence[DeviceState], style: Style, width: int, text_style: str) -> Iterator[Text]:
    narrow, ellipsis = width < NARROW, style.ellipsis
    bar = 0 if narrow else _BAR + 1
    room = width - LABEL - bar
    lines = align_columns([device_cells(device, short=narrow, ascii=style.ascii) for device in devices], room)
    for device, line in zip(devices, lines, strict=True):
        text = Text(style=text_style)
        if bar:
            text.append_text(_bar(device.utilisation, style, text_style or style.good)).append(" ")
        text.append(line)
        if not narrow and (left := room - len(line) - 2) >= _MIN_NAME:
            text.append("  " + style.cut(device_name(device), left))
        text.rstrip()
        yield style.fact(fit(plain(device.device, style.ascii), LABEL - 1, ellipsis=ellipsis), text)


def _bar(share: float | None, style: Style, text_style: str) -> Text:
    return Text(" " * _BAR) if share is None else progress_bar(share, 0.0, _BAR, style, text_style)


def _workers(
    workers: Sequence[WorkerState], style: Style, width: int, text_style: str, *, named: bool
) -> Iterator[Text]:
    cells = [worker_cells(worker)[0 if named else 1 :] for worker in workers]
    for worker, line in zip(workers, align_columns(cells, width - LABEL), strict=True):
        doubtful = style.warning if worker.silence is not None and not text_style else text_style
        yield style.fact(f"worker {worker.worker}"[: LABEL - 1], plain(line, style.ascii).rstrip(), doubtful)


def _task_lines(heartbeat: Heartbeat, style: Style, width: int) -> Iterator[Text]:
    """Yield a line that counts the tasks, then a line a task; further ones are counted.

    Args:
        heartbeat: with the tasks; nothing is written where there is none.
        style: colours and signs.
        width: of the lines.
    """
    running, waiting = split_by_state(heartbeat.tasks)
    if running:
        yield style.fact("tasks", style.cut(describe_running(running, 3), max(width - LABEL, 1)))
    listed = running if len(running) <= MAX_LINES else running[: MAX_LINES - 1]
    yield from _task_facts(listed, [_on(task) for task in listed], style, width)
    if left := running[len(listed) :]:
        yield style.fact("", f"and {len(left):,} more")
    yield from _task_facts(
        waiting[:MAX_WAITING], [describe_waiting(task) for task in waiting], style, width, style.quiet
    )
    if left := waiting[MAX_WAITING:]:
        yield style.fact("", f"and {sum(task.count for task in left):,} more wait", style.quiet)


def _task_facts(
    tasks: Sequence[SlurmTask], texts: Sequence[str], style: Style, width: int, text_style: str = ""
) -> Iterator[Text]:
    job_cells, room = max((len(task.job) for task in tasks), default=0), max(width - LABEL, 1)
    for task, text in zip(tasks, texts, strict=False):
        state = cut(task.state.lower(), LABEL - 1, "")
        yield style.fact(state, style.cut(f"{task.job:<{job_cells}}  {text}", room), text_style)


def _on(task: SlurmTask) -> str:
    return f"{task.node}  plans the next round" if task.is_planner else task.node


def summary_states_forecast(overview: Overview | None, target: str | None) -> bool:
    """Return whether `run_summary` states the models that the ranking on a whole target takes.

    Args:
        overview: that the summary is of.
        target: its name; None is the first.
    """
    latest = overview.growth.latest if overview else None
    if overview is None or overview.info is None or latest is None:
        return False
    if latest.target != (target or overview.info.targets[0].name):
        return False
    return any(label == "needed" for label, _ in growth_lines(latest, overview.info, latest.models))


def reliability_word(reliability: Reliability | None, *, any_significant: bool) -> str:
    """Return the word for the reliability of a ranking, as every screen has it.

    Args:
        reliability: of the order; None or not finite where it is unknown.
        any_significant: a group of the ranking has a significant influence, though the order may not be reliable.
    """
    if reliability is None or not isfinite(reliability.value):
        return "unknown"
    grade = reliability_grade(reliability)
    if grade != "noise":
        return grade
    return "uncertain" if any_significant else "NOISE"


def model_lines(
    curve: ReliabilityCurve,
    style: Style,
    width: int,
    height: int,
    about: str = "",
    *,
    any_significant: bool | None,
    with_forecast: bool = True,
) -> list[Text]:
    """Return the reliability of the ranking with its forecast, and the accuracies of the models.

    Args:
        curve: reliability by number of models.
        any_significant: a group of the ranking has a significant influence; None as long as that is not known.
        style: colours and signs.
        width: of the lines.
        height: of the plot.
        about: target and class of the ranking, where it is not the whole first target.
        with_forecast: state the models that the ranking takes.
    """
    on = f" on {plain(about, style.ascii)[:40]}" if about else ""
    title = Text(f"Reliability of the ranking{on}", style="bold")
    if not curve.measured:
        why = f"measured from {MIN_MODELS} models on" if curve.models < MIN_MODELS else "too few groups to tell"
        lines = [title, Text(why, style=style.quiet)]
    else:
        last = curve.measured[-1][1]
        word = reliability_word(last, any_significant=bool(any_significant))
        is_open = any_significant is None and reliability_grade(last) == "noise"
        interval = with_interval(last.value, last.low, last.high)
        title.append(
            f"  {interval}" if is_open else f"  {word}: {interval}",
            f"not bold {style.warning}" if word == "NOISE" else "not bold",
        )
        lines = [title, *reliability_chart(curve, width, height, style)]
        if with_forecast:
            lines.append(Text(describe_forecast(curve.models_needed, curve.models), style=style.quiet))
    for name, values in (("source", curve.source_accuracy), ("target", curve.target_accuracy)):
        if values:
            bars, low_end, high_end = histogram(values, max(min(width - 44, 28), 8), style)
            after = f" {high_end:.1%}, mean {fmean(values):.1%}" if low_end != high_end else f" {low_end:.1%}"
            before = f"{low_end:.1%} " if low_end != high_end else ""
            lines.append(Text.assemble((f"accuracy {name:<7}", style.quiet), before, bars, after))
    return lines


def retraining_line(overview: Overview, style: Style, width: int, name: Text | None = None) -> Text:
    """Return a run that retrains in one line: its state, its name, the models that are done, and the time left."""
    line = style.banner(overview.state, silent=overview.is_silent)
    if name is not None:
        line = Text.assemble(line, " ", name)
    if overview.total:
        text_style = style.state(overview.state, silent=overview.is_silent)
        short, left = f" {overview.finished:,} of {overview.total:,}", _time_left(overview)
        count = f"{short} retrainings{left}"
        if len(line.plain) + len(count) > width:
            count = f"{short}{left}"
        room = width - len(line.plain) - len(count) - 2
        if room >= _BAR:
            done, failed = overview.finished / overview.total, overview.given_up / overview.total
            line = Text.assemble(line, "  ", progress_bar(done, failed, min(room, 40), style, text_style))
        line.append(count)
    line.no_wrap, line.overflow = True, "crop"
    return line


def preparing_lines(step: str, style: Style) -> list[Text]:
    """Return the step that a run which is being started takes; nothing if none is."""
    return [Text(f"at work: {printable(step, 200)}", style=style.warning)] if step else []


def retraining_problems(overview: Overview, style: Style) -> Iterator[Text]:
    """Yield why a run that retrains ended early, and how many of its models failed for good."""
    heartbeat = overview.heartbeat
    if overview.state is State.FAILED and heartbeat and heartbeat.reason:
        yield Text(f"why: {plain(heartbeat.reason, style.ascii)[:300]}", style=style.error)
    elif overview.state is State.LOST:
        yield Text(f"why: {plain(lost_reason(heartbeat), style.ascii)}", style=style.state(State.LOST))
    if overview.given_up:
        last = f"; the last: {plain(overview.failures[-1].reason, style.ascii)[:200]}" if overview.failures else ""
        yield Text(f"{pluralize(overview.given_up, 'retraining')} given up{last}", style=style.error)


def _time_left(overview: Overview) -> str:
    heartbeat = overview.heartbeat
    if not overview.is_active or heartbeat is None or not heartbeat.eta or not overview.left:
        return ""
    return f", {format_duration(max(heartbeat.eta[0], 0.0))} left"
