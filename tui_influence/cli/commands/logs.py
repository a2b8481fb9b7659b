"""`tinfl logs`: the events of a run, or the log of one worker."""

import json as encoder
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from tui_influence.cli import diagnostics, output
from tui_influence.cli.options.watching import LogsOptions
from tui_influence.errors import ResultsError
from tui_influence.render.run_words import event_sentence, event_time
from tui_influence.runs.heartbeat import ACTIVE, observe
from tui_influence.store.events import EventTail
from tui_influence.store.files import open_file, to_results_error
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import read_run_info
from tui_influence.text import printable

_MAX_NUMBERS = 20
"""Workers that a message lists at most."""
_POLL_INTERVAL = 0.3
"""Seconds between two looks for new lines."""


def logs(options: LogsOptions) -> None:
    """Print the last lines, and with `--follow` those that come."""
    paths = Paths(options.results)
    if paths.run.exists() or not (paths.events.exists() or paths.heartbeat.exists()):
        read_run_info(options.results)  # raises an error if this is no run
    if options.worker is not None and paths.cluster.is_dir() and not paths.worker_log(options.worker).exists():
        raise ResultsError(
            f"{printable(str(options.results))}: its models are trained on a cluster; see the logs of the tasks in "
            f"{printable(str(paths.tasks(1).with_name('round-*') / '*' / '*.log'))}"
        )
    if options.worker is not None and not paths.worker_log(options.worker).exists():
        raise ResultsError(
            f"{printable(str(options.results))} has no log of worker {options.worker}; {_available_logs(paths)}"
        )
    if options.worker is not None:
        lines = _worker_lines(paths.worker_log(options.worker))
    else:
        lines = _event_lines(paths, json=options.json)
    last: deque[str] = deque(maxlen=options.lines)
    is_caught_up = False
    for text in lines:
        if text is not None:
            if is_caught_up:
                output.write_line(text)
            else:
                last.append(text)
            continue
        if not is_caught_up:
            for line in last:
                output.write_line(line)
            if not last:
                diagnostics.info(_empty_reason(paths) if options.worker is None else "the log is empty")
            is_caught_up = True
        if not options.follow or observe(paths)[0] not in ACTIVE:
            return
        time.sleep(_POLL_INTERVAL)


def _empty_reason(paths: Paths) -> str:
    state, heartbeat, _ = observe(paths)
    stage = f", {printable(heartbeat.stage, 100)}" if heartbeat and heartbeat.stage else ""
    return f"nothing is logged yet: {state.value}{stage}"


def _event_lines(paths: Paths, *, json: bool) -> Iterator[str | None]:
    """Yield a line per event, and None whenever there is no more for now."""
    events = EventTail(paths)
    while True:
        for event in events.read():
            yield encoder.dumps(event) if json else f"{event_time(event)}  {event_sentence(event)}"
        yield None


def _available_logs(paths: Paths) -> str:
    """Return which workers have a log, in words."""
    names = (file.stem.removeprefix("worker-") for file in paths.logs.glob("worker-*.log"))
    numbers = sorted(int(name) for name in names if name.isascii() and name.isdecimal())
    if not numbers:
        return "no worker has one"
    if len(numbers) == 1:
        return f"worker {numbers[0]} has one"
    if numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"workers {numbers[0]} to {numbers[-1]} have one"
    return f"workers {', '.join(map(str, numbers[:_MAX_NUMBERS]))}{', ...' * (len(numbers) > _MAX_NUMBERS)} have one"


def _worker_lines(path: Path) -> Iterator[str | None]:
    """Yield the lines of a log file, and None whenever there is no more for now."""
    try:
        with open_file(path) as file:
            while True:
                line = file.readline(1 << 16)
                yield printable(line.decode(errors="replace").rstrip("\r\n")) if line else None
    except OSError as error:
        raise to_results_error(error, "read", path) from error
