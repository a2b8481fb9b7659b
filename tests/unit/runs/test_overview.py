import json
import time
from dataclasses import replace

import pytest

from tests.unit.store.conftest import make_record, paths, run  # noqa: F401
from tui_influence.errors import ResultsError
from tui_influence.render.run_words import (
    ASCII_SILENT_SIGN,
    ASCII_STATE_SIGNS,
    SILENT_SIGN,
    STATE_SIGNS,
    Level,
    event_level,
    event_sentence,
    event_time,
    lost_reason,
    silent_reason,
)
from tui_influence.roles import Role
from tui_influence.runs.heartbeat import ACTIVE, HEARTBEAT_OVERDUE, Heartbeat, State, write_heartbeat
from tui_influence.runs.overview import overview
from tui_influence.runs.ownership import Owner
from tui_influence.store.files import write_json
from tui_influence.store.records import write_record
from tui_influence.store.run_info import write_run_info
from tui_influence.text import format_duration


def test_models_are_counted_from_their_records(run):  # noqa: F811
    paths, info = run  # noqa: F811
    paths.failure(Role.ESTIMATE, 9).parent.mkdir(parents=True)
    paths.failure(Role.ESTIMATE, 9).write_text(json.dumps({"reason": "out of memory"}))
    current = overview(paths)
    assert (current.state, current.finished, current.total, current.given_up, current.left) == (
        State.QUEUED,
        4,
        info.models + info.heldout,
        1,
        3,
    )
    assert [(failure.index, failure.reason) for failure in current.failures] == [(9, "out of memory")]
    assert not current.is_active


@pytest.mark.parametrize(
    ("recorded", "failed", "state"),
    [(0, 0, State.QUEUED), (1, 0, State.DONE), (0, 1, State.DONE_WITH_FAILURES)],
)
@pytest.mark.parametrize("heartbeat", [None, "{"])
def test_a_run_of_which_no_model_is_left_is_done_without_a_heartbeat(run, recorded, failed, state, heartbeat):  # noqa: F811
    paths, info = run  # noqa: F811
    info = replace(info, models=4 + recorded + failed, heldout=0) if recorded or failed else info
    write_run_info(paths, info)
    if heartbeat is not None:
        paths.heartbeat.write_text(heartbeat)
    if recorded:
        write_record(paths, make_record(4))
    if failed:
        paths.failure(Role.ESTIMATE, 4).parent.mkdir(parents=True)
        paths.failure(Role.ESTIMATE, 4).write_text(json.dumps({"reason": "out of memory"}))
    assert overview(paths).state is state


def test_without_a_readable_heartbeat_a_lost_run_says_so():
    assert "missing or unreadable" in lost_reason(None)
    assert "died unexpectedly" in lost_reason(Heartbeat(State.RUNNING, 1.0, 0.0))


def test_a_failure_that_cannot_be_read_is_still_counted(run):  # noqa: F811
    paths, _ = run  # noqa: F811
    paths.failure(Role.HELDOUT, 2).parent.mkdir(parents=True)
    paths.failure(Role.HELDOUT, 2).write_text("{")
    current = overview(paths)
    assert current.given_up == 1
    assert "damaged" in current.failures[0].reason


def test_what_is_no_run_is_refused(paths):  # noqa: F811
    with pytest.raises(ResultsError, match=r"no run\.json"):
        overview(paths)


@pytest.mark.parametrize(("marks", "silent"), [(STATE_SIGNS, SILENT_SIGN), (ASCII_STATE_SIGNS, ASCII_SILENT_SIGN)])
def test_no_two_states_look_alike(marks, silent):
    assert set(marks) == set(State)
    assert len({silent, *marks.values()}) == len(State) + 1


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("host", ["here", "elsewhere"])
def test_only_a_supervisor_that_should_speak_is_silent(run, state, host):  # noqa: F811
    paths, _ = run  # noqa: F811
    me = Owner.this_process(paths.root)
    write_json(paths.owner, vars(me if host == "here" else replace(me, host=host)))
    for age, silent in ((0.0, False), (HEARTBEAT_OVERDUE + 5, state in ACTIVE), (-1000.0, False)):
        write_heartbeat(paths, Heartbeat(state, time=time.time() - age, started=0.0))
        current = overview(paths)
        assert current.is_silent == silent
        if silent:
            assert current.state is state
            assert ("lives but says nothing" in silent_reason(current.owner)) == (host == "here")


