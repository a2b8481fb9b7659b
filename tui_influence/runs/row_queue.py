"""The rows of a plan that are still to be trained, and what happens to a row that fails."""

from collections import Counter, deque
from collections.abc import Collection, Iterable

from tui_influence.designs import Row
from tui_influence.errors import ResultsError
from tui_influence.roles import Role
from tui_influence.runs.protocol import FailureKind
from tui_influence.store.files import make_directory, write_json
from tui_influence.store.listing import failure_kind, list_completed, list_failures
from tui_influence.store.paths import Paths

_MAX_SINGLE_LOOKUPS = 1000
"""Up to this number of rows, their records are looked up one by one."""


class RowQueue:
    """The rows of a plan: finished, failed, and left to train."""

    def __init__(
        self,
        paths: Paths,
        rows: Iterable[Row],
        targets: int,
        attempts: int,
        diverged: Collection[tuple[Role, int]] = (),
    ) -> None:
        """Compare the plan with the records.

        Args:
            paths: of the run.
            rows: the plan, in order.
            targets: number of records of a finished row.
            attempts: maximum number of attempts per row.
            diverged: rows that diverged in an earlier session and may do so again; they are trained last.

        Raises:
            ResultsError: the directory cannot be read.
        """
        self._paths, self._targets, self._attempts = paths, targets, attempts
        self.total = self.done = self.failed = 0
        self._tries: Counter[tuple[Role, int]] = Counter()
        self._failed_before = set(diverged)
        self._given_up: dict[tuple[Role, int], Row] = {}
        self._left: deque[Row] = deque()
        self.add(rows)

    def __len__(self) -> int:
        return len(self._left)

    @property
    def has_fresh_rows(self) -> bool:
        """Whether rows are left that have never failed; they come before those that have."""
        return bool(self._left) and _key(self._left[0]) not in self._failed_before

    def add(self, rows: Iterable[Row]) -> None:
        """Append rows.

        Raises:
            ResultsError: the directory cannot be read.
        """
        plan = sorted(rows, key=lambda row: _key(row) in self._failed_before)
        if len(plan) <= _MAX_SINGLE_LOOKUPS:  # a task of a large plan: listing all records would take longer
            self._add_one_by_one(plan)
            return
        done = {role: list_completed(self._paths, role, self._targets) for role in Role}
        failed = {role: list_failures(self._paths, role) - done[role] for role in Role}
        self.total += len(plan)
        self.done += sum(row.index in done[row.role] for row in plan)
        self.failed += sum(row.index in failed[row.role] for row in plan)
        self._left.extend(row for row in plan if row.index not in done[row.role] | failed[row.role])

    def _add_one_by_one(self, plan: list[Row]) -> None:
        self.total += len(plan)
        for row in plan:
            if self._is_recorded(row):
                self.done += 1
            elif self._paths.failure(row.role, row.index).exists():
                self.failed += 1
            else:
                self._left.append(row)

    def next_row(self) -> Row | None:
        """Remove and return the next row that has no record; None when none is left.

        This checks the disk: a worker whose supervisor was killed may have finished the row meanwhile.
        """
        while self._left:
            row = self._left.popleft()
            if not self._is_recorded(row):
                self._tries[_key(row)] += 1
                return row
            self.done += 1
        return None

    def requeue(self, row: Row) -> None:
        """Return an unfinished row to the front, without counting the attempt."""
        self._tries[_key(row)] -= 1
        self._left.appendleft(row)

    def finish(self, row: Row) -> None:
        """Count a row whose records are on disk."""
        self.done += 1
        self._tries.pop(_key(row), None)
        self._failed_before.discard(_key(row))
        self._paths.failure(row.role, row.index).unlink(missing_ok=True)

    def fail(self, row: Row, kind: FailureKind, reason: str) -> bool:
        """Count a failed attempt: append the row again, or record that it has failed for good.

        Returns:
            whether the row is left to train or done.

        Raises:
            ResultsError: the failure cannot be recorded.
        """
        if self._is_recorded(row):  # its worker died between writing the last record and reporting it
            self.finish(row)
            return True
        self._failed_before.add(_key(row))
        if kind is not FailureKind.DIVERGED and self._tries[_key(row)] < self._attempts:
            self._left.append(row)
            return True
        path = self._paths.failure(row.role, row.index)
        make_directory(path.parent)
        write_json(path, {"role": row.role.value, "index": row.index, "kind": kind.value, "reason": reason})
        self._given_up[_key(row)] = row
        self.failed += 1
        return False

    def retry_failed(self, row: Row) -> None:
        """Discount one failure that was not the row's fault; append the row again if it had been given up.

        Raises:
            OSError: the failure's file cannot be removed.
        """
        key = _key(row)
        self._tries[key] = max(0, self._tries[key] - 1)
        if key in self._given_up:
            self._paths.failure(row.role, row.index).unlink(missing_ok=True)
            del self._given_up[key]
            self.failed -= 1
            self._left.append(row)

    def retry_all_failed(self) -> None:
        """Discount one failure of every row that was given up in this session."""
        for row in list(self._given_up.values()):
            self.retry_failed(row)

    def _is_recorded(self, row: Row) -> bool:
        return all(self._paths.record(row.role, row.index, target).exists() for target in range(self._targets))


def _key(row: Row) -> tuple[Role, int]:
    return row.role, row.index


def forget_failures(paths: Paths) -> set[tuple[Role, int]]:
    """Remove the records of failed rows, so that these are trained again; return the rows that had diverged.

    Raises:
        ResultsError: a failure's file cannot be removed.
    """
    diverged = set()
    for role in Role:
        for index in list_failures(paths, role):
            if failure_kind(paths, role, index) == FailureKind.DIVERGED:
                diverged.add((role, index))
            try:
                paths.failure(role, index).unlink(missing_ok=True)
            except OSError as error:
                raise ResultsError(f"cannot remove recorded failures: {error.strerror}") from error
    return diverged
