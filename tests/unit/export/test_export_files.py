"""A result is written whole or not at all, and its file stays the user's."""

import os
import stat
import threading
from pathlib import Path

import pytest

from tui_influence.errors import ConfigError, ResultsError
from tui_influence.export.files import refuse_same_file, write_text_atomically


def test_line_ends_and_letters_are_kept(tmp_path):
    write_text_atomically(tmp_path / "new.csv", "狮,1\n\r\n")
    assert (tmp_path / "new.csv").read_bytes() == "狮,1\n\r\n".encode()
    assert [path.name for path in tmp_path.iterdir()] == ["new.csv"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o755])
def test_an_existing_file_keeps_its_mode(tmp_path, mode):
    path = tmp_path / "old.csv"
    path.write_text("old")
    path.chmod(mode)
    write_text_atomically(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_link_stays_a_link_and_its_target_is_written(tmp_path):
    (tmp_path / "there").mkdir()
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "there" / "real.csv")
    for text in ("first", "second"):
        write_text_atomically(link, text)
        assert link.is_symlink()
        assert (tmp_path / "there" / "real.csv").read_text() == text


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    write_text_atomically(pipe, "through")
    reader.join(10)
    assert got == ["through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing/out.csv", "no such file or directory"),
        ("directory", "is a directory"),
        ("file/out.csv", "not a directory"),
        ("n" * 300, "file name too long"),
        ("nul\0.csv", "null"),
        ("loop", "symbolic links"),
    ],
)
def test_a_refusal_is_one_line_and_leaves_nothing(tmp_path, name, reason):
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").write_text("kept")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ResultsError, match=reason) as raised:
        write_text_atomically(tmp_path / name, "text")
    assert "\n" not in str(raised.value)
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_that_may_not_be_written_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "theirs.csv"
    path.write_text("kept")
    # Root may write anything, so the answer of the file system is put in its mouth.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ResultsError, match="permission denied"):
        write_text_atomically(path, "text")
    assert path.read_text() == "kept"


def test_a_failure_half_way_keeps_the_old_contents(tmp_path, monkeypatch):
    path = tmp_path / "out.csv"
    path.write_text("kept")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResultsError, match="no space left on the disk"):
        write_text_atomically(path, "text")
    assert path.read_text() == "kept"
    assert [child.name for child in tmp_path.iterdir()] == ["out.csv"]


def test_text_that_no_file_can_hold_is_refused_in_one_line(tmp_path):
    with pytest.raises(ResultsError, match="surrogates"):
        write_text_atomically(tmp_path / "out.csv", "\ud800")
    assert not list(tmp_path.iterdir())


def test_two_results_for_one_file_are_refused_by_whatever_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    there, link, hard, dangling = (tmp_path / name for name in ("there", "link", "hard", "dangling"))
    there.write_text("old")
    link.symlink_to(there)
    hard.hardlink_to(there)
    dangling.symlink_to(tmp_path / "new")
    for one, other in (
        (there, there),
        (there, Path("there")),
        (there, link),
        (there, hard),
        (tmp_path / "new", Path("new")),
        (tmp_path / "new", dangling),
    ):
        with pytest.raises(ConfigError, match="--csv and --export name the same file"):
            refuse_same_file({"--csv": one, "--other": None, "--export": other})


def test_results_for_files_of_their_own_are_not_refused_nor_devices_and_what_is_not_asked_for(tmp_path):
    refuse_same_file({"--csv": tmp_path / "a", "--export": tmp_path / "b", "--other": None, "--more": None})
    refuse_same_file({"--csv": Path(os.devnull), "--export": Path(os.devnull)})
