"""Copies of a run's test images: which datasets are compared at what size, and where the nearest is told from none."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.analysis.test_image_similarity import smooth
from tests.unit.store.conftest import make_info
from tui_influence.analysis import duplicates
from tui_influence.analysis import duplicates as copies_module
from tui_influence.analysis.duplicates import DuplicateKind, find_duplicates, find_run_duplicates
from tui_influence.analysis.image_similarity import CoarseIndex, distance_to_own_crops, grey, refine_match
from tui_influence.analysis.probe_types import Duplicate, Duplicates
from tui_influence.config.schema import Config
from tui_influence.errors import ConfigError
from tui_influence.runs.datasets import open_datasets

SIDE = 24


def pictures(count, seed=0, side=SIDE):
    return np.clip(smooth(count, seed, side), 0, 255).astype(np.uint8)[..., None]


def noisy(images, amount, seed=0):
    noise = np.random.default_rng(seed).normal(0, amount, images.shape)
    return np.clip(images + noise, 0, 255).astype(np.uint8)


def found_in(source, target, **options):
    return find_duplicates(source, target, source.__getitem__, target.__getitem__, **options)


TARGET = pictures(12)


def test_a_near_copy_has_its_distance_and_that_relative_to_unrelated_images():
    source = noisy(TARGET[[4, 9]], 6)
    found = {copy.source: copy for copy in found_in(source, TARGET)}
    stack = CoarseIndex(TARGET)
    for place, original in enumerate((4, 9)):
        copy = found[place]
        assert (copy.target, copy.kind) == (original, DuplicateKind.NEAR)
        mine, theirs = grey(source[place : place + 1]), grey(TARGET[original : original + 1])
        others = [other for other in range(12) if other != original]
        near = sorted(others, key=lambda other: stack.distances(stack, slice(original, original + 1))[0, other])[:3]
        apart = [
            refine_match(theirs, grey(TARGET[other : other + 1]), *stack.best_crops(
                np.array([original]), stack, np.array([other])
            )).distance[0]
            for other in near
        ]  # fmt: skip
        usual = min(distance_to_own_crops(theirs)[0], max(apart))
        crops = CoarseIndex(source).best_crops(np.array([place]), stack, np.array([original]))
        assert copy.distance == pytest.approx(refine_match(mine, theirs, *crops).distance[0], rel=1e-3)
        assert copy.relative == pytest.approx(copy.distance / usual, rel=1e-3)


@pytest.mark.parametrize("bound", ["MAX_RELATIVE_DISTANCE", "MAX_DISTANCE"])
def test_a_copy_is_nearer_than_either_bound(monkeypatch, bound):
    source = noisy(TARGET[[4]], 6)
    (copy,) = found_in(source, TARGET)
    value = copy.relative if bound == "MAX_RELATIVE_DISTANCE" else copy.distance
    monkeypatch.setattr(duplicates, bound, value * 1.001)
    assert len(found_in(source, TARGET)) == 1
    monkeypatch.setattr(duplicates, bound, value)
    assert found_in(source, TARGET) == ()
    assert len(found_in(TARGET[[4]], TARGET)) == 1  # equal pixels are equal, whatever the bounds


def test_copies_come_with_the_nearest_first_and_of_equal_ones_the_first():
    source = np.concatenate([noisy(TARGET[[4]], 8), TARGET[[9]], noisy(TARGET[[2]], 4), TARGET[[9]]])
    twice = np.concatenate([TARGET, TARGET[[9]]])
    found = found_in(source, twice)
    assert [copy.source for copy in found] == [1, 3, 2, 0]
    assert [copy.target for copy in found] == [9, 9, 2, 4]
    assert [copy.distance for copy in found] == sorted(copy.distance for copy in found)
    assert [copy.distance == 0 for copy in found] == [True, True, False, False]
    assert [copy.kind for copy in found] == [
        DuplicateKind.IDENTICAL,
        DuplicateKind.IDENTICAL,
        DuplicateKind.NEAR,
        DuplicateKind.NEAR,
    ]


def test_of_a_test_image_that_there_is_five_times_only_equal_pixels_are_a_copy():
    """Nothing then says how far from it an unrelated image is."""
    often = np.concatenate([TARGET, np.repeat(TARGET[[9]], 4, axis=0)])
    source = np.concatenate([TARGET[[9]], noisy(TARGET[[9]], 2)])
    (copy,) = found_in(source, often)
    assert (copy.source, copy.kind, copy.distance, copy.relative) == (0, DuplicateKind.IDENTICAL, 0, 0)


@pytest.mark.parametrize("batch", [1, 3, 1000])
@pytest.mark.parametrize("stack", [2, 4096])
def test_what_is_found_does_not_depend_on_how_much_is_compared_at_a_time(monkeypatch, batch, stack):
    source = np.concatenate([pictures(5, seed=8), noisy(TARGET[[4, 9, 0]], 6)])
    whole = found_in(source, TARGET)
    monkeypatch.setattr(duplicates, "_BATCH", batch)
    monkeypatch.setattr(duplicates, "_STACK", stack)
    told = []
    found = found_in(source, TARGET, progress=lambda *done: told.append(done))
    assert [(copy.source, copy.target) for copy in found] == [(copy.source, copy.target) for copy in whole]
    assert [copy.distance for copy in found] == pytest.approx([copy.distance for copy in whole])
    assert {copy.source for copy in found} == {5, 6, 7}
    assert told == [(min(done, 8), 8) for done in range(stack, 8 + stack, stack)]


def test_of_many_images_fewer_crops_are_tried_and_copies_found_all_the_same(monkeypatch):
    monkeypatch.setattr(duplicates, "_FEW_CROPS_ABOVE", 3 * 12 - 1)
    seen = []
    monkeypatch.setattr(
        duplicates, "CoarseIndex", lambda images, *, few: seen.append(few) or CoarseIndex(images, few=few)
    )
    source = np.concatenate([noisy(TARGET[[4, 9]], 6), pictures(1, seed=8)])
    assert [(copy.source, copy.target) for copy in found_in(source, TARGET)] in ([(0, 4), (1, 9)], [(1, 9), (0, 4)])
    assert set(seen) == {True}
    monkeypatch.setattr(duplicates, "_FEW_CROPS_ABOVE", 3 * 12)
    assert len(found_in(source, TARGET)) == 2
    assert set(seen[2:]) == {False}


def test_the_smallest_of_each_row_are_found_however_many_there_are():
    distance = np.array([[3.0, 1, 2, 0], [5, 6, 4, 7]])
    for count in range(5):
        places, values = duplicates._smallest(distance, count)
        assert sorted(values[0]) == sorted(distance[0])[:count]
        assert sorted(values[1]) == sorted(distance[1])[:count]
        np.testing.assert_array_equal(np.take_along_axis(distance, places, axis=1), values)


# The datasets of a run


@pytest.fixture
def run(tmp_path):
    """Two targets; of the source images, 1 and 3 are copies of test images 5 and 0 of the second."""
    second = np.broadcast_to(pictures(8, seed=5, side=80), (8, 80, 80, 3)).copy()
    source = pictures(6, seed=7, side=40)
    source[1], source[3] = shrunk(second[5]), shrunk(second[0])
    labels = np.array([0, 0, 1, 1, 2, 2])
    np.savez(tmp_path / "source.npz", x=source, y=labels, classes=np.array(["a", "b", "c"]))
    np.savez(tmp_path / "first.npz", x=pictures(8, seed=6, side=40), y=np.arange(8) % 2)
    np.savez(tmp_path / "second.npz", x=second, y=np.arange(8) % 2)
    kept = tmp_path / "groups.csv"
    kept.write_text("path,group\n" + "".join(f"{name},g{k}\n" for k, name in enumerate(SOURCE) if k != 1))
    config = Config.model_validate(
        {
            "run": {"name": "small"},
            "source": {"kind": "npz", "path": str(tmp_path / "source.npz"), "groups": str(kept)},
            "target": [
                {"kind": "npz", "name": name, "train": f"{tmp_path}/{name}.npz", "test": f"{tmp_path}/{name}.npz"}
                for name in ("first", "second")
            ],
            "design": {"models": 4},
        }
    )
    data = open_datasets(config)
    info = make_info()
    targets = [
        replace(info.targets[0], fingerprints=[one.train.fingerprint, one.test.fingerprint]) for one in data.targets
    ]
    return config, replace(info, targets=targets), data


SOURCE = ("a/0", "a/1", "b/2", "b/3", "c/4", "c/5")


def shrunk(image):
    """A square of 80 pixels as one of 40, each the mean of four."""
    return image.reshape(40, 2, 40, 2, 3).mean(axis=(1, 3))[..., :1].round().astype(np.uint8)


def test_copies_are_looked_for_among_the_test_images_of_the_target_that_is_asked_about(run):
    config, info, data = run
    found = find_run_duplicates(config, info, data, 1)
    assert {(copy.source, copy.target) for copy in found.pairs} == {(1, 5), (3, 0)}
    assert (found.n_compared, found.n_examples) == (6, 8)
    assert found.names == SOURCE
    assert found.source_classes == ("a", "a", "b", "b", "c", "c")
    assert find_run_duplicates(config, info, data, 0).pairs == ()


def test_of_a_run_over_groups_only_their_images_are_compared_and_keep_their_places(run):
    config, info, data = run
    in_group = np.flatnonzero(data.groups.group_of_image >= 0)
    assert len(in_group) == 5
    found = find_run_duplicates(config, info, data, 1, grouped=True)
    assert {(copy.source, copy.target) for copy in found.pairs} == {(3, 0)}
    assert found.n_compared == 5


def test_test_images_that_changed_since_the_run_are_refused(run):
    config, info, data = run
    with pytest.raises(ConfigError, match="the test images of target first changed since the run"):
        find_run_duplicates(config, replace(info, targets=info.targets[::-1]), data, 0)


def test_images_are_shown_in_grey_at_one_size_and_read_once(run, monkeypatch):
    config, _, data = run
    read = []
    original = copies_module.thumbnails
    monkeypatch.setattr(copies_module, "thumbnails", lambda *asked: read.append(list(asked[3])) or original(*asked))
    show = copies_module._shower(config.target[1], "test", data.targets[1].test, 64)
    shown = show(np.array([5, 2, 5]))
    assert (shown.shape, shown.dtype) == ((3, 64, 64, 1), np.uint8)
    assert read == [[2, 5]]
    assert np.array_equal(shown[0], shown[2])
    assert not np.array_equal(shown[0], shown[1])
    assert show(np.array([], dtype=np.intp)).shape == (0, 64, 64, 1)


def test_images_of_colour_are_weighed_as_the_eye_does_and_small_ones_enlarged():
    colours = np.array([[[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [10, 20, 30]]]], np.uint8)
    assert copies_module._grey(colours)[0, ..., 0].tolist() == [[76, 150], [29, 18]]
    assert np.array_equal(copies_module._grey(colours[..., :1]), colours[..., :1])
    small = np.arange(4, dtype=np.uint8).reshape(1, 2, 2, 1)
    assert copies_module._at_side(small, 4)[0, ..., 0].tolist() == [
        [0, 0, 1, 1],
        [0, 0, 1, 1],
        [2, 2, 3, 3],
        [2, 2, 3, 3],
    ]
    assert copies_module._at_side(small, 3)[0, ..., 0].tolist() == [[0, 0, 1], [0, 0, 1], [2, 2, 3]]


@pytest.mark.parametrize(("sides", "side"), [((40, 80), 40), ((80, 40), 40), ((100, 80), 64)])
def test_images_are_compared_as_closely_as_both_allow(run, monkeypatch, sides, side):
    config, info, data = run
    asked = []
    monkeypatch.setattr(copies_module, "_shower", lambda *what: asked.append(what[3]) or (lambda places: None))
    monkeypatch.setattr(copies_module, "find_duplicates", lambda *what: ())
    sizes = iter(sides)
    monkeypatch.setattr(copies_module, "native_shape", lambda section: type("Shape", (), {"side": next(sizes)}))
    find_run_duplicates(config, info, data, 1)
    assert asked == [side, side]


def test_copies_of_a_class_and_names_to_remove():
    made = [Duplicate(place, 0, DuplicateKind.NEAR, 0.1, 0.1) for place in (3, 0, 2)]
    found = Duplicates(tuple(made), 4, 5, ("w", "x", "y", "z"), ("a", "b", "a", "b"))
    assert [copy.source for copy in found.of_class("a").pairs] == [0, 2]
    assert found.names_to_remove() == ["w", "y", "z"]
    assert found.of_class("b").names_to_remove() == ["z"]
