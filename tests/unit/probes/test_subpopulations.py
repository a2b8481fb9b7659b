"""Subpopulations against planted ones, and against nothing planted."""

import numpy as np
import pytest

from tests.unit.probes.sweeps import read_sweep, write_sweep
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.influence.estimators import difference
from tui_influence.probes.beyond import FEWEST_MODELS, beyond_class
from tui_influence.probes.subpopulations import driven_by, subpopulations
from tui_influence.ranking import Question, rank

GROUPS, EXAMPLES, MODELS = 8, 160, 400
LABELS = np.arange(EXAMPLES) % 2
HIDDEN = np.arange(EXAMPLES) // 2 % 4
"""What the target's labels do not say; group h helps the examples of hidden kind h of class 0, and no other."""
EFFECTS = np.zeros((GROUPS, EXAMPLES))
for _kind in range(3):
    EFFECTS[_kind] = np.where((LABELS == 0) & (_kind == HIDDEN), 0.8, 0.0)
EFFECTS[6] = np.where(LABELS == 1, 3.0, 0.0)  # all of class 1 alike: no subpopulation
EFFECTS[7] = np.where(LABELS == 0, -2.0, 0.0)
EFFECTS[7] += np.where((LABELS == 0) & (HIDDEN == 3), 1.0, 0.0)  # hurts kind 3 less than the others: no driver


@pytest.fixture(scope="module")
def reading(tmp_path_factory):
    return read_sweep(write_sweep(tmp_path_factory.mktemp("planted"), EFFECTS, LABELS, models=MODELS))


@pytest.mark.parametrize("estimator", ["difference", "ridge"])
def test_hidden_kinds_of_a_class_are_its_parts(reading, estimator):
    mixed, plain = subpopulations(reading, Question(split="all", estimator=estimator))

    assert {part.group for part in mixed.parts} == {0, 1, 2}
    for part in mixed.parts:
        kinds = HIDDEN[[member.example for member in part.members]]
        assert np.mean(kinds == part.group) > 0.9
        assert len(part.members) == pytest.approx(EXAMPLES / 8, abs=3)
    assert mixed.told + len(mixed.untold) == mixed.size == EXAMPLES // 2
    assert plain.told <= 2  # a false one in twenty is what the rate allows


def test_a_group_that_hurts_a_part_less_than_the_rest_does_not_drive_it(reading):
    (mixed,) = subpopulations(reading, Question(target_class="class 0", split="all"))
    assert 7 not in [part.group for part in mixed.parts]
    assert driven_by(reading, Question(split="all"), 7).told_by_class() == []


def test_where_no_group_helps_none_drives_not_even_the_first_which_hurts_a_part_less(tmp_path):
    effects = np.full((3, EXAMPLES), -1.0)
    effects[0] += np.where(HIDDEN == 3, 0.5, 0.0)
    found = subpopulations(read_sweep(write_sweep(tmp_path, effects, LABELS, models=200)), Question(split="all"))
    assert [(classes.told, classes.parts) for classes in found] == [(0, ()), (0, ())]
    unhelped = [one for classes in found for one in classes.untold if one.group is None]
    assert len(unhelped) > EXAMPLES / 2
    assert all(one.q == 1 and np.isnan([one.influence, one.beyond, one.se]).all() for one in unhelped)


def test_an_easy_class_does_not_fill_the_list_of_what_helps_all_of_it(reading):
    ranked = {row.index: row for row in rank(reading, Question(target_class="class 1")).report.ranking.rows}
    found = driven_by(reading, Question(split="all"), 6)
    assert ranked[6].influence > 2.5
    assert sum(example.told for example in found.examples) <= 4
    assert max(example.beyond for example in found.examples) < 0.5


def test_what_a_group_drives_is_found_with_honest_intervals(reading):
    found = driven_by(reading, Question(split="all"), 1)
    told = [example for example in found.examples if example.told]
    planted = np.flatnonzero((LABELS == 0) & (HIDDEN == 1))
    assert set(planted) <= {example.example for example in told}
    assert found.told_by_class()[0] == (0, len([example for example in told if example.label == 0]))
    truth = 0.8 * 3 / 4  # beyond an average that a quarter of the class lifts
    covered = [example.low <= truth <= example.high for example in told if example.example in planted]
    assert np.mean(covered) > 0.75
    assert list(found.examples) == sorted(found.examples, key=lambda example: -example.beyond)


