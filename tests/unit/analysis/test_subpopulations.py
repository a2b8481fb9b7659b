"""Subpopulations against planted ones, and against nothing planted."""

from dataclasses import replace
from math import ceil

import numpy as np
import pytest
from scipy import stats

from tests.unit.analysis.sweeps import read_sweep, write_sweep
from tui_influence.analysis import class_relative
from tui_influence.analysis.class_relative import MIN_MODELS, class_relative_influence
from tui_influence.analysis.probe_types import DrivenExample, DrivenExamples
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import rank
from tui_influence.analysis.subpopulations import driven_examples, find_subpopulations
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.influence.difference import difference
from tui_influence.influence.outputs import OutputMatrix
from tui_influence.influence.types import OutputKind

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
    mixed, plain = find_subpopulations(reading, Question(split="all", estimator=estimator))

    assert {part.group for part in mixed.subpopulations} == {0, 1, 2}
    for part in mixed.subpopulations:
        kinds = HIDDEN[[member.example for member in part.members]]
        assert np.mean(kinds == part.group) > 0.9
        assert len(part.members) == pytest.approx(EXAMPLES / 8, abs=3)
    assert mixed.n_assigned + len(mixed.unassigned) == mixed.n_examples == EXAMPLES // 2
    assert plain.n_assigned <= 2  # a false one in twenty is what the rate allows


def test_a_group_that_hurts_a_part_less_than_the_rest_does_not_drive_it(reading):
    (mixed,) = find_subpopulations(reading, Question(target_class="class 0", split="all"))
    assert 7 not in [part.group for part in mixed.subpopulations]
    assert driven_examples(reading, Question(split="all"), 7).significant_by_class() == []


def test_where_no_group_helps_none_drives_not_even_the_first_which_hurts_a_part_less(tmp_path):
    effects = np.full((3, EXAMPLES), -1.0)
    effects[0] += np.where(HIDDEN == 3, 0.5, 0.0)
    found = find_subpopulations(read_sweep(write_sweep(tmp_path, effects, LABELS, models=200)), Question(split="all"))
    assert [(classes.n_assigned, classes.subpopulations) for classes in found] == [(0, ()), (0, ())]
    unhelped = [one for classes in found for one in classes.unassigned if one.group is None]
    assert len(unhelped) > EXAMPLES / 2
    assert all(one.q == 1 and np.isnan([one.influence, one.class_relative_influence, one.se]).all() for one in unhelped)


def test_an_easy_class_does_not_fill_the_list_of_what_helps_all_of_it(reading):
    ranked = {row.index: row for row in rank(reading, Question(target_class="class 1")).report.ranking.rows}
    found = driven_examples(reading, Question(split="all"), 6)
    assert ranked[6].influence > 2.5
    assert sum(example.is_significant for example in found.examples) <= 4
    assert max(example.class_relative_influence for example in found.examples) < 0.5


def test_what_a_group_drives_is_found_with_honest_intervals(reading):
    found = driven_examples(reading, Question(split="all"), 1)
    told = found.significant
    planted = np.flatnonzero((LABELS == 0) & (HIDDEN == 1))
    assert set(planted) <= {example.example for example in told}
    assert found.significant_by_class()[0] == (0, len([example for example in told if example.label == 0]))
    truth = 0.8 * 3 / 4  # beyond an average that a quarter of the class lifts
    covered = [example.low <= truth <= example.high for example in told if example.example in planted]
    assert np.mean(covered) > 0.75
    assert list(found.examples) == sorted(found.examples, key=lambda example: -example.class_relative_influence)


def test_influence_is_that_on_the_example_and_beyond_is_the_difference_to_the_others_of_its_class(reading):
    columns = np.flatnonzero(LABELS == 0)
    outputs = np.asarray(reading.outputs.margins[:, columns], dtype=np.float64)
    alone = difference(reading.outputs.masks, outputs)
    others = (outputs.sum(axis=1, keepdims=True) - outputs) / (len(columns) - 1)
    centred = difference(reading.outputs.masks, outputs - others, pooled=True)
    found = class_relative_influence(reading, Question(target_class="class 0", split="all"))
    assert found.influence == pytest.approx(alone.influence, abs=1e-5)
    assert found.estimate.influence == pytest.approx(centred.influence, abs=1e-5)
    assert found.estimate.se == pytest.approx(centred.se, rel=1e-4)
    one = class_relative_influence(reading, Question(target_class="class 0", split="all"), 3)
    assert one.estimate.influence[0] == pytest.approx(found.estimate.influence[3], abs=1e-5)


