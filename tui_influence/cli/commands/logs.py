"""`tinfl logs`: what happened to a run, or what one of its processes said."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from tui_influence.cli import diagnostics, output
from tui_influence.cli.options import Results
from tui_influence.errors import ResultsError
from tui_influence.render.run_words import event_sentence, event_time
from tui_influence.runs.heartbeat import ACTIVE, observe
from tui_influence.store.events import EventTail
from tui_influence.store.files import open_file, to_results_error
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import read_run_info
from tui_influence.text import printable

_POLL = 0.3


def logs(
    results: Results,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come, until the run ends.")] = False,
    worker: Annotated[int | None, typer.Option(min=0, help="The log of this worker instead.")] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="Start with this many lines.")] = 50,
    json: Annotated[bool, typer.Option("--json", help="Write events as JSON lines.")] = False,
) -> None:
    """Show what happened to a run: one line an event."""
    paths = Paths(results)
    if paths.run.exists() or not (paths.events.exists() or paths.heartbeat.exists()):
        read_run_info(results)  # says what is wrong, if anything is
    if worker is not None and paths.cluster.is_dir() and not paths.worker_log(worker).exists():
        raise ResultsError(
            f"{printable(str(results))}: its models are trained on a cluster, whose tasks keep their logs in "
            f"{printable(str(paths.tasks(1).with_name('round-*') / '*' / '*.log'))}"
        )
    source = _worker_lines(paths.worker_log(worker)) if worker is not None else _event_lines(paths, json=json)
    last: list[str] = []
    waiting = False
    for text in source:
        if text is not None:
            if waiting:
                output.line(text)
            else:
                last = [*last[-(lines - 1) :], text] if lines > 1 else [text]
            continue
        if not waiting:
            for line in last:
                output.line(line)
            if not last:
                diagnostics.say(_nothing_yet(paths))
            waiting = True
        if not follow or observe(paths)[0] not in ACTIVE:
            return
        time.sleep(_POLL)


def _nothing_yet(paths: Paths) -> str:
    state, heartbeat, _ = observe(paths)
    stage = f", {printable(heartbeat.stage, 100)}" if heartbeat and heartbeat.stage else ""
    return f"nothing is written there yet: {state.value}{stage}"


def _event_lines(paths: Paths, *, json: bool) -> Iterator[str | None]:
    """Yield a line an event, and None whenever there is no more for now."""
    import json as encoder

    events = EventTail(paths)
    while True:
        for event in events.read():
            yield encoder.dumps(event) if json else f"{event_time(event)}  {event_sentence(event)}"
        yield None


def _worker_lines(path: Path) -> Iterator[str | None]:
    try:
        with open_file(path) as file:
            while True:
                line = file.readline(1 << 16)
                yield printable(line.decode(errors="replace").rstrip("\r\n")) if line else None
    except OSError as error:
        raise to_results_error(error, "read", path) from error
