"""A run's devices and workers, a line each: how busy, how much memory, how warm; what is in hand, and for how long.

Pure functions of a heartbeat. A large crew is counted rather than listed.
"""

from collections.abc import Iterator, Sequence

from rich.text import Text

from tui_influence.render.format import cut, fit, plain
from tui_influence.render.run_words import columns, device_cells, device_name, worker_cells
from tui_influence.runs.heartbeat import DeviceState, Heartbeat, WorkerState
from tui_influence.tui.theme import Look
from tui_influence.tui.widgets.charts import progress_bar
from tui_influence.tui.widgets.facts import LABEL, NARROW, fact

MOST = 8
"""Lines that devices take at most, and workers."""
_BAR = 8
_FEWEST_NAME = 6


def crew_lines(heartbeat: Heartbeat, look: Look, width: int, *, fresh: bool) -> Iterator[Text]:
    """Yield a line a device, then a line a worker.

    Args:
        heartbeat: what the supervisor said.
        look: how to draw.
        width: of the lines.
        fresh: whether it was said a moment ago; if not, it is drawn as what matters less.
    """
    style = "" if fresh else look.quiet
    devices, workers = heartbeat.devices, heartbeat.workers
    yield from _devices(devices[:MOST], look, width, style)
    if len(devices) > MOST:
        yield fact("", f"and {len(devices) - MOST} more devices", look, style)
    shown = workers if len(workers) <= MOST else workers[: MOST - 1]
    yield from _workers(shown, look, width, style, named=len(devices) != 1)
    if left := workers[len(shown) :]:
        busy = sum(1 for worker in left if worker.row)
        done = sum(worker.models for worker in left)
        yield fact("", f"and {len(left)} more: {busy} at work, {done:,} done", look, style)


def _devices(devices: Sequence[DeviceState], look: Look, width: int, style: str) -> Iterator[Text]:
    narrow, ellipsis = width < NARROW, look.sign("…", "~")
    bar = 0 if narrow else _BAR + 1
    room = width - LABEL - bar
    lines = columns([device_cells(device, short=narrow, ascii=look.ascii) for device in devices], room)
    for device, line in zip(devices, lines, strict=True):
        text = Text(style=style)
        if bar:
            text.append_text(_bar(device.utilisation, look, style or look.good)).append(" ")
        text.append(line)
        if not narrow and (left := room - len(line) - 2) >= _FEWEST_NAME:
            text.append("  " + cut(plain(device_name(device), look.ascii), left, ellipsis))
        text.rstrip()
        yield fact(fit(plain(device.device, look.ascii), LABEL - 1, ellipsis=ellipsis), text, look)


def _bar(share: float | None, look: Look, style: str) -> Text:
    return Text(" " * _BAR) if share is None else progress_bar(share, 0.0, _BAR, look, style)


def _workers(workers: Sequence[WorkerState], look: Look, width: int, style: str, *, named: bool) -> Iterator[Text]:
    cells = [worker_cells(worker)[0 if named else 1 :] for worker in workers]
    for worker, line in zip(workers, columns(cells, width - LABEL), strict=True):
        doubtful = look.warning if worker.silence is not None and not style else style
        yield fact(f"worker {worker.worker}"[: LABEL - 1], plain(line, look.ascii).rstrip(), look, doubtful)