def test_influence_by_ridge_is_that_of_a_ranking_by_the_example(reading):
    found = class_relative_influence(reading, Question(target_class="class 0", split="all", estimator="ridge"))
    for place in (0, 5):
        ranked = rank(
            reading, Question(example=int(found.example_indices[place]), estimator="ridge")
        ).report.ranking.rows
        expected = [row.influence for row in sorted(ranked, key=lambda row: row.index)]
        assert found.influence[:, place] == pytest.approx(expected, abs=1e-4)


def test_noise_that_a_class_shares_leaves_the_difference(tmp_path):
    loud = read_sweep(write_sweep(tmp_path, EFFECTS, LABELS, models=60, shared=5.0))
    found = class_relative_influence(loud, Question(target_class="class 0"))
    alone = difference(loud.outputs.masks, np.asarray(loud.outputs.margins[:, found.example_indices], dtype=np.float64))
    assert np.median(found.estimate.se) < 0.3 * np.median(alone.se)


def test_where_nothing_is_planted_at_most_a_twentieth_of_sweeps_finds_anything(tmp_path):
    nothing, found = np.zeros((6, 40)), []
    for seed in range(25):
        paths = write_sweep(tmp_path / str(seed), nothing, LABELS[:40], models=40, seed=seed)
        found.append(find_subpopulations(read_sweep(paths), Question(split="all")))
    assert sum(any(part.n_assigned for part in classes) for classes in found) <= 4
    assert all(part.models_needed is not None and part.models_needed > 40 for classes in found for part in classes)


def test_only_the_half_and_the_class_that_were_asked_for_are_looked_at(reading):
    found = driven_examples(reading, Question(target_class="class 0", split="evaluate"), 0)
    assert {example.label for example in found.examples} == {0}
    assert not reading.examples.estimate[[example.example for example in found.examples]].any()


def test_a_group_that_every_model_has_drives_nothing(tmp_path):
    masks = np.random.default_rng(0).random((60, GROUPS)) < 0.5
    masks[:, 0] = True
    reading = read_sweep(write_sweep(tmp_path, EFFECTS, LABELS, models=60, masks=masks))
    with pytest.raises(ConfigError, match=r'every model has ".*": its influence is unknown'):
        driven_examples(reading, Question(), 0)
    assert 0 not in [
        part.group for classes in find_subpopulations(reading, Question()) for part in classes.subpopulations
    ]


def test_too_few_models_are_refused_with_how_many_it_takes(tmp_path):
    reading = read_sweep(write_sweep(tmp_path, EFFECTS, LABELS, models=MIN_MODELS - 1))
    with pytest.raises(ResultsError, match=f"{MIN_MODELS - 1} models recorded.*at least {MIN_MODELS}"):
        find_subpopulations(reading, Question())


def test_a_class_of_one_example_has_nothing_to_be_compared_with(tmp_path):
    labels = np.where(np.arange(EXAMPLES) == 4, 2, LABELS)
    reading = read_sweep(write_sweep(tmp_path, EFFECTS, labels, models=20))
    with pytest.raises(ConfigError, match="one test example"):
        find_subpopulations(reading, Question(target_class="class 2", split="all"))
    lonely = [found for found in find_subpopulations(reading, Question(split="all")) if found.label == 2]
    assert [(found.n_examples, found.n_assigned) for found in lonely] == [(1, 0)]


def slow_parts(found, label):
    """What drives each example of a class: (example, group or None, beyond, q), the most driven first."""
    of = [place for place, known in enumerate(found.labels) if known == label]
    tried = sum(np.isfinite(se).any() for se in found.estimate.se[:, of])
    rows = []
    for place in of:
        helps = [
            (found.estimate.influence[k, place], -k)
            for k in range(len(found.groups))
            if found.estimate.influence[k, place] > 0 and found.influence[k, place] > 0
        ]
        effect, group = max(helps, default=(np.nan, None))
        group = None if group is None else -group
        p = 1.0
        if group is not None:
            se = found.estimate.se[group, place]
            p = min(1.0, tried * 2 * stats.t.sf(effect / se, found.estimate.df))
        rows.append((int(found.example_indices[place]), group, effect, p))
    q = stats.false_discovery_control([row[3] for row in rows])
    rows = [(example, group, effect, rate) for (example, group, effect, _), rate in zip(rows, q, strict=True)]
    return sorted(rows, key=lambda row: np.inf if row[1] is None else -row[2])


