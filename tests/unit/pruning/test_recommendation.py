"""How many to drop: intervals that hold for all that were tried, both sides of zero, and what more retrainings tell."""

from dataclasses import replace
from math import nan

import numpy as np
import pytest
from scipy.stats import norm, t, ttest_ind

from tests.unit.pruning.plans import bare
from tests.unit.pruning.prunings import GROUPS, KS, made, planned
from tui_influence.pruning.arms import with_arms
from tui_influence.pruning.forecast_limits import MAX_GROUPS, forecast_limit, missing_forecast
from tui_influence.pruning.options import ClassList
from tui_influence.pruning.recommendation import measured_best, predicted_best, with_level
from tui_influence.pruning.results import _with_q, difference, mean_with_interval
from tui_influence.pruning.types import ClassGain, Interval, Point, Recommendation, lost_and_gained
from tui_influence.roles import ArmKind
from tui_influence.store.pruning_plan import GainForecast

OVER = (1.0, 0.5, 1.5)


def forecast(**gains):
    """A pruning whose numbers to drop are predicted to gain so much over keeping everything."""
    ks = {int(name.removeprefix("k")): gain for name, gain in gains.items()}
    pruning = with_arms(bare(GROUPS), sorted(ks), [], 1)
    return replace(pruning, forecast=tuple(GainForecast(k, OVER, OVER, gain, gain) for k, gain in ks.items()))


def test_before_training_an_interval_is_as_wide_as_holds_for_all_numbers_together():
    wider = norm.ppf(1 - 0.025 / 3) / norm.ppf(0.975)
    just, not_quite = 1.0 - 1 / wider + 1e-4, 1.0 - 1 / wider - 1e-4  # the lower end that is just above zero
    rest = {"k3": (0.1, -1.0, 1.2), "k5": (0.2, -1.0, 1.4)}
    found = predicted_best(forecast(k2=(1.0, just, 2.0), **rest))
    assert found.k == 2
    assert f"+1.000 nats [+0.000, {1 + wider:+.3f}], an interval for the best of 3" in found.why
    unsure = predicted_best(forecast(k2=(1.0, not_quite, 2.0), **rest))
    assert (unsure.k, unsure.why) == (None, "no forecast gain over keeping everything is significant")


def test_before_training_one_number_alone_keeps_its_interval():
    found = predicted_best(forecast(k2=(1.0, 0.25, 2.0)))
    assert (found.k, found.why) == (2, "largest forecast gain, +1.000 nats [+0.250, +2.000]")


def test_before_training_of_those_that_are_told_the_largest_gain_wins():
    assert predicted_best(forecast(k2=(1.0, 0.9, 1.1), k3=(2.0, 1.0, 3.0), k4=(9.0, -1.0, 19.0))).k == 3


def test_before_training_nothing_is_recommended_where_nothing_is_known():
    lists = with_arms(bare(), [], [ClassList(ArmKind.DROP, ("class 1",), "x")], 1)
    assert predicted_best(lists).why == "no number of lowest-ranked classes is planned"
    none = with_arms(bare(), [3], [], 1)
    assert predicted_best(none) == Recommendation(None, missing_forecast(none))
    others = replace(none, forecast=(GainForecast(4, OVER, OVER, OVER, OVER),))
    assert predicted_best(others) == Recommendation(None, missing_forecast(others))


def test_a_missing_forecast_has_its_true_reason():
    def why(groups: int, models: int) -> str:
        pruning = with_arms(bare(groups), [3], [], 1)
        return missing_forecast(replace(pruning, ranking=replace(pruning.ranking, models=models)))

    need = "a gain forecast takes about 24 more comparable models than groups"
    assert why(12, 35) == f"{need}: 36 or more here, and there are 35"
    assert why(12, 36).startswith(f"{need}; of the 36 models, a pair with one seed counts once")
    many = "a gain forecast is made for at most 4,000 groups, and there are 4,001"
    assert why(MAX_GROUPS, 9000).startswith(need)
    assert why(MAX_GROUPS + 1, 9000) == many
    lists = with_arms(bare(), [], [ClassList(ArmKind.DROP, ("class 1",), "x")], 1)
    assert missing_forecast(lists) == "a gain forecast is not made for lists of classes"
    others = replace(with_arms(bare(), [3], [], 1), forecast=(GainForecast(4, OVER, OVER, OVER, OVER),))
    assert "the gain forecast was made for other numbers of groups" in missing_forecast(others)


