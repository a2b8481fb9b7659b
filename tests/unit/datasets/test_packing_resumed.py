"""Packing continues where it was interrupted, and believes nothing that was not written whole."""

import errno
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import PIL
import pytest
from image_files import image_folder, leftovers, source

from tui_influence.datasets import entry as entries
from tui_influence.datasets import packing
from tui_influence.datasets.cache import Cache
from tui_influence.datasets.journal import JOURNAL
from tui_influence.errors import DatasetError, ExitCode

N = 40
IMAGE_BYTES = 8 * 8 * 3


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Forty images, packed four at a time, one of which cannot be read."""
    monkeypatch.setattr(packing, "_BATCH", 4)
    folder = image_folder(tmp_path / "data", "ab", each=N // 2)
    (folder / "a" / "2.png").write_bytes(b"x")
    return folder


@pytest.fixture
def fingerprint(data: Path, tmp_path: Path) -> str:
    """Of a packing that nothing interrupts."""
    return source(data, tmp_path / "whole", on_bad_image="skip").fingerprint


def interrupt(data: Path, cache: Path, after: int = 20) -> Path:
    """Pack a dataset up to some images; return the unfinished entry."""

    def stop(done: int, total: int) -> None:
        if done >= after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        source(data, cache, progress=stop, on_bad_image="skip")
    (name,) = leftovers(cache)
    return cache / "tmp" / name


def test_it_continues_where_it_was_interrupted(data: Path, cache: Path, fingerprint: str, decodes: list[str]) -> None:
    interrupt(data, cache)
    decodes.clear()
    progress: list[int] = []
    images = source(data, cache, on_bad_image="skip", progress=lambda done, total: progress.append(done))
    assert images.fingerprint == fingerprint
    assert images.skipped == ("a/2.png",)
    assert len(decodes) == N - 20
    assert progress == [24, 28, 32, 36, 40]
    assert leftovers(cache) == []
    assert Cache(cache).check(images.fingerprint) is None
    assert not list((cache / "packed").glob(f"*/{JOURNAL}"))


def test_it_continues_again_and_again(data: Path, cache: Path, fingerprint: str, decodes: list[str]) -> None:
    for after in (8, 12, 28):
        interrupt(data, cache, after)
    assert source(data, cache, on_bad_image="skip").fingerprint == fingerprint
    assert len(set(decodes)) == N
    ahead = 2 * packing.thread_count() * 4 + 4
    assert len(decodes) <= N + 3 * ahead


def test_a_small_part_of_a_dataset_continues_too(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, decodes: list[str]
) -> None:
    monkeypatch.setattr(packing, "_BATCH", 1)
    folder = image_folder(tmp_path / "data", "abcdefgh", each=6)
    expected = source(folder, tmp_path / "other", per_class=1)

    def stop(done: int, total: int) -> None:
        assert total == 8
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        source(folder, cache, per_class=1, progress=stop)
    decodes.clear()
    assert source(folder, cache, per_class=1).fingerprint == expected.fingerprint
    assert len(decodes) == 2


def _truncate(path: Path, size: int) -> None:
    os.truncate(path, path.stat().st_size + size)


def _append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def _edit_line(path: Path, number: int, change: Callable[[bytes], bytes]) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    lines[number] = change(lines[number])
    path.write_bytes(b"".join(lines))


def _zero_tail(path: Path, size: int) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-size] + bytes(size))


def _become_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("damage", "intact"),
    [
        pytest.param(lambda entry: _truncate(entry / JOURNAL, -5), 16, id="line cut"),
        pytest.param(lambda entry: _truncate(entry / JOURNAL, 50), 20, id="zeros after the lines"),
        pytest.param(lambda entry: _append(entry / JOURNAL, b"0" * 64 + b" {}\n"), 20, id="a line of another hash"),
        pytest.param(lambda entry: _append(entry / JOURNAL, b"x" * 100_000), 20, id="a long line without end"),
        pytest.param(lambda entry: _edit_line(entry / JOURNAL, 3, lambda line: line[:-3] + b"9}\n"), 8, id="a digit"),
        pytest.param(lambda entry: _edit_line(entry / JOURNAL, 2, lambda line: b""), 4, id="a line lost"),
        pytest.param(lambda entry: (entry / JOURNAL).unlink(), 0, id="no journal"),
        pytest.param(lambda entry: (entry / JOURNAL).write_bytes(b""), 0, id="empty journal"),
        pytest.param(lambda entry: _truncate(entry / "images.npy", -1), 16, id="pixels cut"),
        pytest.param(lambda entry: _truncate(entry / "images.npy", -5 * IMAGE_BYTES), 12, id="pixels of batches cut"),
        pytest.param(lambda entry: _zero_tail(entry / "images.npy", IMAGE_BYTES), 16, id="pixels that are a hole"),
        pytest.param(lambda entry: _append(entry / "images.npy", b"x" * 1000), 20, id="pixels without a line"),
        pytest.param(lambda entry: (entry / "images.npy").write_bytes(b""), 0, id="no pixels"),
    ],
)
def test_a_torn_end_is_never_believed(
    data: Path, cache: Path, fingerprint: str, decodes: list[str], damage: Callable[[Path], object], intact: int
) -> None:
    damage(interrupt(data, cache))
    decodes.clear()
    images = source(data, cache, on_bad_image="skip")
    assert images.fingerprint == fingerprint
    assert len(decodes) == N - intact
    assert Cache(cache).check(fingerprint) is None
    assert leftovers(cache) == []


def test_images_of_another_pillow_are_not_continued(
    data: Path, cache: Path, decodes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(data, cache)
    decodes.clear()
    monkeypatch.setattr(PIL, "__version__", "0.0")
    source(data, cache, on_bad_image="skip")
    assert len(decodes) == N


def test_data_that_changed_are_not_continued(data: Path, cache: Path, decodes: list[str]) -> None:
    interrupt(data, cache)
    os.utime(data / "b" / "0.png", ns=(1, 1))
    decodes.clear()
    source(data, cache, on_bad_image="skip")
    assert len(decodes) == N


def test_a_dataset_that_cannot_be_used_leaves_nothing_to_continue(tmp_path: Path, cache: Path) -> None:
    folder = image_folder(tmp_path / "data", "ab", each=1)
    (folder / "b" / "0.png").write_bytes(b"x")
    with pytest.raises(DatasetError, match="no readable image of b"):
        source(folder, cache, on_bad_image="skip")
    assert leftovers(cache) == []


@pytest.mark.parametrize("name", ["images.npy", JOURNAL])
def test_links_and_pipes_in_place_of_its_files_are_not_opened(
    data: Path, cache: Path, tmp_path: Path, name: str
) -> None:
    path = interrupt(data, cache) / name
    for change in (lambda: path.symlink_to(tmp_path / "elsewhere"), lambda: os.mkfifo(path)):
        path.unlink()
        change()
        with pytest.raises(DatasetError, match=r"^cannot write the dataset cache") as caught:
            source(data, cache, on_bad_image="skip")
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "elsewhere").exists()


def test_a_second_writer_of_a_key_writes_an_entry_of_its_own(data: Path, cache: Path, fingerprint: str) -> None:
    seen = []

    def meanwhile(done: int, total: int) -> None:
        if not seen:
            seen.append(source(data, cache, on_bad_image="skip").fingerprint)

    assert source(data, cache, on_bad_image="skip", progress=meanwhile).fingerprint == fingerprint
    assert seen == [fingerprint]
    assert leftovers(cache) == []


def test_an_unfinished_entry_waits_for_a_week(data: Path, cache: Path, tmp_path: Path) -> None:
    unfinished = interrupt(data, cache)
    other = image_folder(tmp_path / "other")
    for days, is_left in ((6, True), (8, False)):
        then = time.time() - days * 24 * 3600
        os.utime(unfinished / "images.npy", (then, then))
        shutil.rmtree(cache / "keys")
        source(other, cache)
        assert unfinished.exists() == is_left


PACK = """
import os, signal, sys
from pathlib import Path
from tui_influence.config.schema import FolderSource
from tui_influence.datasets import batch, load_source, packing

