"""The sentences that go with every ranking."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.export.reports import GOOD, NOISE, alphabet_report, few_models_report, noise_report
from tui_influence.export.json import rank_json
from tui_influence.influence.estimators import ESTIMATORS
from tui_influence.influence.types import LDS, OutputKind, Reliability, ReliabilityForecast
from tui_influence.render.numbers import with_interval
from tui_influence.render.ranking import meaning, selection, unit, verdict
from tui_influence.tui.screens.sweep import SweepScreen

ROOT = Path(__file__).parents[3]


def test_verdict_gives_reliability_lds_and_forecast_with_intervals():
    sentences = verdict(alphabet_report())
    assert "Reliability 0.83 [0.76, 0.88], good" in sentences
    assert "LDS 0.41 [0.28, 0.53] of 0.50 [0.36, 0.62]: " in sentences
    assert "over 40 held-out models of 20 masks, and the most that any prediction can reach." in sentences
    assert "about 366 models in all (239 to 568); there are 200" in sentences


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_intervals_say_what_they_hold_for(estimator):
    report = alphabet_report()
    report = replace(report, ranking=replace(report.ranking, estimator=estimator))
    assert f"lowest of a ranking {ESTIMATORS[estimator].extremes_coverage} do" in selection(report)
    assert json.loads(rank_json(report))["selection"] == selection(report)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_text_says_the_same_of_what_the_reliability_is(estimator):
    report = alphabet_report()
    report = replace(report, ranking=replace(report.ranking, estimator=estimator))
    meaning_of_value = ESTIMATORS[estimator].reliability_meaning
    assert f"Reliability 0.83 [0.76, 0.88], good: {meaning_of_value}." in verdict(report)
    assert json.loads(rank_json(report))["reliability"]["meaning"] == meaning_of_value
    assert meaning_of_value in SweepScreen.help
    assert meaning_of_value in " ".join((ROOT / "docs" / "statistics.md").read_text(encoding="utf-8").split())


def test_only_an_estimate_with_a_prior_is_compared_with_the_true_influences():
    squared = {name for name, entry in ESTIMATORS.items() if "squared" in entry.reliability_meaning}
    assert squared == {name for name, entry in ESTIMATORS.items() if entry.needs_prior}


def test_verdict_of_noise_promises_no_number_of_models():
    report = noise_report()
    assert report.is_noise()
    assert "cannot be distinguished from chance" in verdict(report)
    assert "too early to forecast" in verdict(report)


def test_a_value_whose_interval_holds_zero_is_noise_however_large():
    assert noise_report(Reliability(0.6, 0.4, -0.1, 0.9, 20)).is_noise()
    assert not noise_report(Reliability(0.2, 0.1, 0.05, 0.3, 20)).is_noise()


def test_a_group_beyond_doubt_makes_an_uncertain_order_no_noise():
    report = alphabet_report(NOISE)
    assert not report.is_noise()
    assert "uncertain: the classes with q < 0.05 have an effect" in verdict(report)
    assert "noise" not in verdict(report)


def test_too_few_models_are_no_verdict_of_noise():
    report = few_models_report()
    assert not report.is_noise()
    assert "Reliability unknown" in verdict(report)
    assert "No LDS" in verdict(report)


@pytest.mark.parametrize(
    ("n_masks", "n_repeated", "sentence"),
    [
        (
            40,
            0,
            "over 40 held-out models. Its ceiling takes 5 held-out masks with several models each, and there are none.",
        ),
        (
            37,
            3,
            "over 40 held-out models of 37 masks. "
            "Its ceiling takes 5 held-out masks with several models each, and there are 3.",
        ),
        (
            35,
            5,
            "over 40 held-out models of 35 masks. Its ceiling cannot be distinguished from zero yet: it takes more",
        ),
    ],
)
def test_a_ceiling_that_is_missing_has_a_reason(n_masks, n_repeated, sentence):
    lds = LDS(0.41, 0.28, 0.53, 40, n_masks, n_repeated)
    report = alphabet_report()
    words = verdict(replace(report, ranking=replace(report.ranking, lds=lds, lds_ceiling=None)))
    assert f"LDS 0.41 [0.28, 0.53]: the rank correlation of predicted and actual outputs {sentence}" in words


def test_a_reached_goal_is_said_to_be_reached():
    ranking = replace(alphabet_report().ranking, forecast=ReliabilityForecast(0.9, 150, 100, 190, "reached"))
    assert "A reliability of 0.9 is reached." in verdict(replace(alphabet_report(), ranking=ranking))


def test_a_forecast_without_an_upper_end_says_so():
    ranking = replace(alphabet_report().ranking, forecast=ReliabilityForecast(0.9, 1500, 900, None, ""))
    assert "about 1,500 models in all (900 or many more)" in verdict(replace(alphabet_report(), ranking=ranking))


def test_no_minus_zero():
    assert with_interval(-0.001, -0.002, 0.004) == "0.00 [0.00, 0.00]"


@pytest.mark.parametrize("kind", list(OutputKind))
@pytest.mark.parametrize("estimator", list(ESTIMATORS))
def test_meaning_names_quantity_estimator_and_scope(kind, estimator):
    ranking = replace(alphabet_report(GOOD).ranking, output=kind, estimator=estimator)
    report = replace(alphabet_report(), ranking=ranking, target_class="7")
    assert 'examples of class "7" of target "digits"' in meaning(report)
    assert ("ridge" in meaning(report)) == (estimator == "ridge")
    word = {"margin": "nats", "probability": "probability", "correct": "fraction"}[kind]
    assert word in meaning(report)
    assert word in unit(report)


def test_one_example_is_named_by_its_number():
    assert 'example 17 of target "digits"' in meaning(replace(alphabet_report(), example=17))
