"""Before a run goes on, records that are damaged or cannot be read are set aside, so that they are made again."""

import errno
from dataclasses import replace

import pytest

from tests.unit.store.conftest import make_info, make_record
from tests.unit.store.unreadable import UNREADABLE, refusing
from tui_influence.designs import Row
from tui_influence.errors import ExitCode, ResultsError
from tui_influence.roles import Role
from tui_influence.runs.record_check import check_identity, quarantine_damaged
from tui_influence.runs.row_queue import RowQueue
from tui_influence.store import matrix
from tui_influence.store.matrix import compact, list_generations
from tui_influence.store.paths import Paths
from tui_influence.store.records import write_record

MODELS = 4
RECORDS = [make_record(index) for index in range(MODELS)]
ROWS = [Row(Role.ESTIMATE, record.index, record.mask, record.seed, record.cluster) for record in RECORDS]


@pytest.fixture
def paths(tmp_path) -> Paths:
    """A run whose rows are all recorded."""
    paths = Paths(tmp_path)
    for record in RECORDS:
        write_record(paths, record)
    return paths


def rows_left(paths) -> list[int]:
    work = RowQueue(paths, ROWS, targets=1, attempts=1)
    return [row.index for row in iter(work.next_row, None)]


def test_sound_records_stay_where_they_are(paths):
    assert quarantine_damaged(paths, make_info(), ROWS) == []
    assert not paths.quarantine.exists()
    assert rows_left(paths) == []


@pytest.mark.parametrize("spoil", UNREADABLE.values(), ids=UNREADABLE)
def test_a_record_that_cannot_be_read_is_set_aside_and_trained_again(paths, monkeypatch, spoil):
    record = paths.record(Role.ESTIMATE, 2, 0)
    spoil(record, monkeypatch)
    (line,) = quarantine_damaged(paths, make_info(), ROWS)
    assert record.name in line
    assert [path.name.endswith(record.name) for path in paths.quarantine.iterdir()] == [True]
    assert rows_left(paths) == [2]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN])
def test_a_machine_in_trouble_costs_no_record(paths, monkeypatch, number):
    """A network file system that is away for a minute must not have a week of models trained again."""
    refusing(number)(paths.record(Role.ESTIMATE, 2, 0), monkeypatch)
    with pytest.raises(ResultsError, match=r"cannot read .*0000002"):
        quarantine_damaged(paths, make_info(), ROWS)
    assert not paths.quarantine.exists()
    monkeypatch.undo()
    assert rows_left(paths) == []


def test_a_record_that_cannot_even_be_set_aside_is_named_with_both_reasons(paths, monkeypatch):
    record = paths.record(Role.ESTIMATE, 2, 0)
    record.unlink()
    record.mkdir()

    def refuse(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(type(record), "rename", refuse)
    with pytest.raises(ResultsError, match=r"is a directory.*cannot move it to quarantine.*not permitted") as caught:
        quarantine_damaged(paths, make_info(), ROWS)
    assert caught.value.exit_code is ExitCode.RESULTS


def test_matrices_are_hashed_once_however_many_records_are_damaged(paths, monkeypatch):
    monkeypatch.setattr(matrix, "MIN_RECORDS_TO_COMPACT", 1)
    assert compact(paths, make_info(), Role.ESTIMATE, 0)
    (directory,) = list_generations(paths, Role.ESTIMATE, 0)
    for index in (1, 2, 3):
        write_record(paths, replace(RECORDS[index], seed=1))
    open_any, opened = matrix.open_generation, []
    monkeypatch.setattr(matrix, "open_generation", lambda *a, **more: opened.append(a[0]) or open_any(*a, **more))
    assert len(quarantine_damaged(paths, make_info(), ROWS)) == 3
    assert opened == [directory]
    assert not directory.exists()


def test_a_matrix_without_a_row_that_is_set_aside_stays(paths, monkeypatch):
    monkeypatch.setattr(matrix, "MIN_RECORDS_TO_COMPACT", 1)
    assert compact(paths, make_info(), Role.ESTIMATE, 0)
    (directory,) = list_generations(paths, Role.ESTIMATE, 0)
    late = make_record(MODELS)
    write_record(paths, replace(late, seed=1))
    row = Row(Role.ESTIMATE, late.index, late.mask, late.seed, late.cluster)
    assert len(quarantine_damaged(paths, make_info(), [*ROWS, row])) == 1
    assert directory.exists()


def test_records_of_another_run_are_accepted_beside_those_of_this_one_and_not_alone(paths):
    check_identity(paths, "cafe")
    for record in RECORDS[1:]:
        write_record(paths, replace(record, identity="other"))
    check_identity(paths, "cafe")
    write_record(paths, replace(RECORDS[0], identity="other"))
    with pytest.raises(ResultsError, match=r"4 records, none of them of this config.*run\.json.*copy it again"):
        check_identity(paths, "cafe")
    for record in RECORDS:  # which says nothing of whose they were
        paths.record(record.role, record.index, record.target).write_bytes(b"")
    check_identity(paths, "cafe")


def test_a_record_of_another_mask_seed_or_config_is_set_aside(paths):
    write_record(paths, replace(RECORDS[0], mask=~RECORDS[0].mask))
    write_record(paths, replace(RECORDS[1], seed=1))
    write_record(paths, replace(RECORDS[2], identity="other"))
    assert len(quarantine_damaged(paths, make_info(), ROWS)) == 3
    assert rows_left(paths) == [0, 1, 2]
