"""`tinfl stop`: ask a run to stop. Loads neither numpy nor pydantic, so that it answers at once."""

import time

from tui_influence.cli import diagnostics
from tui_influence.cli.options.watching import StopOptions
from tui_influence.runs.control import StopLevel, record_stopped, request_stop
from tui_influence.runs.heartbeat import ACTIVE, State, observe
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import read_run_info
from tui_influence.text import quote_path

_TIMEOUT = 10.0
"""Seconds to wait for the supervisor to confirm the request."""


def stop(options: StopOptions) -> None:
    """Ask the supervisor to stop, and wait for its confirmation."""
    paths = Paths(options.results)
    record_stopped(paths)
    state, heartbeat, _ = observe(paths)
    if state not in ACTIVE:
        if heartbeat is None:
            read_run_info(options.results)  # raises an error if this is no run
        diagnostics.info(f"not running ({state.value}); nothing to stop")
        return
    level = request_stop(paths, at_once=options.now)
    if level is StopLevel.AT_ONCE:
        diagnostics.info("stopping at once; `tinfl resume` trains the unfinished models again")
    else:
        diagnostics.info("stopping after the models in training; run `tinfl stop` again to stop at once")
    deadline = time.monotonic() + _TIMEOUT
    while (state := observe(paths)[0]) in ACTIVE and (options.wait or state is not State.STOPPING):
        if not options.wait and time.monotonic() > deadline:
            diagnostics.warn("the supervisor has not answered yet; see `tinfl status`")
            break
        time.sleep(0.05)
    record_stopped(paths)
    resume = f"tinfl resume {quote_path(options.results)}"
    diagnostics.info(f"next: {resume if paths.run.exists() else 'the same `tinfl sweep`; nothing was prepared yet'}")
