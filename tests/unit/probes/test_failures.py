"""Failures and what is blamed for them, against planted ones."""

import numpy as np
import pytest

from tests.unit.probes.sweeps import read_sweep, write_sweep
from tui_influence.errors import ResultsError
from tui_influence.probes.failures import blame, failures
from tui_influence.ranking import Question, rank

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
    found = failures(reading, Question(split="all"))
    assert (found.wrong, found.low, found.size, found.models) == (2, 0, EXAMPLES, MODELS)
    assert [failure.example for failure in found.found] == [6, 9]
    worst, other = found.found
    assert [one.group for one in worst.blamed[:2]] == [5, 2]
    assert all(one.told for one in worst.blamed[:2])
    assert worst.blamed[0].low < -2.0 < worst.blamed[0].high
    assert other.blamed[0].group == 3
    assert worst.predicted != worst.label == LABELS[6]
    assert worst.right < 0.5
    assert worst.margin < other.margin < 0


def test_blame_is_the_other_end_of_the_ranking_of_the_example(reading):
    question = Question(example=6)
    rows = [row for row in rank(reading, question).report.ranking.rows if row.influence < 0][::-1]
    found = blame(reading, question, GROUPS)
    assert [one.group for one in found] == [row.index for row in rows]
    for one, row in zip(found, rows, strict=True):
        assert one.influence == pytest.approx(row.influence, abs=1e-6)
        assert one.se == pytest.approx(row.se, rel=1e-4)
        assert one.q == pytest.approx(row.q, rel=1e-2)


def test_examples_of_low_margin_count_only_if_they_are_asked_for(reading):
    margins = np.asarray(reading.outputs.margins, dtype=np.float64).mean(axis=0)
    below = float(np.sort(margins)[10])
    found = failures(reading, Question(split="all"), below=below)
    assert found.wrong + found.low == len(found.found) == np.count_nonzero(margins < below)
    assert [failure.margin for failure in found.found] == sorted(failure.margin for failure in found.found)
    assert len(failures(reading, Question(split="all"), below=below, top=3, blamed=1).found) == 3


def test_an_example_that_does_not_fail_can_be_asked_about(reading):
    (found,) = failures(reading, Question(example=0)).found
    assert found.right > 0.9
    assert found.predicted == found.label


def test_only_the_class_and_the_half_asked_for_are_looked_at(reading):
    found = failures(reading, Question(target_class="class 1", split="all"))
    assert (found.found, found.size) == ((), EXAMPLES // 3)


def test_masks_of_one_size_make_blame_relative(tmp_path):
    rng = np.random.default_rng(0)
    masks = rng.random((40, GROUPS)).argsort(axis=1) < 4
    paths = write_sweep(tmp_path, EFFECTS, LABELS, models=40, masks=masks)
    assert failures(read_sweep(paths), Question()).relative


def test_too_few_models_are_refused(tmp_path):
    reading = read_sweep(write_sweep(tmp_path, EFFECTS, LABELS, models=5))
    with pytest.raises(ResultsError, match="5 models recorded"):
        failures(reading, Question())
