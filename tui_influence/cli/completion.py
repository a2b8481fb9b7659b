"""Shell completion of results directories, and of the names of targets and classes of a run.

It reads `run.json` and names of files, a bounded number of each, and nothing heavy is imported. A name from outside is
only offered if no shell would interpret a part of it. Whatever cannot be read is not offered: completion never fails.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import typer

from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo, TargetInfo, read_run_info

_MAX_ENTRIES = 1_000
"""Entries of a folder that are read."""
_MAX_FOLDERS = 50
"""Folders that are searched for runs, below the folder that is being named."""
_MAX_NAMES = 200
"""Names that are offered."""
_MAX_RUN_INFO = 8 << 20
"""Bytes of a `run.json` that is read; that of a sweep over 100,000 images is smaller."""
_SPECIAL = frozenset("\"'`$\\*?[]{}()<>|&;!~#^%")
"""Characters that some shell would interpret."""


def complete_results(incomplete: str) -> list[str]:
    """Return results directories in the folder that is being named or one level below; without any, its folders."""
    with suppress(Exception):
        folder, typed = os.path.split(incomplete)
        folders = [name for name in _folders(folder) if name.startswith(typed) and _is_safe(name)]
        paths = [os.path.join(folder, name) for name in folders]  # noqa: PTH118 - what is typed stays as it is
        runs = [path for path in paths if _is_run(path)]
        for path in islice((path for path in paths if path not in runs), _MAX_FOLDERS):
            below = (os.path.join(path, name) for name in _folders(path) if _is_safe(name))  # noqa: PTH118
            runs += [run for run in below if _is_run(run)]
        return _offered(runs or (f"{path}/" for path in paths))
    return []


def complete_target(ctx: typer.Context) -> list[str]:
    """Return the names of the targets of the run."""
    info = _run_info(ctx)
    return _offered(target.name for target in info.targets) if info else []


def complete_target_class(ctx: typer.Context) -> list[str]:
    """Return the classes of the target that `--target` names, or of the first one."""
    return _offered(_target(ctx, "target").classes)


def complete_compared_class(ctx: typer.Context) -> list[str]:
    """Return the classes of the target that `--compare-target` or `--target` names, or of the first one."""
    return _offered(_target(ctx, "compare_target", "target").classes)


def complete_source_group(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the groups of the source; these are its classes by default."""
    info = _run_info(ctx)
    return _offered((name for name in info.source.groups if name.startswith(incomplete)) if info else ())


def complete_source_class(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the classes of the source."""
    info = _run_info(ctx)
    return _offered((name for name in info.source.classes if name.startswith(incomplete)) if info else ())


def complete_pruning(ctx: typer.Context) -> list[str]:
    """Return the names of the prunings of the sweep."""
    with suppress(Exception):
        return _offered(_folders(str(_paths(ctx).prunings)))
    return []


def _folders(folder: str) -> list[str]:
    """Return the names of the folders in a folder, those of hidden ones last."""
    with os.scandir(folder or ".") as entries:
        names = [entry.name for entry in islice(entries, _MAX_ENTRIES) if entry.is_dir()]
    return sorted(names, key=lambda name: (name.startswith("."), name))


def _is_run(path: str) -> bool:
    return Paths(Path(path)).run.is_file()


def _run_info(ctx: typer.Context) -> RunInfo | None:
    """Return the description of the run that the command line names; None if it cannot be read."""
    with suppress(Exception):
        paths = _paths(ctx)
        if paths.run.is_file() and paths.run.stat().st_size <= _MAX_RUN_INFO:
            return read_run_info(paths.root)
    return None


def _paths(ctx: typer.Context) -> Paths:
    """Return the paths of the run that the command line names.

    Raises:
        IndexError: it names none.
    """
    # Behind an option whose value is still missing, arguments are not assigned to parameters; this is the last of them.
    return Paths(Path(ctx.params["results"] or ctx.args[-1]))


def _target(ctx: typer.Context, *options: str) -> TargetInfo:
    """Return the target that the first given option names, else the first target; one without classes if none is."""
    info = _run_info(ctx)
    name = next((ctx.params[option] for option in options if ctx.params.get(option)), None)
    for target in info.targets if info else []:
        if name in (None, target.name):
            return target
    return TargetInfo("", "", [], 0, 0, [], 0, {})


def _offered(names: Iterable[str]) -> list[str]:
    """Return the first names that are safe in every shell, as the shell that asks needs them."""
    is_bash = "complete_bash" in os.environ.values()  # which takes a blank for the end of a word
    safe: Iterator[str] = (name for name in names if _is_safe(name))
    return [name.replace(" ", "\\ ") if is_bash else name for name in islice(safe, _MAX_NAMES)]


def _is_safe(name: str) -> bool:
    return bool(name) and name.isprintable() and not name.startswith("-") and _SPECIAL.isdisjoint(name)
