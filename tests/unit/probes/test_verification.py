"""What is retrained to put the blame for an example to the test, and what asks for it."""

import shlex
from dataclasses import replace

import numpy as np
import pytest

from tests.unit.probes.sweeps import read_sweep, write_sweep
from tui_influence.analysis.ranking import Question
from tui_influence.errors import ResultsError
from tui_influence.pruning.counterfactual import (
    FEWEST_SEEDS,
    SEEDS,
    Verification,
    fisher_exact,
    verification,
)
from tui_influence.pruning.options import (
    example_of,
    kept_at,
    verify_command,
)
from tui_influence.pruning.planning import directory_of
from tui_influence.roles import (
    ArmKind,
)

GROUPS, EXAMPLES = 8, 12
EFFECTS = np.full((GROUPS, EXAMPLES), 1.0)
EFFECTS[5, 6], EFFECTS[2, 6] = -3.0, -2.0  # two groups hurt example 6, and none any other


@pytest.fixture(scope="module")
def reading(tmp_path_factory):
    root = tmp_path_factory.mktemp("planted") / "--a run"
    return read_sweep(write_sweep(root, EFFECTS, np.arange(EXAMPLES) % 3, models=200, noise=0.1, shared=0.1))


def test_what_is_most_to_blame_is_left_out_beside_as_many_at_random(reading):
    found = verification(reading, Question(example=6), drop=2)
    assert [one.group for one in found.blamed] == [5, 2]
    assert found.told
    wanted = found.wanted
    (chosen,) = wanted.chosen
    assert (chosen.kind, chosen.label, chosen.dropped) == (ArmKind.DROP, "drop 2 blamed for example 6", (2, 5))
    assert (wanted.seeds, wanted.weights, wanted.ks, wanted.baselines) == (SEEDS, {"things": 1.0}, (), ())
    assert (wanted.estimator, wanted.output) == ("difference", "margin")


def test_no_more_is_left_out_than_lowers_the_margin(reading):
    found = verification(reading, Question(example=6, estimator="ridge"), drop=GROUPS, seeds=4)
    assert [one.group for one in found.blamed] == [5, 2]
    assert (found.wanted.estimator, found.wanted.seeds) == ("ridge", 4)


def test_where_nothing_is_to_blame_there_is_nothing_to_leave_out(reading):
    with pytest.raises(ResultsError, match="nothing lowers the margin of example 7"):
        verification(reading, Question(example=7))


def test_it_is_kept_as_a_pruning_that_its_example_gives_the_name(reading):
    sweep = reading.paths
    assert verification(reading, Question(example=6), drop=2).own == directory_of(sweep, "example-6")
    assert kept_at(sweep, 2, 6) == directory_of(sweep, "target-2-example-6")
    assert [example_of(kept_at(sweep, target, 6).root.name) for target in (0, 2)] == [6, 6]
    assert [example_of(name) for name in ("main", "example", "my-example-6")] == [None] * 3


def test_the_command_asks_the_same_of_any_directory(reading):
    question = Question(target="things", example=6, estimator="ridge")
    words = shlex.split(verify_command(question, reading.paths.root))
    assert words == [
        "tinfl", "failures", "--verify", "--target=things", "--example=6", "--estimator=ridge", "--",
        str(reading.paths.root),
    ]  # fmt: skip


def test_where_nothing_is_said_three_groups_are_left_out_ten_times_each(tmp_path):
    effects = np.full((GROUPS, EXAMPLES), 1.0)
    effects[[1, 3, 4, 6], 6] = -1.0, -4.0, -3.0, -2.0
    reading = read_sweep(write_sweep(tmp_path, effects, np.arange(EXAMPLES) % 3, models=200, noise=0.1, shared=0.1))
    found = verification(reading, Question(example=6))
    assert [one.group for one in found.blamed] == [3, 4, 6]
    assert found.wanted.chosen[0].label == "drop 3 blamed for example 6"
    assert found.wanted.seeds == 10
    few = verification(reading, Question(example=6), drop=1, seeds=4, devices=["cpu"])
    assert [one.group for one in few.blamed] == [3]
    assert (few.wanted.seeds, few.wanted.devices) == (4, ["cpu"])
    assert not Verification(few.own, (replace(few.blamed[0], q=0.5),), few.wanted).told
    with pytest.raises(ValueError, match="one example"):
        verification(reading, Question())


def test_the_fewest_retrainings_are_those_from_which_a_flip_can_be_told():
    assert fisher_exact(FEWEST_SEEDS, FEWEST_SEEDS, 0, FEWEST_SEEDS) < 0.05
    assert fisher_exact(FEWEST_SEEDS - 1, FEWEST_SEEDS - 1, 0, FEWEST_SEEDS - 1) > 0.05
