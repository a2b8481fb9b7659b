"""`tinfl stop` and `tinfl resume`."""

from typing import Annotated

import typer

from tui_influence.cli import diagnostics
from tui_influence.cli.options import Devices, Foreground, Results, RetryFailed

_PATIENCE = 10.0
"""Seconds that `stop` waits for the supervisor to say that it has heard."""


def stop(
    results: Results,
    now: Annotated[bool, typer.Option("--now", help="Do not finish the models in hand.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Return when the run has stopped.")] = False,
) -> None:
    """Stop a run after the models in hand; a second time, at once."""
    import time

    from tui_influence.runs.control import StopLevel, record_stopped, request_stop
    from tui_influence.runs.heartbeat import ACTIVE, State, observe
    from tui_influence.store.paths import Paths
    from tui_influence.store.run_info import read_run_info

    paths = Paths(results)
    record_stopped(paths)
    state, heartbeat, _ = observe(paths)
    if state not in ACTIVE:
        if heartbeat is None:
            read_run_info(results)  # says what is wrong, if anything is
        diagnostics.say(f"not running ({state.value}); nothing to stop")
        return
    level = request_stop(paths, at_once=now)
    if level is StopLevel.AT_ONCE:
        diagnostics.say("stopping at once: models in hand are given up and will be trained again")
    else:
        diagnostics.say("stopping after the models in hand; once more to stop at once")
    heard = time.monotonic() + _PATIENCE
    while (state := observe(paths)[0]) in ACTIVE and (wait or state is not State.STOPPING):
        if not wait and time.monotonic() > heard:
            diagnostics.warn("the supervisor has not answered yet; see `tinfl status`")
            break
        time.sleep(0.05)
    record_stopped(paths)
    again = f"tinfl resume {results}" if paths.run.exists() else "the same `tinfl sweep`; nothing was prepared yet"
    diagnostics.say(f"next: {again}")


def resume(
    results: Results, foreground: Foreground = False, devices: Devices = None, retry_failed: RetryFailed = False
) -> None:
    """Go on with a run that was stopped, failed or lost its supervisor."""
    from tui_influence.cli.commands.prune import reading_command
    from tui_influence.cli.launch import device_list, start
    from tui_influence.runs.resume import request_to_resume

    request = request_to_resume(results, device_list(devices), retry_failed=retry_failed)
    start(request, foreground=foreground, reading=reading_command(results))
