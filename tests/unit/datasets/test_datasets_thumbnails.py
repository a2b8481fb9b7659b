"""Images for people."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from image_files import noise, npz, save, source

from tui_influence.config.schema import BuiltinTarget, FolderSource, NpzSource
from tui_influence.datasets import load_target, thumbnails
from tui_influence.datasets.base import Sample
from tui_influence.datasets.npz import NpzReader
from tui_influence.datasets.packing import thread_count
from tui_influence.errors import DatasetError


def test_thumbnails_have_the_originals_quality(tmp_path: Path, cache: Path) -> None:
    root = tmp_path / "data"
    save(root / "a" / "big.png", noise(0, 32, 32))
    save(root / "a" / "small.png", noise(1, 8, 8, 1))
    save(root / "b" / "other.png", noise(2, 16, 16))
    section = FolderSource(kind="folder", path=str(root))
    images = source(root, cache, channels=1)
    both = thumbnails(section, "source", images, [0, 1], 96)
    assert both.shape == (2, 32, 32, 3)
    assert np.array_equal(both[0], noise(0, 32, 32))
    assert np.array_equal(both[1, ..., 0], noise(1, 8, 8, 1).repeat(4, 0).repeat(4, 1))
    assert thumbnails(section, "source", images, [0, 1], 16).shape == (2, 16, 16, 3)
    assert thumbnails(section, "source", images, np.array([1]), 96).shape == (1, 8, 8, 1)
    assert thumbnails(section, "source", images, [], 16).shape[0] == 0


def test_only_the_images_asked_for_are_read(folder: Path, cache: Path) -> None:
    section = FolderSource(kind="folder", path=str(folder))
    images = source(folder, cache)
    (folder / "a" / "0.png").unlink()
    assert len(thumbnails(section, "source", images, [5], 8)) == 1
    with pytest.raises(DatasetError, match=r"cannot read a/0\.png"):
        thumbnails(section, "source", images, [0], 8)


def test_thumbnails_of_arrays_are_in_the_order_asked_for(tmp_path: Path, cache: Path) -> None:
    x = np.stack([noise(i) for i in range(6)])
    path = npz(tmp_path / "d.npz", x=x)
    images = source(path, cache, per_class=2, resolution=4)
    got = thumbnails(NpzSource(kind="npz", path=str(path)), "source", images, [3, 0, 2], 64)
    wanted = [int(images.names[position].split("/")[1]) for position in (3, 0, 2)]
    assert np.array_equal(got, x[wanted])


def test_no_more_originals_are_in_memory_than_the_threads_can_use(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = 200
    path = npz(tmp_path / "d.npz", x=np.stack([noise(i) for i in range(n)]), y=np.arange(n) % 2)
    images = source(path, cache, resolution=4)
    read: Callable[..., Iterator[Sample]] = NpzReader._read
    made, ahead = [], []

    def counted(self: NpzReader, positions: Iterable[int]) -> Iterator[Sample]:
        for number, sample in enumerate(read(self, positions)):
            ahead.append(number - len(made))
            yield sample

    def slow(sample: Sample, side: int) -> np.ndarray:
        time.sleep(0.001)
        made.append(sample.name)
        return np.zeros((side, side, 3), np.uint8)

    monkeypatch.setattr(NpzReader, "_read", counted)
    monkeypatch.setattr(sys.modules["tui_influence.datasets.thumbnails"], "thumbnail", slow)
    assert len(thumbnails(NpzSource(kind="npz", path=str(path)), "source", images, range(n), 8)) == n
    assert max(ahead) <= 2 * thread_count() + 1


def test_thumbnails_of_a_part_of_the_digits(cache: Path) -> None:
    section = BuiltinTarget(kind="builtin", test_per_class=2)
    loaded = load_target(section, seed=0, resolution=28, channels=1, cache=cache)
    assert np.array_equal(thumbnails(section, "test", loaded.test, range(20), 28), loaded.test.images)
    with pytest.raises(ValueError, match="train and a test"):
        thumbnails(section, "source", loaded.test, [0], 28)


def test_a_name_cannot_leave_the_dataset(folder: Path, cache: Path) -> None:
    from dataclasses import replace

    images = replace(source(folder, cache), names=("../secret.png",) * 6)
    with pytest.raises(DatasetError, match="is not an image of"):
        thumbnails(FolderSource(kind="folder", path=str(folder)), "source", images, [0], 8)