def test_a_forecast_says_how_far_its_gain_over_everything_holds():
    plain = with_arms(bare(), [3], [], 1)
    anchored = replace(plain, anchors=8)
    relative = replace(plain, ranking=replace(plain.ranking, relative=True))
    assert forecast_limit(anchored) == (
        "Over everything, the forecast compares with 8 prior networks trained for half the epochs, so it is optimistic."
    )
    assert "pessimistic" in forecast_limit(plain)
    assert "no forecast over everything" in forecast_limit(relative)


def gained(*gains, models=6, control=6):
    """Of each number to drop, what dropping it gained in nats: value, standard error."""
    found = made(planned(seeds=6), models=6, baselines=False)
    lowest = iter(gains)
    results = []
    for result in found.results:
        if result.arm.kind is ArmKind.ALL:
            result = replace(result, models=control)
        if result.arm.kind is ArmKind.LOWEST:
            value, se = next(lowest)
            half = t.ppf(0.975, 10) * se
            gain = Interval(value, value - half, value + half, se=se, df=10.0)
            result = replace(result, models=models, margin=replace(result.margin, gain=gain))
        results.append(result)
    return replace(found, results=tuple(results))


def test_the_best_of_several_arms_is_told_by_an_interval_that_holds_for_all_of_them():
    limit = t.ppf(1 - 0.025 / 2, 10)
    found = measured_best(gained((limit * 0.1 + 1e-6, 0.1), (0.0, 0.1)))
    assert found.k == 2
    assert found.why == "it gains +0.263 nats [+0.000, +0.527], an interval for the best of 2"
    unsure = measured_best(gained((limit * 0.1 - 1e-6, 0.1), (0.0, 0.1)))
    assert unsure.k is None
    assert "dropping 2 gains most, +0.263 nats [-0.000, +0.527], an interval for the best of 2" in unsure.why


def test_an_arm_that_is_told_from_zero_comes_before_one_that_gains_more():
    assert measured_best(gained((0.5, 0.1), (0.9, 0.5))).k == 2
    assert measured_best(gained((0.5, 0.1), (0.9, 0.1))).k == 4
    assert measured_best(gained((-0.5, 0.1), (-0.9, 0.1))).k is None


def test_as_long_as_little_is_retrained_nothing_is_recommended():
    enough = ((1.0, 0.1), (1.0, 0.1))
    assert measured_best(gained(*enough)).k is not None
    for missing in ({"control": 0}, {"models": 0}):
        assert measured_best(gained(*enough, **missing)) == measured_best(made(planned(), models=0, baselines=False))
    assert measured_best(gained(*enough, control=0)).why == "too few models are retrained yet"
    once = gained((1.0, nan), (1.0, nan), models=1)
    assert measured_best(once).why == "one retraining of an arm gives no interval; use more --seeds"
    lists = with_arms(bare(GROUPS), [], [ClassList(ArmKind.DROP, ("class 1",), "x")], 1)
    assert measured_best(made(lists, baselines=False)).why == "no number of lowest-ranked classes is planned"


def shown_by(seeds, models=4, se=0.1):
    """The gain that so many retrainings of each would just show, from what `models` of each say of how they vary."""
    df = 2 * (seeds - 1)
    return (t.ppf(1 - 0.025 / 2, df) + t.ppf(0.8, df)) * se * np.sqrt(models / seeds)


JUST_TOO_SMALL, JUST_ENOUGH = (shown_by(101), 0.1), (shown_by(100) * 1.0001, 0.1)


