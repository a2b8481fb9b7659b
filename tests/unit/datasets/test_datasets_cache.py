"""Packing once, and never serving anything that is not what was packed."""

import errno
import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_files import image_folder, leftovers, noise, save, source
from numpy.lib import format as npy

from tests.requirements import require
from tui_influence.datasets import default_cache, packing, reopen
from tui_influence.datasets import entry as entries
from tui_influence.datasets.batch import make_batch
from tui_influence.datasets.cache import Cache
from tui_influence.errors import DatasetError
from tui_influence.npy_header import read_header
from tui_influence.pixel_counts import pixel_counts


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


def _replace(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


def _become_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _become_link(path: Path) -> None:
    """What a link leads to is sound: it is refused because no entry has one."""
    elsewhere = path.parents[2] / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def _declare(path: Path, shape: tuple[int, ...]) -> None:
    data = path.read_bytes()[npy_offset(path) :]
    with path.open("wb") as file:
        npy.write_array_header_2_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        file.write(data)


def npy_offset(path: Path) -> int:
    with path.open("rb") as file:
        return read_header(file).offset


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
        pytest.param(lambda entry: _replace(entry / "manifest.json", b"a/0", b"a/9"), id="name"),
        pytest.param(lambda entry: _replace(entry / "manifest.json", b'"counts": [[', b'"counts": [[1'), id="count"),
        pytest.param(lambda entry: (entry / "manifest.json").write_text("[" * 100_000), id="manifest is deep"),
        pytest.param(lambda entry: _become_pipe(entry / "manifest.json"), id="manifest is a pipe"),
        pytest.param(lambda entry: _become_pipe(entry / "images.npy"), id="pixels are a pipe"),
        pytest.param(lambda entry: _become_pipe(entry / "labels.npy"), id="labels are a pipe"),
        pytest.param(lambda entry: _become_link(entry / "images.npy"), id="pixels are a link"),
        pytest.param(lambda entry: _become_link(entry), id="entry is a link"),
        pytest.param(lambda entry: (shutil.rmtree(entry), entry.write_text("x")), id="entry is a file"),
        pytest.param(lambda entry: _declare(entry / "images.npy", (-6, -8, 8, 3)), id="negative sides"),
        pytest.param(lambda entry: _declare(entry / "images.npy", (2**62, 8, 8, 3)), id="more than there is"),
        pytest.param(lambda entry: _declare(entry / "images.npy", (5, 8, 8, 3)), id="less than there is"),
        pytest.param(
            lambda entry: (entry / "images.npy").write_bytes(b"\x93NUMPY\x01\x00\xb8\x0b" + b"-" * 3000),
            id="header is deep",
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
def test_a_full_disk_is_one_line_and_leaves_no_entry(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        if at == "precheck":
            patch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
        else:
            patch.setattr({"write": "tui_influence.datasets.cache.EntryWriter.append", "sync": "os.fsync"}[at], full)
        with pytest.raises(DatasetError, match=r"the dataset cache .*cache is full: packing .*data needs") as caught:
            source(folder, cache)
    assert "\n" not in str(caught.value)
    assert len(leftovers(cache)) == (at == "sync")
    assert list((cache / "packed").iterdir()) == []
    assert len(source(folder, cache)) == 6
    assert leftovers(cache) == []


def test_a_cache_that_cannot_be_written_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match=r"cannot write the dataset cache .*file.*TINFL_CACHE"):
        source(folder, tmp_path / "file" / "cache")


def test_an_interrupted_packing_leaves_no_entry(folder: Path, cache: Path) -> None:
    def interrupted(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        source(folder, cache, progress=interrupted)
    assert list((cache / "keys").iterdir()) == []
    assert list((cache / "packed").iterdir()) == []


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

    results = packing.map_in_threads(len, batches())  # type: ignore[arg-type]
    next(iter(results))
    assert taken <= 2 * packing.thread_count() + 1


def test_an_entry_knows_the_counts_of_its_pixels(folder: Path, cache: Path) -> None:
    whole, part = source(folder, cache), source(folder, cache, per_class=2)
    assert len(part) < len(whole)
    for images in (whole, part):
        assert images.counts is not None
        assert np.array_equal(images.counts, pixel_counts(images.images))
        again = reopen(images.fingerprint, cache)
        assert again is not None
        assert np.array_equal(again.counts, images.counts)


def test_an_entry_of_an_older_version_is_the_same_dataset_without_counts(
    folder: Path, cache: Path, decodes: list[str]
) -> None:
    before = source(folder, cache)
    path = entry(cache) / "manifest.json"
    manifest = json.loads(path.read_bytes())
    path.write_text(json.dumps({key: value for key, value in manifest.items() if not key.startswith("measured")}))
    after = source(folder, cache)
    assert after.fingerprint == before.fingerprint
    assert after.counts is None
    assert len(decodes) == 6
    assert Cache(cache).check(after.fingerprint) is None


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Path:
    """The pixels of an entry that counts as large: 512 blocks of 96 bytes, of which 128 are compared at a time."""
    for name, value in {"VERIFIED_BYTES": 128 * 96, "BLOCK_BYTES": 96, "SAMPLED_BLOCKS": 128}.items():
        monkeypatch.setattr(entries, name, value)
    with Cache(cache).write_entry((512, 8, 4, 3), "noise") as writer:
        for start in range(0, 512, 7):
            numbers = range(start, min(512, start + 7))
            pixels = np.stack([noise(index, 8, 4) for index in numbers])
            writer.append(make_batch(pixels, [index % 2 for index in numbers], list(map(str, numbers))))
        writer.finish("key", np.arange(512) % 2, ("a", "b"))
    return entry(cache) / "images.npy"


def _zero(path: Path, first: int, blocks: int) -> None:
    with path.open("r+b") as file:
        file.seek(npy_offset(path) + 96 * first)
        file.write(bytes(96 * blocks))


def test_zeros_in_a_tenth_of_a_large_entry_are_noticed(large: Path, cache: Path) -> None:
    """By 128 draws of 512 blocks, all but once in a million times."""
    fingerprint = large.parent.name
    assert reopen(fingerprint, cache) is not None
    _zero(large, 300, 51)
    assert reopen(fingerprint, cache) is None
    assert Cache(cache).find("key") is None


def test_another_sample_of_a_large_entry_is_compared_each_time(large: Path, cache: Path) -> None:
    """Damage to one block of four, in the end, though a single look may miss it."""
    _zero(large, 77, 1)
    answers = [reopen(large.parent.name, cache) is None for _ in range(100)]
    assert any(answers)
    assert not all(answers)


def test_a_single_byte_of_a_large_entry_is_noticed_when_all_is_read(large: Path, cache: Path) -> None:
    checked = Cache(cache)
    assert checked.check(large.parent.name) is None
    _bytes(large, _flip(-5))
    reason = "the pixels in images.npy are not those that were packed"
    assert checked.check(large.parent.name) == (large.parent, reason)
    (large.parent / "labels.npy").unlink()
    assert checked.check(large.parent.name) == (large.parent, "labels.npy is missing")


@pytest.fixture
def large_and_old(large: Path) -> Path:
    """The same, as an older version wrote it: without hashes of its blocks."""
    path = large.parent / "manifest.json"
    manifest = json.loads(path.read_bytes())
    path.write_text(json.dumps({key: value for key, value in manifest.items() if not key.startswith("measured")}))
    return large


def _block_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of what is read from here on, in bytes."""
    sizes: list[int] = []
    pread = os.pread

    def recorded(descriptor: int, size: int, offset: int) -> bytes:
        sizes.append(size)
        return pread(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", recorded)
    return sizes


def test_a_single_byte_of_a_large_entry_of_an_older_version_is_noticed_at_once(
    large_and_old: Path, cache: Path
) -> None:
    _bytes(large_and_old, _flip(-5))
    for _ in range(3):
        assert reopen(large_and_old.parent.name, cache) is None


def test_a_large_entry_of_an_older_version_is_compared_whole_once(
    large: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = large.parent / "manifest.json"
    before = json.loads(path.read_bytes())
    path.write_text(json.dumps({key: value for key, value in before.items() if not key.startswith("measured")}))
    monkeypatch.setattr(entries, "_SLICE_BYTES", 1000)  # no whole number of images
    sizes = _block_reads(monkeypatch)
    images = reopen(large.parent.name, cache)
    assert images is not None
    assert np.array_equal(images.counts, pixel_counts(images.images))
    assert sum(sizes) == 512 * 96
    assert json.loads(path.read_bytes()) == before
    assert leftovers(cache) == []
    sizes.clear()
    assert reopen(large.parent.name, cache) is not None
    assert sizes == [96] * 128


def test_in_a_cache_that_cannot_be_written_to_it_is_compared_whole_each_time(large_and_old: Path, cache: Path) -> None:
    shutil.rmtree(cache / "tmp")
    (cache / "tmp").write_text("")
    before = (large_and_old.parent / "manifest.json").read_bytes()
    for _ in range(2):
        assert reopen(large_and_old.parent.name, cache) is not None
    assert (large_and_old.parent / "manifest.json").read_bytes() == before
    _bytes(large_and_old, _flip(-5))
    assert reopen(large_and_old.parent.name, cache) is None


def test_processes_that_open_an_entry_of_an_older_version_at_once_do_not_disturb_each_other(
    large_and_old: Path, cache: Path
) -> None:
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: reopen(large_and_old.parent.name, cache), range(64)))
    assert all(images is not None and images.counts is not None for images in opened)
    assert "measured" in json.loads((large_and_old.parent / "manifest.json").read_bytes())
    assert leftovers(cache) == []


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
                                   OSError(errno.EMFILE, os.strerror(errno.EMFILE))])  # fmt: skip
def test_a_lack_of_memory_is_not_taken_for_damage(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    fingerprint = source(folder, cache).fingerprint
    monkeypatch.setattr(np, "memmap", fail)
    reason = "cannot allocate memory|not enough memory|too many open files"
    for read in (reopen, lambda *_: source(folder, cache), lambda *_: Cache(cache).check(fingerprint)):
        with pytest.raises(DatasetError, match=rf"(?i)^cannot read packed data in .*{fingerprint}: ({reason})$"):
            read(fingerprint, cache)


def test_a_hole_in_a_large_entry_is_noticed_at_once(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """A crash may leave one where pixels were; it is compared whatever the sample."""
    require("a file system with holes")
    for name, value in {"VERIFIED_BYTES": 4096, "BLOCK_BYTES": 4096, "SAMPLED_BLOCKS": 1}.items():
        monkeypatch.setattr(entries, name, value)
    n = 2000
    with Cache(cache).write_entry((n, 64, 64, 1), "noise") as writer:
        pixels = np.random.default_rng(0).integers(0, 256, (n, 64, 64, 1), dtype=np.uint8)
        writer.append(make_batch(pixels, [index % 2 for index in range(n)], list(map(str, range(n)))))
        fingerprint = writer.finish("key", np.arange(n) % 2, ("a", "b")).fingerprint
    path = entry(cache) / "images.npy"
    size, kept = path.stat().st_size, path.stat().st_size - (1 << 14)
    with path.open("r+b") as file:
        file.truncate(kept)
        file.truncate(size)
    assert all(reopen(fingerprint, cache) is None for _ in range(3))


def test_a_new_cache_is_its_users_alone(folder: Path, cache: Path) -> None:
    source(folder, cache)
    assert cache.stat().st_mode & 0o777 == 0o700


def test_a_cache_that_users_share_stays_shared(folder: Path, cache: Path) -> None:
    cache.mkdir()
    cache.chmod(0o775)
    before = os.umask(0o002)
    try:
        source(folder, cache)
    finally:
        os.umask(before)
    assert cache.stat().st_mode & 0o777 == 0o775
    assert entry(cache).stat().st_mode & 0o070 == 0o070


def test_a_link_in_place_of_the_tag_is_not_followed(folder: Path, cache: Path, tmp_path: Path) -> None:
    cache.mkdir()
    (cache / "CACHEDIR.TAG").symlink_to(tmp_path / "elsewhere")
    source(folder, cache)
    assert not (tmp_path / "elsewhere").exists()


def test_a_key_that_is_a_pipe_or_too_deep_is_as_good_as_none(folder: Path, cache: Path) -> None:
    before = source(folder, cache).fingerprint
    for damage in (_become_pipe, lambda path: path.write_text("[" * 100_000)):
        (key,) = (cache / "keys").iterdir()
        damage(key)
        assert source(folder, cache).fingerprint == before
