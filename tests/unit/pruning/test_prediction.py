"""What the prediction promises, on simulated sweeps with known truth, for sets chosen by the same models."""

import numpy as np
import pytest

from tests.unit.influence.simulated_sweeps import simulate
from tui_influence.influence.estimators import difference
from tui_influence.pruning.prediction import predict_gain

SWEEPS = 200
GROUPS = 36
KS = (3, 6, 12)
STANDARD_ERRORS = 4


def predicted(design, m, *, over_random, mean=0.0, sweeps=SWEEPS):
    """Gains (sweeps, k, 4) of dropping the lowest: predicted, low, high, true; and the plain sums (sweeps, k)."""
    found, plain = [], []
    for seed in range(sweeps):
        effects = mean + np.random.default_rng(5000 + seed).standard_normal((GROUPS, 1))
        sweep = simulate(design, m, GROUPS, 1, seed=seed, effects=effects)
        influence = difference(sweep.masks, sweep.outputs, sweep.clusters).influence[:, 0]
        sets = [np.argsort(influence)[:k] for k in KS]
        gain = predict_gain(sweep.masks, sweep.outputs[:, 0], sweep.clusters, sets, over_random=over_random)
        true = effects[:, 0] - (effects.mean() if over_random else 0)
        truth = np.array([-true[dropped].sum() for dropped in sets])
        found.append(np.stack([gain.gain, gain.low, gain.high, truth], axis=1))
        plain.append([-influence[dropped].sum() for dropped in sets])
    return np.array(found), np.array(plain)


@pytest.mark.parametrize("mean", [0.0, 1.0])
@pytest.mark.parametrize("design", ["bernoulli", "pairs", "balanced"])
def test_intervals_over_keeping_everything_cover_though_the_groups_were_chosen_by_the_same_models(design, mean):
    found, _ = predicted(design, 200, over_random=False, mean=mean)
    check_coverage(found)


@pytest.mark.parametrize("design", ["fixed", "bernoulli", "balanced"])
def test_intervals_over_random_cover(design):
    found, _ = predicted(design, 200, over_random=True, mean=0.5)
    check_coverage(found)


def check_coverage(found):
    held = (found[:, :, 1] <= found[:, :, 3]) & (found[:, :, 3] <= found[:, :, 2])
    share = held.mean(axis=1)  # the three k of a sweep are alike: count sweeps
    assert abs(share.mean() - 0.95) < STANDARD_ERRORS * share.std(ddof=1) / np.sqrt(len(share))


@pytest.mark.parametrize("design", ["fixed", "bernoulli", "balanced"])
def test_the_prediction_is_right_on_average_where_the_plain_sum_promises_too_much(design):
    found, plain = predicted(design, 200, over_random=True)
    error = found[:, :, 0] - found[:, :, 3]
    bound = STANDARD_ERRORS * error.std(axis=0, ddof=1) / np.sqrt(SWEEPS)
    assert (np.abs(error.mean(axis=0)) < bound).all()
    assert ((plain - found[:, :, 3]).mean(axis=0) > 2 * bound).all()


@pytest.mark.parametrize("over_random", [True, False])
def test_without_effects_hardly_any_gain_is_promised(over_random):
    false = []
    for seed in range(SWEEPS):
        rng = np.random.default_rng(seed)
        masks, output = rng.random((200, GROUPS)) < 0.5, rng.standard_normal(200)
        order = np.argsort(difference(masks, output).influence[:, 0])
        gain = predict_gain(masks, output, None, [order[:k] for k in KS], over_random=over_random)
        false.append((gain.low > 0).mean())
    assert np.mean(false) < 0.025 + STANDARD_ERRORS * np.std(false, ddof=1) / np.sqrt(SWEEPS)


def test_masks_of_one_size_say_nothing_about_keeping_everything():
    sweep = simulate("fixed", 100, GROUPS, 1, seed=0)
    sets = [np.arange(3)]
    assert predict_gain(sweep.masks, sweep.outputs[:, 0], None, sets) is None
    assert predict_gain(sweep.masks, sweep.outputs[:, 0], None, sets, over_random=True) is not None


def test_nothing_is_predicted_from_a_few_models():
    sweep = simulate("bernoulli", 10, GROUPS, 1, seed=0)
    assert predict_gain(sweep.masks, sweep.outputs[:, 0], None, [np.arange(3)], over_random=True) is None


def test_outputs_that_never_change_predict_no_gain():
    masks = np.random.default_rng(0).random((60, GROUPS)) < 0.5
    gain = predict_gain(masks, np.zeros(60), None, [np.arange(3)])
    np.testing.assert_allclose([gain.gain, gain.low, gain.high], 0, atol=1e-12)