@pytest.mark.parametrize(
    ("event", "sentence", "level"),
    [
        ({"event": "failed", "role": "estimate", "index": 3, "reason": "NaN"}, "estimate 3 failed: NaN", Level.ERROR),
        ({"event": "model", "role": "heldout", "index": 1, "seconds": 2.0, "worker": 0, "metrics": "?"},
         "heldout 1 done in 2.0 s by worker 0", Level.INFO),
        ({"event": "model", "role": "heldout", "index": 1, "seconds": 0.4399, "worker": 0},
         "heldout 1 done in 0.44 s by worker 0", Level.INFO),
        ({"event": "model", "role": "heldout", "index": 1, "seconds": 83.2, "worker": 0},
         "heldout 1 done in 1 min 23 s by worker 0", Level.INFO),
        ({"event": "started", "pid": 18755, "versions": {"tinfl": "0.1.0", "torch": "2"}},
         "started by process 18755, tinfl 0.1.0", Level.INFO),
        ({"event": "prepared", "total": 288, "done": 288, "failed": 0}, "prepared: 288 models, 288 done", Level.INFO),
        ({"event": "worker-ended", "worker": 1, "how": "killed", "last": ""}, "worker 1 ended: killed", Level.WARNING),
        ({"event": "damaged", "reason": "x: removed"}, "damaged: x: removed", Level.WARNING),
        ({"event": "new\x1b[2J", "x": 1}, "new\\x1b[2J x=1", Level.INFO),
        ({"event": "retry", "role": "r", "index": 0, "reason": None}, "r 0 failed, will be tried again: None",
         Level.WARNING),
        ({"event": "planning", "node": "n1", "versions": {"tinfl": "1"}}, "planner on n1", Level.INFO),
        ({"event": "round", "number": 2, "tasks": 1, "rows": 58}, "round 2: 58 models in 1 task", Level.INFO),
        ({"event": "grown", "rows": 4, "total": 12}, "grown by 4 models to 12", Level.INFO),
        ({"event": "grown", "rows": 4, "total": 12, "reason": "why"}, "grown by 4 models to 12: why", Level.INFO),
        ({"event": "task-started", "task": "12_3", "node": "n\x1b", "rows": "?"}, "task 12_3 on n\\x1b: ? models",
         Level.INFO),
        ({"event": "task-ended", "task": "12_3", "left": 2}, "task 12_3 ended, 2 models left", Level.INFO),
        ({"event": "task-ended", "task": "12_3", "left": 0}, "task 12_3 ended", Level.INFO),
        ({"event": "task-failed", "task": "12_3", "reason": "no disk"}, "task 12_3 failed: no disk", Level.ERROR),
    ],
)  # fmt: skip
def test_events_are_told_in_a_safe_line(event, sentence, level):
    assert event_sentence(event) == sentence
    assert event_level(event) is level


@pytest.mark.parametrize("time", ["soon", None, 1e300, [], float("nan")])
def test_an_event_without_a_time_says_so(time):
    assert event_time({"time": time}) == "????-??-?? ??:??:??"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (61, "1 min 01 s"), (7200, "2 h 00 min"), (90000, "1 d 1 h"), (float("nan"), "unknown"),
     (float("inf"), "unknown"), (1e300, "unknown")],
)  # fmt: skip
def test_a_span_of_time_is_two_units_or_unknown(seconds, words):
    assert format_duration(seconds) == words
