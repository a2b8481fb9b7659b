"""Files of strangers: how much of one is read, and what that takes."""

import errno
import os
import tracemalloc

import pytest

from tui_influence.regular_files import read_regular


def test_a_small_file_takes_little_memory_whatever_the_limit(tmp_path):
    (tmp_path / "small").write_bytes(b"content")
    tracemalloc.start()
    try:
        assert read_regular(tmp_path / "small", 2 << 30) == b"content"
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [0, 1, 4095, 4096])
def test_a_file_of_at_most_the_limit_is_read_whole(tmp_path, size):
    (tmp_path / "file").write_bytes(b"x" * size)
    assert read_regular(tmp_path / "file", 4096) == b"x" * size


def test_a_file_beyond_the_limit_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 4097)
    with pytest.raises(OSError, match="larger than 0 MiB") as caught:
        read_regular(tmp_path / "file", 4096)
    assert caught.value.errno == errno.EFBIG


@pytest.mark.parametrize("limit", [10, 5])
def test_a_file_that_grows_while_it_is_read_is_read_whole_or_refused(tmp_path, monkeypatch, limit):
    (tmp_path / "file").write_bytes(b"0123456789")
    fstat = os.fstat

    def before_it_grew(descriptor):
        fields = list(fstat(descriptor))
        fields[6] = 3  # st_size
        return os.stat_result(fields)

    monkeypatch.setattr(os, "fstat", before_it_grew)
    if limit == 10:
        assert read_regular(tmp_path / "file", limit) == b"0123456789"
    else:
        with pytest.raises(OSError, match="larger"):
            read_regular(tmp_path / "file", limit)
