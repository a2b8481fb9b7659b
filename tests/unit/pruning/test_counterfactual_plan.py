"""What is retrained to put the blame for an example to the test, and what asks for it."""

import shlex
from dataclasses import replace

import numpy as np
import pytest

from tests.unit.analysis.sweeps import read_sweep, write_sweep
from tui_influence.analysis.question import Question
from tui_influence.errors import ResultsError
from tui_influence.pruning.arms import dropped_groups
from tui_influence.pruning.counterfactual import DEFAULT_SEEDS, MIN_SEEDS, fisher_exact, plan_counterfactual
from tui_influence.pruning.options import counterfactual_command, counterfactual_example, counterfactual_paths
from tui_influence.pruning.planning import pruning_directory
from tui_influence.pruning.types import CounterfactualPlan
from tui_influence.roles import ArmKind

GROUPS, EXAMPLES = 8, 12
EFFECTS = np.full((GROUPS, EXAMPLES), 1.0)
EFFECTS[5, 6], EFFECTS[2, 6] = -3.0, -2.0  # two groups hurt example 6, and none any other


@pytest.fixture(scope="module")
def reading(tmp_path_factory):
    root = tmp_path_factory.mktemp("planted") / "--a run"
    return read_sweep(write_sweep(root, EFFECTS, np.arange(EXAMPLES) % 3, models=200, noise=0.1, shared=0.1))


def test_what_is_most_to_blame_is_left_out_beside_as_many_at_random(reading):
    found = plan_counterfactual(reading, Question(example=6), drop=2)
    assert [one.group for one in found.harmful_groups] == [5, 2]
    assert found.is_significant
    wanted = found.request
    (chosen,) = wanted.lists
    assert (chosen.kind, chosen.label) == (ArmKind.DROP, "drop 2 that hurt example 6")
    assert dropped_groups(chosen, reading.info.source.groups) == (2, 5)
    assert (wanted.seeds, wanted.weights) == (DEFAULT_SEEDS, {"things": 1.0})
    assert (wanted.drop_counts, wanted.baselines) == ((), ())
    assert (wanted.estimator, wanted.output) == ("difference", "margin")


def test_no_more_is_left_out_than_lowers_the_margin(reading):
    found = plan_counterfactual(reading, Question(example=6, estimator="ridge"), drop=GROUPS, seeds=4)
    assert [one.group for one in found.harmful_groups] == [5, 2]
    assert (found.request.estimator, found.request.seeds) == ("ridge", 4)


def test_where_nothing_is_to_blame_there_is_nothing_to_leave_out(reading):
    with pytest.raises(ResultsError, match="no group lowers the margin of example 7"):
        plan_counterfactual(reading, Question(example=7))


def test_it_is_kept_as_a_pruning_that_its_example_gives_the_name(reading):
    sweep = reading.paths
    assert plan_counterfactual(reading, Question(example=6), drop=2).pruning_paths == pruning_directory(
        sweep, "example-6"
    )
    assert counterfactual_paths(sweep, 2, 6) == pruning_directory(sweep, "target-2-example-6")
    assert [counterfactual_example(counterfactual_paths(sweep, target, 6).root.name) for target in (0, 2)] == [6, 6]
    assert [counterfactual_example(name) for name in ("main", "example", "my-example-6")] == [None] * 3


def test_the_command_asks_the_same_of_any_directory(reading):
    question = Question(target="things", example=6, estimator="ridge")
    words = shlex.split(counterfactual_command(question, reading.paths.root))
    assert words == [
        "tinfl", "failures", "--verify", "--target=things", "--example=6", "--estimator=ridge", "--",
        str(reading.paths.root),
    ]  # fmt: skip


def test_where_nothing_is_said_three_groups_are_left_out_ten_times_each(tmp_path):
    effects = np.full((GROUPS, EXAMPLES), 1.0)
    effects[[1, 3, 4, 6], 6] = -1.0, -4.0, -3.0, -2.0
    reading = read_sweep(write_sweep(tmp_path, effects, np.arange(EXAMPLES) % 3, models=200, noise=0.1, shared=0.1))
    found = plan_counterfactual(reading, Question(example=6))
    assert [one.group for one in found.harmful_groups] == [3, 4, 6]
    assert found.request.lists[0].label == "drop 3 that hurt example 6"
    assert found.request.seeds == 10
    few = plan_counterfactual(reading, Question(example=6), drop=1, seeds=4, devices=["cpu"])
    assert [one.group for one in few.harmful_groups] == [3]
    assert (few.request.seeds, few.request.devices) == (4, ["cpu"])
    assert not CounterfactualPlan(
        few.pruning_paths, (replace(few.harmful_groups[0], q=0.5),), few.request
    ).is_significant
    with pytest.raises(ValueError, match="one example"):
        plan_counterfactual(reading, Question())


def test_the_fewest_retrainings_are_those_from_which_a_flip_can_be_told():
    assert fisher_exact(MIN_SEEDS, MIN_SEEDS, 0, MIN_SEEDS) < 0.05
    assert fisher_exact(MIN_SEEDS - 1, MIN_SEEDS - 1, 0, MIN_SEEDS - 1) > 0.05
