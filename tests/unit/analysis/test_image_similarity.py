"""Cutting, comparing and fitting images: against straight lines, loops, and crops whose place is known."""

import numpy as np
import pytest

from tui_influence.analysis import image_similarity
from tui_influence.analysis.image_similarity import (
    WHOLE,
    CoarseIndex,
    crops,
    cut,
    distance_to_own_crops,
    distances,
    refine_match,
)

S = 32


def smooth(count, seed=0, side=S, waves=3):
    """(count, side, side) brightness of a few random waves each, 0 to 255."""
    rng = np.random.default_rng(seed)
    x = (np.arange(side) + 0.5) / side
    images = np.zeros((count, side, side))
    for _ in range(waves):
        across, down, phase = rng.uniform(-9, 9, (3, count, 1, 1))
        images += np.sin(across * x[None, None, :] + down * x[None, :, None] + phase)
    return 127 + 40 * images


def test_crops_begin_at_evenly_spaced_places_of_each_size():
    for few, sizes, places in ((False, (0.9, 0.8, 0.7), 5), (True, (0.85, 0.7), 3)):
        windows = crops(few=few)
        expected = [
            (left, top, size)
            for size in sizes
            for left in np.linspace(0, 1 - size, places)
            for top in np.linspace(0, 1 - size, places)
        ]
        np.testing.assert_allclose(windows, expected, atol=1e-12)


def test_brightness_is_that_of_the_eye():
    colours = np.array([[[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]]], np.uint8)
    assert image_similarity.grey(colours)[0, 0] == pytest.approx([76.245, 149.685, 29.07, 255])
    single = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1)
    assert np.array_equal(image_similarity.grey(single)[0], single[0, ..., 0])


@pytest.mark.parametrize(
    ("window", "side"),
    [((0.25, 0.125, 0.5), 4), ((0.25, 0.125, 0.5), 8), ((0.25, 0.125, 0.5), 20), ((0.2, 0.3, 0.4), 64)],
)
def test_a_ramp_that_is_cut_and_scaled_is_the_ramp_at_the_new_pixels(side, window):
    """Whatever the filter weighs evenly around a pixel's middle leaves a straight line as it is."""
    left, top, scale = window
    ramp = np.arange(S) * 3.0
    middle = (np.arange(side) + 0.5) / side * scale * S - 0.5
    across = cut(np.broadcast_to(ramp, (1, S, S)), np.array([window]), side)[0]
    np.testing.assert_allclose(across, np.broadcast_to(3 * (left * S + middle), (side, side)), rtol=1e-5)
    down = cut(np.broadcast_to(ramp[:, None], (1, S, S)), np.array([window]), side)[0]
    np.testing.assert_allclose(down, np.broadcast_to(3 * (top * S + middle)[:, None], (side, side)), rtol=1e-5)


def test_a_new_pixel_is_a_mean_of_what_it_covers():
    images = smooth(3)
    np.testing.assert_allclose(cut(images, WHOLE, S), images, rtol=1e-5)
    flat = np.full((2, S, S), 77.0)
    for side in (5, 8, 50):
        np.testing.assert_allclose(cut(flat, np.array([[0.1, 0.0, 0.9]]), side), 77, rtol=1e-6)
    dot = np.zeros((1, 8, 8))
    dot[0, 2, 4] = 16.0
    halved = cut(dot, WHOLE, 4)[0]
    # each new pixel weighs the old ones by 1 - distance / 2 from its middle; at the edge one of them is missing
    across, down = np.array([0, 0.25 / 2, 0.75 / 2, 0]), np.array([0.25 / 1.75, 0.75 / 2, 0, 0])
    np.testing.assert_allclose(halved, 16 * np.outer(down, across), rtol=1e-6)


def test_every_image_may_have_a_window_of_its_own():
    images, windows = smooth(3), np.array([[0.0, 0.1, 0.8], [0.2, 0.0, 0.7], [0.1, 0.1, 0.9]])
    together = cut(images, windows, 8)
    for place in range(3):
        np.testing.assert_allclose(together[place], cut(images[place : place + 1], windows[place : place + 1], 8)[0])


def slow_distance(first, second):
    a, b = first - first.mean(), second - second.mean()
    return ((a - b) ** 2).sum() / (2 * np.linalg.norm(a) * np.linalg.norm(b))


def test_a_distance_is_the_squared_difference_relative_to_both_contrasts():
    first, second = smooth(4), smooth(4, seed=1) * 0.5
    expected = [slow_distance(a, b) for a, b in zip(first, second, strict=True)]
    assert distances(first, second) == pytest.approx(expected, rel=1e-5)
    assert distances(first, first + 9) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("spread", "is_flat"), [(0.99, True), (1.01, False)])
def test_an_image_of_next_to_no_contrast_cannot_be_compared(spread, is_flat):
    pattern = np.where(np.arange(S * S).reshape(1, S, S) % 2, 1.0, -1.0)  # of standard deviation one
    pale = 100 + 3 * spread * pattern
    assert np.isinf(distances(pale, smooth(1))[0]) == is_flat
    assert np.isinf(distances(smooth(1), pale)[0]) == is_flat
    assert np.isinf(distances(pale, pale)[0]) == is_flat
    assert (image_similarity._unit(pale) == 0).all() == is_flat


