"""Files are written whole or not at all, and read within limits; what is refused says why in one line."""

import errno
import os
import stat
from pathlib import Path

import pytest

from tui_influence.errors import ResultsError
from tui_influence.store.files import (
    DiskFullError,
    is_gone,
    is_machine_error,
    last_line,
    make_directory,
    open_file,
    read_bytes,
    read_json,
    sync_directory,
    to_results_error,
    write_atomically,
    write_json,
)
from tui_influence.store.results_directory import lock_mode


@pytest.fixture
def synced(monkeypatch):
    """What is flushed to the disk: True for a directory."""
    kinds = []
    fsync = os.fsync
    monkeypatch.setattr(
        "os.fsync", lambda number: kinds.append(stat.S_ISDIR(os.fstat(number).st_mode)) or fsync(number)
    )
    return kinds


@pytest.mark.parametrize(
    ("options", "expected"), [({}, [False, True]), ({"durable": True}, [False, True]), ({"durable": False}, [])]
)
def test_a_file_and_its_name_are_on_the_disk_unless_nobody_needs_that(tmp_path, synced, options, expected):
    write_atomically(tmp_path / "file", b"abc", **options)
    assert (tmp_path / "file").read_bytes() == b"abc"
    assert synced == expected
    synced.clear()
    write_json(tmp_path / "file.json", {"a": 1}, **options)
    assert synced == expected
    assert (tmp_path / "file.json").read_bytes() == b'{\n "a": 1\n}\n'


def test_what_json_has_no_word_for_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "file", float("nan"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("size", "is_read"), [(9, True), (10, True), (11, False)])
def test_a_file_is_read_up_to_the_limit(tmp_path, size, is_read):
    path = tmp_path / "file"
    path.write_bytes(b"1" * size)
    if is_read:
        assert read_bytes(path, limit=10) == b"1" * size
        assert read_json(path, limit=10) == int("1" * size)
        return
    for read in (read_bytes, read_json):
        with pytest.raises(ResultsError, match=r"file: larger than any file of this kind can be$"):
            read(path, limit=10)


def test_a_file_that_grows_while_it_is_read_is_not_read_beyond_the_limit(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"1" * 11)
    status = os.fstat
    monkeypatch.setattr("os.fstat", lambda number: os.stat_result([*status(number)[:6], 5, *status(number)[7:10]]))
    with pytest.raises(ResultsError, match="larger than any file"):
        read_bytes(path, limit=10)


def test_a_descriptor_is_closed_where_a_file_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(ResultsError, match="folder: is a directory"):
            open_file(tmp_path / "folder")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize(
    ("number", "gone", "trouble"),
    [
        (errno.ENOENT, True, False),
        (errno.ESTALE, True, True),
        (errno.EACCES, False, False),
        (errno.EMFILE, False, True),
        (errno.ETIMEDOUT, False, True),
    ],
)
def test_errors_are_of_the_file_or_of_the_machine(number, gone, trouble):
    error = OSError(number, "x")
    assert (is_gone(error), is_machine_error(error)) == (gone, trouble)
    assert not is_machine_error(ValueError())
    assert not is_machine_error(None)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (OSError(errno.ENOSPC, "No space", "a\x1b"), DiskFullError, r"cannot write a\x1b: no space left on the disk"),
        (OSError(errno.EDQUOT, "Quota exceeded", "x"), DiskFullError, "cannot write x: no space left on the disk"),
        (OSError(errno.EACCES, "Permission denied", "x"), ResultsError, "cannot write x: permission denied"),
        (OSError("odd"), ResultsError, "cannot write a file: odd"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_file_and_the_reason(error, kind, words):
    found = to_results_error(error, "write")
    assert type(found) is kind
    assert str(found) == words
    assert str(to_results_error(error, "list", Path("y"))).startswith("cannot list y: ")


def test_a_directory_and_its_parents_are_made_and_flushed(tmp_path, synced):
    make_directory(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    assert synced == [True, True]
    synced.clear()
    make_directory(tmp_path / "a" / "b")
    assert synced == []
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ResultsError, match=r"cannot make .*file"):
        make_directory(tmp_path / "file")


@pytest.mark.parametrize(("number", "matters"), [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EIO, True)])
def test_a_file_system_that_cannot_flush_a_directory_is_good_enough(tmp_path, monkeypatch, number, matters):
    def refuse(descriptor):
        raise OSError(number, "x")

    monkeypatch.setattr("os.fsync", refuse)
    if matters:
        with pytest.raises(OSError, match="x"):
            sync_directory(tmp_path)
    else:
        sync_directory(tmp_path)


@pytest.mark.parametrize(
    ("content", "start", "line"),
    [
        (b"first\nlast\n", 0, "last"),
        (b"first\nlast", 0, "last"),
        (b"first\n  la\x1bst  \n\n", 0, r"la\x1bst"),
        (b"first\nlast\n", 11, ""),
        (b"first\nlast\n", 6, "last"),
        (b"first\nlast\n", 8, "st"),
        (b"", 0, ""),
        (b"x" * 5000, 0, "x" * 300),
        (b"early\n" + b"x" * 4090 + b"\nlast\n", 0, "last"),
    ],
)
def test_the_last_line_of_a_log_is_safe_to_show(tmp_path, content, start, line):
    path = tmp_path / "log"
    path.write_bytes(content)
    found = last_line(path, start)
    assert found.rstrip("…") == line[: len(found.rstrip("…"))]
    assert len(found) <= 300
    assert bool(found) == bool(line)
    assert last_line(tmp_path / "none") == ""


@pytest.mark.parametrize(("mode", "expected"), [(0o700, 0o600), (0o750, 0o600), (0o770, 0o660), (0o757, 0o600)])
def test_a_lock_is_for_those_who_may_write(tmp_path, mode, expected):
    tmp_path.chmod(mode)
    assert lock_mode(tmp_path) == expected
