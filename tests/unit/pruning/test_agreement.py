"""How many pairs of arms are in the order that the sweep's ranking implies, where another recipe trained them."""

from dataclasses import replace

import pytest

from tests.unit.config.configs import VALID
from tests.unit.pruning.prunings import made, planned
from tui_influence.config.loader import config_from_json, config_to_json, parse_config
from tui_influence.pruning.agreement import order_agreement
from tui_influence.roles import ArmKind

SWEEP = config_to_json(parse_config(VALID, ""))
BIRDS = {"kind": "npz", "name": "birds", "train": "birds.npz", "test": "birds.npz"}
MEANS = {ArmKind.LOWEST: 3.0, ArmKind.RANDOM: 2.0, ArmKind.HIGHEST: 1.0}


def with_means(results, margin, accuracy=None):
    """The results with these means of the arms that drop by rank or at random, by kind and number dropped."""

    def moved(result, quantity, means):
        score = result.score(quantity)
        key = result.arm.kind, result.arm.k
        value = means.get(key, means.get(key[0], score.mean.value))
        return replace(score, mean=replace(score.mean, value=value))

    moved_results = [
        replace(
            result,
            margin=moved(result, "margin", margin),
            accuracy=moved(result, "accuracy", margin if accuracy is None else accuracy),
        )
        for result in results.results
    ]
    return replace(results, results=tuple(moved_results))


def trained(config, **arguments):
    results = made(planned(), **arguments)
    return replace(results, info=replace(results.info, config=config))


def other_recipe(**train):
    return SWEEP | {"train": SWEEP["train"] | {"epochs": 4, **train}}


@pytest.fixture
def sweep():
    return replace(made(planned()).info, config=SWEEP)


def test_a_pruning_by_the_sweeps_recipe_has_no_agreement_to_report(sweep):
    assert order_agreement(trained(SWEEP), sweep) is None


def test_a_target_that_is_left_out_is_no_other_recipe(sweep):
    two = replace(sweep, config=SWEEP | {"target": [*SWEEP["target"], BIRDS]})
    assert order_agreement(trained(SWEEP), two) is None
    assert order_agreement(trained(other_recipe()), two).settings == ("train.epochs: 8 -> 4",)


def test_every_pair_at_one_number_dropped_counts_and_its_settings_are_named(sweep):
    agreement = order_agreement(with_means(trained(other_recipe()), MEANS), sweep)
    assert agreement.settings == ("train.epochs: 8 -> 4",)
    assert (agreement.pairs, agreement.accuracy, agreement.margin) == (6, 6, 6)


def test_arms_in_another_order_do_not_agree_and_equal_ones_neither(sweep):
    worse = MEANS | {(ArmKind.LOWEST, 2): 1.5}  # below random: 1 of 3 pairs
    equal = MEANS | {(ArmKind.HIGHEST, 4): 2.0}  # like random: 1 of 3 pairs
    agreement = order_agreement(with_means(trained(other_recipe()), worse, equal), sweep)
    assert (agreement.pairs, agreement.accuracy, agreement.margin) == (6, 5, 5)
    upside_down = {kind: -mean for kind, mean in MEANS.items()}
    assert order_agreement(with_means(trained(other_recipe()), upside_down), sweep).margin == 0


def test_arms_without_a_retraining_are_in_no_pair(sweep):
    results = with_means(trained(other_recipe(), models=1), MEANS)  # none of the highest is recorded
    agreement = order_agreement(results, sweep)
    assert (agreement.pairs, agreement.margin) == (2, 2)


def test_the_same_steps_instead_of_epochs_are_another_recipe(sweep):
    agreement = order_agreement(trained(other_recipe(epochs=None, steps=30)), sweep)
    assert agreement.settings == ("train.epochs: 8 -> not set", "train.steps: not set -> 30")


def test_a_saved_config_of_another_version_has_none(sweep):
    assert order_agreement(trained(other_recipe() | {"newer": {}}), sweep) is None


def test_the_steps_that_keeping_everything_takes_are_the_sweeps_recipe(sweep):
    steps = config_from_json(SWEEP).train.source_steps(sweep.source.images)
    same = SWEEP | {
        "train": {key: value for key, value in SWEEP["train"].items() if key != "epochs"} | {"steps": steps}
    }
    assert order_agreement(trained(same), sweep) is None
    other = same | {"train": same["train"] | {"steps": steps + 1}}
    assert order_agreement(trained(other), sweep).settings
