"""What prior networks say is read from their records, and only from those that fit the run."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.store.conftest import make_info, make_record
from tui_influence.roles import Role
from tui_influence.store.prior_records import read_class_features, read_prior_measures
from tui_influence.store.records import write_record


@pytest.fixture
def info():
    return replace(make_info(), prior=3)


def measures_of(info, value: float) -> np.ndarray:
    return np.full((len(info.source.groups), len(info.targets[0].classes)), value, np.float32)


def write_prior(paths, info, index, **changes):
    values = {"mapping": measures_of(info, index), "ablation": measures_of(info, -index), "identity": info.identity}
    write_record(paths, make_record(index, Role.PRIOR, 0, **(values | changes)))


def test_networks_are_in_the_order_of_their_rows(paths, info):
    for index in (2, 0, 1):
        write_prior(paths, info, index)
    measures = read_prior_measures(paths, info, 0)
    assert len(measures) == 3
    assert measures.mapping[:, 0, 0].tolist() == [0, 1, 2]
    assert measures.ablation[:, 0, 0].tolist() == [0, -1, -2]
    assert measures.outputs.indices.tolist() == [0, 1, 2]
    assert measures.outputs.margins.shape == measures.outputs.predicted.shape == (3, info.targets[0].test)
    assert measures.damaged == ()


def test_a_run_without_any_has_none(paths, info):
    measures = read_prior_measures(paths, info, 0)
    assert len(measures) == 0
    assert measures.mapping.shape[1:] == measures_of(info, 0).shape


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mapping": None}, "says nothing of"),
        ({"ablation": np.zeros((2, 2), np.float32)}, "says nothing of"),
        ({"identity": "another"}, "another config or data"),
        ({"margins": np.zeros(1, np.float16), "predicted": np.zeros(1, np.uint16)}, "not on the test examples"),
    ],
)
def test_a_record_that_does_not_fit_is_left_out(paths, info, changes, reason):
    write_prior(paths, info, 0)
    write_prior(paths, info, 1, **changes)
    measures = read_prior_measures(paths, info, 0)
    assert len(measures) == 1
    assert reason in measures.damaged[0]


def test_a_row_beyond_the_plan_is_not_read(paths, info):
    write_prior(paths, info, 5)
    assert len(read_prior_measures(paths, info, 0)) == 0


def test_features_of_classes_are_those_of_undamaged_records_of_the_run(paths, info):
    classes = len(info.source.groups)
    for index in range(3):
        write_prior(paths, info, index, class_features=np.full((classes, 5), index, np.float32))
    assert [means[0, 0] for means in read_class_features(paths, info)] == [0, 1, 2]
    write_prior(paths, info, 0)  # of an older version
    write_prior(paths, info, 1, class_features=np.ones((classes + 1, 5), np.float32))
    assert [means[0, 0] for means in read_class_features(paths, info)] == [2]
    write_prior(paths, info, 2, identity="beef", class_features=np.ones((classes, 5), np.float32))
    assert read_class_features(paths, info) == []
    path = paths.record(Role.PRIOR, 1, 0)
    path.write_bytes(path.read_bytes()[:-1])
    assert read_class_features(paths, info) == []
