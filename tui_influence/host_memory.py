"""Memory of this machine that a process can still take, within the limits of its control groups."""

from collections.abc import Iterator
from pathlib import Path

import psutil

_PROCESS_GROUPS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")
_FILES = {  # of versions 2 and 1: limit, use, and lines of memory.stat that count files
    2: ("memory.max", "memory.current", ("active_file", "inactive_file")),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_active_file", "total_inactive_file")),
}


def available_host_memory() -> int:
    """Return the bytes that this process can still take: those of the machine, within each of its control groups."""
    return min([int(psutil.virtual_memory().available), *_left_in_groups()])


def _left_in_groups() -> Iterator[int]:
    """Yield the bytes left in each control group of this process that has a limit; the kernel drops cached files."""
    for folder, version in _memory_groups():
        limit_file, use_file, cache_keys = _FILES[version]
        limit, used = (_whole_number(_text(folder / name)) for name in (limit_file, use_file))
        if limit is None or used is None:
            continue
        lines = (line.split() for line in _text(folder / "memory.stat").splitlines())
        cached = sum(int(line[1]) for line in lines if len(line) == 2 and line[0] in cache_keys)
        yield max(limit - used + cached, 0)


def _memory_groups() -> Iterator[tuple[Path, int]]:
    """Yield the control groups of memory that this process is in, with their version, from the innermost outwards."""
    for line in _text(_PROCESS_GROUPS).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            root, version = _GROUPS, 2
        elif "memory" in controllers.split(","):
            root, version = _GROUPS / "memory", 1
        else:
            continue
        folder = root / path.strip("/")
        while folder != root and root in folder.parents:
            yield folder, version
            folder = folder.parent
        yield root, version  # in a container, the group itself


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""


def _whole_number(text: str) -> int | None:
    """Return a number of bytes; None for "max"."""
    return int(text) if text.strip().isdigit() else None
