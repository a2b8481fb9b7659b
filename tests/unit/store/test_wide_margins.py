"""Margins stored as float32: exact where float16 is not, and only in a run whose `run.json` says so."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.unit.store.conftest import N, make_info, make_record
from tests.unit.store.npy_contents import content_of
from tui_influence.errors import ResultsError
from tui_influence.roles import Role
from tui_influence.store import matrix
from tui_influence.store.json_values import with_digest
from tui_influence.store.matrix import compact, list_generations, load_outputs
from tui_influence.store.records import WIDE_MARGIN_LIMIT, DamagedRecordError, decode, encode, write_record
from tui_influence.store.run_info import read_run_info, write_run_info

MARGINS = (1000 + np.arange(N) / 1024).astype(np.float32)


@pytest.fixture
def wide(paths, monkeypatch, tmp_path_factory):
    """A run of four records in float32."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    monkeypatch.setattr(matrix, "MIN_RECORDS_TO_COMPACT", 1)
    info = make_info(margin_type="float32")
    write_run_info(paths, info)
    for index in range(4):
        write_record(paths, make_record(index, margins=MARGINS + np.float32(index)))
    return paths, info


@pytest.mark.parametrize("compacted", [False, True])
def test_they_are_read_as_they_were_written(wide, compacted):
    paths, info = wide
    if compacted:
        assert compact(paths, info, Role.ESTIMATE, 0)
        write_record(paths, make_record(4, margins=MARGINS + np.float32(4)))
    outputs = load_outputs(paths, info, Role.ESTIMATE, 0)
    assert outputs.margins.dtype == np.float32
    assert np.array_equal(outputs.margins, MARGINS + np.arange(4 + compacted, dtype=np.float32)[:, None])
    assert outputs.damaged == outputs.damaged_matrices == ()


@pytest.mark.parametrize(("stored", "declared"), [("float32", "float16"), ("float16", "float32")])
def test_a_record_of_another_type_than_that_of_the_run_is_left_out(run, stored, declared):
    paths, info = run
    info = replace(info, margin_type=declared)
    for index in range(4):
        write_record(paths, make_record(index, margins=MARGINS.astype(stored if index == 1 else declared)))
    outputs = load_outputs(paths, info, Role.ESTIMATE, 0)
    assert outputs.indices.tolist() == [0, 2, 3]
    assert outputs.damaged == (f"record estimate 1: its margins are {stored}, not {declared}",)


def test_a_generation_of_another_type_is_not_used(wide):
    paths, info = wide
    compact(paths, info, Role.ESTIMATE, 0)
    (directory,) = list_generations(paths, Role.ESTIMATE, 0)
    (directory / "margins.npy").write_bytes(content_of(np.zeros((4, N), np.float16)))
    outputs = load_outputs(paths, info, Role.ESTIMATE, 0)
    assert "margins: (4, 12) float16, not (4, 12) float32" in outputs.damaged_matrices[0]
    assert np.array_equal(outputs.margins[0], MARGINS)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2 * WIDE_MARGIN_LIMIT, -2 * WIDE_MARGIN_LIMIT])
def test_values_that_no_sum_can_hold_are_damage(wide, value):
    paths, info = wide
    margins = MARGINS.copy()
    margins[3] = value
    content = encode(make_record(1, margins=margins))
    with pytest.raises(DamagedRecordError):
        decode(content)
    compact(paths, info, Role.ESTIMATE, 0)
    (directory,) = list_generations(paths, Role.ESTIMATE, 0)
    outputs = np.load(directory / "margins.npy")
    outputs[1] = margins
    np.save(directory / "margins.npy", outputs)
    assert "a margin is not finite, or too large" in load_outputs(paths, info, Role.ESTIMATE, 0).damaged_matrices[0]


def test_a_run_without_the_key_has_half_floats_and_an_unknown_type_is_damage(paths):
    write_run_info(paths, make_info())
    values = json.loads(paths.run.read_text())
    del values["digest"], values["margin_type"]
    paths.run.write_text(json.dumps(with_digest(values)))
    assert read_run_info(paths.root).margin_type == "float16"
    paths.run.write_text(json.dumps(with_digest(values | {"margin_type": "object"})))
    with pytest.raises(ResultsError, match="margins of an unknown type: object"):
        read_run_info(paths.root)
