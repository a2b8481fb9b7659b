"""Processes decode what threads decode; no image takes more than its share of memory, and no process is left."""

import os
import resource
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from image_files import image_folder, noise, npz, save, source

from tests.requirements import require
from tui_influence.datasets import decoder_pool, packing
from tui_influence.datasets.base import Sample
from tui_influence.datasets.batch import decode_batch
from tui_influence.datasets.errors import DatasetProblemsError
from tui_influence.datasets.images import OverShareError, PixelShare
from tui_influence.errors import DatasetError


@pytest.fixture(autouse=True)
def few_images_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_pool, "MIN_IMAGES", 1)
    monkeypatch.setattr(decoder_pool, "MIN_CORES", 2)
    monkeypatch.setattr(packing, "thread_count", lambda: 2)
    monkeypatch.setattr(packing, "_BATCH", 3)


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that were started."""
    started: list[subprocess.Popen[bytes]] = []
    start = decoder_pool._DecoderPool._start

    def recorded(pool: decoder_pool._DecoderPool) -> subprocess.Popen[bytes]:
        started.append(start(pool))
        return started[-1]

    monkeypatch.setattr(decoder_pool._DecoderPool, "_start", recorded)
    return started


def samples_of(*paths: Path) -> list[Sample]:
    return [Sample(path.name, index, path) for index, path in enumerate(paths)]


def test_processes_pack_what_threads_pack(
    tmp_path: Path, decodes: list[str], processes: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = image_folder(tmp_path / "data", each=8)
    (folder / "a" / "2.png").write_bytes(b"x")
    for index in range(3):  # a batch without an image
        (folder / "b" / f"{index + 1}.png").write_bytes(b"")
    (folder / "a" / os.fsdecode(b"\xff\n.png")).write_bytes((folder / "a" / "0.png").read_bytes())
    images = source(folder, tmp_path / "processes", on_bad_image="skip")
    assert len(processes) == 2
    assert decodes == []
    assert all(process.returncode == 0 for process in processes)
    monkeypatch.setattr(decoder_pool, "MIN_IMAGES", 1000)
    expected = source(folder, tmp_path / "threads", on_bad_image="skip")
    assert len(decodes) == 17
    assert images.fingerprint == expected.fingerprint
    assert images.skipped == expected.skipped
    reasons = []
    for cache in ("processes", "threads"):
        with pytest.raises(DatasetProblemsError) as caught:
            source(folder, tmp_path / cache)
        reasons.append(caught.value.details)
    assert reasons[0] == reasons[1]
    assert len(reasons[0]) == 4
    assert np.array_equal(images.counts, expected.counts)


def test_a_few_images_and_images_in_memory_need_no_process(
    tmp_path: Path, cache: Path, processes: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    source(npz(tmp_path / "data.npz"), cache)
    monkeypatch.setattr(decoder_pool, "MIN_IMAGES", 7)
    source(image_folder(tmp_path / "data"), cache)
    assert processes == []


def test_few_cores_need_no_process(
    tmp_path: Path, cache: Path, processes: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_pool, "MIN_CORES", 3)
    source(image_folder(tmp_path / "data"), cache)
    assert processes == []


def test_an_image_beyond_the_share_of_a_process_is_decoded_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decodes: list[str]
) -> None:
    monkeypatch.setattr(decoder_pool, "MAX_PIXELS_IN_FLIGHT", 2 * 500)
    small, large = save(tmp_path / "small.png", noise(0)), save(tmp_path / "large.png", noise(1, 30, 30))
    with decoder_pool.make_decoder(10, 2, 8, 3) as decode:
        assert decode(samples_of(small, small)).names == ["small.png", "small.png"]
        assert decodes == []
        batch = decode(samples_of(small, large))
    assert decodes == ["small.png", "large.png"]
    assert np.array_equal(batch.pixels, decode_batch(samples_of(small, large), 8, 3).pixels)


def test_a_share_is_a_limit_for_each_image() -> None:
    share = PixelShare(10)
    for _ in range(3):
        with share.take(10):
            pass
    with pytest.raises(OverShareError), share.take(11):
        pass


def test_a_process_that_is_killed_is_one_line(tmp_path: Path, processes: list[subprocess.Popen[bytes]]) -> None:
    first, last = (save(tmp_path / name, noise(0)) for name in ("a.png", "b.png"))
    reason = r"^a process that decodes images was killed between a.png and b.png$"
    with decoder_pool.make_decoder(10, 2, 8, 3) as decode:
        decode(samples_of(first))
        processes[0].kill()
        with pytest.raises(DatasetError, match=reason):
            decode(samples_of(first, last))


def test_a_process_that_cannot_start_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_pool.sys, "executable", str(tmp_path / "none"))
    with (
        pytest.raises(DatasetError, match=r"^cannot start a process that decodes images: No such file"),
        decoder_pool.make_decoder(10, 2, 8, 3) as decode,
    ):
        decode(samples_of(save(tmp_path / "a.png", noise(0))))


def test_a_process_whose_program_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_pool.sys, "executable", "/bin/false")
    with (
        pytest.raises(DatasetError, match=r"^a process that decodes images ended between a.png and a.png$"),
        decoder_pool.make_decoder(10, 2, 8, 3) as decode,
    ):
        decode(samples_of(save(tmp_path / "a.png", noise(0))))


def test_an_interruption_ends_the_processes(tmp_path: Path, processes: list[subprocess.Popen[bytes]]) -> None:

    def interrupted() -> None:
        with decoder_pool.make_decoder(10, 2, 8, 3) as decode:
            decode(samples_of(save(tmp_path / "a.png", noise(0))))
            processes[0].send_signal(signal.SIGINT)  # the terminal sends it to both
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert processes[0].returncode == 0


def test_a_fault_of_the_machine_is_no_fault_of_an_image(tmp_path: Path) -> None:
    """Too many open files, in the process: the image is not skipped."""
    require("Linux's /proc")
    path = save(tmp_path / "a.png", noise(0))
    with decoder_pool._DecoderPool(1, 8, 3) as pool:
        assert len(pool.decode(samples_of(path)) or []) == 1
        (process,) = pool._processes
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (0, 0))
        with pytest.raises(DatasetError, match=r"^cannot read the images: Too many open files$"):
            pool.decode(samples_of(path))
