"""The linear datamodeling score and its interval."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from simulated_sweeps import draw_masks, simulate
from slow_reference import slow_lds

from tui_influence.influence.difference import difference
from tui_influence.influence.lds import lds


def heldout(design, h, effects, seed, noise=3.0):
    sweep = simulate(design, h, effects.shape[0], effects.shape[1], seed=seed, effects=effects, noise=noise)
    return sweep.masks, sweep.outputs


def test_it_is_the_mean_spearman_of_predicted_and_actual():
    sweep = simulate("fixed", 100, 12, 6, seed=1)
    influence = difference(sweep.masks, sweep.outputs).influence
    masks, outputs = heldout("fixed", 25, sweep.effects, seed=2)
    predicted = masks @ influence
    expected = np.mean([spearmanr(predicted[:, j], outputs[:, j])[0] for j in range(6)])
    found = lds(influence, masks, outputs)
    assert found.value == pytest.approx(expected)
    assert found.n == 25
    assert found.low < found.value < found.high


def repeated(models, effects, seed, noise=3.0):
    """Held-out models of masks that have as many as `models` says each."""
    rng = np.random.default_rng(seed)
    masks = draw_masks("bernoulli", len(models), len(effects), rng).repeat(models, axis=0)
    deviation = np.sqrt(noise * (effects**2).sum(axis=0) / 4)
    return masks, masks @ effects + deviation * rng.standard_normal((len(masks), effects.shape[1]))


@pytest.mark.parametrize("h", [4, 5, 20])
def test_its_interval_is_that_of_models_drawn_again_one_by_one(h):
    sweep = simulate("bernoulli", 60, 14, 3, seed=4)
    influence = difference(sweep.masks, sweep.outputs).influence
    masks, outputs = heldout("bernoulli", h, sweep.effects, seed=2)
    outputs = outputs.round(1)  # ties
    found = lds(influence, masks, outputs, bootstrap=60, seed=3)
    assert (found.value, found.low, found.high) == pytest.approx(slow_lds(influence, masks, outputs, 60, 3))
    assert (found.n, found.n_masks, found.n_repeated) == (h, h, 0)


@pytest.mark.parametrize("models", [[2, 2, 2, 2], [3, 1, 4, 1, 5], [2] * 10 + [1]])
def test_its_interval_is_that_of_masks_drawn_again_with_all_models_of_each(models):
    sweep = simulate("bernoulli", 60, 9, 3, seed=4)
    influence = difference(sweep.masks, sweep.outputs).influence
    masks, outputs = repeated(models, sweep.effects, seed=2)
    mixed = np.random.default_rng(0).permutation(len(masks))
    found = lds(influence, masks, outputs, bootstrap=60, seed=3)
    assert (found.value, found.low, found.high) == pytest.approx(slow_lds(influence, masks, outputs, 60, 3))
    assert (found.n, found.n_masks, found.n_repeated) == (len(masks), len(models), sum(n > 1 for n in models))
    assert lds(influence, masks[mixed], outputs[mixed]).value == pytest.approx(found.value)


def test_models_of_a_mask_have_one_prediction_to_the_last_bit():
    rng = np.random.default_rng(0)
    masks = (rng.random((40, 301)) < 0.5).repeat(2, axis=0)
    influence = rng.standard_normal((301, 1))
    outputs = rng.standard_normal(80)
    swapped = lds(influence, masks, outputs[np.arange(80) ^ 1])
    assert lds(influence, masks, outputs).value == pytest.approx(swapped.value, abs=1e-12)


def test_an_interval_is_there_for_a_score_that_cannot_be_better():
    masks = np.arange(6)[:, None] >= np.arange(6)
    found = lds(np.ones((6, 1)), masks, np.arange(6.0), bootstrap=50)
    assert found.value == pytest.approx(1)
    assert 0.99 < found.low <= found.high <= 1


@pytest.mark.parametrize("h", [40, 100])
@pytest.mark.parametrize("examples", [1, 20])
def test_the_interval_holds_the_score_on_endless_heldout_models(h, examples):
    sweep = simulate("fixed", 300, 36, examples, seed=3)
    influence = difference(sweep.masks, sweep.outputs).influence
    truth = lds(influence, *heldout("fixed", 20_000, sweep.effects, seed=4), bootstrap=2).value
    repeats = 200
    held = []
    for seed in range(repeats):
        found = lds(influence, *heldout("fixed", h, sweep.effects, seed=100 + seed), bootstrap=300, seed=seed)
        held.append(found.low <= truth <= found.high)
    assert abs(np.mean(held) - 0.95) < 4 * np.sqrt(0.95 * 0.05 / repeats)


def test_the_interval_allows_for_models_that_share_a_mask():
    """With little noise, two models of a mask say no more than one: an interval over models is too narrow."""
    sweep = simulate("bernoulli", 100, 12, 1, seed=3)
    influence = difference(sweep.masks, sweep.outputs).influence
    truth = lds(influence, *repeated([1] * 20_000, sweep.effects, 4, noise=0.2), bootstrap=2).value
    repeats, covered = 200, []
    for seed in range(repeats):
        score = lds(influence, *repeated([2] * 25, sweep.effects, 100 + seed, noise=0.2), bootstrap=300, seed=seed)
        covered.append(score.low <= truth <= score.high)
    assert abs(np.mean(covered) - 0.95) < 4 * np.sqrt(0.95 * 0.05 / repeats)


def test_unknown_influences_predict_nothing_and_examples_that_never_change_do_not_count():
    sweep = simulate("bernoulli", 100, 8, 2, seed=5)
    influence = difference(sweep.masks, sweep.outputs).influence
    masks, outputs = heldout("bernoulli", 30, sweep.effects, seed=6)
    influence[3] = np.nan
    known = influence.copy()
    known[3] = 0
    assert lds(influence, masks, outputs) == lds(known, masks, outputs)
    padded = lds(np.column_stack([known, known[:, 0]]), masks, np.column_stack([outputs, np.ones(30)]))
    assert padded.value == pytest.approx(lds(known, masks, outputs).value)


@pytest.mark.filterwarnings("error")
def test_too_few_heldout_models_give_none():
    masks = draw_masks("fixed", 4, 6, np.random.default_rng(1))
    assert len(np.unique(masks, axis=0)) == 4
    for h in range(4):
        assert lds(np.ones((6, 1)), masks[:h], np.ones((h, 1))) is None
    assert lds(np.ones((6, 1)), masks, np.ones(4)) is None  # same-size masks: one prediction for all
    found = lds(np.arange(6.0)[:, None], masks, masks @ np.arange(6.0))
    assert found.value == pytest.approx(1)
    assert found.low <= 1
    again = masks[:3].repeat(9, axis=0)  # many models, but of three masks
    assert lds(np.arange(6.0)[:, None], again, again @ np.arange(6.0)) is None


def test_blocks_of_examples_add_up(monkeypatch):
    from tui_influence.influence import lds as module

    sweep = simulate("fixed", 60, 8, 11, seed=7)
    influence = difference(sweep.masks, sweep.outputs).influence
    masks, outputs = heldout("fixed", 20, sweep.effects, seed=8)
    whole = lds(influence, masks, outputs)
    monkeypatch.setattr(module, "_BLOCK_VALUES", 3000)
    blocks = lds(influence, masks, outputs)
    assert (blocks.value, blocks.low, blocks.high) == pytest.approx((whole.value, whole.low, whole.high))
