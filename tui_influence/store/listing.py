"""Lists of the records and failures of a run, by file name alone; loads no numpy."""

import os
import re
from collections.abc import Iterator

from tui_influence.errors import ResultsError
from tui_influence.roles import Role
from tui_influence.store.files import read_json, to_results_error
from tui_influence.store.paths import RECORDS_PER_DIRECTORY, Paths

_NUMBER = r"([0-9]{7}|[1-9][0-9]{7,17})"


_BLOCK = re.compile(r"[0-9]{4}|[1-9][0-9]{4,14}")


_RECORD = re.compile(_NUMBER + r"\.t(0|[1-9][0-9]{0,8})\.safetensors")


_FAILURE = re.compile(_NUMBER + r"\.json")


def list_records(paths: Paths, role: Role) -> Iterator[tuple[int, int]]:
    """Yield (index, target) of every record file of a role in the right directory, by name alone.

    Raises:
        ResultsError: the directory cannot be listed.
    """
    root = paths.records(role)
    try:
        with os.scandir(root) as blocks:
            for block in blocks:
                number = int(block.name) if _BLOCK.fullmatch(block.name) else -1
                if number < 0 or not block.is_dir(follow_symlinks=False):
                    continue
                with os.scandir(block.path) as files:
                    for file in files:
                        match = _RECORD.fullmatch(file.name)
                        if match and (index := int(match[1])) // RECORDS_PER_DIRECTORY == number:
                            yield index, int(match[2])
    except FileNotFoundError:
        return
    except OSError as error:
        raise to_results_error(error, "list", root) from error


def list_completed(paths: Paths, role: Role, targets: int, planned: int | None = None) -> set[int]:
    """Return the rows of a role that have a record for every target; with `planned`, among the first `planned` rows."""
    n_records: dict[int, int] = {}
    for index, target in list_records(paths, role):
        if target < targets and (planned is None or index < planned):
            n_records[index] = n_records.get(index, 0) + 1
    return {index for index, count in n_records.items() if count == targets}


def list_failures(paths: Paths, role: Role) -> set[int]:
    """Return the rows of a role that failed for good."""
    try:
        with os.scandir(paths.failures(role)) as files:
            names = [file.name for file in files]
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise to_results_error(error, "list", paths.failures(role)) from error
    return {int(match[1]) for name in names if (match := _FAILURE.fullmatch(name))}


def failure_reason(paths: Paths, role: Role, index: int) -> str:
    """Return the reason of a failure, in one line."""
    return _failure(paths, role, index).get("reason", "unknown")


def failure_kind(paths: Paths, role: Role, index: int) -> str:
    """Return the kind of a failure; "unknown" if it cannot be read."""
    try:
        return _failure(paths, role, index).get("kind", "unknown")
    except ResultsError:
        return "unknown"


def _failure(paths: Paths, role: Role, index: int) -> dict[str, str]:
    content = read_json(paths.failure(role, index), limit=1 << 20)
    return {key: str(value) for key, value in content.items()} if isinstance(content, dict) else {}