def test_influence_is_that_on_the_example_and_beyond_is_the_difference_to_the_others_of_its_class(reading):
    columns = np.flatnonzero(LABELS == 0)
    outputs = np.asarray(reading.outputs.margins[:, columns], dtype=np.float64)
    alone = difference(reading.outputs.masks, outputs)
    others = (outputs.sum(axis=1, keepdims=True) - outputs) / (len(columns) - 1)
    centred = difference(reading.outputs.masks, outputs - others, pooled=True)
    found = beyond_class(reading, Question(target_class="class 0", split="all"))
    assert found.influence == pytest.approx(alone.influence, abs=1e-5)
    assert found.beyond.influence == pytest.approx(centred.influence, abs=1e-5)
    assert found.beyond.se == pytest.approx(centred.se, rel=1e-4)
    one = beyond_class(reading, Question(target_class="class 0", split="all"), 3)
    assert one.beyond.influence[0] == pytest.approx(found.beyond.influence[3], abs=1e-5)


def test_influence_by_ridge_is_that_of_a_ranking_by_the_example(reading):
    found = beyond_class(reading, Question(target_class="class 0", split="all", estimator="ridge"))
    for place in (0, 5):
        ranked = rank(reading, Question(example=int(found.columns[place]), estimator="ridge")).report.ranking.rows
        expected = [row.influence for row in sorted(ranked, key=lambda row: row.index)]
        assert found.influence[:, place] == pytest.approx(expected, abs=1e-4)


def test_noise_that_a_class_shares_leaves_the_difference(tmp_path):
    loud = read_sweep(write_sweep(tmp_path, EFFECTS, LABELS, models=60, shared=5.0))
    found = beyond_class(loud, Question(target_class="class 0"))
    alone = difference(loud.outputs.masks, np.asarray(loud.outputs.margins[:, found.columns], dtype=np.float64))
    assert np.median(found.beyond.se) < 0.3 * np.median(alone.se)


def test_where_nothing_is_planted_at_most_a_twentieth_of_sweeps_finds_anything(tmp_path):
    nothing, found = np.zeros((6, 40)), []
    for seed in range(25):
        paths = write_sweep(tmp_path / str(seed), nothing, LABELS[:40], models=40, seed=seed)
        found.append(subpopulations(read_sweep(paths), Question(split="all")))
    assert sum(any(part.told for part in classes) for classes in found) <= 4
    assert all(part.needed is not None and part.needed > 40 for classes in found for part in classes)


def test_only_the_half_and_the_class_that_were_asked_for_are_looked_at(reading):
    found = driven_by(reading, Question(target_class="class 0", split="evaluate"), 0)
    assert {example.label for example in found.examples} == {0}
    assert not reading.examples.estimate[[example.example for example in found.examples]].any()


def test_a_group_that_every_model_has_drives_nothing(tmp_path):
    masks = np.random.default_rng(0).random((60, GROUPS)) < 0.5
    masks[:, 0] = True
    reading = read_sweep(write_sweep(tmp_path, EFFECTS, LABELS, models=60, masks=masks))
    with pytest.raises(ConfigError, match=r'every model has ".*": its influence is unknown'):
        driven_by(reading, Question(), 0)
    assert 0 not in [part.group for classes in subpopulations(reading, Question()) for part in classes.parts]


def test_too_few_models_are_refused_with_how_many_it_takes(tmp_path):
    reading = read_sweep(write_sweep(tmp_path, EFFECTS, LABELS, models=FEWEST_MODELS - 1))
    with pytest.raises(ResultsError, match=f"{FEWEST_MODELS - 1} models recorded.*at least {FEWEST_MODELS}"):
        subpopulations(reading, Question())


def test_a_class_of_one_example_has_nothing_to_be_compared_with(tmp_path):
    labels = np.where(np.arange(EXAMPLES) == 4, 2, LABELS)
    reading = read_sweep(write_sweep(tmp_path, EFFECTS, labels, models=20))
    with pytest.raises(ConfigError, match="one test example"):
        subpopulations(reading, Question(target_class="class 2", split="all"))
    lonely = [found for found in subpopulations(reading, Question(split="all")) if found.label == 2]
    assert [(found.size, found.told) for found in lonely] == [(1, 0)]
