"""A sweep with class clusters by the command line: killed in each of its stages and resumed, it is the same."""

import json

import pytest

from tests.e2e.program import kill_everything, record_bytes, status, tinfl, wait_until, write_config
from tui_influence.roles import Role
from tui_influence.store.listing import list_records
from tui_influence.store.paths import Paths
from tui_influence.store.plan import read_plan

PRIOR, MODELS, HELDOUT, CLUSTERS = 2, 8, 2, 9


def config_with_clusters(directory, clusters=f"clusters = {CLUSTERS}", **options):
    swap = {"prior = 0": f"prior = {PRIOR}\n{clusters}", 'kind = "fixed"\n': 'kind = "balanced"\n'}
    return write_config(directory, models=MODELS, swap=swap | options.pop("swap", {}), **options)


def plan_of(root):
    return [(row.role, row.index, row.seed, row.mask.tobytes()) for row in read_plan(Paths(root))]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A finished sweep with class clusters. Tests must not change it."""
    directory = tmp_path_factory.mktemp("clusters")
    tinfl("sweep", "--foreground", config_with_clusters(directory))
    return directory / "results"


def test_a_sweep_goes_through_its_stages_to_its_end(sweep):
    assert status(sweep)["done"] == {"estimate": MODELS, "heldout": HELDOUT, "prior": PRIOR}
    clusters = json.loads((sweep / "clusters.json").read_text())
    sizes = [clusters["clusters"].count(cluster) for cluster in range(CLUSTERS)]
    assert sizes == [36 // CLUSTERS] * CLUSTERS
    assert clusters["cluster_rows"] >= MODELS // 2
    assert clusters["reason"] in tinfl("status", sweep).stdout
    assert "1 list of class clusters" in tinfl("verify", sweep).stdout
    rows = json.loads(tinfl("rank", sweep, "--json").stdout)["rows"]
    assert sorted(row["cluster"] for row in rows) == sorted(clusters["clusters"])
    events = [json.loads(line) for line in (sweep / "events.jsonl").read_text().splitlines()]
    assert [event["total"] for event in events if event["event"] == "grown"][-1] == PRIOR + MODELS + HELDOUT
    assert sum(event["event"] == "worker-started" for event in events) == 2


def test_a_sweep_that_is_killed_in_each_stage_and_resumed_is_the_same(sweep, tmp_path):
    config, root = config_with_clusters(tmp_path), tmp_path / "results"
    paths = Paths(root)
    tinfl("sweep", config)
    for role, count in ((Role.PRIOR, 1), (Role.ESTIMATE, 2)):
        wait_until(lambda role=role, count=count: len(list(list_records(paths, role))) >= count, f"no {count} records")
        kill_everything(root)
        tinfl("resume", root)
    wait_until(lambda: status(root)["state"] == "done", "not done")
    assert plan_of(root) == plan_of(sweep)
    assert (root / "clusters.json").read_bytes() == (sweep / "clusters.json").read_bytes()
    assert record_bytes(root) == record_bytes(sweep)


def test_check_says_how_many_models_single_classes_would_take(tmp_path):
    config = config_with_clusters(tmp_path)
    answer = tinfl("check", config, "--no-time").stdout
    line = (
        "clusters 9 clusters of 4 classes first, as masks over single classes would take about 32 models to say as much"
    )
    assert line in answer


@pytest.mark.parametrize(
    ("clusters", "reason"),
    [
        ("clusters = 40", "[design] clusters = 40, but the source has 36 classes: choose 4 to 18 clusters, or 0"),
        ("clusters = 2", "design.clusters must be at least 4, or 0 for none (got 2)"),
    ],
)
def test_an_impossible_number_is_refused_with_its_place_and_a_remedy(tmp_path, clusters, reason):
    assert reason in tinfl("check", config_with_clusters(tmp_path, clusters), "--no-time", code=2).stderr
