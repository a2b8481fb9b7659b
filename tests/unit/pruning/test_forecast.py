"""What the prediction promises, on simulated sweeps with known truth, for groups chosen by the same models.

Effects are normal, or of the kinds that a normal prior is wrong about: a few large ones, a long tail on one side.
"""

import numpy as np
import pytest

from tests.unit.influence.simulated_sweeps import simulate
from tui_influence.influence.difference import difference
from tui_influence.influence.estimators import estimate
from tui_influence.influence.ridge import ridge
from tui_influence.pruning import forecast
from tui_influence.pruning.forecast import MIN_FREEDOM, predict_gain

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


def slow_gain(masks, ranked_by, outputs, clusters, estimator, ks):
    """The gain over random by the module's formula, a draw, a number and an output at a time, with dense algebra."""
    m, groups = masks.shape
    labels = np.zeros(m, int) if clusters is None else clusters
    average = (labels[:, None] == labels) / np.bincount(labels)[labels][:, None]
    x = masks - average @ masks
    y = np.column_stack([ranked_by, outputs])
    y = y - average @ y
    b = np.linalg.lstsq(x, y, rcond=1e-9)[0]
    freedom = m - labels.max() - 1 - np.linalg.matrix_rank(x)
    noise = (y - x @ b).T @ (y - x @ b) / freedom
    half = np.random.default_rng(0).standard_normal((m, 20)) * noise[0, 0] ** 0.5
    gain = np.zeros((len(ks), outputs.shape[1]))
    for e in np.concatenate([half, -half], axis=1).T:
        influence = estimate(estimator, masks, ranked_by + e / 3, clusters).influence[:, 0]
        order = np.argsort(np.where(np.isnan(influence), np.nanmedian(influence), influence), kind="stable")
        for row, k in enumerate(ks):
            w = np.isin(np.arange(groups), order[:k]) - k / groups
            for column in range(outputs.shape[1]):
                part = noise[0, column + 1] / noise[0, 0]
                independent = y[:, column + 1] - 3 * part * (e - average @ e)
                gain[row, column] -= w @ np.linalg.lstsq(x, independent, rcond=1e-9)[0] / 40
    return gain


@pytest.mark.parametrize("estimator", ["difference", "ridge"])
@pytest.mark.parametrize("design", ["bernoulli", "balanced", "fixed"])
def test_half_of_the_noise_chooses_and_the_other_half_judges(design, estimator):
    sweep = simulate(design, 90, 8, 2, seed=4)
    masks = np.column_stack([sweep.masks, np.ones(90, dtype=bool)])  # a group that never varies is never the lowest
    arguments = (masks, sweep.outputs[:, 1], sweep.outputs, sweep.clusters, estimator, [1, 2, 5])
    gain = predict_gain(*arguments)
    np.testing.assert_allclose(gain.over_random[0], slow_gain(*arguments), rtol=1e-6, atol=1e-9)
    assert (gain.over_all is None) == (design == "fixed")


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


@pytest.mark.parametrize(("design", "m"), [("balanced", 128), ("bernoulli", 96), ("fixed", 160)])
def test_without_effects_hardly_any_gain_is_promised(design, m):
    """The noise that chooses is not the noise that judges, also where masks are orthogonal."""
    is_promised, covers = [], []
    for seed in range(SWEEPS):
        sweep = simulate(design, m, GROUPS, 1, seed=seed, effects=np.full((GROUPS, 1), 1e-3), noise=1e6)
        gain = predict_gain(sweep.masks, sweep.outputs[:, 0], sweep.outputs, sweep.clusters, "difference", KS)
        low, high = gain.over_random[1:, :, 0]
        is_promised.append(low > 0)
        covers.append((low <= 0) & (high >= 0))
    assert np.mean(is_promised) < 0.08
    assert np.mean(covers) > 0.88


def test_masks_of_one_size_say_nothing_about_keeping_everything_without_networks_that_do():
    sweep = simulate("fixed", 100, GROUPS, 1, seed=0)
    arguments = (sweep.masks, sweep.outputs[:, 0], sweep.outputs, None, "ridge", [3])
    assert predict_gain(*arguments).over_all is None
    everything = sweep.effects.sum() + np.array([[0.9], [1.0], [1.1]])
    gain = predict_gain(*arguments, anchors=everything)
    assert np.isfinite(gain.over_all).all()
    assert predict_gain(*arguments, anchors=everything[:1]).over_all is None  # whose error is not known


def diminishing(sweep, exponent=1.0):
    """Outputs of a sweep whose groups are worth less the more others there are."""
    size = sweep.masks.sum(axis=1)
    curve = -40.0 * np.maximum(size, 1.0) ** -exponent
    return sweep.outputs[:, 0] - sweep.masks @ np.full(GROUPS, sweep.effects.mean()) + curve


@pytest.mark.parametrize("design", ["balanced", "bernoulli", "fixed"])
def test_networks_that_keep_everything_anchor_the_gain_over_it(design):
    errors, plain_errors, covers = [], [], []
    for seed in range(SWEEPS // 2):
        effects = effects_of("normal", seed)
        sweep = simulate(design, 200, GROUPS, 1, seed=seed, effects=effects[:, None], noise=1.0)
        output = diminishing(sweep)
        everything = -40.0 / GROUPS + 1 + np.random.default_rng(seed).normal(0, 0.3, (8, 1))
        gain, plain = (
            predict_gain(sweep.masks, output, output[:, None], sweep.clusters, "ridge", KS, anchors=anchors)
            for anchors in (everything, None)
        )
        order = np.argsort(ridge(sweep.masks, output, sweep.clusters).influence[:, 0])
        k = np.array(KS)
        true = -np.cumsum((effects - effects.mean())[order])[k - 1] - 40.0 / (GROUPS - k) + 40.0 / GROUPS
        errors.append(gain.over_all[0, :, 0] - true)
        covers.append((gain.over_all[1, :, 0] <= true) & (true <= gain.over_all[2, :, 0]))
        if plain.over_all is not None:
            plain_errors.append(plain.over_all[0, :, 0] - true)
    assert np.mean(covers) > 0.85
    assert abs(np.mean(errors)) < 0.35
    if plain_errors:  # a straight line takes the last group to be worth as much as any other
        assert np.mean(plain_errors) < np.mean(errors) - 0.2


def test_something_is_predicted_from_as_many_models_and_groups_as_it_takes(monkeypatch):
    m = GROUPS + MIN_FREEDOM + 1
    sweep = simulate("bernoulli", m, GROUPS, 1, seed=0)
    arguments = (sweep.masks, sweep.outputs[:, 0], sweep.outputs, None, "difference", [3])
    monkeypatch.setattr(forecast, "MAX_GROUPS", GROUPS)
    assert predict_gain(*arguments) is not None
    fewer = [argument[:-1] if isinstance(argument, np.ndarray) else argument for argument in arguments]
    assert predict_gain(*fewer) is None
    monkeypatch.setattr(forecast, "MAX_GROUPS", GROUPS - 1)
    assert predict_gain(*arguments) is None


def test_outputs_that_never_change_predict_no_gain():
    masks = np.random.default_rng(0).random((60, GROUPS)) < 0.5
    gain = predict_gain(masks, np.zeros(60), np.zeros((60, 2)), None, "difference", [3])
    np.testing.assert_allclose(gain.over_all, 0, atol=1e-12)
