import numpy as np
import pytest

from benchmarks.planted import KINDS, changed
from tui_influence.analysis.duplicates import DuplicateKind, find_duplicates
from tui_influence.analysis.image_similarity import CoarseIndex, distances, grey, refine_match
from tui_influence.config.schema import BuiltinSource, BuiltinTarget
from tui_influence.datasets import load_source, load_target

EACH = 20


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    section = BuiltinTarget(kind="builtin", test_per_class=40)
    return np.array(load_target(section, seed=0, resolution=28, channels=1).test.images)


@pytest.fixture(scope="module")
def glyphs() -> np.ndarray:
    return np.array(load_source(BuiltinSource(kind="builtin", per_class=12), seed=0, resolution=28, channels=1).images)


def found_in(source: np.ndarray, target: np.ndarray):
    return find_duplicates(source, target, source.__getitem__, target.__getitem__)


@pytest.fixture(scope="module")
def planted(digits, glyphs):
    """Copies of test digits behind printed characters: where, of which, and what was found."""
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(digits), EACH * len(KINDS), replace=False)
    kinds = np.repeat(KINDS, EACH)
    copies = [changed(digits[place], kind, rng) for place, kind in zip(chosen, kinds, strict=True)]
    found = found_in(np.concatenate([glyphs, np.stack(copies)]), digits)
    return len(glyphs), chosen, kinds, found


def recall(planted, kind: str) -> float:
    first, chosen, kinds, found = planted
    right = {
        copy.source - first for copy in found if copy.source >= first and copy.target == chosen[copy.source - first]
    }
    return len(right & set(np.flatnonzero(kinds == kind).tolist())) / EACH


def test_every_exact_copy_is_found_and_called_identical(planted):
    first, _, kinds, found = planted
    assert recall(planted, "exact") == 1.0
    exact = {copy.source - first for copy in found if copy.kind is DuplicateKind.IDENTICAL}
    assert exact == set(np.flatnonzero(kinds == "exact").tolist())
    assert all(copy.distance == 0 for copy in found if copy.kind is DuplicateKind.IDENTICAL)


def test_recompressed_copies_are_found(planted):
    assert recall(planted, "recompressed") >= 0.9


def test_most_cropped_copies_are_found(planted):
    assert recall(planted, "cropped") >= 0.7


def test_nothing_but_copies_is_found(planted):
    first, chosen, _, found = planted
    assert [copy for copy in found if copy.source < first or copy.target != chosen[copy.source - first]] == []


def test_printed_digits_are_no_copies_of_handwritten_ones(digits, glyphs):
    assert found_in(glyphs, digits) == ()


def test_a_source_image_is_found_once_with_the_nearest_test_image(digits):
    source = digits[[3, 3, 7]]
    assert [(copy.source, copy.target) for copy in found_in(source, digits)] == [(0, 3), (1, 3), (2, 7)]


def test_a_copy_is_found_though_the_test_images_hold_it_twice(digits):
    rng = np.random.default_rng(1)
    target = np.concatenate([digits, changed(digits[5], "recompressed", rng)[None]])
    (copy,) = found_in(changed(digits[5], "recompressed", rng)[None], target)
    assert copy.target in (5, len(digits))


def test_flat_images_are_copies_of_nothing(digits):
    flat = np.full((3, 28, 28, 1), 255, np.uint8)
    assert found_in(flat, np.concatenate([digits, flat])) == ()


def test_copies_in_colour_are_found():
    rng = np.random.default_rng(2)
    coarse = rng.integers(0, 256, (30, 4, 4, 3), dtype=np.uint8)
    target = coarse.repeat(8, axis=1).repeat(8, axis=2)
    brighter = np.clip(target[:2].astype(int) + 4, 0, 255).astype(np.uint8)
    found = found_in(np.concatenate([target[4:6], brighter]), target)
    assert {(copy.source, copy.target) for copy in found} == {(0, 4), (1, 5), (2, 0), (3, 1)}


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_handful_of_test_images_is_enough(digits, count):
    found = found_in(digits[:count], digits[:count])
    assert [(copy.source, copy.target) for copy in found] == [(place, place) for place in range(count)]


def test_no_source_image_is_no_copy(digits):
    assert found_in(digits[:0], digits) == ()


def test_distance_is_zero_for_equal_images_and_the_same_both_ways(digits):
    first, second = grey(digits[:10]), grey(digits[10:20])
    np.testing.assert_allclose(distances(first, first), 0, atol=1e-6)
    np.testing.assert_allclose(distances(first, second), distances(second, first), rtol=1e-5)
    assert (distances(first, second) > 0.01).all()


def test_less_contrast_is_a_distance(digits):
    pale = (digits[:10] * 0.5).astype(np.uint8)
    assert (distances(grey(digits[:10]), grey(pale)) > 0.2).all()


def test_the_crop_of_an_image_is_found_whichever_of_the_two_it_is(digits):
    rng = np.random.default_rng(3)
    wholes = digits[:20]
    crops = np.stack([changed(image, "cropped", rng) for image in wholes])
    a, b, place = CoarseIndex(wholes), CoarseIndex(crops), np.arange(20)
    one = refine_match(grey(wholes), grey(crops), *a.best_crops(place, b, place))
    other = refine_match(grey(crops), grey(wholes), *b.best_crops(place, a, place))
    np.testing.assert_allclose(one.distance, other.distance, atol=1e-5)
    assert np.median(one.distance) < 0.004
    assert one.cropped.mean() > 0.9
