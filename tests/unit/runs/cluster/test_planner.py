"""What a planner concludes from what a round left on the disk. Nobody trains here: records are empty files."""

from collections import Counter
from dataclasses import replace

import pytest

from tests.e2e.program import write_config
from tui_influence.config.loader import load_config
from tui_influence.designs import Design
from tui_influence.errors import RunFailedError
from tui_influence.roles import Role
from tui_influence.runs.cluster.planner import Planner
from tui_influence.runs.cluster.rounds import PILOT_ROWS, Round
from tui_influence.runs.heartbeat import State
from tui_influence.runs.supervisor import Request, no_extension
from tui_influence.store.events import EventLog, read_events
from tui_influence.store.growth import MeasuredReliability, Outcome, write_decision
from tui_influence.store.listing import failure_reason, list_failures
from tui_influence.store.paths import Paths
from tui_influence.store.plan import read_plan
from tui_influence.store.run_info import read_run_info

MODELS, HELDOUT = 10, 2
SECONDS = 10.0
TOXIC = (Role.ESTIMATE, 5)


class Engine:
    """A run on a cluster whose tasks are played by the test."""

    def __init__(self, directory, extender=no_extension, **swap: str) -> None:
        compute = 'workers_per_device = 1\nattempts = 2\nexecutor = "slurm"\n[compute.slurm]\narray_concurrency = 2'
        swap = {"workers_per_device = 2": compute, **swap}
        self.paths = Paths(directory / "results")
        request = Request(load_config(write_config(directory, models=MODELS, swap=swap)), self.paths.root)
        self._planner = Planner(request, extender)

    def plan(self, *, first: bool = False):
        return self._planner.step(first=first)

    def play(
        self,
        planned: Round,
        task: int,
        *,
        models: int | None = None,
        ended: bool = True,
        reason: str = "",
        is_cut_short: bool = False,
    ):
        """A task that trains so many models, all if None, and then ends, perhaps told to, or dies or fails."""
        rows, events = (
            read_plan(self.paths),
            EventLog(self.paths.task_events(planned.number, task), task=f"{planned.number}.{task}"),
        )
        events.write("task-started", node="n1", rows=len(planned.tasks[task]))
        events.write("worker-ready", worker=0, numerics="cpu fp32 1 thread")
        for position in planned.tasks[task][:models]:
            row = rows[position]
            record = self.paths.record(row.role, row.index, 0)
            record.parent.mkdir(parents=True, exist_ok=True)
            record.touch()
            events.write("model", role=row.role.value, index=row.index, worker=0, seconds=SECONDS)
        if is_cut_short:
            events.write("stopping")
        if reason:
            events.write("task-failed", reason=reason)
        elif ended:
            events.write("task-ended", left=0)
        events.close()
        self.paths.task_log(planned.number, task).write_text("what it said")

    def piloted(self) -> Round:
        """The second round, after a pilot that went well."""
        pilot = self.plan(first=True).round
        self.play(pilot, 0)
        planned = self.plan().round
        assert planned is not None
        return planned


@pytest.fixture
def engine(tmp_path) -> Engine:
    return Engine(tmp_path)


def test_a_run_goes_from_a_pilot_over_all_the_rest_to_its_end(engine):
    following = engine.plan(first=True)
    assert [len(task) for task in following.round.tasks] == [PILOT_ROWS]
    engine.play(following.round, 0)
    following = engine.plan()
    assert following.round.timing.seconds == SECONDS
    assert sorted(sum(following.round.tasks, ())) == list(range(PILOT_ROWS, MODELS + HELDOUT))
    for task in range(len(following.round.tasks)):
        engine.play(following.round, task)
    last = engine.plan()
    assert (last.round, last.heartbeat.state, last.heartbeat.done) == (None, State.DONE, MODELS + HELDOUT)
    assert not list(engine.paths.cluster.glob("round-*/*/*")), "logs of tasks that ended well are kept"


def test_what_a_round_leaves_is_in_the_next_and_a_row_that_a_task_died_of_is_alone(engine):
    planned = engine.piloted()
    engine.play(planned, 0, models=1, ended=False)
    following = engine.plan()
    recorded, suspect, *_ = planned.tasks[0]
    left = set(range(PILOT_ROWS, MODELS + HELDOUT)) - {recorded}
    assert sorted(sum(following.round.tasks, ())) == sorted(left)
    assert (suspect,) in following.round.tasks
    assert "of the last round never began: cancelled, or on nodes that do not see" in " ".join(
        following.heartbeat.warnings
    )


def test_a_row_of_which_tasks_die_again_and_again_is_given_up(engine):
    planned = engine.piloted()
    deadly = next(position for position, row in enumerate(read_plan(engine.paths)) if (row.role, row.index) == TOXIC)
    deaths = Counter()
    for _ in range(12):
        for task, rows in enumerate(planned.tasks):
            if deadly in rows:
                deaths[deadly] += 1
                engine.play(planned, task, models=rows.index(deadly), ended=False)
            else:
                engine.play(planned, task)
        following = engine.plan()
        if following.round is None:
            break
        planned = following.round
    assert deaths[deadly] == 2, "as many as [compute] attempts"
    assert following.heartbeat.state is State.DONE_WITH_FAILURES
    assert (following.heartbeat.done, following.heartbeat.failed) == (MODELS + HELDOUT - 1, 1)
    assert list_failures(engine.paths, Role.ESTIMATE) == {TOXIC[1]}
    assert failure_reason(engine.paths, *TOXIC) == "every task that trained it died"


