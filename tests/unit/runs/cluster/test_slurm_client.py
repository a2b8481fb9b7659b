"""What Slurm says, from programs that say what a real one said, or nothing at all."""

import os
import time

import pytest

from tests.integration.command_line import refused, run
from tui_influence.errors import ConfigError, RunFailedError
from tui_influence.render.run_words import lost_reason
from tui_influence.runs.cluster import slurm_client as module
from tui_influence.runs.cluster.slurm_client import SubmittedJobs, exit_code, query_tasks, run_slurm, write_jobs
from tui_influence.runs.control import StopLevel, record_stopped, request_stop
from tui_influence.runs.heartbeat import Heartbeat, State, observe, read_heartbeat, write_heartbeat
from tui_influence.store.events import read_events
from tui_influence.store.paths import Paths

NAME = "tinfl-a-0123456789"


@pytest.fixture
def paths(tmp_path) -> Paths:
    paths = Paths(tmp_path / "results")
    write_jobs(paths, SubmittedJobs(NAME, time.time() - 1000, ("12",), "13", 100.0))
    write_heartbeat(paths, Heartbeat(State.RUNNING, time.time(), time.time(), total=9))
    (paths.cluster / "planner.log").touch()
    return paths


def says(*tasks: str) -> str:
    return "cat <<'E'\n" + "\n".join(tasks) + "\nE"


def test_running_waiting_and_ended_tasks_are_told_apart(programs) -> None:
    programs(squeue=says(
        f"12_[4-99,120%50]|{NAME}|PENDING||Priority", f"12_3|{NAME}|RUNNING|n1|None",
        f"12_1|{NAME}|COMPLETED|n1|None", f"13|{NAME}-plan|PENDING||Dependency", "9|other|RUNNING|n1|None", "rubbish",
    ))  # fmt: skip
    waiting, running, ended, planner = query_tasks(SubmittedJobs(NAME, 0))
    assert (waiting.count, waiting.reason, waiting.is_running) == (97, "Priority", False)
    assert (running.job, running.node, running.is_running) == ("12_3", "n1", True)
    assert ended.is_over
    assert planner.is_planner


@pytest.mark.parametrize(
    ("tasks", "state", "stage"),
    [
        ([f"12_3|{NAME}|RUNNING|n1|None"], State.RUNNING, ""),
        ([f"12_[0-9]|{NAME}|PENDING||Resources"], State.PREPARING, "waiting for Slurm (Resources)"),
        ([f"13|{NAME}-plan|RUNNING|n2|None"], State.PREPARING, ""),
        ([f"12_0|{NAME}|FAILED|n1|None", f"13|{NAME}-plan|CANCELLED||None"], State.LOST, ""),
        ([f"13|{NAME}-plan|COMPLETED|n2|None"], State.RUNNING, ""),
        ([], State.LOST, ""),
    ],
    ids=["trains", "waits", "plans", "ended badly", "its last word is not observed yet", "forgotten"],
)
def test_the_state_of_a_run_follows_from_its_jobs(programs, paths, tasks, state, stage) -> None:
    programs(squeue=says(*tasks), scontrol="exit 1")
    observed, heartbeat, owner = observe(paths)
    assert (observed, owner) == (state, None)
    assert heartbeat is not None
    assert heartbeat.stage == stage


def test_a_run_that_ended_is_believed_without_asking(programs, paths) -> None:
    programs(squeue="exit 1")
    write_heartbeat(paths, Heartbeat(State.DONE, time.time(), time.time()))
    assert observe(paths)[0] is State.DONE


def test_a_controller_that_is_down_leaves_what_was_known_with_a_warning(programs, paths) -> None:
    programs(squeue="echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1")
    state, heartbeat, _ = observe(paths)
    assert state is State.RUNNING
    assert heartbeat is not None
    assert "Unable to contact slurm controller" in heartbeat.warnings[-1]


def test_a_planner_that_saw_no_results_is_named(programs, paths) -> None:
    programs(squeue=says(f"13|{NAME}-plan|FAILED|n7|NonZeroExitCode"), scontrol="echo '   ExitCode=66:0 Foo=1'")
    state, heartbeat, _ = observe(paths)
    assert state is State.FAILED
    assert heartbeat is not None
    assert f"does n7 see {paths.root}?" in heartbeat.reason
    assert exit_code("13") == 66


def test_a_planner_that_could_not_be_started_is_quoted(programs, paths) -> None:
    programs(squeue=says(f"13|{NAME}-plan|FAILED|n7|NonZeroExitCode"), scontrol="echo '   ExitCode=127:0'")
    (paths.cluster / "planner.log").write_text("loading\nslurm_script: line 16: /opt/py\x1b[2J: No such file\n\n")
    state, heartbeat, _ = observe(paths)
    assert state is State.LOST
    assert lost_reason(heartbeat) == (
        "the planner (job 13): failed on n7 with exit code 127; its planner's log ends with: slurm_script: line 16: "
        "/opt/py\\x1b[2J: No such file; run the same command to start it again"
    )


