"""Checks of a results directory before it is written to: private when it is made, and without symbolic links in it.

The path to it may contain links of the user; the directory itself, which others may have written, may not.
"""

import os
import stat
from pathlib import Path

from tui_influence.errors import ResultsError
from tui_influence.store.files import make_directory, sync_directory, to_results_error
from tui_influence.store.paths import Paths
from tui_influence.text import printable

_NEVER_OPENED = {"records", "quarantine", "matrix"}
"""Directories in which no file is opened for writing: obstacles there are moved or removed."""


def make_results_directory(root: Path) -> None:
    """Make a results directory that nobody else may enter; an existing one keeps its permissions.

    A pruning has the permissions of its sweep.

    Raises:
        ResultsError: it cannot be made, or holds a link (see `refuse_links`).
    """
    refuse_links(root)
    make_directory(root.parent)
    is_new = not root.exists()
    try:
        root.mkdir(mode=0o700 if _enclosing(root) is None else 0o777, exist_ok=True)
        if is_new:
            sync_directory(root.parent)
    except OSError as error:
        raise to_results_error(error, "make", root) from error


def lock_mode(root: Path) -> int:
    """Return the permissions of a lock file: those who may write into the directory may open it."""
    return 0o660 if root.stat().st_mode & stat.S_IWGRP else 0o600


def refuse_links(root: Path) -> None:
    """Check that a results directory has no symbolic links, before anything is written into it.

    Through links, a directory made by somebody else could lead to any file being written or removed. For a pruning, the
    directory of its sweep is checked too. Pipes and devices, at which a writer would wait, are refused likewise.

    Raises:
        ResultsError: it has one.
    """
    refuse_links_in_path(root)
    pending = [root] if root.is_dir() else []
    try:
        while pending:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        raise _link(Path(entry.path))
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(Path(entry.path))
                    elif not entry.is_file(follow_symlinks=False) and _NEVER_OPENED.isdisjoint(
                        Path(entry.path).relative_to(root).parts
                    ):
                        raise ResultsError(
                            f"{printable(entry.path)}: neither a file nor a directory; a results directory may hold "
                            "nothing else"
                        )
    except OSError as error:
        raise to_results_error(error, "list", root) from error


def refuse_links_in_path(path: Path) -> None:
    """Check that a path inside a results directory has no link in its part below that directory.

    Raises:
        ResultsError: it has one.
    """
    root = _enclosing(path)
    if root is None:
        return
    step = root
    for part in path.absolute().relative_to(root).parts:
        step = step / part
        if step.is_symlink():
            raise _link(step)


def _enclosing(path: Path) -> Path | None:
    """Return the outermost results directory that contains a path; None if none does."""
    return next((folder for folder in reversed(path.absolute().parents) if _is_results_directory(folder)), None)


def _is_results_directory(folder: Path) -> bool:
    paths = Paths(folder)
    try:
        return paths.run.exists() and any(path.exists() for path in (paths.records_root, paths.prunings, paths.plan))
    except OSError:  # it cannot be read, so nothing in it will be written
        return False


def _link(path: Path) -> ResultsError:
    return ResultsError(f"{printable(str(path))}: a link; a results directory may hold none")
