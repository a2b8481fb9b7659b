"""The size curve, fitted to sweeps whose curve is known."""

import numpy as np
import pytest

from tui_influence.pruning.size_curve import MAX_EXPONENT, SizeCurve

GROUPS = 30


def drawn_masks(seed=0, m=4000):
    return np.random.default_rng(seed).random((m, GROUPS)) < 0.5


def gains(curve, sizes):
    exponents = curve.exponents(curve.mean, curve.slope, curve.anchor)
    return curve.over_everything(np.asarray(sizes, float), curve.mean, curve.slope, curve.anchor, exponents)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_a_power_law_is_recovered_from_two_points_and_a_slope(exponent):
    curve = SizeCurve(
        groups=GROUPS,
        size=15.0,
        mean=np.array([2 - 5 * 15.0**-exponent]),
        slope=np.array([5 * exponent * 15.0 ** (-exponent - 1)]),
        anchor=np.array([2 - 5 * 30.0**-exponent]),
        mean_scores=np.zeros((2, 1)),
        slope_scores=np.zeros((2, 1)),
        anchor_se=np.zeros(1),
        anchor_df=7,
    )
    assert curve.exponents(curve.mean, curve.slope, curve.anchor) == pytest.approx(exponent, abs=1e-3)
    expected = [5 * (30.0**-exponent - size**-exponent) for size in (10.0, 15.0, 25.0, 30.0)]
    np.testing.assert_allclose(gains(curve, [10, 15, 25, 30])[:, 0], expected, atol=2e-4)


def test_without_anchors_it_is_the_straight_line_of_the_sweep():
    masks = drawn_masks()
    outputs = masks.sum(axis=1)[:, None] * np.array([0.5, -0.2])
    curve = SizeCurve.of(masks, outputs, None)
    np.testing.assert_allclose(gains(curve, [20, 29]), [[-5, 2], [-0.5, 0.2]])
    assert SizeCurve.of(masks, outputs, np.zeros((1, 2))).anchor is None  # one network has no standard error


def test_masks_of_one_size_take_the_usual_exponent_and_need_anchors():
    masks = np.zeros((50, GROUPS), dtype=bool)
    masks[:, :10] = True
    masks = np.random.default_rng(0).permuted(masks, axis=1)
    assert SizeCurve.of(masks, np.zeros((50, 1)), None) is None
    curve = SizeCurve.of(masks, np.zeros((50, 1)), np.array([[1.0], [3.0]]))
    assert curve.slope is None
    # Of 2 from 10 to 30 groups by a - b / c: from 20 to 30 a quarter.
    np.testing.assert_allclose(gains(curve, [10, 20]), [[-2], [-0.5]])


def test_a_curve_that_is_flat_beyond_the_sweep_or_falls_is_followed_to_its_anchor():
    masks = drawn_masks()
    outputs = masks.sum(axis=1)[:, None] * 1.0
    flat = SizeCurve.of(masks, outputs, np.full((3, 1), outputs.mean() + 0.1))
    assert flat.exponents(flat.mean, flat.slope, flat.anchor) == MAX_EXPONENT
    lower = SizeCurve.of(masks, outputs, np.full((3, 1), outputs.mean() - 2.0))
    assert gains(lower, [lower.size]) == pytest.approx(2.0)
    assert gains(lower, [GROUPS]) == pytest.approx(0.0)


def test_scores_are_the_influence_functions_of_mean_and_slope():
    masks = drawn_masks(1, 500)
    rng = np.random.default_rng(2)
    means, slopes, se_mean, se_slope = [], [], [], []
    for _ in range(200):
        outputs = masks.sum(axis=1)[:, None] + rng.normal(0, 2, (500, 1))
        curve = SizeCurve.of(masks, outputs, None)
        means.append(curve.mean[0] - masks.sum(axis=1).mean())
        slopes.append(curve.slope[0])
        se_slope.append(curve.slope_scores.std() / 500**0.5)
        se_mean.append(curve.mean_scores.std() / 500**0.5)
    assert np.std(slopes) == pytest.approx(np.mean(se_slope), rel=0.2)
    assert np.mean(se_mean) > np.std(means)  # the masks' sizes vary too
