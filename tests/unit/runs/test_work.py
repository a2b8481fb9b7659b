"""What is left to do, and what becomes of a row that does not work."""

import pytest

from tests.unit.store.conftest import make_record
from tui_influence.designs import Design, schedule
from tui_influence.roles import Role
from tui_influence.runs.protocol import Kind
from tui_influence.runs.row_queue import Work, forget_failures
from tui_influence.store.listing import (
    failure_reason,
    list_failures,
)
from tui_influence.store.paths import Paths
from tui_influence.store.records import (
    write_record,
)

ROWS = schedule(Design("fixed", 0.5, 6, 0), 5, 1)


@pytest.fixture
def paths(tmp_path):
    return Paths(tmp_path)


def drain(work):
    taken = []
    while (row := work.take()) is not None:
        taken.append((row.role, row.index))
    return taken


def test_rows_with_records_are_not_handed_out(paths):
    write_record(paths, make_record(0))
    write_record(paths, make_record(3))
    work = Work(paths, ROWS, 1, attempts=3)
    assert (work.total, work.done, len(work)) == (6, 2, 4)
    assert (Role.ESTIMATE, 0) not in drain(work)


def test_a_record_that_appears_after_the_start_is_not_trained_again(paths):
    work = Work(paths, ROWS, 1, attempts=3)
    write_record(paths, make_record(ROWS[0].index))
    assert (ROWS[0].role, ROWS[0].index) not in drain(work)
    assert work.done == 1


def test_a_row_is_tried_as_often_as_asked_then_given_up_with_its_reason(paths):
    work = Work(paths, ROWS, 1, attempts=3)
    row = work.take()
    assert work.fail(row, Kind.ERROR, "first")
    tries = 1
    while (again := work.take()) is not None:
        if again is row:
            tries += 1
            if not work.fail(row, Kind.ERROR, f"try {tries}"):
                break
    assert tries == 3
    assert list_failures(paths, row.role) == {row.index}
    assert failure_reason(paths, row.role, row.index) == "try 3"


def test_a_diverged_row_is_given_up_at_once(paths):
    work = Work(paths, ROWS, 1, attempts=3)
    assert not work.fail(work.take(), Kind.DIVERGED, "the loss is not finite")
    assert work.failed == 1


def test_failures_stay_out_until_they_are_forgotten(paths):
    work = Work(paths, ROWS, 1, attempts=1)
    row = work.take()
    work.fail(row, Kind.ERROR, "no")
    assert len(Work(paths, ROWS, 1, attempts=1)) == 5
    forget_failures(paths)
    assert len(Work(paths, ROWS, 1, attempts=1)) == 6
