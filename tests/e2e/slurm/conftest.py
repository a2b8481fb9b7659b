"""A cluster that the tests of this directory share; one process runs them all (`xdist_group`)."""

import pytest

from tests.e2e.program import write_config
from tests.e2e.slurm.cluster import Cluster
from tests.requirements import require


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """A running Slurm of two nodes, and one that sees less."""
    require("Slurm", "root with mounts of its own")
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    for name, value in cluster.environment.items():
        patch.setenv(name, value)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        patch.undo()


@pytest.fixture
def on_slurm(tmp_path, slurm):
    """Write a config whose run goes to the cluster; its jobs are ended afterwards."""

    def write(section: str = "", **options):
        swap = {
            "workers_per_device = 2": 'workers_per_device = 1\nexecutor = "slurm"\n[compute.slurm]\n'
            f'time_limit = "10"\n{section or "array_concurrency = 2"}'
        }
        return write_config(tmp_path, swap=swap | options.pop("swap", {}), **options)

    yield write
    for line in slurm.ask("squeue", "-h", "-o", "%A").split():
        slurm.ask("scancel", line)
