"""A round: which rows of the plan each task is given. Pure, but for the file that tells the tasks.

Rows are cut by factoring (Hummel, Schonberg and Flynn 1992): waves of equal blocks, one for each task that runs at a
time, each wave half of what is left, so that the last blocks end together. No block is so short that its start costs
more than a twentieth of its time; what is left before that would happen is one last wave.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, groupby
from math import ceil
from typing import Any

from tui_influence.errors import ResultsError
from tui_influence.store.files import make_directory, read_json, write_json
from tui_influence.store.paths import RECORDS_PER_DIRECTORY, Paths
from tui_influence.text import printable

START_SHARE = 0.05
"""The largest share of a task that its start may take, where the plan is long enough."""
PILOT_ROWS = 2
"""Rows of the first block, which shows that a model can be trained and how long it takes."""
_SLOTS = 250
"""Tasks that are thought to run at a time where the config does not say: too many costs a few starts, too few leaves
most of a large cluster idle at the end (`benchmarks/simulate_cluster.py`)."""


@dataclass(frozen=True)
class TaskTiming:
    """How long things take in a task.

    Attributes:
        seconds: of a model, on one worker.
        start: seconds until a task's first worker is ready.
        workers: that train side by side in a task.
    """

    seconds: float
    start: float
    workers: int

    @property
    def models_per_hour(self) -> float:
        """Of one task."""
        return 3600 * self.workers / max(self.seconds, 1e-6)


@dataclass(frozen=True)
class Round:
    """What the tasks of a round were given.

    Attributes:
        number: of the round, from 1.
        blocks: positions in the plan, a tuple a task.
        done: models that were done, or given up, before it.
        timing: as it was known then.
        deaths: how often a task died with a row in hand, by position in the plan.
        fruitless: rounds before it in a row that trained nothing.
        request: which request it is of, where an engine may still hold tasks of an older one; else empty.
    """

    number: int
    blocks: tuple[tuple[int, ...], ...]
    done: int
    timing: TaskTiming | None = None
    deaths: Mapping[int, int] = field(default_factory=dict)
    fruitless: int = 0
    request: str = ""

    def compacts(self, block: int) -> bool:
        """Whether a block's task also writes a new generation of the matrix: an eighth of the round apart."""
        step = max(1, len(self.blocks) // 8)
        return len(self.blocks) >= 8 and block % step == step - 1


def divide_rows(
    rows: Sequence[int],
    timing: TaskTiming | None,
    *,
    minutes: float,
    limit_minutes: float,
    slots: int | None,
    suspects: Sequence[int] = (),
) -> list[tuple[int, ...]]:
    """Return the blocks of a round.

    Args:
        rows: positions in the plan that are to be trained, in order.
        timing: how long a model takes; a small pilot is all there is while that is unknown.
        minutes: the longest a block should take.
        limit_minutes: the longest it may take: what is unfinished then is handed out again.
        slots: tasks at a time, if the config says: each is given as much, however little that is at the end.
        suspects: rows that a task may have died of: each is a block by itself.
    """
    suspected = set(suspects)
    apart = [(row,) for row in rows if row in suspected]
    together = [row for row in rows if row not in suspected]
    if timing is None:
        return [tuple(rows[:PILOT_ROWS])] if rows else []

    model = max(timing.seconds, 1e-6)
    # From here on in steps: as many models as a task's workers train side by side.
    least = max(1, ceil(timing.start * (1 / START_SHARE - 1) / model))
    wanted, allowed = (max(1, int(seconds / model)) for seconds in (60 * minutes, 60 * limit_minutes - timing.start))
    most = min(max(wanted, least), allowed)
    blocks: list[tuple[int, ...]] = []
    start, left = 0, ceil(len(together) / timing.workers)
    while left:
        wave = _wave(left, least, most, slots)
        for steps in wave:
            blocks.append(tuple(together[start : start + steps * timing.workers]))
            start += steps * timing.workers
        left -= sum(wave)
    return blocks + apart


def _wave(left: int, least: int, most: int, slots: int | None) -> list[int]:
    """Return the sizes of the next blocks: at most one for each slot, and all alike."""
    if slots is None:  # no more blocks than have work that is worth a start
        slots = min(_SLOTS, max(1, left // least))
    share = left / slots
    if share >= 2 * least:
        return [min(int(share / 2), most)] * slots
    now = min(left, most * slots)
    return [size for size in (now * (slot + 1) // slots - now * slot // slots for slot in range(slots)) if size]


def write_round(paths: Paths, planned: Round) -> None:
    """Write what the tasks of a round are to do, and make room for what they say."""
    for block in range(0, max(1, len(planned.blocks)), RECORDS_PER_DIRECTORY):
        make_directory(paths.task_log(planned.number, block).parent)
    write_json(
        paths.round(planned.number),
        {
            "number": planned.number,
            "blocks": [_spans(block) for block in planned.blocks],
            "done": planned.done,
            "pace": vars(planned.timing) if planned.timing else None,
            "deaths": {str(position): deaths for position, deaths in planned.deaths.items()},
            "fruitless": planned.fruitless,
            "request": planned.request,
        },
    )


def read_round(paths: Paths, number: int) -> Round:
    """Read a round.

    Raises:
        ResultsError: it is missing or damaged.
    """
    found = read_json(paths.round(number))
    try:
        timing = found["pace"]
        return Round(
            number=int(found["number"]),
            blocks=tuple(
                tuple(row for start, stop in block for row in range(int(start), int(stop))) for block in found["blocks"]
            ),
            done=int(found["done"]),
            timing=_timing(timing) if timing else None,
            deaths={int(position): int(deaths) for position, deaths in found["deaths"].items()},
            fruitless=int(found.get("fruitless", 0)),  # older versions wrote neither
            request=str(found.get("request", "")),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ResultsError(f"{printable(str(paths.round(number)))}: damaged or half copied") from error


def last_round(paths: Paths) -> int:
    """Return the number of the newest round; 0 before the first."""
    newest = 0
    for number in count(1):
        if not paths.round(number).exists():
            return newest
        newest = number
    raise AssertionError


def _timing(found: dict[str, Any]) -> TaskTiming:
    return TaskTiming(float(found["seconds"]), float(found["start"]), int(found["workers"]))


def _spans(rows: Sequence[int]) -> list[list[int]]:
    """Return runs of consecutive numbers as [start, stop): plans are mostly consecutive, and every task reads this."""
    spans = []
    for _, run in groupby(enumerate(rows), lambda pair: pair[1] - pair[0]):
        members = [row for _, row in run]
        spans.append([members[0], members[-1] + 1])
    return spans