@pytest.mark.parametrize(
    ("value", "se"), [(0.2, 0.1), (0.1, 0.1), (0.05, 0.02), (0.06, 0.1), JUST_TOO_SMALL, JUST_ENOUGH]
)
@pytest.mark.parametrize("models", [4, 6])
def test_the_retrainings_that_are_suggested_are_the_fewest_that_show_such_a_gain(value, se, models):
    """In four tries of five, at 5% shared between the two arms: both quantiles, in errors that fall as the root."""
    why = measured_best(gained((value, se), (0.0, se), models=models)).why

    def shows(seeds):
        return value >= shown_by(seeds, models, se)

    fewest = next((seeds for seeds in range(models + 1, 101) if shows(seeds)), None)
    if fewest is None:
        assert "--seeds" not in why
    else:
        assert why.endswith(f"; a true gain of this size is significant in 80% of cases with --seeds {fewest}")


def test_no_retrainings_are_suggested_for_what_is_no_gain_or_is_hardly_known():
    assert "--seeds" in measured_best(gained((0.1, 0.1), (0.0, 0.1), models=4)).why
    assert "--seeds" not in measured_best(gained((0.1, 0.1), (0.0, 0.1), models=3)).why
    assert "--seeds" not in measured_best(gained((0.0, 0.1), (-0.1, 0.1))).why
    assert "--seeds" not in measured_best(gained((1e-4, 0.1), (-0.1, 0.1))).why  # a hundred would not do


# What these are made of


