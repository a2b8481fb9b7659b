"""`clusters.json` is believed only if it is whole and of the run."""

import json
from dataclasses import replace

import pytest

from tests.unit.store.conftest import make_record
from tests.unit.store.digested import write_with_digest
from tui_influence.errors import ResultsError
from tui_influence.store.class_clusters import (
    ClassClusters,
    read_class_clusters,
    read_cluster_stage,
    write_class_clusters,
)
from tui_influence.store.files import AlteredFileError
from tui_influence.store.records import write_record

NAMES = tuple("abcdefgh")
CLUSTERS = ClassClusters("cafe", NAMES, (0, 0, 1, 1, 2, 2, 3, 3), 8, 10, None, "4 clusters of 2 classes")


def read(paths, identity="cafe", names=NAMES):
    return read_class_clusters(paths, identity, names)


def test_clusters_come_back_as_they_were_written(paths):
    assert read(paths) is None
    decided = CLUSTERS.decided(14, "because", {"noise_variance": 0.5})
    for clusters in (CLUSTERS, decided):
        write_class_clusters(paths, clusters)
        assert read(paths) == clusters
    assert (decided.stage.rows, decided.stage.planned_rows, CLUSTERS.stage.planned_rows) == (14, 14, 10)
    assert paths.is_run_file("clusters.json")


def test_an_edited_file_is_refused(paths):
    write_class_clusters(paths, CLUSTERS)
    paths.class_clusters.write_text(paths.class_clusters.read_text().replace('"first_rows": 10', '"first_rows": 12'))
    with pytest.raises(AlteredFileError, match="does not match its digest"):
        read(paths)


@pytest.mark.parametrize(
    "changes",
    [
        {"clusters": [0, 0, 1, 1, 2, 2, 3]},
        {"clusters": [0, 0, 1, 1, 2, 2, 4, 4]},
        {"clusters": [0, 0, 1, 1, 2, 2, 3, -1]},
        {"clusters": "01"},
        {"cluster_rows": 8},
        {"first_rows": None},
        {"reason": 3},
        {"numbers": {"noise_variance": "x"}},
    ],
)
def test_invalid_values_are_damage(paths, changes):
    write_class_clusters(paths, CLUSTERS)
    values = json.loads(paths.class_clusters.read_text())
    write_with_digest(paths.class_clusters, values | changes)
    with pytest.raises(ResultsError, match=r"clusters\.json: damaged \(.*\); copy it again"):
        read(paths)


@pytest.mark.parametrize("content", ["", "{", "[]", "[" * 1000])
def test_a_file_that_is_something_else_is_damage(paths, content):
    paths.class_clusters.write_text(content)
    with pytest.raises(ResultsError, match="damaged"):
        read(paths)


@pytest.mark.parametrize(("identity", "names"), [("beef", NAMES), ("cafe", NAMES[::-1]), ("cafe", NAMES[:4])])
def test_the_file_of_another_run_is_refused(paths, identity, names):
    write_class_clusters(paths, CLUSTERS)
    with pytest.raises(ResultsError, match="it belongs to another run"):
        read(paths, identity, names)


def test_the_stage_is_that_of_the_config(paths):
    assert read_cluster_stage(paths, "cafe", NAMES, 4) is None
    write_class_clusters(paths, CLUSTERS)
    assert read_cluster_stage(paths, "cafe", NAMES, 4) == CLUSTERS.stage
    with pytest.raises(ResultsError, match="it has 4 clusters, where the config has 2"):
        read_cluster_stage(paths, "cafe", NAMES, 2)
    with pytest.raises(ResultsError, match=r"has no class clusters \(\[design\] clusters\); remove it"):
        read_cluster_stage(paths, "cafe", NAMES, 0)
    write_class_clusters(paths, replace(CLUSTERS, clusters=(), first_rows=0, cluster_rows=0))
    assert read_cluster_stage(paths, "cafe", NAMES, 4).labels == ()


def test_a_file_that_is_missing_beside_records_is_not_written_again(paths):
    write_record(paths, make_record(0))
    with pytest.raises(ResultsError, match="missing, though models with masks over clusters are recorded"):
        read_cluster_stage(paths, "cafe", NAMES, 4)
    assert read_cluster_stage(paths, "cafe", NAMES, 0) is None
