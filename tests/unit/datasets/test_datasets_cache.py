"""Packing once, and never serving anything that is not what was packed."""

import errno
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_files import image_folder, leftovers, noise, save, source

from tui_influence.datasets import default_cache, packing, reopen
from tui_influence.datasets.cache import Cache
from tui_influence.errors import DatasetError


def entry(cache: Path) -> Path:
    (folder,) = (cache / "packed").iterdir()
    return folder


def test_the_second_load_decodes_nothing(folder: Path, cache: Path, decodes: list[str]) -> None:
    first = source(folder, cache)
    assert len(decodes) == 6
    second = source(folder, cache)
    assert len(decodes) == 6
    assert second.fingerprint == first.fingerprint
    assert (second.names, second.classes) == (first.names, first.classes)
    assert np.array_equal(second.images, first.images)
    assert np.array_equal(second.labels, first.labels)


def test_two_packings_of_the_same_data_are_the_same(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    cache = tmp_path / "one"
    fingerprints = {source(folder, cache).fingerprint, source(copy, cache).fingerprint}
    fingerprints.add(source(folder, tmp_path / "two").fingerprint)
    assert len(fingerprints) == 1
    assert len(list((cache / "packed").iterdir())) == 1


def _repaint(folder: Path) -> None:
    save(folder / "a" / "0.png", noise(77))


def _rename(folder: Path) -> None:
    (folder / "a" / "0.png").rename(folder / "a" / "00.png")


def _rename_class(folder: Path) -> None:
    (folder / "b").rename(folder / "c")


def _add(folder: Path) -> None:
    save(folder / "b" / "9.png", noise(78))


def _move(folder: Path) -> None:
    (folder / "a" / "2.png").rename(folder / "b" / "9.png")


@pytest.mark.parametrize("change", [_repaint, _rename, _rename_class, _add, _move])
def test_a_change_in_the_data_changes_the_fingerprint(
    folder: Path, cache: Path, change: Callable[[Path], object]
) -> None:
    before = source(folder, cache).fingerprint
    change(folder)
    assert source(folder, cache).fingerprint != before


def test_touching_a_file_repacks_but_changes_nothing(folder: Path, cache: Path, decodes: list[str]) -> None:
    before = source(folder, cache).fingerprint
    os.utime(folder / "a" / "0.png", ns=(1, 1))
    assert source(folder, cache).fingerprint == before
    assert len(decodes) == 12


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    side=st.integers(1, 12),
    channels=st.sampled_from([1, 3]),
    counts=st.lists(st.integers(1, 4), min_size=2, max_size=3),
)
def test_what_is_loaded_is_what_was_packed(
    tmp_path_factory: pytest.TempPathFactory, side: int, channels: int, counts: list[int]
) -> None:
    home = tmp_path_factory.mktemp("packed")
    for label, count in enumerate(counts):
        for index in range(count):
            save(home / "data" / str(label) / f"{index}.png", noise(10 * label + index, side, side, channels))
    images = source(home / "data", home / "cache", resolution=side, channels=channels)
    assert images.labels.tolist() == np.repeat(np.arange(len(counts)), counts).tolist()
    for name, pixels in zip(images.names, images.images, strict=True):
        label, index = (int(part) for part in name.removesuffix(".png").split("/"))
        assert np.array_equal(pixels.squeeze(), noise(10 * label + index, side, side, channels).squeeze())


def _bytes(path: Path, change: Callable[[bytearray], object]) -> None:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)


def _cut(data: bytearray) -> None:
    del data[-9:]


