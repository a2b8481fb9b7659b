"""The ceiling of the LDS: against a definition, by simulation, and where there is none."""

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr, t

from tui_influence.influence.lds import lds
from tui_influence.influence.lds_ceiling import lds_ceiling

GROUPS = 12


def sweep_of(models, share, rng, error="normal"):
    """Held-out masks (h, K), true mean outputs (h,) and outputs (h,), of whose variance a `share` is the masks'."""
    different = rng.choice(1 << GROUPS, len(models), replace=False)
    masks = (different[:, None] >> np.arange(GROUPS) & 1).astype(bool).repeat(models, axis=0)
    effects = np.sin(np.arange(1, GROUPS + 1)) + 1.5
    means = masks @ (effects / np.sqrt((effects**2).sum() / 4))
    draw = {"normal": rng.standard_normal, "skewed": lambda size: rng.exponential(1, size) - 1}[error]
    return masks, means, np.sqrt(share) * means + np.sqrt(1 - share) * draw(len(masks))


def slow_ceiling(models, outputs):
    """The analysis of variance of ranks, and the jackknife, mask by mask; models of a mask stand together."""
    ranks = rankdata(outputs)
    ends = np.cumsum(models)
    groups = [ranks[end - count : end] for count, end in zip(models, ends, strict=True)]

    def log_ratio(groups):
        everything = np.concatenate(groups)
        between = sum(len(group) * (group.mean() - everything.mean()) ** 2 for group in groups) / (len(groups) - 1)
        within = sum(((group - group.mean()) ** 2).sum() for group in groups) / (len(everything) - len(groups))
        return np.log(between / within)

    m, h = len(models), sum(models)
    without = np.array([log_ratio(groups[:i] + groups[i + 1 :]) for i in range(m)])
    se = np.sqrt((m - 1) / m * ((without - without.mean()) ** 2).sum())
    margin = t.ppf(0.975, sum(count > 1 for count in models) - 1) * se
    r = (h - sum(count**2 for count in models) / h) / (m - 1)
    ratios = np.exp(log_ratio(groups) + np.array([0, -margin, margin]))
    return np.sqrt(np.maximum((ratios - 1) / (ratios - 1 + r), 0))


@pytest.mark.parametrize("models", [[2] * 12, [3] * 9, [2] * 8 + [1], [4, 2, 3, 2, 5, 2, 1, 1, 2, 6]])
def test_it_is_the_root_of_the_ranks_intraclass_correlation(models):
    masks, _, outputs = sweep_of(models, 0.95, np.random.default_rng(2))
    outputs = outputs.round(1)  # ties
    ceiling = lds_ceiling(masks, outputs)
    assert (ceiling.value, ceiling.low, ceiling.high) == pytest.approx(slow_ceiling(models, outputs))
    assert 0 < ceiling.low < ceiling.value < ceiling.high <= 1
    mixed = np.random.default_rng(3).permutation(len(masks))
    again = lds_ceiling(masks[mixed], outputs[mixed])
    assert (again.value, again.low, again.high) == pytest.approx((ceiling.value, ceiling.low, ceiling.high))


@pytest.mark.parametrize("error", ["normal", "skewed"])
@pytest.mark.parametrize(("models", "share"), [([2] * 50, 0.6), ([2] * 20, 0.8), ([3] * 16 + [1], 0.7)])
def test_on_average_it_is_what_perfect_predictions_reach_and_its_interval_covers_that(models, share, error):
    rng = np.random.default_rng(4)
    _, means, outputs = sweep_of([10] * (1 << GROUPS), share, rng, error)
    truth = spearmanr(means, outputs)[0]
    repeats = 300
    sweeps = (sweep_of(models, share, rng, error) for _ in range(repeats))
    ceilings = [lds_ceiling(masks, outputs) for masks, _, outputs in sweeps]
    shown = [ceiling for ceiling in ceilings if ceiling is not None]
    assert len(shown) > 0.9 * repeats
    assert abs(np.mean([ceiling.value for ceiling in shown]) - truth) < 0.03
    assert 0.9 <= np.mean([ceiling.low <= truth <= ceiling.high for ceiling in shown]) <= 0.985


def test_the_lds_of_perfect_influences_is_the_ceiling():
    rng = np.random.default_rng(5)
    pairs = []
    for _ in range(40):
        masks, means, outputs = sweep_of([2] * 40, 0.6, rng)
        influence = np.linalg.lstsq(masks.astype(float), means, rcond=None)[0]
        pairs.append((lds(influence[:, None], masks, outputs, bootstrap=2).value, lds_ceiling(masks, outputs).value))
    score, ceiling = np.mean(pairs, axis=0)
    assert abs(score - ceiling) < 0.03


def test_chance_alone_has_no_ceiling():
    rng = np.random.default_rng(6)
    ceilings = [lds_ceiling(masks, outputs) for masks, _, outputs in (sweep_of([2] * 16, 0.0, rng) for _ in range(200))]
    assert sum(ceiling is not None for ceiling in ceilings) <= 10


def test_repeats_that_never_differ_leave_nothing_to_chance():
    masks, means, _ = sweep_of([2] * 6, 1.0, np.random.default_rng(7))
    ceiling = lds_ceiling(masks, means)
    assert (ceiling.value, ceiling.low, ceiling.high) == pytest.approx((1, 1, 1))


@pytest.mark.filterwarnings("error")
def test_it_takes_five_masks_of_several_models_and_outputs_that_vary():
    masks, means, _ = sweep_of([2] * 5, 1.0, np.random.default_rng(8))
    assert lds_ceiling(masks, means) is not None
    assert lds_ceiling(masks[:-1], means[:-1]) is None
    assert lds_ceiling(masks[::2], means[::2]) is None
    assert lds_ceiling(masks[:0], means[:0]) is None
    assert lds_ceiling(masks, np.ones(10)) is None
    single, means, _ = sweep_of([1] * 30, 1.0, np.random.default_rng(9))
    assert lds_ceiling(single, means) is None
