"""The runs of a folder, and the active retrainings of a sweep. Reads a few small files of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tui_influence.errors import ResultsError
from tui_influence.pruning.options import counterfactual_example
from tui_influence.runs.heartbeat import ACTIVE, State, observe
from tui_influence.runs.overview import overview
from tui_influence.runs.ownership import Owner
from tui_influence.store.files import to_results_error
from tui_influence.store.paths import Paths
from tui_influence.text import printable
from tui_influence.tui.background import attempt

MAX_RUNS = 500
"""Directories that are read at most."""


@dataclass(frozen=True)
class RunSummary:
    """A run in a folder.

    Attributes:
        root: its directory.
        state: of the run; None where it cannot be read.
        done: models recorded.
        total: models planned.
        error: why it cannot be opened; empty if it can.
        silent: its supervisor has not written for too long.
    """

    root: Path
    state: State | None = None
    done: int = 0
    total: int = 0
    error: str = ""
    silent: bool = False


@dataclass(frozen=True)
class ActiveRun:
    """A run that goes on when the app is left.

    Attributes:
        name: such as "the pruning main".
        owner: its supervisor, if known.
    """

    name: str
    owner: Owner | None = None


def is_run(root: Path) -> bool:
    """Return whether a directory is a run, or was one, or is becoming one."""
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
        directories = [entry for entry in folder.iterdir() if entry.is_dir() and is_run(entry)]
    except OSError as error:
        raise to_results_error(error, "list", folder) from error
    if not directories:
        raise ResultsError(f"{where}: neither a results directory (no run.json in it) nor a folder of such")
    directories.sort(key=_last_active, reverse=True)
    return [_summary(root) for root in directories[:MAX_RUNS]]


def active_retrainings(sweep: Path) -> list[ActiveRun]:
    """Return the prunings and counterfactuals of a sweep that are being trained, whoever has started them."""
    roots, _ = attempt(lambda: sorted(entry for entry in Paths(sweep).prunings.iterdir() if entry.is_dir()))
    observed = [(root, attempt(partial(observe, Paths(root)))[0]) for root in (roots or ())[:MAX_RUNS]]
    return [
        ActiveRun(_name(root), state_and_owner[2])
        for root, state_and_owner in observed
        if state_and_owner is not None and state_and_owner[0] in ACTIVE
    ]


def enumerate_runs(runs: Sequence[ActiveRun]) -> str:
    """Return runs in words, each with the process of its supervisor."""
    names = [f"{run.name} (pid {run.owner.pid})" if run.owner is not None else run.name for run in runs]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _name(root: Path) -> str:
    kind = "pruning" if counterfactual_example(root.name) is None else "counterfactual"
    return f"the {kind} {printable(root.name, 60)}"


def _summary(root: Path) -> RunSummary:
    latest, error = attempt(partial(overview, Paths(root), max_failures=0))
    if latest is None:
        return RunSummary(root, error=error)
    return RunSummary(root, latest.state, latest.finished, latest.total, silent=latest.is_silent)


def _last_active(root: Path) -> tuple[float, str]:
    paths = Paths(root)
    for path in (paths.heartbeat, paths.run):
        try:
            return path.stat().st_mtime, root.name
        except OSError:
            continue
    return 0.0, root.name
