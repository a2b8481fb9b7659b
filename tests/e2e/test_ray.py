"""A sweep on a real Ray cluster of two nodes; one of them goes away in the middle (`make cluster`)."""

import os
import subprocess
import sys

import pytest

from tests.e2e.program import record_bytes, tinfl, wait_for, wait_until, write_config

EPOCHS = 10


def ray_config(directory, address: str, **options):
    swap = {
        "workers_per_device = 2": 'workers_per_device = 1\nexecutor = "ray"\n[compute.ray]\n'
        f'address = "{address}"\nconnect_seconds = {options.pop("patience", 90)}'
    }
    return write_config(directory, swap=swap, **options)


@pytest.mark.cluster
def test_a_lost_ray_node_changes_nothing_in_the_records(here, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "120")
    from ray.cluster_utils import Cluster

    local = tmp_path_factory.mktemp("local")
    tinfl("sweep", "--foreground", write_config(local, epochs=EPOCHS))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        second = cluster.add_node(num_cpus=1)
        root = here / "results"
        tinfl("sweep", ray_config(here, cluster.address, epochs=EPOCHS), patience=300.0)
        wait_until(lambda: 2 < len(record_bytes(root)) < 12, "no record of the second round")
        before = record_bytes(root)
        cluster.remove_node(second, allow_graceful=False)
        wait_for(root, "done")
        assert record_bytes(root) == record_bytes(local / "results")
        assert before.items() <= record_bytes(root).items()
    finally:
        cluster.shutdown()


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
    assert "needs Ray: pip install 'tui-influence[ray]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.cluster
def test_a_head_node_that_does_not_answer_is_named_in_one_line(here):
    refused = tinfl("sweep", ray_config(here, "127.0.0.1:9", patience=20), code=1)
    assert "error: no answer from the Ray head node 127.0.0.1:9 within 20 s\n" in refused.stderr
    assert not (here / "results" / "run.json").exists()
