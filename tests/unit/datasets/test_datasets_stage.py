"""Packed data on a node's own disk: copied once, found by who trains there, and never what a run depends on."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from image_files import source

from tui_influence.datasets import cache as staging
from tui_influence.datasets import default_cache, reopen, use_stage


@pytest.fixture
def packed(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The fingerprint of a dataset that the shared cache holds."""
    monkeypatch.setenv("TINFL_CACHE", str(cache))
    return source(folder, cache).fingerprint


@pytest.fixture
def warnings() -> list[str]:
    return []


def near(disk: Path) -> Path:
    return disk / f"tinfl-{os.getuid()}"


def inodes(disk: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in (near(disk) / "packed").rglob("*")}


def test_what_is_read_is_the_copy_and_only_while_it_is_asked_for(packed, cache, tmp_path, monkeypatch, warnings):
    monkeypatch.setenv("DISK", str(tmp_path / "disk"))
    with use_stage("$DISK", [packed], warnings.append):
        assert default_cache() == near(tmp_path / "disk")
        images = reopen(packed)
        assert images is not None
        assert Path(images.images.filename).is_relative_to(tmp_path / "disk")
        copied = np.array(images.images)
    assert default_cache() == cache
    assert np.array_equal(copied, reopen(packed).images)
    assert near(tmp_path / "disk").stat().st_mode & 0o077 == 0
    assert not warnings


def test_tasks_that_come_later_find_it_there(packed, tmp_path, warnings):
    for _ in range(2):
        with use_stage(str(tmp_path / "disk"), [packed, "0" * 64], warnings.append):
            before = inodes(tmp_path / "disk")
        with use_stage(str(tmp_path / "disk"), [packed], warnings.append):
            assert inodes(tmp_path / "disk") == before
    assert len([name for name in before if name == packed]) == 1


def test_tasks_that_begin_at_once_leave_one_copy(packed, tmp_path, monkeypatch, warnings):
    together = threading.Barrier(4, timeout=20)
    copy = staging.shutil.copytree
    monkeypatch.setattr(staging.shutil, "copytree", lambda *given: (copy(*given), together.wait()))
    far = default_cache()
    threads = [
        threading.Thread(target=staging._copy_entry, args=(staging.Cache(near(tmp_path)), far, packed))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.name for path in (near(tmp_path) / "packed").iterdir()] == [packed]
    assert not list((near(tmp_path) / "tmp").iterdir())
    assert staging.Cache(near(tmp_path)).open(packed) is not None


def _unset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.delenv("NOWHERE", raising=False)
    return "$NOWHERE/x", "names a variable that is not set on this node"


def _a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    (tmp_path / "disk").touch()
    return str(tmp_path / "disk"), "Not a directory; they are read from"


def _full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(staging.shutil, "copytree", no_room)
    return str(tmp_path / "disk"), "No space left on device; they are read from"


def _of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    mine = os.getuid()
    monkeypatch.setattr(staging.os, "getuid", lambda: mine + 1)
    near(tmp_path).mkdir()
    return str(tmp_path), "it belongs to another user; they are read from"


@pytest.mark.parametrize("trouble", [_unset, _a_file, _full, _of_somebody_else])
def test_a_node_without_room_for_it_reads_what_all_share_and_says_so(
    packed, cache, tmp_path, monkeypatch, warnings, trouble
):
    stage, reason = trouble(tmp_path, monkeypatch)
    with use_stage(stage, [packed], warnings.append):
        assert default_cache() == cache
        assert reopen(packed) is not None
    (said,) = warnings
    assert reason in said
