"""What groups do to classes and examples, held against planted effects and against the ranking."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.store.conftest import make_info, make_record
from tui_influence.analysis import class_effects as module
from tui_influence.analysis.class_effects import estimate_effects
from tui_influence.analysis.examples import majority_predictions, summarise_predictions, summarise_with_and_without
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import rank
from tui_influence.analysis.snapshot import read_snapshot
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.influence.outputs import OutputMatrix, mean_output
from tui_influence.influence.types import OutputKind
from tui_influence.roles import Role
from tui_influence.store.examples import Examples, write_examples
from tui_influence.store.paths import Paths
from tui_influence.store.records import as_margins, write_record
from tui_influence.store.run_info import SourceInfo, TargetInfo, write_run_info

GROUPS, EXAMPLES, MODELS = 5, 24, 120
LABELS = np.arange(EXAMPLES) % 3
ESTIMATE = np.arange(EXAMPLES) % 4 != 3
PLANTED = np.zeros((GROUPS, EXAMPLES))
PLANTED[0] = np.where(LABELS == 1, 2.0, 0.0)  # group 0 helps class 1 alone
PLANTED[1, 4] = -3.0  # group 1 hurts one example
PLANTED[2] = 0.5


@pytest.fixture
def reading(tmp_path):
    return reading_of(tmp_path, MODELS)


def reading_of(root, models):
    paths = Paths(root)
    examples = Examples(LABELS, ESTIMATE, ("x",) * EXAMPLES)
    digests = write_examples(paths, 0, examples, np.zeros((EXAMPLES, 8, 8, 1), np.uint8))
    source = SourceInfo(["a"] * GROUPS, [f"g{k}" for k in range(GROUPS)], [2] * GROUPS, 2 * GROUPS, "f0", 0)
    targets = [TargetInfo("digits", "fixed-feature", ["x", "y", "z"], 3, EXAMPLES, ["f1", "f2"], 0, digests)]
    info = make_info(source=source, targets=targets, models=models)
    write_run_info(paths, info)
    rng = np.random.default_rng(0)
    for index in range(models):
        mask = rng.random(GROUPS) < 0.5
        margins = as_margins(mask @ PLANTED + 0.2 * rng.normal(size=EXAMPLES))
        predicted = np.where(mask[1], 2, LABELS).astype(np.uint16)
        write_record(paths, make_record(index, mask=mask, margins=margins, predicted=predicted))
    return read_snapshot(paths, info)


def test_planted_effects_are_found_on_the_class_and_on_the_example(reading):
    found = estimate_effects(reading, Question(split="all"))
    helper = found.of_group(0, 5)
    assert helper.classes[0].group == "y"
    assert helper.classes[0].influence == pytest.approx(2.0, abs=0.2)
    assert helper.classes[0].low < 2.0 < helper.classes[0].high
    assert {example.label for example in helper.helped} == {1}
    assert helper.n_helped == np.count_nonzero(LABELS == 1)
    harmful = found.of_group(1, 5)
    assert harmful.hurt[0].example == 4
    assert harmful.hurt[0].low < -3.0 < harmful.hurt[0].high
    assert harmful.n_hurt == 1
    assert not {e.example for e in harmful.helped} & {e.example for e in harmful.hurt}


@pytest.mark.parametrize("estimator", ["difference", "ridge"])
@pytest.mark.parametrize("kind", ["margin", "probability", "correct"])
def test_a_class_s_effect_is_the_one_that_the_ranking_on_this_class_gives(reading, estimator, kind):
    found = estimate_effects(reading, Question(estimator=estimator, output_kind=kind))
    for group in range(GROUPS):
        for row in found.of_group(group, 3).classes:
            question = Question(target_class=row.group, estimator=estimator, output_kind=kind)
            ranked = {line.index: line for line in rank(reading, question).report.ranking.rows}
            assert row.influence == pytest.approx(ranked[group].influence, rel=1e-6, abs=1e-7)
            # `mean_output` is exact to 1e-7 of an output. A ridge has one freedom for all outputs of a matrix, so
            # its intervals agree in their errors alone.
            assert row.se == pytest.approx(ranked[group].se, rel=1e-6, abs=1e-7)


def test_only_examples_of_the_half_and_the_class_that_were_asked_for_are_shown(reading):
    moved = estimate_effects(reading, Question(target_class="y")).of_group(0, EXAMPLES)
    shown = [example.example for example in (*moved.helped, *moved.hurt)]
    assert set(shown) <= set(np.flatnonzero(ESTIMATE & (LABELS == 1)))
    assert moved.n_examples == np.count_nonzero(ESTIMATE & (LABELS == 1))
    assert len(moved.classes) == 3


def test_too_large_a_matrix_is_estimated_a_group_at_a_time_with_the_same_numbers(reading, monkeypatch):
    whole = estimate_effects(reading, Question()).of_group(1, 4)
    monkeypatch.setattr(module, "MAX_VALUES", 10)
    assert estimate_effects(reading, Question()).examples is None
    rowwise = estimate_effects(reading, Question()).of_group(1, 4)
    assert [e.example for e in rowwise.hurt] == [e.example for e in whole.hurt]
    assert rowwise.hurt[0].se == pytest.approx(whole.hurt[0].se)
    with pytest.raises(ConfigError, match="too many for ridge"):
        estimate_effects(reading, Question(estimator="ridge"))


def test_one_model_leaves_everything_unknown_and_none_is_refused(tmp_path):
    single = estimate_effects(reading_of(tmp_path / "one", 1), Question()).of_group(0, 4)
    assert (single.helped, single.hurt, single.n_helped) == ((), (), 0)
    with pytest.raises(ResultsError, match="no model"):
        estimate_effects(reading_of(tmp_path / "none", 0), Question())


def test_a_reading_is_kept_until_a_record_arrives(reading):
    assert read_snapshot(reading.paths, reading.info, None, reading) is reading
    later = replace(reading.info, models=MODELS + 1)
    write_record(reading.paths, make_record(MODELS, mask=np.zeros(GROUPS, bool), margins=as_margins(np.zeros(EXAMPLES)),
                                            predicted=LABELS.astype(np.uint16)))  # fmt: skip
    renewed = read_snapshot(reading.paths, later, None, reading)
    assert len(renewed.outputs) == MODELS + 1
    assert renewed.recorded[Role.ESTIMATE] == set(range(MODELS + 1))


def test_predictions_with_and_without_a_group_add_up_to_those_of_all(reading):
    having, lacking = summarise_with_and_without(reading, 4, 1)
    overall = summarise_predictions(reading, 4)
    assert having.models + lacking.models == overall.models == MODELS
    assert (having.label, having.accuracy) == (2, 0.0)
    assert (lacking.label, lacking.accuracy) == (LABELS[4], 1.0)
    share = (having.models * having.accuracy + lacking.models * lacking.accuracy) / MODELS
    assert overall.accuracy == pytest.approx(share)
    assert sum(votes for _, votes in overall.votes) == pytest.approx(1)
    assert having.margin < lacking.margin
    assert having.probability < lacking.probability
    assert majority_predictions(reading, np.array([4, 1])).tolist() == [
        overall.label,
        summarise_predictions(reading, 1).label,
    ]


def test_a_group_that_every_model_has_leaves_the_others_unsaid(tmp_path):
    reading = reading_of(tmp_path, 3)
    always = replace(reading, outputs=replace(reading.outputs, masks=np.ones((3, GROUPS), bool)))
    having, lacking = summarise_with_and_without(always, 0, 0)
    assert (having.models, lacking.models, lacking.label) == (3, 0, None)
    assert np.isnan(lacking.accuracy)


@pytest.mark.parametrize("kind", ["margin", "probability", "correct"])
def test_a_matrix_of_some_examples_is_that_part_of_the_whole(reading, kind):
    outputs, labels = reading.outputs, reading.examples.labels
    columns = np.array([20, 3, 4, 11])
    whole = OutputMatrix(outputs.margins, outputs.predicted, labels, OutputKind(kind))
    part = replace(whole, examples=columns)
    rows = slice(5, 90)
    assert part.shape == (MODELS, 4)
    assert np.array_equal(part.block(rows, slice(1, 3)), whole.block(rows, columns[1:3]))
    assert mean_output(part, np.arange(4)) == pytest.approx(mean_output(whole, columns))