def test_a_round_that_trains_nothing_ends_the_run_with_the_reason_its_tasks_gave(engine):
    planned = engine.piloted()
    for task in range(len(planned.tasks)):
        engine.play(planned, task, models=0, reason="no CUDA device on n1")
    with pytest.raises(RunFailedError, match=r"a round of \d+ tasks? trained nothing: no CUDA device on n1"):
        engine.plan()
    kinds = [event["event"] for event, _ in read_events(engine.paths.events)]
    assert kinds[-1] == "failed-run"
    assert len(list(engine.paths.cluster.glob("round-0002/*/*.log"))) == len(planned.tasks), "what they said is gone"


def test_rounds_that_are_cut_short_are_handed_out_again_but_not_for_ever(engine):
    planned = engine.piloted()
    for _ in range(2):
        engine.play(planned, 0, models=0, is_cut_short=True)
        planned = engine.plan().round
    engine.play(planned, 0, models=1, is_cut_short=True)  # it can be done
    planned = engine.plan().round
    for _ in range(2):
        engine.play(planned, 0, models=0, is_cut_short=True)
        planned = engine.plan().round
    engine.play(planned, 0, models=0, is_cut_short=True)
    with pytest.raises(RunFailedError, match=r"3 rounds trained nothing: every task was ended before it .* = 4:00:00"):
        engine.plan()


def test_only_tasks_that_were_handed_out_are_missed(engine):
    planned = engine.piloted()
    assert len(planned.tasks) > 1
    engine.play(planned, 0)
    assert not engine._planner.step(first=False, submitted=1).heartbeat.warnings
    engine.play(engine._planner.step(first=True).round, 0)  # what a stop took back was not handed out
    assert not engine._planner.step(first=True).heartbeat.warnings


def test_what_a_task_said_that_never_began_is_the_reason(engine):
    planned = engine.piloted()
    engine.paths.task_log(planned.number, 0).write_text("module: command not found\nfailed in setup: module load x\n")
    with pytest.raises(RunFailedError, match=r"a round of \d+ tasks? trained nothing: failed in setup: module load x"):
        engine.plan()


def test_a_death_long_ago_does_not_keep_a_run_going_that_trains_nothing(engine):
    planned = engine.piloted()
    engine.play(planned, 0, models=1, ended=False)
    planned = engine.plan().round
    assert planned.deaths
    engine.play(planned, len(planned.tasks) - 1)  # the row that was in hand, alone
    planned = engine.plan().round
    assert not planned.deaths
    with pytest.raises(RunFailedError, match="trained nothing: its tasks never began"):
        engine.plan()


def test_rows_that_were_given_up_are_tried_anew_where_that_is_asked(engine):
    planned = engine.piloted()
    row = planned.tasks[0][0]
    for _ in range(2):
        (task,) = [task for task, rows in enumerate(planned.tasks) if rows[0] == row]
        engine.play(planned, task, models=0, ended=False)
        planned = engine.plan().round
    assert not [rows for rows in planned.tasks if row in rows]
    engine._planner._request = replace(engine._planner._request, retry_failed=True)
    planned = engine.plan(first=True).round
    assert [rows for rows in planned.tasks if row in rows]


def test_a_planner_that_is_killed_hears_the_round_again(engine, monkeypatch):
    planned = engine.piloted()
    engine.play(planned, 0)

    class KilledError(BaseException):
        pass

    def kill(*_):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr("tui_influence.runs.cluster.planner.write_round", kill)
        patch.setattr(
            "tui_influence.runs.cluster.planner.remove_reports", lambda *_: None
        )  # nor is anything after it done
        with pytest.raises(KilledError):
            engine.plan()
    following = engine._planner.step(first=False, submitted=1)
    assert not following.heartbeat.warnings
    assert following.round.timing.seconds == SECONDS


def test_a_sweep_that_grows_hands_out_its_further_rows_and_keeps_the_positions_of_the_others(tmp_path):
    """The planner starts anew in each round, as its job does."""
    further = [6, 0]

    def extend(paths):
        count, plan = further.pop(0), read_plan(paths)
        models = read_run_info(paths.root).models
        design = Design("fixed", 0.5, 36, 0)
        if not count:
            write_decision(paths, MeasuredReliability(models, "digits", 0.9, 0.91, outcome=Outcome.REACHED))
            return []
        write_decision(paths, MeasuredReliability(models, "digits", 0.9, 0.8, outcome=Outcome.GROWN, further=count))
        return plan + [design.row(Role.ESTIMATE, models + index) for index in range(count)]

    goal = {"prior = 0": "prior = 0\nuntil = 0.9\nmax_models = 30"}
    engine = Engine(tmp_path, extend, **goal)
    following, trained = engine.plan(first=True), []
    while following.round:
        trained += sum(following.round.tasks, ())
        for task in range(len(following.round.tasks)):
            engine.play(following.round, task)
        engine = Engine(tmp_path, extend, **goal)
        following = engine.plan()
    assert sorted(trained) == list(range(MODELS + HELDOUT + 6))
    assert sorted(trained[-6:]) == list(range(MODELS + HELDOUT, MODELS + HELDOUT + 6))
    assert (following.heartbeat.state, following.heartbeat.done) == (State.DONE, MODELS + HELDOUT + 6)
    assert read_run_info(engine.paths.root).models == MODELS + 6
    assert [row.index for row in read_plan(engine.paths)][-6:] == list(range(MODELS, MODELS + 6))
    events = [event for event, _ in read_events(engine.paths.events)]
    assert [event["outcome"] for event in events if event["event"] == "growth"] == ["grown", "reached"]
    assert [(event["rows"], event["total"]) for event in events if event["event"] == "grown"] == [(6, 18)]
