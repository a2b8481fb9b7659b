"""How often target examples are taken for each source class, counted on records whose predictions are known."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.pruning.plans import bare
from tests.unit.pruning.test_results import ESTIMATE, N, flat, pruned
from tests.unit.store.conftest import make_record
from tui_influence.errors import ResultsError
from tui_influence.pruning.arms import with_arms
from tui_influence.pruning.stages import class_usage, prior_usage
from tui_influence.roles import ArmKind, Role
from tui_influence.store.paths import Paths
from tui_influence.store.records import write_record
from tui_influence.store.run_info import read_run_info

SEEDS = 3


@pytest.fixture
def recorded(tmp_path):
    """Two targets, three repeats of keeping everything: what each takes an example for is known."""
    pruning = with_arms(bare(), [3], [], SEEDS)
    pruning = replace(pruning, ranking=replace(pruning.ranking, targets={"a": 3.0, "b": 1.0}))
    pruned(tmp_path, pruning, lambda arm, row, target: flat(1), targets=("a", "b"))
    paths = Paths(tmp_path)
    for row in pruning.arms[0].rows:
        for place in range(2):
            rewrite(paths, pruning, row, place, mapped=taken(row, place), nearest=taken(row, place)[::-1].copy())
    return paths, pruning


def taken(row, place):
    """Classes 0 to 11, unevenly, and some that the pruning has no group for."""
    return np.random.default_rng((row.index, place)).integers(0, 14, N).astype(np.uint16)


def rewrite(paths, pruning, row, place, **predictions):
    paths.record(Role.ARM, row.index, place).unlink()
    mask = np.ones(len(pruning.groups), dtype=bool)
    margins = np.zeros(N, np.float16)
    predicted = np.zeros(N, np.uint16)
    write_record(
        paths, make_record(row.index, Role.ARM, place, mask=mask, margins=margins, predicted=predicted, **predictions)
    )


@pytest.mark.parametrize("kind", [ArmKind.LABELS, ArmKind.FEATURES])
def test_targets_count_by_their_weights_and_examples_of_the_estimate_half_alone(recorded, kind):
    paths, pruning = recorded
    found = class_usage(paths, pruning, kind)
    assert len(found) == SEEDS
    for row, uses in zip(pruning.arms[0].rows, found, strict=True):
        expected = np.zeros(12)
        for place, weight in enumerate((3.0, 1.0)):
            labels = taken(row, place) if kind is ArmKind.LABELS else taken(row, place)[::-1]
            for label in labels[ESTIMATE]:
                if label < 12:
                    expected[label] += weight / ESTIMATE.sum()
        assert uses == pytest.approx(expected)


def test_repeats_count_up_to_the_first_that_is_not_recorded(recorded):
    paths, pruning = recorded
    paths.record(Role.ARM, pruning.arms[0].rows[1].index, 1).unlink()
    assert len(class_usage(paths, pruning, ArmKind.LABELS)) == 1
    paths.record(Role.ARM, pruning.arms[0].rows[0].index, 0).unlink()
    assert class_usage(paths, pruning, ArmKind.LABELS) == []


def test_records_that_do_not_say_what_an_example_is_taken_for_are_refused(recorded):
    paths, pruning = recorded
    row = pruning.arms[0].rows[2]
    rewrite(paths, pruning, row, 0, mapped=taken(row, 0))
    assert len(class_usage(paths, pruning, ArmKind.LABELS)) == SEEDS
    with pytest.raises(ResultsError, match="do not name the class that each example is mapped to"):
        class_usage(paths, pruning, ArmKind.FEATURES)


def test_prior_networks_of_a_sweep_map_examples_too_and_damaged_ones_are_left_out(recorded):
    paths, pruning = recorded
    info = replace(read_run_info(paths.root), prior=4)
    for index in (0, 1, 3):
        kind = {"mapped": taken(pruning.arms[0].rows[0], index), "nearest": np.zeros(N, np.uint16)}
        margins, predicted = np.zeros(N, np.float16), np.zeros(N, np.uint16)
        mask = np.ones(12, dtype=bool)
        for target in range(2):
            write_record(
                paths, make_record(index, Role.PRIOR, target, mask=mask, margins=margins, predicted=predicted, **kind)
            )
    assert len(prior_usage(paths, info, {"a": 1.0}, ArmKind.LABELS)) == 3
    damaged = paths.record(Role.PRIOR, 1, 0)
    damaged.write_bytes(damaged.read_bytes()[:-1])
    usage = prior_usage(paths, info, {"a": 2.0}, ArmKind.LABELS)
    labels = taken(pruning.arms[0].rows[0], 0)[ESTIMATE]
    assert len(usage) == 2
    assert usage[0] == pytest.approx(2 * np.bincount(labels, minlength=14)[:12] / ESTIMATE.sum())
    assert prior_usage(paths, info, {"a": 1.0, "b": 1.0}, ArmKind.FEATURES)[1][0] == 2