def test_the_coarse_distance_is_the_least_of_the_whole_of_one_and_a_crop_of_the_other():
    first, second = (np.clip(smooth(5, seed), 0, 255).astype(np.uint8)[..., None] for seed in (0, 1))
    a, b = CoarseIndex(first), CoarseIndex(second, few=True)
    assert (len(a), len(a.windows), len(b.windows)) == (5, 76, 19)
    a, b = CoarseIndex(first), CoarseIndex(second)

    def unit(image, window):
        pixels = cut(image[None, ..., 0].astype(float), window[None], 8).ravel()
        return (pixels - pixels.mean()) / np.linalg.norm(pixels - pixels.mean())

    found = a.distances(b, slice(1, 4))
    assert found.shape == (3, 5)
    place = np.array([1, 2, 3])
    mine, theirs = a.best_crops(place, b, np.array([4, 0, 2]))
    for row, (i, j) in enumerate(((1, 4), (2, 0), (3, 2))):
        of_first = [unit(first[i], window) @ unit(second[j], WHOLE[0]) for window in a.windows]
        of_second = [unit(first[i], WHOLE[0]) @ unit(second[j], window) for window in b.windows]
        assert found[row, j] == pytest.approx(1 - max(of_first + of_second), abs=1e-4)
        assert np.array_equal(mine[row], a.windows[np.argmax(of_first)])
        assert np.array_equal(theirs[row], b.windows[np.argmax(of_second)])


@pytest.mark.parametrize("values", [1, 12, 10**6])
def test_blocks_hold_every_row_once(values):
    images = np.clip(smooth(5), 0, 255).astype(np.uint8)[..., None]
    a, b = CoarseIndex(images, few=True), CoarseIndex(images[:4], few=True)
    blocks = list(a.blocks(b, values))
    assert [row for block in blocks for row in range(5)[block]] == list(range(5))
    assert max(block.stop - block.start for block in blocks) == min(max(values // 4, 1), 5)


def test_a_stack_is_scaled_alike_however_many_images_at_a_time():
    images = np.clip(smooth(7), 0, 255).astype(np.uint8)[..., None]
    np.testing.assert_array_equal(CoarseIndex(images, few=True, block=3).views, CoarseIndex(images, few=True).views)


WINDOWS = np.array([[0.05, 0.1, 0.8], [0.1, 0.12, 0.72], [0.0, 0.2, 0.75], [0.21, 0.03, 0.77], [0.02, 0.02, 0.95]])


def test_a_search_ends_at_the_crop_that_was_cut_though_it_begins_beside_it():
    wholes = smooth(5, seed=3, side=64)
    parts = cut(wholes, WINDOWS, 64)
    begin = WINDOWS + np.array([0.03, -0.02, 0.02])
    fitted = image_similarity._fitted(wholes, parts, image_similarity._inside(begin), 32)
    beside = distances(cut(wholes, image_similarity._inside(begin), 32), cut(parts, WHOLE, 32))
    assert (beside > 0.003).all()
    assert (fitted < 1e-4).all()


def test_a_search_never_ends_farther_away_than_it_began():
    wholes, others = smooth(5, seed=3, side=64), smooth(5, seed=9, side=64)
    begun = distances(cut(wholes, WINDOWS, 32), cut(others, WHOLE, 32))
    assert (image_similarity._fitted(wholes, others, WINDOWS, 32) <= begun).all()
    parts = cut(wholes, WINDOWS, 64)
    at_the_crop = distances(cut(wholes, WINDOWS, 32), cut(parts, WHOLE, 32))
    assert (image_similarity._fitted(wholes, parts, WINDOWS, 32) <= at_the_crop).all()


def test_a_step_goes_most_of_the_way_and_never_too_far():
    wholes = smooth(5, seed=3, side=64)
    wanted = image_similarity._unit(cut(wholes, WINDOWS, 32))
    away = np.array([0.01, -0.008, 0.006])
    step = image_similarity._step(wholes, wanted, WINDOWS + away)
    np.testing.assert_allclose(step, np.broadcast_to(-away, step.shape), atol=0.003)
    far = image_similarity._step(wholes, -wanted, WINDOWS)
    assert np.abs(far).max() <= 0.1


def test_windows_are_moved_into_the_image_and_made_large_enough():
    found = image_similarity._inside(np.array([[-0.1, 0.5, 0.8], [0.3, 0.3, 0.2], [0.2, 0.1, 1.3], [0.1, 0.2, 0.7]]))
    expected = [[0, 0.2, 0.8], [0.3, 0.3, 0.6], [0, 0, 1], [0.1, 0.2, 0.7]]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_crop_is_told_from_a_picture_that_is_whole():
    wholes = smooth(5, seed=3, side=64)
    parts = cut(wholes, WINDOWS, 64)
    begin = np.broadcast_to(np.array([0.1, 0.1, 0.8]), (5, 3))
    compared = refine_match(wholes, parts, begin, begin)
    assert (compared.distance < 1e-3).all()
    assert compared.cropped.all()
    same = refine_match(wholes, wholes, begin, begin)
    assert same.distance == pytest.approx(0, abs=1e-6)
    assert not same.cropped.any()
    other = refine_match(wholes, smooth(5, seed=9, side=64), begin, begin)
    whole = distances(cut(wholes, WHOLE, 32), cut(smooth(5, seed=9, side=64), WHOLE, 32))
    assert (other.distance <= whole + 1e-6).all()
    assert (other.distance > 0.01).all()


def test_small_images_are_compared_at_no_less_than_the_coarse_size():
    small = smooth(2, side=10)
    begin = np.array([[0.0, 0.0, 0.9]] * 2)
    assert refine_match(small, small, begin, begin).distance == pytest.approx(0, abs=1e-6)


def test_an_image_is_as_far_from_its_own_crops_as_the_nearest_of_nine_is():
    images = smooth(4, side=48)
    whole = cut(images, WHOLE, 24)
    windows = [(left, top, 0.85) for left in (0, 0.075, 0.15) for top in (0, 0.075, 0.15)]
    each = [distances(cut(images, np.array([window]), 24), whole) for window in windows]
    assert distance_to_own_crops(images) == pytest.approx(np.min(each, axis=0))
