"""A run's devices and workers, a line each: how busy, how much memory, how warm; what is in hand, and for how long.

Pure functions of a heartbeat. A large crew is counted rather than listed.
"""

from collections.abc import Iterator, Sequence

from rich.text import Text

from tui_influence.render.charts import progress_bar
from tui_influence.render.format import cut, fit, plain
from tui_influence.render.run_words import columns, device_cells, device_name, worker_cells
from tui_influence.render.style import LABEL, NARROW, Style
from tui_influence.runs.heartbeat import DeviceState, Heartbeat, WorkerState

MOST = 8
"""Lines that devices take at most, and workers."""
_BAR = 8
_FEWEST_NAME = 6


def crew_lines(heartbeat: Heartbeat, style: Style, width: int, *, fresh: bool) -> Iterator[Text]:
    """Yield a line a device, then a line a worker.

    Args:
        heartbeat: what the supervisor said.
        style: colours and signs.
        width: of the lines.
        fresh: whether it was said a moment ago; if not, it is drawn as what matters less.
    """
    text_style = "" if fresh else style.quiet
    devices, workers = heartbeat.devices, heartbeat.workers
    yield from _devices(devices[:MOST], style, width, text_style)
    if len(devices) > MOST:
        yield style.fact("", f"and {len(devices) - MOST} more devices", text_style)
    shown = workers if len(workers) <= MOST else workers[: MOST - 1]
    yield from _workers(shown, style, width, text_style, named=len(devices) != 1)
    if left := workers[len(shown) :]:
        busy = sum(1 for worker in left if worker.row)
        done = sum(worker.models for worker in left)
        yield style.fact("", f"and {len(left)} more: {busy} at work, {done:,} done", text_style)


def _devices(devices: Sequence[DeviceState], style: Style, width: int, text_style: str) -> Iterator[Text]:
    narrow, ellipsis = width < NARROW, style.ellipsis
    bar = 0 if narrow else _BAR + 1
    room = width - LABEL - bar
    lines = columns([device_cells(device, short=narrow, ascii=style.ascii) for device in devices], room)
    for device, line in zip(devices, lines, strict=True):
        text = Text(style=text_style)
        if bar:
            text.append_text(_bar(device.utilisation, style, text_style or style.good)).append(" ")
        text.append(line)
        if not narrow and (left := room - len(line) - 2) >= _FEWEST_NAME:
            text.append("  " + cut(plain(device_name(device), style.ascii), left, ellipsis))
        text.rstrip()
        yield style.fact(fit(plain(device.device, style.ascii), LABEL - 1, ellipsis=ellipsis), text)


def _bar(share: float | None, style: Style, text_style: str) -> Text:
    return Text(" " * _BAR) if share is None else progress_bar(share, 0.0, _BAR, style, text_style)


def _workers(
    workers: Sequence[WorkerState], style: Style, width: int, text_style: str, *, named: bool
) -> Iterator[Text]:
    cells = [worker_cells(worker)[0 if named else 1 :] for worker in workers]
    for worker, line in zip(workers, columns(cells, width - LABEL), strict=True):
        doubtful = style.warning if worker.silence is not None and not text_style else text_style
        yield style.fact(f"worker {worker.worker}"[: LABEL - 1], plain(line, style.ascii).rstrip(), doubtful)