def test_an_example_is_given_to_the_group_of_the_largest_effect_by_bonferroni_and_benjamini_and_hochberg(reading):
    question = Question(split="all")
    found = class_relative_influence(reading, question)
    for parts in find_subpopulations(reading, question):
        expected = {example: rest for example, *rest in slow_parts(found, parts.label)}
        examples = [*(one for part in parts.subpopulations for one in part.members), *parts.unassigned]
        assert {one.example for one in examples} == expected.keys()
        for one in examples:
            group, effect, q = expected[one.example]
            assert one.q == pytest.approx(q, rel=1e-3)
            assert one.group == group
            assert one.class_relative_influence == pytest.approx(effect, rel=1e-5, nan_ok=True)
            assert one.is_significant == (q < 0.05)
        assert [len(part.members) for part in parts.subpopulations] == sorted(
            (len(part.members) for part in parts.subpopulations), reverse=True
        )
        for members in (*(part.members for part in parts.subpopulations), parts.unassigned):
            effects = [one.class_relative_influence for one in members if one.group is not None]
            assert effects == sorted(effects, reverse=True)


def test_intervals_are_students_and_their_numbers_those_of_the_group_and_the_example(reading):
    found = class_relative_influence(reading, Question(split="all"))
    quantile = stats.t.ppf(0.975, found.estimate.df)
    for parts in find_subpopulations(reading, Question(split="all")):
        for one in (*(member for part in parts.subpopulations for member in part.members), *parts.unassigned):
            if one.group is not None:
                place = int(np.flatnonzero(found.example_indices == one.example)[0])
                assert one.label == LABELS[one.example]
                assert one.se == pytest.approx(found.estimate.se[one.group, place])
                assert one.influence == pytest.approx(found.influence[one.group, place])
                assert (one.low, one.high) == pytest.approx(
                    (one.class_relative_influence - quantile * one.se, one.class_relative_influence + quantile * one.se)
                )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, True),
        ({"q": 0.05}, False),
        ({"class_relative_influence": 0.0}, False),
        ({"influence": 0.0}, False),
        ({"q": np.nan}, False),
    ],
)
def test_a_driver_is_told_where_it_helps_beyond_the_class_and_by_more_than_chance(changes, told):
    numbers = {
        "influence": 0.1,
        "class_relative_influence": 0.1,
        "se": 0.1,
        "low": 0.1,
        "high": 0.1,
        "q": 0.049,
    } | changes
    assert DrivenExample(0, 0, 0, **numbers).is_significant == told


def test_the_models_needed_grow_with_the_square_of_what_is_missing(reading, tmp_path):
    few = read_sweep(write_sweep(tmp_path, EFFECTS / 4, LABELS, models=60))
    found = class_relative_influence(few, Question(split="all"))
    for parts in find_subpopulations(few, Question(split="all")):
        of = np.flatnonzero(found.labels == parts.label)
        statistic = []
        for place in of:
            helps = (found.estimate.influence[:, place] > 0) & (found.influence[:, place] > 0)
            effects = np.where(helps, found.estimate.influence[:, place], -np.inf)
            best = np.argmax(effects)
            statistic.append(effects[best] / found.estimate.se[best, place] if helps.any() else 0.0)
        typical = np.median(statistic)
        wanted = stats.t.isf(0.05 / 2 / (2 * GROUPS), found.estimate.df)
        assert typical < wanted
        assert parts.models_needed == ceil(60 * (wanted / typical) ** 2)
    mixed, plain = find_subpopulations(reading, Question(split="all"))
    assert mixed.models_needed is None
    assert plain.models_needed is not None


def test_where_most_of_a_class_is_helped_by_nothing_nobody_knows_how_many_models_it_takes(tmp_path):
    hurt = read_sweep(write_sweep(tmp_path, np.full((3, 40), -5.0), LABELS[:40], models=40, noise=0.1, shared=0.1))
    assert [parts.models_needed for parts in find_subpopulations(hurt, Question(split="all"))] == [None, None]


