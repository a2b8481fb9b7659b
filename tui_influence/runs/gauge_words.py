"""Devices and workers in words: the cells that `tinfl status` and the app both show, and how they line up.

Plain text, safe to show. Loads nothing heavy: `tinfl status` answers at once.
"""

from collections.abc import Sequence

from tui_influence.runs.heartbeat import DeviceState, WorkerState
from tui_influence.runs.words import duration
from tui_influence.text import printable

UNKNOWN = "-"
_GAP = "  "
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def size(count: int) -> str:
    """Return bytes in the unit that leaves one to four digits before the point, such as "1.2 GiB"."""
    value, unit = float(count), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit > 2 else f"{value:.0f} {_UNITS[unit]}"


def device_cells(device: DeviceState, *, short: bool = False, ascii: bool = False) -> list[str]:
    """Return what a device's gauges say: busy, memory, temperature, power; "" or "-" where unknown.

    Args:
        device: what to describe.
        short: for a narrow screen, memory in whole GiB.
        ascii: without a degree sign.
    """
    busy, degrees, watts = device.utilisation, device.temperature, device.power
    return [
        f"{busy:4.0%}" if busy is not None else f"{UNKNOWN:>4}",
        _memory(device, short=short),
        f"{degrees:.0f} {'C' if ascii else '°C'}" if degrees is not None else "",
        f"{watts:.0f} W" if watts is not None else "",
    ]


def device_name(device: DeviceState) -> str:
    """Return what a device is, without the maker that all have in common."""
    return printable(device.name.removeprefix("NVIDIA "), 40)


def worker_cells(worker: WorkerState) -> list[str]:
    """Return a worker's device, row, for how long, models done, cores in percent, memory.

    One that gives no sign of life shows since when instead of for how long it has had its row.
    """
    since = f"for {duration(worker.seconds)}" if worker.seconds is not None else ""
    return [
        printable(worker.device, 12),
        printable(worker.row, 24) or "idle",
        since if worker.silence is None else f"silent for {duration(worker.silence)}",
        f"{worker.models:,} done",
        f"{worker.cpu:.0%} cpu" if worker.cpu is not None else "",
        size(worker.memory) if worker.memory is not None else "",
    ]


def columns(rows: Sequence[Sequence[str]], width: int | None = None) -> list[str]:
    """Return rows of cells as lines of one length, whose cells line up; what begins with a digit stands to the right.

    Args:
        rows: equally many cells each; a column that is empty everywhere takes no room.
        width: of the lines; columns that do not fit are left out, the last first, but for the first of all.
    """
    kept = [column for column in zip(*rows, strict=True) if any(column)]
    if not kept:
        return [""] * len(rows)
    widths = [max(map(len, column)) for column in kept]
    while width is not None and len(widths) > 1 and sum(widths) + len(_GAP) * (len(widths) - 1) > width:
        widths.pop()
    return [
        _GAP.join(_aligned(cell, room) for cell, room in zip(row, widths, strict=False))
        for row in zip(*kept, strict=True)
    ]


def _aligned(cell: str, room: int) -> str:
    return cell.rjust(room) if cell.lstrip()[:1].isdigit() or cell == UNKNOWN else cell.ljust(room)


def _memory(device: DeviceState, *, short: bool) -> str:
    used, total = device.memory_used, device.memory_total
    if used is None:
        return ""
    if short:
        return f"{used / 2**30:.0f}/{total / 2**30:.0f} GiB" if total else f"{used / 2**30:.0f} GiB"
    return f"{used / 2**30:.1f} of {total / 2**30:.1f} GiB" if total else size(used)
