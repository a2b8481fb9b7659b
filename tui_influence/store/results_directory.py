"""A results directory before it is written to: private where it is made, and without links that lead out of it.

A user's own path to it may lead over links; what somebody else may have put into it may not.
"""

import os
import stat
from pathlib import Path

from tui_influence.errors import ResultsError
from tui_influence.store.files import make_directory, sync_directory, to_results_error
from tui_influence.store.paths import Paths
from tui_influence.text import printable

_NEVER_OPENED = {"records", "quarantine", "matrix"}
"""Directories in which nothing is opened to be written: what is in the way there is moved or removed."""


def make_results_directory(root: Path) -> None:
    """Make a results directory that nobody else may enter; one that is there keeps its permissions.

    A pruning is as open as the sweep that it lies in.

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
    """Return the permissions of a lock in a directory: only who may write there may hold it, or read would do."""
    return 0o660 if root.stat().st_mode & stat.S_IWGRP else 0o600


def refuse_links(root: Path) -> None:
    """Check that a results directory holds no symbolic links, before anything is written into it.

    A directory made by someone else could otherwise have us write, or remove, whatever its links point to. That of a
    pruning is checked from its sweep's on. Pipes and devices, which a writer would wait for, are refused likewise.

    Raises:
        ResultsError: it holds one.
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
    """Check that the way to a path leads over no link inside the results directory that holds it, if one does.

    Raises:
        ResultsError: it does.
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
    """Return the outermost results directory that holds a path; None for a path of its own."""
    return next((folder for folder in reversed(path.absolute().parents) if _is_results_directory(folder)), None)


def _is_results_directory(folder: Path) -> bool:
    paths = Paths(folder)
    try:
        return paths.run.exists() and any(path.exists() for path in (paths.records_root, paths.prunings, paths.plan))
    except OSError:  # it may not even be looked at, and nothing in it will be written
        return False


def _link(path: Path) -> ResultsError:
    return ResultsError(f"{printable(str(path))}: a link; a results directory may hold none")
