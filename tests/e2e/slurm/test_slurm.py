"""A sweep on a real Slurm of two nodes: nodes that go away, tasks that start again, stop and resume, wrong input."""

import json
from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests.e2e.program import PATIENCE, processes_of, record_bytes, status, tinfl, wait_for, wait_until, write_config
from tui_influence.runs.heartbeat import State, read_heartbeat
from tui_influence.store.events import EventTail
from tui_influence.store.paths import Paths

pytestmark = pytest.mark.xdist_group("slurm")
EPOCHS = 80


@pytest.fixture(scope="module")
def slow_reference(tmp_path_factory):
    """Every record of a local run whose models take long enough to be disturbed."""
    directory = tmp_path_factory.mktemp("slow")
    tinfl("sweep", "--foreground", write_config(directory, epochs=EPOCHS))
    return record_bytes(directory / "results")


def running(root) -> dict[str, str]:
    """Return the tasks that train, by node."""
    return {
        task["node"]: task["job"]
        for task in status(root)["tasks"]
        if not task["is_planner"] and task["state"] == "RUNNING"
    }


def at_work(root) -> dict[str, int]:
    """Return how many models each node has finished, of the tasks that began after the pilot; asks no program."""
    events = [event for event in EventTail(Paths(root)).read() if "_" in str(event.get("task"))]
    node_of = {event["task"]: event["node"] for event in events if event["event"] == "task-started"}
    finished = Counter(node_of[event["task"]] for event in events if event["event"] == "model")
    return {node: finished[node] for node in node_of.values()}


def done(root, patience: float = PATIENCE) -> dict:
    """Wait until the planner says that all is done: it is asked for on the disk, as the cores have better to do."""
    paths = Paths(root)

    def is_done() -> bool:
        heartbeat = read_heartbeat(paths)
        assert heartbeat is None or heartbeat.state is not State.FAILED, heartbeat
        return heartbeat is not None and heartbeat.state is State.DONE

    wait_until(is_done, "not done", patience)
    current = status(root)
    assert current["state"] == "done"
    return current


def workers_of(root: Path) -> list[psutil.Process]:
    return [process for process in processes_of(root) if "tui_influence.runs.worker" in process.cmdline()]


def test_a_lost_node_and_a_requeued_task_change_nothing_in_the_records(slurm, on_slurm, tmp_path, slow_reference):
    root = tmp_path / "results"
    message = tinfl("sweep", on_slurm(epochs=EPOCHS)).stderr
    assert "submitted to Slurm as job" in message
    assert "another" not in message
    wait_until(lambda: len(at_work(root)) == 2, "no two tasks")
    other = running(root)["n1"]
    assert "it is on the cluster (jobs " in tinfl("resume", root, code=4).stderr
    listing = tinfl("status", root).stdout
    assert "2 tasks on n" in listing
    assert "planner of the next round: after the tasks before it (job " in listing
    wait_until(lambda: at_work(root)["n2"], "nothing was trained on n2")
    before = record_bytes(root)
    assert 2 < len(before) < 12
    slurm.lose_node("n2")
    slurm.ask("scontrol", "requeue", other)
    slurm.start_node("n2")
    done(root)
    assert record_bytes(root) == slow_reference
    assert before.items() <= slow_reference.items()
    events = [json.loads(line) for line in tinfl("logs", root, "--json", "-n", "1000").stdout.splitlines()]
    started = [event for event in events if event["event"] == "task-started"]
    assert len(started) >= 1 + 2 + 2
    assert not [event for event in events if event["event"] == "retry"], "a model in hand was not finished"
    models = [(event["role"], event["index"]) for event in events if event["event"] == "model"]
    assert len(set(models)) == 12
    assert len(models) <= 12 + 2, "finished models were trained again"


def test_stopped_on_the_cluster_and_resumed_there(slurm, on_slurm, tmp_path, reference):
    root = tmp_path / "results"
    tinfl("sweep", on_slurm(f"setup = ['export DISK={tmp_path}']\nstage = '$DISK/disk'"))
    wait_until(lambda: record_bytes(root), "no record")
    tinfl("stop", root, "--wait")
    current = status(root)
    assert current["state"] == "stopped"
    assert current["tasks"] == []
    assert list((tmp_path / "disk").glob("tinfl-*/packed/*/images.npy")), "nothing was copied to the node"
    assert "not running (stopped)" in tinfl("stop", root).stderr
    foreign = tinfl("resume", root, code=3, XDG_STATE_HOME=str(tmp_path / "elsewhere"))
    assert "holds lines for a shell" in foreign.stderr
    tinfl("resume", root, "--foreground")
    assert record_bytes(root) == reference
    assert "done" in tinfl("logs", root, "-n", "1", "-f").stdout


