"""What is left to do, and what becomes of a row that does not work."""

import pytest

from tests.unit.store.conftest import make_record
from tui_influence.designs import Design, schedule
from tui_influence.roles import Role
from tui_influence.runs.protocol import FailureKind
from tui_influence.runs.row_queue import RowQueue, forget_failures
from tui_influence.store.listing import failure_reason, list_failures
from tui_influence.store.paths import Paths
from tui_influence.store.records import write_record

ROWS = schedule(Design("fixed", 0.5, 6, 0), 5, 1)


@pytest.fixture
def paths(tmp_path):
    return Paths(tmp_path)


def drain(queue):
    taken = []
    while (row := queue.next_row()) is not None:
        taken.append((row.role, row.index))
    return taken


def test_rows_with_records_are_not_handed_out(paths):
    write_record(paths, make_record(0))
    write_record(paths, make_record(3))
    queue = RowQueue(paths, ROWS, 1, attempts=3)
    assert (queue.total, queue.done, len(queue)) == (6, 2, 4)
    assert (Role.ESTIMATE, 0) not in drain(queue)


def test_a_record_that_appears_after_the_start_is_not_trained_again(paths):
    queue = RowQueue(paths, ROWS, 1, attempts=3)
    write_record(paths, make_record(ROWS[0].index))
    assert (ROWS[0].role, ROWS[0].index) not in drain(queue)
    assert queue.done == 1


def test_a_row_is_tried_as_often_as_asked_then_given_up_with_its_reason(paths):
    queue = RowQueue(paths, ROWS, 1, attempts=3)
    row = queue.next_row()
    assert queue.fail(row, FailureKind.ERROR, "first")
    tries = 1
    while (again := queue.next_row()) is not None:
        if again is row:
            tries += 1
            if not queue.fail(row, FailureKind.ERROR, f"try {tries}"):
                break
    assert tries == 3
    assert list_failures(paths, row.role) == {row.index}
    assert failure_reason(paths, row.role, row.index) == "try 3"


def test_a_diverged_row_is_given_up_at_once(paths):
    queue = RowQueue(paths, ROWS, 1, attempts=3)
    assert not queue.fail(queue.next_row(), FailureKind.DIVERGED, "the loss is not finite")
    assert queue.failed == 1


def test_failures_stay_out_until_they_are_forgotten(paths):
    queue = RowQueue(paths, ROWS, 1, attempts=1)
    row = queue.next_row()
    queue.fail(row, FailureKind.ERROR, "no")
    assert len(RowQueue(paths, ROWS, 1, attempts=1)) == 5
    forget_failures(paths)
    assert len(RowQueue(paths, ROWS, 1, attempts=1)) == 6