def _flip(position: int) -> Callable[[bytearray], object]:
    def change(data: bytearray) -> None:
        data[position] ^= 1

    return change


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda entry: shutil.rmtree(entry), id="gone"),
        pytest.param(lambda entry: (entry / "images.npy").unlink(), id="pixels gone"),
        pytest.param(lambda entry: (entry / "labels.npy").unlink(), id="labels gone"),
        pytest.param(lambda entry: (entry / "manifest.json").unlink(), id="manifest gone"),
        pytest.param(lambda entry: (entry / "manifest.json").write_bytes(b"\xff{"), id="manifest is noise"),
        pytest.param(lambda entry: (entry / "manifest.json").write_text("[]"), id="manifest is a list"),
        pytest.param(lambda entry: (entry / "images.npy").write_bytes(b""), id="pixels empty"),
        pytest.param(lambda entry: _bytes(entry / "images.npy", _cut), id="cut"),
        pytest.param(lambda entry: _bytes(entry / "images.npy", _flip(60)), id="header"),
        pytest.param(lambda entry: _bytes(entry / "images.npy", _flip(-5)), id="pixel"),
        pytest.param(lambda entry: _bytes(entry / "labels.npy", _flip(-8)), id="label"),
        pytest.param(lambda entry: np.save(entry / "images.npy", np.zeros((6, 4, 4, 3), np.uint8)), id="shape"),
        pytest.param(
            lambda entry: np.save(entry / "labels.npy", np.array([{}] * 6), allow_pickle=True), id="pickled labels"
        ),
        pytest.param(
            lambda entry: _bytes(
                entry / "manifest.json", lambda data: data.__setitem__(slice(None), data.replace(b"a/0", b"a/9"))
            ),
            id="name",
        ),
    ],
)
def test_a_damaged_entry_is_packed_again(
    folder: Path, cache: Path, decodes: list[str], damage: Callable[[Path], object]
) -> None:
    before = source(folder, cache)
    expected, fingerprint = np.array(before.images), before.fingerprint
    del before
    damage(entry(cache))
    mended = source(folder, cache)
    assert len(decodes) == 12
    assert mended.fingerprint == fingerprint
    assert np.array_equal(mended.images, expected)
    source(folder, cache)
    assert len(decodes) == 12
    assert leftovers(cache) == []


def test_a_damaged_key_is_as_good_as_none(folder: Path, cache: Path) -> None:
    before = source(folder, cache).fingerprint
    (key,) = (cache / "keys").iterdir()
    key.write_text('{"fingerprint": "../../etc", "bad": []}')
    assert source(folder, cache).fingerprint == before


def _load(root: Path, cache: Path, answers: "multiprocessing.Queue[tuple[str, int]]") -> None:
    images = source(root, cache)
    answers.put((images.fingerprint, int(images.images.sum())))


def test_two_processes_may_pack_at_once(tmp_path: Path, cache: Path) -> None:
    root = image_folder(tmp_path / "data", each=60)
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    processes = [context.Process(target=_load, args=(root, cache, answers)) for _ in range(2)]
    for process in processes:
        process.start()
    got = {answers.get(timeout=60) for _ in processes}
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    images = source(root, cache)
    assert got == {(images.fingerprint, int(images.images.sum()))}
    assert leftovers(cache) == []
    assert len(list((cache / "packed").iterdir())) == 1


@pytest.mark.parametrize("at", ["precheck", "write", "sync"])
def test_a_full_disk_is_one_line_and_leaves_nothing(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        if at == "precheck":
            patch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
        else:
            patch.setattr({"write": "tui_influence.datasets.cache.Writer.append", "sync": "os.fsync"}[at], full)
        with pytest.raises(DatasetError, match=r"the dataset cache .*cache is full: packing .*data needs") as caught:
            source(folder, cache)
    assert "\n" not in str(caught.value)
    assert leftovers(cache) == []
    assert list((cache / "packed").iterdir()) == []
    assert len(source(folder, cache)) == 6


def test_a_cache_that_cannot_be_written_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match=r"cannot write the dataset cache .*file.*TINFL_CACHE"):
        source(folder, tmp_path / "file" / "cache")


def test_an_interrupted_packing_leaves_nothing(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        source(folder, cache, progress=interrupted)
    assert leftovers(cache) == []
    assert list((cache / "keys").iterdir()) == []


def test_what_a_killed_process_left_is_removed_a_day_later(folder: Path, cache: Path) -> None:
    for name in ("old", "new"):
        (cache / "tmp" / name).mkdir(parents=True)
        (cache / "tmp" / name / "images.npy").write_bytes(b"x")
    long_ago = time.time() - 2 * 24 * 3600
    os.utime(cache / "tmp" / "old" / "images.npy", (long_ago, long_ago))
    source(folder, cache)
    assert leftovers(cache) == ["new"]


def test_a_set_can_be_reopened_by_its_fingerprint(folder: Path, cache: Path) -> None:
    images = source(folder, cache, per_class=2)
    shutil.rmtree(folder)
    again = reopen(images.fingerprint, cache)
    assert again is not None
    assert again.names == images.names
    assert np.array_equal(again.images, images.images)
    assert reopen("0" * 64, cache) is None
    assert reopen("../packed", cache) is None


def test_the_environment_names_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TINFL_CACHE", str(tmp_path / "there"))
    assert default_cache() == tmp_path / "there"
    assert Cache().root == tmp_path / "there"
    monkeypatch.delenv("TINFL_CACHE")
    assert default_cache().name == "tinfl"


def test_batches_under_way_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = 0

    def batches() -> object:
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield []

    results = packing.in_threads(lambda batch: packing._Batch(), batches())  # type: ignore[arg-type]
    next(iter(results))
    assert taken <= 2 * packing.threads() + 1
