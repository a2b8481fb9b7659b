"""What the prediction promises, on simulated sweeps with known truth, for groups chosen by the same models.

Effects are normal, or of the kinds that a normal prior is wrong about: a few large ones, a long tail on one side.
"""

import numpy as np
import pytest
from scipy.stats import t

from tests.unit.influence.simulated_sweeps import simulate
from tui_influence.influence.difference import difference
from tui_influence.influence.estimators import estimate
from tui_influence.influence.ridge import ridge
from tui_influence.pruning import forecast
from tui_influence.pruning.forecast import MIN_CLUSTERS, predict_gain

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


def slow_gain(masks, ranked_by, outputs, clusters, estimator, ks, over_random):
    """The module's formula, a model, a number and an output at a time; the folds are the ones that it draws."""
    m, groups = masks.shape
    labels = np.arange(m) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    count = labels.max() + 1
    fold = (np.random.default_rng(0).permutation(count) % 10)[labels]
    known = np.nan_to_num(ridge(masks, outputs, clusters).influence)

    def lowest(models, k):
        shared = None if clusters is None else clusters[models]
        influence = estimate(estimator, masks[models], ranked_by[models], shared).influence[:, 0]
        return np.argsort(np.where(np.isnan(influence), np.nanmedian(influence), influence), kind="stable")[:k]

    found = np.empty((3, len(ks), outputs.shape[1]))
    for place, k in enumerate(ks):
        everywhere = lowest(np.ones(m, dtype=bool), k)
        psi, looks_better = np.zeros((m, outputs.shape[1])), np.zeros(outputs.shape[1])
        for number in range(10):
            others = fold != number
            chosen = lowest(others, k)
            looks_better += (known[chosen].sum(axis=0) - known[everywhere].sum(axis=0)) / 10
            shared = None if clusters is None else clusters[others]
            b = np.nan_to_num(ridge(masks[others], outputs[others], shared).influence)
            p = masks[others].mean(axis=0)
            w = np.zeros(groups)
            w[chosen] = 1
            w -= k / groups if over_random else 0
            for i in np.flatnonzero(fold == number):
                for j in range(outputs.shape[1]):
                    r = outputs[i, j] - outputs[others, j].mean() - (masks[i] - p) @ b[:, j]
                    lever = np.where(p * (1 - p) > 0, (masks[i] - p) / np.where(p * (1 - p) > 0, p * (1 - p), 1), 0)
                    psi[i, j] = -w @ (b[:, j] + r * lever)
        for j in range(outputs.shape[1]):
            mean = psi[:, j].mean()
            sums = np.array([(psi[labels == label, j] - mean).sum() for label in range(count)])
            half = t.ppf(0.975, count - 1) * 1.2 * np.sqrt(count / (count - 1) * (sums**2).sum()) / m
            found[:, place, j] = mean, mean - half, mean + half + max(looks_better[j], 0)
    return found


@pytest.mark.parametrize("estimator", ["difference", "ridge"])
@pytest.mark.parametrize("design", ["bernoulli", "balanced", "fixed"])
def test_a_gain_is_predicted_by_the_models_of_each_fold_for_what_the_others_choose(design, estimator):
    sweep = simulate(design, 70, 8, 2, seed=4)
    masks = np.column_stack([sweep.masks, np.ones(70, dtype=bool)])  # a group that never varies is never the lowest
    found = predict_gain(masks, sweep.outputs[:, 1], sweep.outputs, sweep.clusters, estimator, [1, 2, 5])
    arguments = (masks, sweep.outputs[:, 1], sweep.outputs, sweep.clusters, estimator, [1, 2, 5])
    np.testing.assert_allclose(found.over_random, slow_gain(*arguments, over_random=True), rtol=1e-6, atol=1e-9)
    if design == "fixed":
        assert found.over_all is None
    else:
        np.testing.assert_allclose(found.over_all, slow_gain(*arguments, over_random=False), rtol=1e-6, atol=1e-9)


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


def test_something_is_predicted_from_as_many_models_and_groups_as_it_takes(monkeypatch):
    sweep = simulate("bernoulli", MIN_CLUSTERS, GROUPS, 1, seed=0)
    arguments = (sweep.masks, sweep.outputs[:, 0], sweep.outputs, None, "difference", [3])
    pairs = simulate("balanced", 2 * MIN_CLUSTERS, GROUPS, 1, seed=0)
    monkeypatch.setattr(forecast, "MAX_GROUPS", GROUPS)
    assert predict_gain(*arguments) is not None
    assert predict_gain(pairs.masks, pairs.outputs[:, 0], pairs.outputs, pairs.clusters, "difference", [3]) is not None
    monkeypatch.setattr(forecast, "MAX_GROUPS", GROUPS - 1)
    assert predict_gain(*arguments) is None


def test_nothing_is_predicted_from_a_few_models():
    sweep = simulate("bernoulli", MIN_CLUSTERS - 1, GROUPS, 1, seed=0)
    assert predict_gain(sweep.masks, sweep.outputs[:, 0], sweep.outputs, None, "difference", [3]) is None
    pairs = simulate("balanced", MIN_CLUSTERS, GROUPS, 1, seed=0)
    assert predict_gain(pairs.masks, pairs.outputs[:, 0], pairs.outputs, pairs.clusters, "difference", [3]) is None


def test_outputs_that_never_change_predict_no_gain():
    masks = np.random.default_rng(0).random((60, GROUPS)) < 0.5
    gain = predict_gain(masks, np.zeros(60), np.zeros((60, 2)), None, "difference", [3])
    np.testing.assert_allclose(gain.over_all, 0, atol=1e-12)