packing._BATCH = 4
decoded = []
render = batch.render_sample
batch.render_sample = lambda sample, *rest: (decoded.append(sample.name), render(sample, *rest))[1]

def progress(done, total):
    if done >= int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

section = FolderSource(kind="folder", path=sys.argv[1], on_bad_image="skip")
images = load_source(section, seed=0, resolution=8, channels=3, cache=Path(sys.argv[2]), progress=progress)
print(images.fingerprint, len(decoded))
"""


def test_a_killed_process_leaves_what_it_packed(data: Path, cache: Path, fingerprint: str) -> None:
    command = [sys.executable, "-c", PACK, str(data), str(cache)]
    assert subprocess.run([*command, "20"], check=False).returncode == -9
    done = subprocess.run([*command, "1000"], check=True, capture_output=True, text=True)
    assert done.stdout.split() == [fingerprint, str(N - 20)]


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """A limit on the size of a file, which stands for a full disk: the write itself fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_fills_up_while_packing_is_one_line_and_packing_continues(
    data: Path, cache: Path, fingerprint: str, decodes: list[str]
) -> None:
    for size in (8_000, 16_000):  # the journal of these tiny images is larger than they are
        with files_up_to(size), pytest.raises(DatasetError) as caught:
            source(data, cache, on_bad_image="skip")
        assert str(caught.value) == (
            f"the dataset cache {cache} is full: packing {data} needs 1 MB more (TINFL_CACHE sets another directory)"
        )
        assert caught.value.exit_code == ExitCode.USAGE
        assert list((cache / "packed").iterdir()) == []
        assert list((cache / "keys").iterdir()) == []
    (unfinished,) = leftovers(cache)
    batches = (cache / "tmp" / unfinished / JOURNAL).read_bytes().count(b"\n") - 1
    decodes.clear()
    assert source(data, cache, on_bad_image="skip").fingerprint == fingerprint
    assert 0 < len(decodes) == N - 4 * batches < N
    assert leftovers(cache) == []
    assert Cache(cache).check(fingerprint) is None