@pytest.mark.parametrize(
    ("tasks", "text"),
    [
        ([f"13|{NAME}-plan|CANCELLED||None"], "the planner (job 13): cancelled before it began;"),
        ([f"13|{NAME}-plan|TIMEOUT|n2|None"], "the planner (job 13): ended by the time limit (raise [compute.slurm] "),
        ([f"13|{NAME}-plan|CANCELLED||None", f"12_0|{NAME}|OUT_OF_MEMORY|n1|None", f"12_1|{NAME}|COMPLETED|n1|None",
          f"12_2|{NAME}|OUT_OF_MEMORY|n2|None", f"9|{NAME}-plan|NODE_FAIL|n9|None"],
         "; 2 tasks: out of memory (raise [compute.slurm] mem) on n1, n2;"),
    ],
    ids=["taken back", "time limit", "memory"],
)  # fmt: skip
def test_ends_of_slurm_jobs_are_described(programs, paths, tasks, text) -> None:
    programs(squeue=says(*tasks), scontrol="echo '   ExitCode=0:15'")
    (paths.cluster / "planner.log").unlink()
    before = time.time() - 500
    write_heartbeat(paths, Heartbeat(State.RUNNING, before, before))
    state, heartbeat, _ = observe(paths)
    assert heartbeat is not None
    assert (state, heartbeat.time) == (State.LOST, before)
    assert text in lost_reason(heartbeat)
    assert "n9" not in heartbeat.reason


def test_stopping_takes_back_what_waits_and_then_ends_what_runs(programs, paths, tmp_path) -> None:
    programs(squeue=says(f"12_3|{NAME}|RUNNING|n1|None"), scancel=f'echo "$@" >> {tmp_path}/asked')
    assert request_stop(paths) is StopLevel.AFTER_CURRENT_MODELS
    assert (tmp_path / "asked").read_text() == "--state=PENDING 12\n--batch --signal=USR1 12\n"
    assert observe(paths)[0] is State.STOPPING
    assert request_stop(paths) is StopLevel.AT_ONCE
    assert (tmp_path / "asked").read_text().endswith("\n12\n")
    assert (read_heartbeat(paths).state, paths.events.exists()) == (State.RUNNING, False)
    programs(squeue=says())
    module._answers.clear()
    os.utime(paths.stop, (2e9, 2e9))
    assert observe(paths)[0] is State.STOPPED
    paths.events.mkdir()
    said = run("status", paths.root)
    assert said.out == "■ run: stopped\n"
    assert "warning: could not record that the run stopped: cannot write" in said.err
    paths.events.rmdir()
    record_stopped(paths)
    record_stopped(paths)
    last = read_heartbeat(paths)
    assert (last.state, last.time) == (State.STOPPED, 2e9)
    assert [event["event"] for event, _ in read_events(paths.events)] == ["stopped"]


def test_a_planner_that_is_taken_back_while_it_waits_leaves_a_last_word(programs, paths, tmp_path) -> None:
    programs(
        squeue=f"test -e {tmp_path}/asked && state=CANCELLED; echo '13|{NAME}-plan|'${{state:-PENDING}}'||Priority'",
        scancel=f"touch {tmp_path}/asked",
    )
    request_stop(paths)
    programs(squeue="exit 1")  # as on a laptop
    assert observe(paths)[0] is State.STOPPED


def test_a_planner_that_has_begun_waits_no_more(programs, paths) -> None:
    programs(squeue=says(f"13|{NAME}-plan|RUNNING|n2|None"))
    write_heartbeat(paths, Heartbeat(State.PREPARING, time.time(), time.time(), stage="waiting for Slurm"))
    assert observe(paths)[1].stage == "the planner has begun"


def test_before_anything_is_prepared_every_command_says_so(programs, paths) -> None:
    programs(squeue=says(f"13|{NAME}-plan|PENDING||Priority"))
    root = paths.root
    write_heartbeat(paths, Heartbeat(State.PREPARING, time.time(), time.time(), stage="waiting for Slurm"))
    assert "  waiting   planner: Priority (job 13)\n" in run("status", root).out
    said = run("logs", root)
    assert (said.code, said.out) == (0, "")
    assert said.err == "nothing is logged yet: preparing, waiting for Slurm (Priority)\n"
    refused("rank", root, code=3, reason="nothing is prepared yet (no run.json); `tinfl status` says how that stands")
    refused("resume", root, code=4, reason="it is on the cluster (jobs 12, 13)")
    refused("logs", root, "--worker", 0, code=3, reason="see the logs of the tasks in ")
    write_heartbeat(paths, Heartbeat(State.STOPPED, time.time(), time.time()))
    refused("resume", root, code=3, reason="the run ended before it was prepared; run `tinfl sweep CONFIG` again")
    assert run("logs", "-f", root).err == "nothing is logged yet: stopped\n"


def test_a_program_that_does_not_answer_is_given_up(programs, monkeypatch) -> None:
    programs(squeue="exec sleep 60")
    monkeypatch.setattr(module, "_TIMEOUT", 0.2)
    with pytest.raises(RunFailedError, match="squeue does not answer within"):
        run_slurm("squeue")


def test_a_refusal_is_quoted_and_its_control_characters_are_not(programs) -> None:
    programs(sbatch="printf 'sbatch: error: bad \\033[31m partition\\n' >&2; exit 1")
    with pytest.raises(ConfigError, match=r"Slurm refuses: sbatch: error: bad \\x1b\[31m partition"):
        run_slurm("sbatch")
