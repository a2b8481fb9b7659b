"""Labels, split, names and pictures of a run: as they were written, and within what a run says of them."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.unit.store.conftest import N
from tests.unit.store.npy_contents import content_of
from tui_influence.errors import ResultsError
from tui_influence.store.examples import (
    Examples,
    check_thumbnails,
    read_examples,
    read_source_thumbnails,
    read_thumbnails,
    write_examples,
    write_source_thumbnails,
)

NAMES = tuple(f"image {place}" for place in range(N))


def rewritten(paths, info, labels=None, estimate=None, names=NAMES):
    """The run with other examples, and their digests."""
    labels = np.arange(N) % 3 if labels is None else labels
    estimate = np.arange(N) % 2 == 0 if estimate is None else estimate
    digests = write_examples(paths, 0, Examples(labels, estimate, names), None)
    return replace(info, targets=[replace(info.targets[0], digests=digests)])


def test_examples_come_back_as_they_were_written(run):
    paths, info = run
    rng = np.random.default_rng(0)
    labels, estimate = rng.integers(0, 3, N), rng.random(N) < 0.5
    found = read_examples(paths, rewritten(paths, info, labels, estimate), 0)
    assert np.array_equal(found.labels, labels)
    assert np.array_equal(found.estimate, estimate)
    assert found.names == NAMES


@pytest.mark.parametrize(("label", "is_one"), [(0, True), (2, True), (3, False), (-1, False)])
def test_labels_are_classes_of_the_target(run, label, is_one):
    paths, info = run
    labels = np.full(N, label)
    if is_one:
        assert (read_examples(paths, rewritten(paths, info, labels), 0).labels == label).all()
        return
    with pytest.raises(ResultsError, match=r"labels\.npy: damaged: labels beyond the classes"):
        read_examples(paths, rewritten(paths, info, labels), 0)


@pytest.mark.parametrize(
    "wrong",
    [{"labels": np.zeros(N - 1, int)}, {"estimate": np.zeros(N + 1, bool)}, {"names": NAMES[1:]}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_every_example_has_a_label_a_half_and_a_name(run, wrong):
    paths, info = run
    with pytest.raises(ResultsError, match=f"it does not describe {N} examples"):
        read_examples(paths, rewritten(paths, info, **wrong), 0)


def test_a_target_without_examples_is_read(run):
    paths, info = run
    info = rewritten(paths, info, np.zeros(0, int), np.zeros(0, bool), ())
    empty = replace(info, targets=[replace(info.targets[0], test=0)])
    assert read_examples(paths, empty, 0).names == ()


@pytest.mark.parametrize(
    ("shape", "dtype", "is_sound"),
    [
        ((2, 1, 1, 1), np.uint8, True),
        ((2, 1024, 1024, 3), np.uint8, True),
        ((0, 8, 8, 3), np.uint8, True),
        ((2, 1025, 1025, 1), np.uint8, False),
        ((2, 0, 0, 1), np.uint8, False),
        ((2, 8, 9, 1), np.uint8, False),
        ((2, 9, 8, 1), np.uint8, False),
        ((2, 8, 8, 2), np.uint8, False),
        ((2, 8, 8, 4), np.uint8, False),
        ((2, 8, 8), np.uint8, False),
        ((2, 8, 8, 1), np.int8, False),
    ],
)
def test_pictures_are_squares_of_one_or_three_channels(paths, shape, dtype, is_sound):
    paths.source.mkdir()
    (paths.source / "thumbnails.npy").write_bytes(content_of(np.zeros(shape, dtype)))
    if is_sound:
        assert read_thumbnails(paths.source).shape == shape
        return
    with pytest.raises(ResultsError, match=r"thumbnails\.npy: damaged: no thumbnails"):
        read_thumbnails(paths.source)


def sampled(paths):
    """Four pictures of the source and the group of each; digests of both files."""
    pictures = np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8, 1)
    return write_source_thumbnails(paths, pictures, np.array([0, 0, 1, 2], np.int32))


def test_pictures_of_the_source_come_with_the_group_of_each(paths):
    sampled(paths)
    pictures, groups = read_source_thumbnails(paths)
    assert pictures[3, 7, 7, 0] == 255
    assert groups.tolist() == [0, 0, 1, 2]
    for described in (3, 5):
        (paths.source / "groups.npy").write_bytes(content_of(np.zeros(described, np.int32)))
        with pytest.raises(ResultsError, match=r"groups\.npy: damaged: it does not describe 4 images"):
            read_source_thumbnails(paths)


def test_pictures_that_are_as_they_were_pass(paths):
    assert not check_thumbnails(paths.source, {})
    digests = sampled(paths)
    assert check_thumbnails(paths.source, digests)
    assert check_thumbnails(paths.source, {})
    assert check_thumbnails(paths.source, {"labels.npy": "of another file"})


@pytest.mark.parametrize("name", ["thumbnails.npy", "groups.npy"])
def test_pictures_that_changed_or_are_gone_are_named(paths, name):
    digests = sampled(paths)
    path = paths.source / name
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert check_thumbnails(paths.source, {})  # a run of a version that kept no digests
    with pytest.raises(ResultsError, match=rf"{name}: damaged: its content does not match run\.json"):
        check_thumbnails(paths.source, digests)
    path.write_bytes(content[:40])
    with pytest.raises(ResultsError, match=rf"{name}: damaged"):
        check_thumbnails(paths.source, {})
    path.unlink()
    with pytest.raises(ResultsError, match=rf"{name}: missing: the results directory is half copied"):
        check_thumbnails(paths.source, digests)


def test_names_are_kept_as_they_are(run):
    paths, info = run
    names = tuple(f"caf\u00e9 \x1b \U0001f981 {place}" for place in range(N))
    assert read_examples(paths, rewritten(paths, info, names=names), 0).names == names
    assert json.loads((paths.target(0) / "names.json").read_text()) == list(names)