@pytest.mark.parametrize("name", ["labels.npy", "manifest.json", "key"])
def test_a_disk_that_is_full_at_the_end_of_packing_leaves_what_was_packed(
    data: Path, cache: Path, fingerprint: str, decodes: list[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def full(file: BinaryIO) -> None:
        if str(file.name).endswith(name):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def full_for_a_key(path: Path, text: str) -> None:
        path.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(entries, "sync_file", full)
        if name == "key":
            patch.setattr(Path, "write_text", full_for_a_key)
        with pytest.raises(DatasetError, match="is full"):
            source(data, cache, on_bad_image="skip")
    assert list((cache / "packed").iterdir()) == []
    assert len(leftovers(cache)) == 1
    decodes.clear()
    assert source(data, cache, on_bad_image="skip").fingerprint == fingerprint
    assert decodes == []
    assert leftovers(cache) == []


def test_a_disk_that_turns_out_to_be_full_while_packing_is_one_line(
    data: Path, cache: Path, fingerprint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network's file system may take what it cannot store; only waiting for the disk tells."""
    threads: list[str] = []

    def full(descriptor: int) -> None:
        threads.append(threading.current_thread().name)
        if len(threads) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(entries, "_SYNC_BYTES", 1)
        patch.setattr(os, "fsync", full)
        with pytest.raises(DatasetError, match="is full"):
            source(data, cache, on_bad_image="skip")
    assert [name.startswith("sync") for name in threads] == [True, True]
    assert list((cache / "packed").iterdir()) == []
    assert source(data, cache, on_bad_image="skip").fingerprint == fingerprint
