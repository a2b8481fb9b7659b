"""A sweep on a real Ray cluster of two nodes; one of them goes away in the middle (`make cluster`)."""

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter

import pytest

from tests.e2e.program import processes_of, record_bytes, tinfl, wait_for, wait_until, write_config
from tui_influence.runs.cluster.rounds import read_round
from tui_influence.runs.control import request_stop
from tui_influence.store.events import EventTail
from tui_influence.store.paths import Paths

EPOCHS = 20


def ray_config(directory, address: str, **options):
    swap = options.pop("swap", {}) | {
        "workers_per_device = 2": 'workers_per_device = 1\nexecutor = "ray"\n[compute.ray]\n'
        f'address = "{address}"\nconnect_seconds = {options.pop("patience", 90)}'
    }
    return write_config(directory, swap=swap, **options)


@pytest.fixture
def nodes(monkeypatch):
    """A Ray of one node, in a directory with a name as short as Ray needs it: the machine's own Ray is left alone."""
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "120")
    with tempfile.TemporaryDirectory(prefix="ray-") as short:
        monkeypatch.setenv("RAY_TMPDIR", short)
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        try:
            yield cluster
        finally:
            cluster.shutdown()


def trained_by(root) -> dict[str, int]:
    """Return how many models each task of the second round has finished, as far as the planner has not heard of it."""
    events = [event for event in EventTail(Paths(root)).read() if event["event"] == "model"]
    return Counter(event["task"] for event in events if str(event.get("task")).startswith("2."))


@pytest.mark.cluster
def test_a_lost_ray_node_changes_nothing_in_the_records(here, nodes, tmp_path_factory):
    local = tmp_path_factory.mktemp("local")
    tinfl("sweep", "--foreground", write_config(local, epochs=EPOCHS))
    reference = record_bytes(local / "results")
    second = nodes.add_node(num_cpus=1)
    root = here / "results"
    tinfl("sweep", ray_config(here, nodes.address, epochs=EPOCHS), patience=300.0)
    wait_until(lambda: len(trained_by(root)) == 2, "no model from both nodes")
    before = record_bytes(root)
    nodes.remove_node(second, allow_graceful=False)
    wait_for(root, "done")
    assert record_bytes(root) == reference
    assert before.items() <= reference.items()
    events = list(EventTail(Paths(root)).read())
    started = Counter(event["task"] for event in events if event["event"] == "task-started")
    assert sorted(started.values()) == [1, 1, 2], "a task was not started again, or all were"
    trained = Counter((event["role"], event["index"]) for event in events if event["event"] == "model")
    assert set(trained.values()) == {1}, "finished models were trained again"


@pytest.mark.cluster
def test_prior_networks_are_trained_on_ray_as_on_one_machine(here, nodes, tmp_path_factory):
    swap = {"prior = 0": "prior = 2"}
    local = tmp_path_factory.mktemp("prior")
    tinfl("sweep", "--foreground", write_config(local, models=4, swap=swap))
    nodes.add_node(num_cpus=1)
    tinfl("sweep", ray_config(here, nodes.address, models=4, swap=swap), patience=300.0)
    assert wait_for(here / "results", "done")["done"]["prior"] == 2
    assert record_bytes(here / "results") == record_bytes(local / "results")


@pytest.mark.cluster
def test_a_stop_leaves_what_waits_for_ray(here, nodes):
    import ray

    root = here / "results"
    nodes.add_node(num_cpus=1)
    ray.init(nodes.address, log_to_driver=False)
    ray.remote(lambda: time.sleep(600)).remote()  # so that of the second round's two tasks one has to wait
    tinfl("sweep", ray_config(here, nodes.address, epochs=10 * EPOCHS), patience=300.0)
    wait_until(lambda: trained_by(root), "no model in the second round")
    request_stop(Paths(root))  # sooner than a program starts: the next model has only begun
    wait_for(root, "stopped")
    ray.shutdown()
    assert len(read_round(Paths(root), 2).tasks) == 2
    events = [event for event in EventTail(Paths(root)).read() if str(event.get("task")).startswith("2.")]
    kinds = Counter(event["event"] for event in events)
    assert (kinds["task-started"], kinds["task-ended"]) == (1, 1), "a task was interrupted, or one more begun"
    assert not list(Paths(root).tasks(2).glob("*/*.log")), "Ray has started a task that had nothing to do any more"


@pytest.mark.cluster
def test_a_lost_head_node_ends_the_run(here, nodes):
    root, address = here / "results", nodes.address
    tinfl("sweep", ray_config(here, address, epochs=10 * EPOCHS), patience=300.0)
    wait_until(lambda: trained_by(root), "no model in the second round")
    for process in processes_of(root):  # else a fast machine is done before the loss is noticed
        if "tui_influence.runs.worker" in process.cmdline():
            process.suspend()
    nodes.head_node.kill_gcs_server()
    gone = f"Ray's head node at {address} is gone; run `tinfl resume` to continue"
    assert wait_for(root, "failed", "done", "lost")["reason"] == gone


def test_without_ray_the_extra_is_named(tmp_path):
    hidden = (
        "import importlib.util as u, sys\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'ray' else find(name, *rest)\n"
        "from tui_influence.cli import main\n"
        f"sys.argv = ['tinfl', 'sweep', '--foreground', {str(ray_config(tmp_path, '127.0.0.1:1'))!r}]\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 2, done.stderr
    assert "needs Ray: pip install ray" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.cluster
def test_a_head_node_that_does_not_answer_is_named_in_one_line(here):
    refused = tinfl("sweep", ray_config(here, "127.0.0.1:9", patience=20), code=1)
    assert "error: no answer from the Ray head node 127.0.0.1:9: connection refused\n" in refused.stderr
    assert not (here / "results" / "run.json").exists()
