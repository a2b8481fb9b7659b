"""A record is whole and in its place, or it does not exist."""

import hashlib
import json
import random
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from tests.unit.store.conftest import make_record
from tui_influence.roles import Role
from tui_influence.store.files import TEMPORARY_PREFIX, DiskFullError, write_atomically
from tui_influence.store.listing import list_completed, list_records
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


def test_what_a_prior_network_says_is_kept(paths):
    measures = np.arange(12, dtype=np.float32).reshape(4, 3)
    measures[0, 1] = np.nan  # a class without examples
    features = np.linspace(-1, 1, 30, dtype=np.float32).reshape(6, 5)
    record = make_record(role=Role.PRIOR, mapping=measures, ablation=-measures, class_features=features)
    write_record(paths, record)
    again = read_record(paths, Role.PRIOR, 3, 0)
    np.testing.assert_array_equal(again.class_features, features)
    assert same(again, record)
    assert again.mapping is not None
    np.testing.assert_array_equal(again.mapping, measures)
    for changes in ({"mapping": measures + 1}, {"class_features": features + 1}):
        changed = replace(record, **changes)
        assert json.loads(header_of(encode(changed)))["digest"] != json.loads(header_of(encode(record)))["digest"]


@pytest.mark.parametrize("values", [np.full((4, 3), np.inf, np.float32), np.ones((4, 3)), np.ones(4, np.float32)])
def test_measures_of_another_kind_are_damage(values):
    record = make_record(role=Role.PRIOR, mapping=values, ablation=values)
    with pytest.raises(DamagedRecordError):
        decode(encode(record))


def header_of(content: bytes) -> str:
    """The metadata entry of a record's file."""
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size])["__metadata__"]["tinfl"]


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


def rewritten(change, **tensors) -> bytes:
    """The file of a record whose header and tensors somebody changed, with the digest to match."""
    record = make_record()
    content = encode(record)
    header = json.loads(json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]["tinfl"])
    change(header)
    arrays = load(content) | tensors
    digest = hashlib.blake2b(
        json.dumps({key: value for key, value in header.items() if key != "digest"}, sort_keys=True).encode(),
        digest_size=16,
    )
    for name in ("mask", "margins", "predicted"):
        digest.update(f"{arrays[name].dtype.str}{arrays[name].shape}".encode() + arrays[name].tobytes())
    return save(arrays, metadata={"tinfl": json.dumps(header | {"digest": digest.hexdigest()})})


def test_a_file_that_was_rewritten_with_its_digest_is_a_record():
    assert decode(rewritten(lambda header: header.update(seed=3))).seed == 3


@pytest.mark.parametrize(
    "change",
    [
        {"metrics": {"source_loss": float("nan")}},
        {"metrics": {"source_loss": float("inf")}},
        {"metrics": {"source_loss": 10**400}},
        {"metrics": {"source_loss": "nan"}},
        {"metrics": []},
        {"cluster": 2**63},
        {"seed": -1},
        {"seed": 1.0},
        {"identity": 3},
        {"numerics": [[]]},
        {"role": "king"},
    ],
    ids=str,
)
def test_a_record_with_values_of_another_kind_is_damaged_whatever_its_digest(change):
    with pytest.raises(DamagedRecordError):
        decode(rewritten(lambda header: header.update(change)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_record_whose_margins_are_not_finite_is_damaged_whatever_its_digest(value):
    margins = make_record().margins.copy()
    margins[2] = value
    with pytest.raises(DamagedRecordError):
        decode(rewritten(lambda header: None, margins=margins))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.float16, np.float32, np.int64, np.bool_])
@pytest.mark.parametrize("name", ["mask", "margins", "predicted"])
def test_a_record_with_an_array_of_another_type_or_shape_is_damaged_whatever_its_digest(name, dtype):
    array = getattr(make_record(), name)
    types = {array.dtype} | ({np.dtype(np.float32)} if name == "margins" else set())
    others = [array[None], *([] if np.dtype(dtype) in types else [np.ones(array.shape, dtype)])]
    for other in others:
        with pytest.raises(DamagedRecordError):
            decode(rewritten(lambda header: None, **{name: other}))


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [("F16", [10**12]), ("F16", [2**62, 8]), ("BF16", [12]), ("F8_E4M3", [24]), ("F16", [0, 10**12])],
)
def test_a_header_that_claims_other_arrays_is_a_damaged_record(dtype, shape):
    claim = {"dtype": dtype, "shape": shape, "data_offsets": [0, 24]}
    header = json.dumps({"margins": claim, "mask": claim, "predicted": claim, "__metadata__": {"tinfl": "{}"}}).encode()
    with pytest.raises(DamagedRecordError):
        decode(len(header).to_bytes(8, "little") + header + bytes(24))


def test_a_measurement_that_is_no_number_is_left_out_of_the_record():
    """It would be a damaged record, and be trained again for ever."""
    record = decode(encode(make_record(metrics={"source_loss": float("nan"), "source_accuracy": 0.5})))
    assert record.metrics == {"source_accuracy": 0.5}


def test_margins_stay_finite_in_half_precision():
    stored = as_margins(np.array([1e9, -1e9, 1.5]))
    assert np.isfinite(stored).all()
    assert stored[2] == 1.5


def test_a_row_is_complete_only_with_a_record_for_every_target(paths):
    write_record(paths, make_record(0, target=0))
    write_record(paths, make_record(1, target=0))
    write_record(paths, make_record(1, target=1))
    write_record(paths, make_record(1, target=5))
    assert list_completed(paths, Role.ESTIMATE, 2) == {1}
    assert list_completed(paths, Role.HELDOUT, 2) == set()


def test_other_files_among_the_records_are_not_records(paths):
    path = write_record(paths, make_record(0))
    for name in (f"{TEMPORARY_PREFIX}1-aa", "0000001.t0.safetensors.bak", "x.t0.safetensors", "0000002.txt"):
        path.with_name(name).write_bytes(b"")
    assert list(list_records(paths, Role.ESTIMATE)) == [(0, 0)]


def test_a_record_counts_in_its_place_alone(paths):
    """A second file of the same row must not stand for the row's second target."""
    path = write_record(paths, make_record(0))
    for copy in (
        path.parents[1] / "0007" / path.name,
        path.with_name("0" + path.name),
        path.with_name("٠000000.t0.safetensors"),
    ):
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(path, copy)
    assert list(list_records(paths, Role.ESTIMATE)) == [(0, 0)]
    assert list_completed(paths, Role.ESTIMATE, 2) == set()


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
