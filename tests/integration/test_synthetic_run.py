"""The directories that the app is measured on are runs like any other."""

import numpy as np
import pytest

from benchmarks.pictures import SHAPES
from benchmarks.synthetic import Size, SyntheticSweep, write_run
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import rank_run
from tui_influence.roles import Role
from tui_influence.runs.heartbeat import State
from tui_influence.runs.overview import overview
from tui_influence.runs.record_check import quarantine_damaged
from tui_influence.store.examples import read_thumbnails
from tui_influence.store.matrix import load_outputs
from tui_influence.store.run_info import read_run_info

SIZE = Size(models=600, groups=20, examples=600, heldout=6)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> SyntheticSweep:
    return write_run(tmp_path_factory.mktemp("synthetic") / "run", SIZE)


def test_a_synthetic_run_is_done_compacted_and_sound(sweep):
    paths = sweep.paths
    found = overview(paths)
    assert (found.state, found.finished, found.total, found.given_up) == (State.DONE, 606, 606, 0)
    info = read_run_info(paths.root)
    assert isinstance(load_outputs(paths, info, Role.ESTIMATE, 0).margins, np.memmap)
    assert quarantine_damaged(paths, info, sweep.rows) == []
    assert read_thumbnails(paths.target(0)).shape == (600, 32, 32, 3)
    assert read_thumbnails(paths.source).shape[0] == len(np.load(paths.source / "groups.npy")) == 20 * 12


@pytest.mark.parametrize("shape", ["disc", "heart"])
def test_groups_help_the_class_that_they_show(sweep, shape):
    answer = rank_run(sweep.paths, read_run_info(sweep.paths.root), Question(target_class=shape))
    helped = dict.fromkeys(SHAPES, 0.0)
    for row in answer.report.ranking.rows:
        helped[SHAPES[row.index % len(SHAPES)]] += row.influence
    assert max(helped, key=helped.__getitem__) == shape
    assert answer.warnings == ()


def test_it_can_be_left_half_way(tmp_path):
    sweep = write_run(tmp_path / "run", SIZE, recorded=100)
    found = overview(sweep.paths)
    assert (found.state, found.finished, found.total) == (State.STOPPED, 100, 606)