def test_a_difference_is_welchs():
    rng = np.random.default_rng(0)
    first, second = rng.normal(1, 1, 5), rng.normal(0.5, 3, 8)
    found, expected = difference(first, second), ttest_ind(first, second, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert (found.p, found.df) == pytest.approx((expected.pvalue, expected.df))
    assert found.value == pytest.approx(first.mean() - second.mean())
    assert found.se == pytest.approx(found.value / expected.statistic)
    wide, at_99 = expected.confidence_interval(0.99), with_level(found, 0.99)
    assert (at_99.low, at_99.high) == pytest.approx((wide.low, wide.high))


def test_retrainings_that_agree_vary_by_what_rounding_alone_would_do():
    """A value rounded to a step is off by step² / 12 in the mean square."""
    found = difference(np.full(4, 0.6), np.full(9, 0.5), step=0.1)
    first, second = 0.01 / 12 / 4, 0.01 / 12 / 9
    assert found.se == pytest.approx(np.sqrt(first + second))
    assert found.df == pytest.approx((first + second) ** 2 / (first**2 / 3 + second**2 / 8))
    spread = np.array([0.4, 0.6])
    assert difference(spread, spread, step=1e-3).se == pytest.approx(difference(spread, spread).se)


@pytest.mark.parametrize(("first", "second"), [(0, 2), (2, 0), (1, 3), (3, 1)])
def test_a_difference_takes_two_retrainings_of_each(first, second):
    found = difference(np.arange(first, dtype=float), np.arange(second, dtype=float), step=0.1)
    assert np.isnan([found.low, found.high, found.p, found.df]).all()
    assert np.isnan(found.value) == (first * second == 0)


def test_a_mean_has_students_interval():
    values = np.array([0.2, 0.5, 0.3, 0.9])
    found, (low, high) = mean_with_interval(values), t.interval(0.95, 3, values.mean(), values.std(ddof=1) / 2)
    assert (found.value, found.low, found.high) == pytest.approx((values.mean(), low, high))
    alone = mean_with_interval(values[:1])
    assert (alone.value, np.isnan(alone.low)) == (0.2, True)
    assert np.isnan(mean_with_interval(values[:0]).value)


@pytest.mark.parametrize(("low", "high", "sign"), [(0.1, 1, 1), (0, 1, 0), (-1, 0, 0), (-1, -0.1, -1), (nan, nan, 0)])
def test_a_sign_is_that_of_an_interval_that_leaves_out_zero(low, high, sign):
    assert Interval(0.5, low, high).sign == sign


def test_classes_that_changed_are_those_of_a_small_q_the_most_changed_first():
    def gain(name, value, q):
        return ClassGain("t", name, Interval(value, value, value), Interval(0, 0, 0), q)

    gains = [gain("a", 0.1, 0.01), gain("b", -0.2, 0.01), gain("c", 0.3, 0.05), gain("d", 0.4, 0.049),
             gain("e", -0.3, 0.0), gain("f", 0.0, 0.01), gain("g", -0.9, nan)]  # fmt: skip
    lost, found = lost_and_gained(gains)
    assert [one.name for one in lost] == ["e", "b"]
    assert [one.name for one in found] == ["d", "a"]


def test_the_q_of_a_class_is_over_the_classes_of_its_arm():
    gains = [ClassGain("t", "x", Interval(0, 0, 0, p=p), Interval(0, 0, 0, p=0.5)) for p in (0.01, nan, 0.04, 0.03)]
    assert [gain.q for gain in _with_q(gains)] == pytest.approx([0.03, nan, 0.04, 0.04], nan_ok=True)


def test_a_point_without_an_interval_ends_where_it_is():
    assert Point(1, 2, Interval(0.5, 0.4, 0.7)).ends == (0.4, 0.7)
    assert Point(1, 1, Interval(0.5, nan, nan)).ends == (0.5, 0.5)


def test_a_pruning_is_complete_once_every_arm_is():
    assert made(planned(), models=3, baselines=False).is_complete is False  # one retraining of the highest is missing
    whole = made(planned(), models=3, baselines=False)
    whole = replace(whole, results=tuple(replace(one, models=3) for one in whole.results))
    assert whole.is_complete
    assert whole.models == whole.pruning.n_rows
    assert whole.forecast(3).k == 3
    assert whole.forecast(9) is None
    assert whole.result_of(ArmKind.LOWEST, 4).arm.k == 4
    assert whole.result_of(ArmKind.LOWEST, 3) is None


def over_random(results, *gains):
    """The same results, with what each number gained over as many at random: value, standard error."""
    lowest = iter(gains)
    changed = []
    for result in results.results:
        if result.arm.kind is ArmKind.LOWEST:
            value, se = next(lowest)
            half = t.ppf(0.975, 10) * se
            over = {ArmKind.RANDOM: Interval(value, value - half, value + half, se=se, df=10.0)}
            result = replace(result, margin=replace(result.margin, over=over))
        changed.append(result)
    return replace(results, results=tuple(changed))


def test_where_nothing_gains_the_largest_number_that_costs_nothing_measurable_can_go():
    harmless = measured_best(over_random(gained((0.01, 0.1), (-0.02, 0.1)), (0.5, 0.1), (0.6, 0.1)))
    assert (harmless.k, harmless.gains) == (KS[1], False)
    assert harmless.why.startswith("no measurable loss, -0.020 nats")
    assert "as many at random lose 0.600 nats" in harmless.why
    costs = measured_best(over_random(gained((0.01, 0.1), (-0.5, 0.1)), (0.5, 0.1), (0.6, 0.1)))
    assert (costs.k, costs.gains) == (KS[0], False)  # the larger number loses
    no_better = measured_best(over_random(gained((0.01, 0.1), (-0.02, 0.1)), (0.5, 0.1), (0.2, 0.1)))
    assert no_better.k == KS[0]  # as many at random do not lose more
    assert measured_best(over_random(gained((0.01, 0.1), (-0.02, 0.1)), (0.2, 0.1), (0.2, 0.1))).k is None
    barely = measured_best(over_random(gained((-0.02, 0.02), (-0.02, 0.1)), (0.5, 0.05), (0.25, 0.05)))
    assert barely.k == KS[0]  # of the larger number, more than half of what as many at random lose may be lost
    worse = over_random(gained((0.01, 0.1), (-0.02, 0.1)), (0.5, 0.1), (0.6, 0.1))
    lost = Interval(-0.03, -0.05, -0.01, se=0.01, df=10.0)
    results = [
        replace(result, accuracy=replace(result.accuracy, gain=lost))
        if result.arm.kind is ArmKind.LOWEST and result.arm.k == KS[1]
        else result
        for result in worse.results
    ]
    assert measured_best(replace(worse, results=tuple(results))).k == KS[0]  # the larger number loses accuracy
    gain = measured_best(over_random(gained((1.0, 0.1), (-0.02, 0.1)), (0.5, 0.1), (0.6, 0.1)))
    assert (gain.k, gain.gains) == (KS[0], True)
