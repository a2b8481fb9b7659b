"""The runs of a folder. Reads a few small files of each, and loads no numpy: `tinfl list` answers at once."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tui_influence.errors import ResultsError, TinflError
from tui_influence.roles import Role
from tui_influence.runs.heartbeat import State
from tui_influence.runs.overview import Overview, overview
from tui_influence.store.files import reason_in_line, to_results_error
from tui_influence.store.note import Note, read_note
from tui_influence.store.paths import Paths
from tui_influence.text import printable

MAX_RUNS = 500
"""Directories that are read at most."""
_CONVENTIONAL = "results"
"""Folder below the current one where configs put their results by default."""


@dataclass(frozen=True)
class RunSummary:
    """A run in a folder.

    Attributes:
        root: its directory.
        state: of the run; None where it cannot be read.
        done: models recorded, over all roles.
        total: models planned, over all roles.
        error: why it cannot be opened; empty if it can.
        silent: its supervisor has not written for too long.
        name: of the run; empty while it is prepared for the first time.
        targets: names of the targets.
        groups: number of groups of the source.
        models: recorded models that the ranking is estimated from.
        reliability: of the least reliable ranking of a whole target; None where it is unknown.
        accuracy: mean accuracy of the models on each target, 0 to 1; None where it is unknown.
        active_at: when the run last changed, in seconds since 1970; 0 where it is unknown.
        note: what the user has noted.
    """

    root: Path
    state: State | None = None
    done: int = 0
    total: int = 0
    error: str = ""
    silent: bool = False
    name: str = ""
    targets: tuple[str, ...] = ()
    groups: int = 0
    models: int = 0
    reliability: float | None = None
    accuracy: tuple[float | None, ...] = ()
    active_at: float = 0.0
    note: Note = field(default_factory=Note)

    def to_json(self) -> dict[str, Any]:
        """Return the summary as JSON values."""
        return {
            "results": str(self.root),
            "run": self.name or None,
            "state": self.state.value if self.state is not None else None,
            "error": self.error,
            "silent": self.silent,
            "targets": list(self.targets),
            "groups": self.groups,
            "models": self.models,
            "done": self.done,
            "total": self.total,
            "reliability": self.reliability,
            "accuracy": list(self.accuracy),
            "active_at": self.active_at or None,
            "note": self.note.text,
            "tags": list(self.note.tags),
        }


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
        roots = list(_runs_in(folder))
    except OSError as error:
        raise to_results_error(error, "list", folder) from error
    if not roots:
        raise ResultsError(f"{where}: neither a results directory (no run.json in it) nor a folder of such")
    roots.sort(key=_last_active, reverse=True)
    return [summarize(root) for root in roots[:MAX_RUNS]]


def newest_run(folder: Path) -> Path | None:
    """Return the run that was active last: a folder itself, or one in it or in its `results`; None without any."""
    try:
        if is_run(folder):
            return folder
        roots = [*_runs_in(folder), *_runs_in(folder / _CONVENTIONAL)]
    except OSError:  # then it must be named, and the error of its folder is shown
        return None
    return max(roots, key=_last_active, default=None)


def summarize(root: Path) -> RunSummary:
    """Return what a list shows of a run."""
    active_at = _last_active(root)[0]
    try:
        return _summary(root, overview(Paths(root), max_failures=0), active_at, read_note(Paths(root)))
    except (TinflError, OSError) as error:
        return RunSummary(root, error=reason_in_line(error), active_at=active_at)


def _summary(root: Path, run: Overview, active_at: float, note: Note) -> RunSummary:
    info, heartbeat, latest = run.info, run.heartbeat, run.growth.latest
    return RunSummary(
        root,
        run.state,
        run.finished,
        run.total,
        silent=run.is_silent,
        name=info.name if info else "",
        targets=tuple(target.name for target in info.targets) if info else (),
        groups=len(info.source.groups) if info else 0,
        models=run.done.get(Role.ESTIMATE, 0),
        reliability=latest.reliability if latest else None,
        accuracy=tuple(heartbeat.target_accuracy) if heartbeat else (),
        active_at=active_at,
        note=note,
    )


def _runs_in(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (entry for entry in folder.iterdir() if entry.is_dir() and is_run(entry))


def _last_active(root: Path) -> tuple[float, str]:
    paths = Paths(root)
    for path in (paths.heartbeat, paths.run):
        try:
            return path.stat().st_mtime, root.name
        except OSError:
            continue
    return 0.0, root.name
