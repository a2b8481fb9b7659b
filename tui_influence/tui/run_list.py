"""Which runs a folder holds. Reads a few small files of each; draws nothing."""

from dataclasses import dataclass
from pathlib import Path

from tui_influence.errors import ResultsError, TinflError
from tui_influence.runs.heartbeat import State
from tui_influence.runs.overview import overview
from tui_influence.store.files import to_results_error
from tui_influence.store.paths import Paths
from tui_influence.text import printable

MOST = 500
"""Directories that are looked at."""


@dataclass(frozen=True)
class RunSummary:
    """A run in a folder.

    Attributes:
        root: its directory.
        state: what it is doing; None where it cannot be told.
        done: models recorded.
        total: models planned.
        problem: why it cannot be opened.
        silent: its supervisor should speak and does not.
    """

    root: Path
    state: State | None = None
    done: int = 0
    total: int = 0
    problem: str = ""
    silent: bool = False


def is_run(root: Path) -> bool:
    """Whether a directory is a run, or was one, or is becoming one."""
    paths = Paths(root)
    return paths.run.exists() or paths.heartbeat.exists() or paths.records_root.exists()


def list_runs(folder: Path) -> list[RunSummary]:
    """Return the runs of a folder, the one that was active last first.

    Raises:
        ResultsError: it cannot be listed, or there is no run in it.
    """
    where = printable(str(folder))
    try:
        if not folder.exists():
            raise ResultsError(f"{where}: no such results directory")
        if not folder.is_dir():
            raise ResultsError(f"{where}: not a results directory, but a file")
        found = [entry for entry in folder.iterdir() if entry.is_dir() and is_run(entry)]
    except OSError as error:
        raise to_results_error(error, "list", folder) from error
    if not found:
        raise ResultsError(f"{where}: neither a results directory (no run.json in it) nor a folder of such")
    found.sort(key=_last_active, reverse=True)
    return [_summary(root) for root in found[:MOST]]


def _summary(root: Path) -> RunSummary:
    try:
        seen = overview(Paths(root), max_failures=0)
    except TinflError as error:
        return RunSummary(root, problem=str(error))
    except OSError as error:
        return RunSummary(root, problem=str(to_results_error(error)))
    return RunSummary(root, seen.state, seen.finished, seen.total, silent=seen.is_silent)


def _last_active(root: Path) -> tuple[float, str]:
    paths = Paths(root)
    for path in (paths.heartbeat, paths.run):
        try:
            return path.stat().st_mtime, root.name
        except OSError:
            continue
    return 0.0, root.name
