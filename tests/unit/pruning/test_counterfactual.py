"""What a verification says of an example, on retrainings whose truth is known."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import fisher_exact as reference

from tests.unit.pruning.plans import bare
from tests.unit.pruning.test_results import ESTIMATE, N, flat, pruned
from tui_influence.errors import ResultsError
from tui_influence.export.counterfactual import counterfactual_document
from tui_influence.pruning.arms import with_arms
from tui_influence.pruning.counterfactual import fisher_exact, load_counterfactual
from tui_influence.pruning.options import ClassList
from tui_influence.pruning.types import ArmOnExample, ControlComparison, CounterfactualResult, Interval, Outcome
from tui_influence.render.counterfactual import conclusion, counterfactual_lines
from tui_influence.render.style import Style
from tui_influence.roles import ArmKind
from tui_influence.store.paths import Paths
from tui_influence.store.pruning_plan import Arm
from tui_influence.store.run_info import read_run_info

EXAMPLE, SEEDS = 7, 8
ELSEWHERE = np.flatnonzero(~ESTIMATE & (np.arange(N) != EXAMPLE))
CHOSEN = ClassList(
    ArmKind.DROP,
    (
        "class 2",
        "class 5",
    ),
    "blamed",
)
PRUNING = with_arms(bare(), [], [CHOSEN], SEEDS)


def margins(arm, row, target):
    """Without the two groups the example is right, five others turn right and two wrong."""
    found = flat(2.0)
    found[[EXAMPLE, *ELSEWHERE[:5]]] = -1.0
    if arm.kind is ArmKind.DROP:
        found[[EXAMPLE, *ELSEWHERE[:5]]] = 1.0
        found[ELSEWHERE[5:7]] = -1.0
    return found


def look(root, margin=margins, only=None):
    pruned(root, PRUNING, margin, only=only)
    return load_counterfactual(Paths(root), read_run_info(root), PRUNING, EXAMPLE)


def by_kind(found):
    return {one.arm.kind: one for one in found.arms}


def test_a_prediction_that_flips_is_told_from_both_controls(tmp_path):
    found = look(tmp_path)
    arms = by_kind(found)
    assert found.is_complete
    assert (arms[ArmKind.ALL].right, arms[ArmKind.RANDOM].right, arms[ArmKind.DROP].right) == (0, 0, SEEDS)
    for against in (arms[ArmKind.DROP].over_all, arms[ArmKind.DROP].over_random):
        assert against.p == pytest.approx(2 / 12870)  # 16 choose 8
        assert against.margin.low < 2.0 < against.margin.high
        assert against.margin.low > 1.5
    assert arms[ArmKind.RANDOM].over_all.p == 1
    assert arms[ArmKind.ALL].over_all is None


def test_what_flips_elsewhere_is_counted_on_the_evaluate_half_without_the_example(tmp_path):
    arms = by_kind(look(tmp_path))
    flips = arms[ArmKind.DROP].flips
    assert (flips.to_right, flips.to_wrong, flips.size) == (5, 2, len(ELSEWHERE))
    assert (arms[ArmKind.RANDOM].flips.to_right, arms[ArmKind.RANDOM].flips.to_wrong) == (0, 0)


def of_the_example(everything, without, random):
    """Margins of the example, an arm each; of every other example they are 2."""
    values = {ArmKind.ALL: everything, ArmKind.DROP: without, ArmKind.RANDOM: random}

    def margin(arm, row, target):
        found = flat(2.0)
        found[EXAMPLE] = values[arm.kind]
        return found

    return margin


@pytest.mark.parametrize(
    ("levels", "outcome", "words"),
    [
        ((-1, 1, -1), Outcome.HOLDS, "they are the cause"),
        ((-1, 1, 1), Outcome.ANY, "as many at random may do the same"),
        ((1, -1, 1), Outcome.WORSE, "wrong more often without them"),
        ((1, 2, 1), Outcome.RIGHT, "there is nothing to flip"),
        ((-3, -1, -3), Outcome.MARGIN, "the margin rises"),
        ((-3, -1, -1), Outcome.NOTHING, "nothing changes significantly"),
    ],
)
def test_what_follows_is_judged_by_both_controls(tmp_path, levels, outcome, words):
    found = look(tmp_path, of_the_example(*levels))
    (one,) = found.drop_arms
    assert found.outcome(one) is outcome
    assert words in conclusion(found, one)


def test_what_follows_from_half_of_the_retrainings_is_said_to_be_so_far(tmp_path):
    found = look(tmp_path, of_the_example(-1, 1, -1), only=set(range(18)))
    assert conclusion(found, found.drop_arms[0]).startswith("so far, the prediction flips")
    first = look(tmp_path / "first", of_the_example(-1, 1, -1), only={0, 1, 2})
    assert conclusion(first, first.drop_arms[0]) == "not enough is retrained to say"


def text_of(found, *, ascii: bool = False) -> str:
    return "\n".join(line.plain.rstrip() for line in counterfactual_lines(found, Style(ascii), 80)) + "\n"


def test_nothing_is_claimed_where_nothing_flips(tmp_path):
    found = look(tmp_path, lambda arm, row, target: flat(-1.0))
    assert by_kind(found)[ArmKind.DROP].over_all.p == 1
    text = text_of(found, ascii=True)
    assert text.count("no significant change") == 2
    assert text.isascii()


def test_half_a_verification_shows_what_there_is(tmp_path):
    found = look(tmp_path, only={0, 1})
    assert not found.is_complete
    assert by_kind(found)[ArmKind.RANDOM].flips is None
    assert "not enough is retrained to say" in text_of(found)
    document = counterfactual_document(found)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    nothing = look(tmp_path / "nothing", only=set())
    assert [one.models for one in nothing.arms] == [0, 0, 0]
    assert text_of(nothing).count(" -\n") == 3


def test_words_name_the_groups_that_were_left_out_and_what_flips(tmp_path):
    text = text_of(look(tmp_path))
    assert "without class 2, class 5" in text
    (against_everything,) = [line for line in text.splitlines() if line.startswith("vs nothing")]
    assert against_everything.endswith("right more often")
    assert "5 turn right and 2 wrong" in text


def test_the_exact_test_is_that_of_fisher():
    for a, n, b, m in itertools.product((0, 2, 5), (5, 7), (0, 1, 4, 6), (6, 9)):
        expected = reference([[a, n - a], [b, m - b]]).pvalue
        assert fisher_exact(a, n, b, m) == pytest.approx(expected)
    assert np.isnan(fisher_exact(0, 0, 1, 2))


def test_an_example_that_there_is_not_is_refused(tmp_path):
    pruned(tmp_path, PRUNING, margins)
    with pytest.raises(ResultsError, match="no example 240"):
        load_counterfactual(Paths(tmp_path), read_run_info(tmp_path), PRUNING, N)


UNSURE = Interval(0.0, -1.0, 1.0, 1.0, 1.0, 9.0)


@pytest.mark.parametrize("right", list(itertools.product((0, 3, 5, 7, 10), repeat=3)))
def test_a_flip_is_a_change_of_what_most_say_and_no_words_contradict_it(tmp_path, right):
    """Of ten retrainings each: with everything, without what is to blame, without as many at random."""
    counts = dict(zip((ArmKind.ALL, ArmKind.DROP, ArmKind.RANDOM), right, strict=True))
    arms = {
        kind: ArmOnExample(
            arm=Arm(kind, kind.value, 0 if kind is ArmKind.ALL else 2, ()), models=10, right=count,
            margin=UNSURE, over_all=None, over_random=None, flips=None,
        )
        for kind, count in counts.items()
    }  # fmt: skip

    def against(other):
        return ControlComparison(fisher_exact(counts[ArmKind.DROP], 10, counts[other], 10), UNSURE)

    one = replace(arms[ArmKind.DROP], over_all=against(ArmKind.ALL), over_random=against(ArmKind.RANDOM))
    found = CounterfactualResult(None, None, 0, 0, (arms[ArmKind.ALL], one, arms[ArmKind.RANDOM]), ())
    outcome = found.outcome(one)
    before, after, control = right
    assert (outcome is Outcome.HOLDS) <= (before <= 5 < after and after > control)
    assert (outcome is Outcome.WORSE) <= (after < before)
    assert (outcome in (Outcome.HOLDS, Outcome.OFTENER, Outcome.ANY)) <= (after > before)


def judged(everything, without, random, *, p_all, p_random, models=10, margins=(UNSURE, UNSURE)):
    """What follows from so many right of ten each, and from p-values and margins that are made up."""
    arms = {
        kind: ArmOnExample(
            arm=Arm(kind, kind.value, 0 if kind is ArmKind.ALL else 2, ()), models=models, right=count,
            margin=UNSURE, over_all=None, over_random=None, flips=None,
        )
        for kind, count in ((ArmKind.ALL, everything), (ArmKind.DROP, without), (ArmKind.RANDOM, random))
    }  # fmt: skip
    one = replace(
        arms[ArmKind.DROP],
        over_all=ControlComparison(p_all, margins[0]),
        over_random=ControlComparison(p_random, margins[1]),
    )
    return CounterfactualResult(None, None, 0, 0, (arms[ArmKind.ALL], one, arms[ArmKind.RANDOM]), ()), one


RISES = Interval(1.0, 0.1, 2.0)


@pytest.mark.parametrize(
    ("right", "p", "outcome"),
    [
        ((5, 6, 0), (0.049, 0.049), Outcome.HOLDS),
        ((6, 7, 0), (0.049, 0.049), Outcome.OFTENER),  # most were right before
        ((3, 5, 0), (0.049, 0.049), Outcome.OFTENER),  # half are no most
        ((5, 6, 0), (0.049, 0.05), Outcome.ANY),
        ((5, 6, 6), (0.049, 0.049), Outcome.ANY),
        ((5, 6, 9), (0.049, 0.049), Outcome.ANY),
        ((5, 6, 0), (0.05, 0.049), Outcome.NOTHING),
        ((6, 5, 6), (0.049, 0.9), Outcome.WORSE),
        ((6, 7, 6), (0.05, 0.9), Outcome.RIGHT),
        ((5, 7, 6), (0.05, 0.9), Outcome.NOTHING),
    ],
)
def test_both_sides_of_every_bound(right, p, outcome):
    found, one = judged(*right, p_all=p[0], p_random=p[1])
    assert found.outcome(one) is outcome


@pytest.mark.parametrize(
    ("margins", "outcome"),
    [
        ((RISES, RISES), Outcome.MARGIN),
        ((RISES, UNSURE), Outcome.NOTHING),
        ((UNSURE, RISES), Outcome.NOTHING),
        ((RISES, Interval(-1.0, -2.0, -0.1)), Outcome.NOTHING),
    ],
)
def test_a_margin_rises_where_it_does_over_both_controls(margins, outcome):
    found, one = judged(0, 0, 0, p_all=1.0, p_random=1.0, margins=margins)
    assert found.outcome(one) is outcome


def test_one_retraining_of_each_says_nothing():
    found, one = judged(0, 1, 0, p_all=0.01, p_random=0.01, models=1)
    assert found.outcome(one) is Outcome.OPEN
    found, one = judged(0, 2, 0, p_all=0.01, p_random=0.01, models=2)
    assert found.outcome(one) is Outcome.HOLDS
    alone = replace(found, arms=found.arms[:2])
    assert alone.outcome(one) is Outcome.OPEN
    assert replace(found, arms=found.arms[1:]).outcome(one) is Outcome.OPEN
    assert found.outcome(replace(one, over_random=None)) is Outcome.OPEN


def test_a_usual_prediction_is_that_of_more_than_half(tmp_path):
    """Of eight retrainings, four are no usual prediction."""

    def margin(arm, row, target):
        found = flat(2.0)
        if arm.kind is ArmKind.DROP:
            found[ELSEWHERE[0]] = 2.0 if row.repeat < 4 else -2.0
            found[ELSEWHERE[1]] = 2.0 if row.repeat < 5 else -2.0
        return found

    flips = by_kind(look(tmp_path, margin))[ArmKind.DROP].flips
    assert (flips.to_right, flips.to_wrong) == (0, 1)


def test_several_lists_are_held_against_as_many_at_random_each(tmp_path):
    groups = bare().groups
    lists = [ClassList(ArmKind.DROP, tuple(groups[:count]), f"{count}") for count in (1, 2)]
    pruning = with_arms(bare(), [], lists, 3)

    def margin(arm, row, target):
        return flat({ArmKind.ALL: 0.0, ArmKind.DROP: arm.k, ArmKind.RANDOM: -10.0 * arm.k}[arm.kind])

    pruned(tmp_path, pruning, margin)
    found = load_counterfactual(Paths(tmp_path), read_run_info(tmp_path), pruning, 0)
    assert [one.arm.k for one in found.drop_arms] == [1, 2]
    for one in found.drop_arms:
        assert one.over_all.margin.value == pytest.approx(one.arm.k, abs=0.2)
        assert one.over_random.margin.value == pytest.approx(11 * one.arm.k, abs=0.2)
        assert one.margin.value == pytest.approx(one.arm.k, abs=0.2)
    assert {one.over_random for one in found.arms if one.arm.kind is ArmKind.RANDOM} == {None}
    assert (found.label, found.example) == (0, 0)
    assert found.arm_of(ArmKind.RANDOM, 2).arm.label == "random 2"
    assert found.arm_of(ArmKind.RANDOM, 3) is None


@pytest.mark.parametrize("example", [-1, N])
def test_an_example_outside_the_test_examples_is_refused(tmp_path, example):
    pruned(tmp_path, PRUNING, margins, only=set())
    with pytest.raises(ResultsError, match=f"no example {example}"):
        load_counterfactual(Paths(tmp_path), read_run_info(tmp_path), PRUNING, example)
    assert load_counterfactual(Paths(tmp_path), read_run_info(tmp_path), PRUNING, 0).example == 0
    assert load_counterfactual(Paths(tmp_path), read_run_info(tmp_path), PRUNING, N - 1).label == (N - 1) % 3