def test_what_a_group_drives_is_in_order_with_q_over_all_examples_and_what_it_does_not_drive_beside_it(reading):
    found = driven_examples(reading, Question(split="all"), 0)
    whole = class_relative_influence(reading, Question(split="all"), 0)
    effect, se = whole.estimate.influence[0], whole.estimate.se[0]
    q = stats.false_discovery_control(2 * stats.t.sf(np.abs(effect / se), whole.estimate.df))
    helped = (effect > 0) & (whole.influence[0] > 0)
    order = np.argsort(-effect, kind="stable")
    assert [one.example for one in found.examples] == [int(whole.example_indices[k]) for k in order if helped[k]]
    assert [one.example for one in found.not_helped] == [int(whole.example_indices[k]) for k in order if not helped[k]]
    for one in (*found.examples, *found.not_helped):
        assert one.q == pytest.approx(q[np.flatnonzero(whole.example_indices == one.example)[0]], rel=1e-3)
        assert one.group == 0
    assert not any(one.is_significant for one in found.not_helped)
    assert (found.n_examples, found.class_sizes.tolist(), found.models) == (EXAMPLES, [80, 80], MODELS)


def test_classes_are_counted_with_the_most_told_first_and_those_without_any_left_out():
    def one(label, told):
        return DrivenExample(0, label, 0, 1.0, 1.0, 0.1, 0.8, 1.2, 0.01 if told else 0.5)

    examples = (one(2, True), one(1, True), one(2, True), one(0, False), one(3, True))
    found = DrivenExamples(0, examples, (), 9, np.array([3, 2, 2, 2]), 40)
    assert found.significant_by_class() == [(2, 2), (1, 1), (3, 1)]


@pytest.mark.parametrize("estimator", ["difference", "ridge"])
def test_one_group_alone_has_the_numbers_that_it_has_among_all(reading, estimator):
    question = Question(target_class="class 1", split="all", estimator=estimator)
    whole, one = class_relative_influence(reading, question), class_relative_influence(reading, question, 6)
    assert (one.groups.tolist(), whole.groups.tolist(), one.models) == ([6], list(range(GROUPS)), MODELS)
    for name in ("influence", "se"):
        assert getattr(one.estimate, name)[0] == pytest.approx(getattr(whole.estimate, name)[6], abs=1e-5)
    assert one.influence[0] == pytest.approx(whole.influence[6], abs=1e-5)
    assert (one.estimate.n_with[0], one.estimate.n_without[0]) == (
        whole.estimate.n_with[6],
        whole.estimate.n_without[6],
    )
    assert (one.estimate.df, one.estimate.estimator, one.estimate.is_relative) == (
        whole.estimate.df, whole.estimate.estimator, whole.estimate.is_relative,
    )  # fmt: skip


@pytest.mark.parametrize(("most", "refused"), [(GROUPS * 80, False), (GROUPS * 80 - 1, True)])
def test_more_influences_than_memory_holds_are_refused(reading, monkeypatch, most, refused):
    monkeypatch.setattr(class_relative, "MAX_VALUES", most)
    question = Question(target_class="class 0", split="all")
    if not refused:
        assert class_relative_influence(reading, question).estimate.influence.shape == (GROUPS, 80)
        return
    for estimator in ("difference", "ridge"):
        with pytest.raises(ConfigError, match="8 groups times 80 examples are too many at once"):
            class_relative_influence(reading, replace(question, estimator=estimator))
    assert class_relative_influence(reading, question, 3).estimate.influence.shape == (1, 80)


@pytest.mark.parametrize("kind", ["margin", "probability", "correct"])
def test_what_is_beyond_a_class_is_the_output_less_the_mean_of_the_others(reading, kind):
    labels = np.where(np.arange(EXAMPLES) == 4, 2, LABELS)
    lonely = replace(reading, examples=replace(reading.examples, labels=labels))
    described = replace(reading.info.targets[0], classes=["a", "b", "c", "d"])
    lonely = replace(lonely, info=replace(reading.info, targets=[described]))
    columns = np.array([3, 4, 7, 10])
    found = class_relative.class_centered_outputs(lonely, kind, columns)
    plain = OutputMatrix(reading.outputs.margins, reading.outputs.predicted, labels, OutputKind(kind))
    outputs = np.asarray(plain.block(slice(0, MODELS), slice(0, EXAMPLES)), dtype=np.float64)
    for place, example in enumerate(columns):
        others = [k for k in range(EXAMPLES) if labels[k] == labels[example] and k != example]
        expected = outputs[:, example] - (outputs[:, others].mean(axis=1) if others else 0)
        assert found.block(slice(0, MODELS), np.array([place]))[:, 0] == pytest.approx(expected, abs=2e-4)
    assert found.scale.tolist() == pytest.approx([79 / 78, 80 / 79, 1, 1])
    with pytest.raises(ValueError, match="averages need labels"):
        replace(found, labels=None).block(slice(0, 1), slice(0, 1))
