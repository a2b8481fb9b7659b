"""What the prediction promises, on simulated sweeps with known truth, for groups chosen by the same models.

Effects are normal, or of the kinds that a normal prior is wrong about: a few large ones, a long tail on one side.
"""

import numpy as np
import pytest

from tests.unit.influence.simulated_sweeps import simulate
from tui_influence.influence.estimators import difference
from tui_influence.pruning.prediction import FEWEST, predict_gain

SWEEPS = 60
GROUPS = 24
KS = (2, 4, 8, 12)


def effects_of(kind, seed):
    rng = np.random.default_rng(5000 + seed)
    match kind:
        case "normal":
            return rng.standard_normal(GROUPS)
        case "lognormal":
            return rng.lognormal(0, 1, GROUPS) / 2.16
        case "few help":
            return rng.permutation(np.concatenate([rng.normal(2.5, 0.5, 4), np.zeros(GROUPS - 4)]))
        case _:
            return rng.permutation(np.concatenate([rng.normal(-3, 0.5, 3), np.zeros(GROUPS - 3)]))


def predicted(design, m, kind, *, over_random):
    """(sweeps, 4, k): predicted gain of dropping the lowest, its low and high end, and what it truly is."""
    found = []
    for seed in range(SWEEPS):
        effects = effects_of(kind, seed)
        sweep = simulate(design, m, GROUPS, 1, seed=seed, effects=effects[:, None], noise=3.0)
        gain = predict_gain(sweep.masks, sweep.outputs[:, 0], sweep.outputs, sweep.clusters, "difference", KS)
        side = gain.over_random if over_random else gain.over_all
        order = np.argsort(difference(sweep.masks, sweep.outputs, sweep.clusters).influence[:, 0])
        true = effects - (effects.mean() if over_random else 0)
        found.append([*side[:, :, 0], [-true[order[:k]].sum() for k in KS]])
    return np.array(found)


@pytest.mark.parametrize("kind", ["normal", "lognormal", "few help", "few hurt"])
@pytest.mark.parametrize(("design", "over_random"), [("balanced", False), ("bernoulli", True), ("fixed", True)])
def test_intervals_hold_the_truth_whatever_the_effects_are(design, over_random, kind):
    """Nine of ten times; and hardly ever is more promised than is there."""
    _, low, high, true = predicted(design, 200, kind, over_random=over_random).swapaxes(0, 1)
    assert ((low <= true) & (true <= high)).mean() > 0.85
    assert (low > true).mean() < 0.1


def test_the_plain_sum_of_the_estimates_promises_what_is_not_there():
    """What all of this is for: where four groups help and the rest do nothing, nothing can be gained."""
    found = predicted("balanced", 200, "few help", over_random=False)
    assert found[:, 3].max() < 0.5 * 4
    plain = []
    for seed in range(SWEEPS):
        sweep = simulate(
            "balanced", 200, GROUPS, 1, seed=seed, effects=effects_of("few help", seed)[:, None], noise=3.0
        )
        influence = np.sort(difference(sweep.masks, sweep.outputs, sweep.clusters).influence[:, 0])
        plain.append([-influence[:k].sum() for k in KS])
    assert np.mean(plain) > 0.5
    assert found[:, 0].mean() < 0


def test_without_effects_hardly_any_gain_is_promised():
    false = []
    for seed in range(SWEEPS):
        rng = np.random.default_rng(seed)
        masks, output = rng.random((200, GROUPS)) < 0.5, rng.standard_normal(200)
        gain = predict_gain(masks, output, output[:, None], None, "difference", KS)
        false.append([(side[1] > 0).mean() for side in (gain.over_random, gain.over_all)])
    assert np.mean(false, axis=0).max() < 0.08


def test_masks_of_one_size_say_nothing_about_keeping_everything():
    sweep = simulate("fixed", 100, GROUPS, 1, seed=0)
    gain = predict_gain(sweep.masks, sweep.outputs[:, 0], sweep.outputs, None, "ridge", [3])
    assert gain.over_all is None
    assert np.isfinite(gain.over_random).all()


def test_nothing_is_predicted_from_a_few_models():
    sweep = simulate("bernoulli", FEWEST - 1, GROUPS, 1, seed=0)
    assert predict_gain(sweep.masks, sweep.outputs[:, 0], sweep.outputs, None, "difference", [3]) is None
    pairs = simulate("balanced", FEWEST, GROUPS, 1, seed=0)
    assert predict_gain(pairs.masks, pairs.outputs[:, 0], pairs.outputs, pairs.clusters, "difference", [3]) is None


def test_outputs_that_never_change_predict_no_gain():
    masks = np.random.default_rng(0).random((60, GROUPS)) < 0.5
    gain = predict_gain(masks, np.zeros(60), np.zeros((60, 2)), None, "difference", [3])
    np.testing.assert_allclose(gain.over_all, 0, atol=1e-12)
