"""A record is whole and in its place, or it does not exist."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.store.conftest import make_record
from tui_influence.roles import Role
from tui_influence.store.files import TEMPORARY_PREFIX, DiskFullError, write_atomically
from tui_influence.store.listing import completed, list_records
from tui_influence.store.records import DamagedRecordError, as_margins, decode, encode, read_record, write_record


def same(left, right) -> bool:
    return encode(left) == encode(right)


def test_a_record_comes_back_as_it_was_written_byte_for_byte(paths):
    record = make_record()
    path = write_record(paths, record)
    first = path.read_bytes()
    assert same(read_record(paths, Role.ESTIMATE, 3, 0), record)
    write_record(paths, record)
    assert path.read_bytes() == first


def test_what_a_source_network_takes_examples_for_is_kept_where_it_was_asked_for(paths):
    record = make_record(mapped=np.arange(12, dtype=np.uint16))
    write_record(paths, record)
    found = read_record(paths, Role.ESTIMATE, 3, 0)
    assert same(found, record)
    assert found.mapped is not None
    np.testing.assert_array_equal(found.mapped, np.arange(12))
    assert decode(encode(make_record())).mapped is None


@pytest.mark.parametrize("mapped", [None, np.arange(12, dtype=np.uint16)])
@given(st.data())
@settings(max_examples=300, deadline=None)
def test_any_flipped_bit_is_noticed_or_harmless(mapped, data):
    record = make_record(mapped=mapped)
    content = bytearray(encode(record))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = decode(bytes(content))
    except DamagedRecordError:
        return
    assert same(found, record)


def test_any_truncation_is_noticed():
    content = encode(make_record())
    for length in random.Random(0).sample(range(len(content)), 60):
        with pytest.raises(DamagedRecordError):
            decode(content[:length])


def test_what_is_appended_is_noticed():
    with pytest.raises(DamagedRecordError):
        decode(encode(make_record()) + b"x")


def test_a_record_in_another_row_s_place_is_damaged(paths):
    path = write_record(paths, make_record(3))
    path.rename(path.with_name("0000004.t0.safetensors"))
    with pytest.raises(DamagedRecordError, match="another row"):
        read_record(paths, Role.ESTIMATE, 4, 0)


def test_margins_stay_finite_in_half_precision():
    stored = as_margins(np.array([1e9, -1e9, 1.5]))
    assert np.isfinite(stored).all()
    assert stored[2] == 1.5


def test_a_row_is_complete_only_with_a_record_for_every_target(paths):
    write_record(paths, make_record(0, target=0))
    write_record(paths, make_record(1, target=0))
    write_record(paths, make_record(1, target=1))
    write_record(paths, make_record(1, target=5))
    assert completed(paths, Role.ESTIMATE, 2) == {1}
    assert completed(paths, Role.HELDOUT, 2) == set()


def test_other_files_among_the_records_are_not_records(paths):
    path = write_record(paths, make_record(0))
    for name in (f"{TEMPORARY_PREFIX}1-aa", "0000001.t0.safetensors.bak", "x.t0.safetensors", "0000002.txt"):
        path.with_name(name).write_bytes(b"")
    assert list(list_records(paths, Role.ESTIMATE)) == [(0, 0)]


def test_a_failed_write_leaves_the_old_file_and_no_other(paths, monkeypatch):
    path = paths.root / "file"
    write_atomically(path, b"old")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DiskFullError, match="no space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in paths.root.iterdir()] == ["file"]
