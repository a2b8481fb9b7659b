"""Failures and what is blamed for them, against planted ones."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.analysis.sweeps import read_sweep, write_sweep
from tui_influence.analysis import failures as module
from tui_influence.analysis.failures import find_failures, harmful_groups
from tui_influence.analysis.probe_types import HarmfulGroup
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import rank
from tui_influence.errors import ResultsError
from tui_influence.influence.difference import difference
from tui_influence.influence.estimate import benjamini_hochberg, interval, p_values
from tui_influence.influence.ridge import ridge

GROUPS, EXAMPLES, MODELS = 8, 60, 300
LABELS = np.arange(EXAMPLES) % 3
EASE = np.full(EXAMPLES, 4.0)
EASE[[6, 9]] = 0.0
EFFECTS = np.zeros((GROUPS, EXAMPLES))
EFFECTS[5, 6], EFFECTS[2, 6] = -2.0, -1.0  # example 6 fails because of groups 5 and 2
EFFECTS[3, 9] = -1.5  # example 9 because of group 3
EFFECTS[0] = 0.3


@pytest.fixture(scope="module")
def reading(tmp_path_factory):
    return read_sweep(write_sweep(tmp_path_factory.mktemp("planted"), EFFECTS, LABELS, models=MODELS, ease=EASE))


def test_what_most_models_get_wrong_is_found_and_blamed_on_what_hurts_it(reading):
    found = find_failures(reading, Question(split="all"))
    assert (found.n_wrong, found.n_low_margin, found.n_examples, found.models) == (2, 0, EXAMPLES, MODELS)
    assert [failure.example for failure in found.examples] == [6, 9]
    worst, other = found.examples
    assert [one.group for one in worst.harmful_groups[:2]] == [5, 2]
    assert all(one.is_significant for one in worst.harmful_groups[:2])
    assert worst.harmful_groups[0].low < -2.0 < worst.harmful_groups[0].high
    assert other.harmful_groups[0].group == 3
    assert worst.predicted != worst.label == LABELS[6]
    assert worst.right < 0.5
    assert worst.margin < other.margin < 0


def test_blame_is_the_other_end_of_the_ranking_of_the_example(reading):
    question = Question(example=6)
    rows = [row for row in rank(reading, question).report.ranking.rows if row.influence < 0][::-1]
    found = harmful_groups(reading, question, GROUPS)
    assert [one.group for one in found] == [row.index for row in rows]
    for one, row in zip(found, rows, strict=True):
        assert one.influence == pytest.approx(row.influence, abs=1e-6)
        assert one.se == pytest.approx(row.se, rel=1e-4)
        assert one.q == pytest.approx(row.q, rel=1e-2)


def test_examples_of_low_margin_count_only_if_they_are_asked_for(reading):
    margins = np.asarray(reading.outputs.margins, dtype=np.float64).mean(axis=0)
    below = float(np.sort(margins)[10])
    found = find_failures(reading, Question(split="all"), below=below)
    assert found.n_wrong + found.n_low_margin == len(found.examples) == np.count_nonzero(margins < below)
    assert [failure.margin for failure in found.examples] == sorted(failure.margin for failure in found.examples)
    assert len(find_failures(reading, Question(split="all"), below=below, top=3, n_groups=1).examples) == 3


def test_an_example_that_does_not_fail_can_be_asked_about(reading):
    (found,) = find_failures(reading, Question(example=0)).examples
    assert found.right > 0.9
    assert found.predicted == found.label


def test_only_the_class_and_the_half_asked_for_are_looked_at(reading):
    found = find_failures(reading, Question(target_class="class 1", split="all"))
    assert (found.examples, found.n_examples) == ((), EXAMPLES // 3)


def test_masks_of_one_size_make_blame_relative(tmp_path):
    rng = np.random.default_rng(0)
    masks = rng.random((40, GROUPS)).argsort(axis=1) < 4
    paths = write_sweep(tmp_path, EFFECTS, LABELS, models=40, masks=masks)
    assert find_failures(read_sweep(paths), Question()).relative


def test_too_few_models_are_refused(tmp_path):
    reading = read_sweep(write_sweep(tmp_path, EFFECTS, LABELS, models=5))
    with pytest.raises(ResultsError, match="5 models recorded"):
        find_failures(reading, Question())


@pytest.mark.parametrize("block", [7, MODELS, 10**6])
def test_shares_and_margins_are_those_of_every_model(reading, monkeypatch, block):
    monkeypatch.setattr(module, "_ROWS", block)
    found = find_failures(reading, Question(split="evaluate"), below=np.inf)
    columns = np.flatnonzero(~reading.examples.estimate)
    margins = np.asarray(reading.outputs.margins, dtype=np.float64).mean(axis=0)
    right = (np.asarray(reading.outputs.predicted) == LABELS).mean(axis=0)
    assert [one.example for one in found.examples] == sorted(columns, key=lambda example: margins[example])
    for one in found.examples:
        assert one.margin == pytest.approx(margins[one.example], rel=1e-5)
        assert one.right == pytest.approx(right[one.example])
        labels, votes = np.unique(reading.outputs.predicted[:, one.example], return_counts=True)
        assert one.predicted == labels[np.argmax(votes)]
        assert one.label == LABELS[one.example]
    assert found.n_wrong == (right[columns] < 0.5).sum()
    assert found.n_low_margin == found.n_examples - found.n_wrong == len(columns) - found.n_wrong


@pytest.mark.parametrize("estimator", ["difference", "ridge"])
def test_blame_has_the_numbers_of_the_influence_on_the_example(reading, estimator):
    found = find_failures(reading, Question(split="all", estimator=estimator), n_groups=GROUPS)
    columns = np.array([one.example for one in found.examples])
    margins = np.asarray(reading.outputs.margins[:, columns], dtype=np.float64)
    estimate = (difference if estimator == "difference" else ridge)(reading.outputs.masks, margins)
    for place, one in enumerate(found.examples):
        influence, se = estimate.influence[:, place], estimate.se[:, place]
        order = [k for k in np.argsort(influence) if influence[k] < 0]
        assert [blamed.group for blamed in one.harmful_groups] == order
        q = benjamini_hochberg(p_values(influence, se, estimate.df))
        low, high = interval(influence, se, estimate.df)
        for blamed in one.harmful_groups:
            k = blamed.group
            assert (blamed.influence, blamed.se) == pytest.approx((influence[k], se[k]), rel=1e-3)
            assert (blamed.low, blamed.high) == pytest.approx((low[k], high[k]), rel=1e-3, abs=1e-4)
            assert blamed.q == pytest.approx(q[k], rel=1e-2)


def test_an_example_that_half_of_the_models_get_right_does_not_fail(tmp_path):
    paths = write_sweep(tmp_path, np.zeros((3, 6)), np.arange(6) % 3, models=20)
    reading = read_sweep(paths)
    predicted = np.tile(np.arange(6) % 3, (20, 1)).astype(np.uint16)
    predicted[:10, 1] = predicted[:11, 2] = 7
    margins = np.full((20, 6), 0.5, np.float16)
    margins[:, 3] = -0.25
    tied = replace(reading, outputs=replace(reading.outputs, predicted=predicted, margins=margins))
    assert [one.example for one in find_failures(tied, Question(split="all")).examples] == [2]
    at = find_failures(tied, Question(split="all"), below=-0.25)
    assert (at.n_wrong, at.n_low_margin, [one.example for one in at.examples]) == (1, 0, [2])
    above = find_failures(tied, Question(split="all"), below=-0.249)
    assert (above.n_wrong, above.n_low_margin, [one.example for one in above.examples]) == (1, 1, [3, 2])


def test_as_many_groups_are_blamed_as_are_asked_for(reading):
    for count in (0, 1, 2):
        assert len(find_failures(reading, Question(split="all"), n_groups=count).examples[0].harmful_groups) == count
    assert len(find_failures(reading, Question(split="all")).examples[0].harmful_groups) == 3
    assert len(harmful_groups(reading, Question(example=6, target_class="class 0"), 2)) == 2
    with pytest.raises(ValueError, match="one example"):
        harmful_groups(reading, Question(), 2)


@pytest.mark.parametrize(("q", "told"), [(0.049, True), (0.05, False), (np.nan, False)])
def test_a_group_is_told_to_blame_below_the_level(q, told):
    assert HarmfulGroup(0, -1.0, 0.1, -1.2, -0.8, q).is_significant == told


def test_a_group_of_unknown_influence_is_not_blamed(reading):
    masks = np.array(reading.outputs.masks)
    masks[:, 5] = True
    known = replace(reading, outputs=replace(reading.outputs, masks=masks))
    found = find_failures(known, Question(split="all"), n_groups=GROUPS).examples[0]
    assert 5 not in [one.group for one in found.harmful_groups]
    assert not find_failures(known, Question()).relative