def test_a_dry_run_shows_the_exact_submission_and_touches_nothing(on_slurm, tmp_path):
    config = on_slurm('partition = "main"\nsbatch = ["--comment=tiny"]\nsetup = ["module load cuda"]\nmem = "100M"')
    listing = tinfl("sweep", "--dry-run", config, PATH="/usr/bin:/bin").stdout
    assert "#SBATCH --partition=main\n" in listing
    assert "#SBATCH --mem=100M\n" in listing
    assert "#SBATCH --comment=tiny\n" in listing
    assert "\nmodule load cuda\ncode=$?; " in listing
    assert " --request REQUEST --allow-code\n" in listing or " --request REQUEST\n" in listing
    assert "sbatch --parsable --array=0-0 " in listing
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("section", "environment", "code", "reason"),
    [
        ('partition = "nope"', {}, 2, "Slurm refuses: sbatch: error: invalid partition specified: nope"),
        ('sbatch = ["--nonsense=1"]', {}, 2, "Slurm refuses: sbatch: unrecognized option '--nonsense=1'"),
        ("", {"PATH": "/nonexistent"}, 5, "no sbatch on the PATH"),
    ],
    ids=["partition", "option", "no slurm"],
)
def test_what_slurm_refuses_is_said_in_its_words_and_leaves_nothing(
    on_slurm, tmp_path, section, environment, code, reason
):
    refused = tinfl("sweep", on_slurm(section), code=code, **environment)
    assert f"error: {reason}" in refused.stderr
    assert not (tmp_path / "results").exists()


def test_a_node_that_does_not_see_the_results_is_found_before_anything_is_handed_out(slurm, on_slurm):
    root = slurm.root / "unseen" / "results"
    tinfl("sweep", on_slurm('partition = "blind"', output=root))
    current = wait_for(root, "failed")
    assert current["reason"].startswith("the planner (job ")
    assert current["reason"].endswith(f"left no trace: does n3 see {root}?")
    assert current["done"] == {}


@pytest.mark.cluster
def test_a_pruning_goes_to_the_cluster_with_its_stages_and_gives_the_records_of_a_local_one(on_slurm, tmp_path, here):
    arms = ("--drop-counts", "2,4", "--seeds", "2", "--ci-width", "2", "--max-seeds", "3")
    local = tmp_path / "local"
    local.mkdir()
    tinfl("sweep", "--foreground", write_config(local))
    tinfl("prune", local / "results", "--foreground", *arms, patience=300.0)
    root = tmp_path / "results"
    config = on_slurm('array_concurrency = 2\nplanner_partition = "urgent"')
    tinfl("sweep", "--foreground", config, patience=300.0)
    tinfl("prune", root, "--foreground", *arms, patience=600.0)
    expected = record_bytes(local / "results" / "prune" / "main")
    assert record_bytes(root / "prune" / "main") == expected
    events = tinfl("logs", root / "prune" / "main", "-n", "1000").stdout
    assert "grown" in events, "the second stage did not follow"


@pytest.mark.cluster
def test_jobs_that_take_the_nodes_away_cost_the_models_in_hand_and_no_other(slurm, on_slurm, tmp_path, slow_reference):
    """Preemption: Slurm ends the tasks, and starts the same ones again when the nodes are free."""
    root = tmp_path / "results"
    tinfl("sweep", on_slurm(epochs=EPOCHS))
    wait_until(lambda: sum(map(bool, at_work(root).values())) == 2, "no model from both nodes")
    for worker in workers_of(root):  # else a fast machine is done before Slurm takes the nodes away
        worker.suspend()
    before = record_bytes(root)
    tasks = set(running(root).values())
    assert len(before) < 12
    slurm.ask("sbatch", "--partition=urgent", "--nodes=2", "--output=/dev/null", "--wrap=sleep 8")
    wait_for(root, "preparing")
    assert not running(root)
    done(root)
    assert record_bytes(root) == slow_reference
    assert before.items() <= slow_reference.items()
    events = list(EventTail(Paths(root)).read())
    starts = Counter(event["task"] for event in events if event["event"] == "task-started")
    assert all(starts[task] == 2 for task in tasks), "the same tasks were not started again"
    trained = Counter((event["role"], event["index"]) for event in events if event["event"] == "model")
    assert set(trained.values()) == {1}, "finished models were trained again"


@pytest.mark.cluster
def test_a_time_limit_costs_a_round_and_no_record(slurm, on_slurm, tmp_path, reference):
    """Slurm warns a task whose models take longer than the pilot's: it finishes that in hand, and leaves the rest."""
    root = tmp_path / "results"
    config = on_slurm("array_concurrency = 1\nwarn_seconds = 50", swap={'time_limit = "10"': 'time_limit = "1"'})
    tinfl("sweep", config)
    wait_until(lambda: sum(at_work(root).values()), "no model after the pilot")
    workers = workers_of(root)
    for worker in workers:
        worker.suspend()
    wait_until(lambda: "stopping" in [event["event"] for event in EventTail(Paths(root)).read()], "no warning")
    for worker in workers:
        worker.resume()
    done(root)
    assert record_bytes(root) == reference
    events = list(EventTail(Paths(root)).read())
    assert [event for event in events if event["event"] == "task-ended" and event["left"]], "nothing was left"
    assert max(event["number"] for event in events if event["event"] == "round") > 2
    assert not [event for event in events if event["event"] == "retry"], "a model in hand was not finished"
    trained = Counter((event["role"], event["index"]) for event in events if event["event"] == "model")
    assert set(trained.values()) == {1}


def test_prior_networks_are_trained_on_the_cluster_as_on_one_machine(on_slurm, tmp_path, tmp_path_factory):
    swap = {"prior = 0": "prior = 2"}
    local = tmp_path_factory.mktemp("prior")
    tinfl("sweep", "--foreground", write_config(local, models=4, swap=swap))
    tinfl("sweep", on_slurm(models=4, swap=swap))
    assert done(tmp_path / "results")["done"]["prior"] == 2
    assert record_bytes(tmp_path / "results") == record_bytes(local / "results")
