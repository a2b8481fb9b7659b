"""Rounds: the rows of the plan that each task of a planning step trains, and the file that lists them.

Rows are divided by factoring (Hummel, Schonberg and Flynn 1992): waves of equal tasks, one for each task that runs at a
time, each wave half of what is left, so that the last tasks end together. No task is so short that its start costs more
than a twentieth of its time; rows that would need shorter ones form one last wave.
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
"""Maximum share of a task's time that its start may take, where the plan is long enough."""
PILOT_ROWS = 2
"""Rows of the first task, which shows that a model can be trained and how long it takes."""
_DEFAULT_SLOTS = 250
"""Assumed number of tasks at a time where the config does not say: too many costs a few starts, too few leaves most of
a large cluster idle at the end (`benchmarks/simulate_cluster.py`)."""


@dataclass(frozen=True)
class TaskTiming:
    """Durations in a task.

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
    """The tasks of a round.

    Attributes:
        number: of the round, from 1.
        tasks: for each task, the positions of its rows in the plan.
        done: models that were done, or had failed for good, before it.
        timing: as it was known when the round was planned.
        deaths: number of tasks that died while they trained a row, by position in the plan.
        fruitless: number of rounds directly before it that trained nothing.
        request: digest of the request it belongs to, where the scheduler may still hold tasks of an older one.
    """

    number: int
    tasks: tuple[tuple[int, ...], ...]
    done: int
    timing: TaskTiming | None = None
    deaths: Mapping[int, int] = field(default_factory=dict)
    fruitless: int = 0
    request: str = ""

    def compacts(self, task: int) -> bool:
        """Whether a task also writes a new generation of the matrix: every eighth of the round."""
        step = max(1, len(self.tasks) // 8)
        return len(self.tasks) >= 8 and task % step == step - 1


def divide_rows(
    rows: Sequence[int],
    timing: TaskTiming | None,
    *,
    minutes: float,
    limit_minutes: float,
    slots: int | None,
    suspects: Sequence[int] = (),
) -> list[tuple[int, ...]]:
    """Divide rows into the tasks of a round.

    Args:
        rows: positions in the plan that are to be trained, in order.
        timing: how long a model takes; without it, the round is a small pilot.
        minutes: maximum time that a task should take.
        limit_minutes: time limit of a task; what is unfinished then goes into the next round.
        slots: tasks at a time, if the config says: each gets the same amount, however little that is at the end.
        suspects: rows that a task may have died of; each is a task by itself.
    """
    suspected = set(suspects)
    single = [(row,) for row in rows if row in suspected]
    ordinary = [row for row in rows if row not in suspected]
    if timing is None:
        return [tuple(rows[:PILOT_ROWS])] if rows else []

    model = max(timing.seconds, 1e-6)
    # From here on in steps: as many models as a task's workers train side by side.
    minimum = max(1, ceil(timing.start * (1 / START_SHARE - 1) / model))
    preferred, allowed = (max(1, int(seconds / model)) for seconds in (60 * minutes, 60 * limit_minutes - timing.start))
    maximum = min(max(preferred, minimum), allowed)
    tasks: list[tuple[int, ...]] = []
    start, left = 0, ceil(len(ordinary) / timing.workers)
    while left:
        wave = _wave(left, minimum, maximum, slots)
        for steps in wave:
            tasks.append(tuple(ordinary[start : start + steps * timing.workers]))
            start += steps * timing.workers
        left -= sum(wave)
    return tasks + single


def _wave(left: int, minimum: int, maximum: int, slots: int | None) -> list[int]:
    """Return the sizes of the next tasks: at most one per slot, all of the same size."""
    if slots is None:  # no more tasks than have enough work to be worth their start
        slots = min(_DEFAULT_SLOTS, max(1, left // minimum))
    share = left / slots
    if share >= 2 * minimum:
        return [min(int(share / 2), maximum)] * slots
    steps = min(left, maximum * slots)
    return [size for size in (steps * (slot + 1) // slots - steps * slot // slots for slot in range(slots)) if size]


def write_round(paths: Paths, planned: Round) -> None:
    """Write the file of a round, and make the directories that its tasks log to."""
    for task in range(0, max(1, len(planned.tasks)), RECORDS_PER_DIRECTORY):
        make_directory(paths.task_log(planned.number, task).parent)
    write_json(
        paths.round(planned.number),
        {
            "number": planned.number,
            "blocks": [_spans(rows) for rows in planned.tasks],
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
    fields = read_json(paths.round(number))
    try:
        timing = fields["pace"]
        return Round(
            number=int(fields["number"]),
            tasks=tuple(_rows(spans) for spans in fields["blocks"]),
            done=int(fields["done"]),
            timing=_timing(timing) if timing else None,
            deaths={int(position): int(deaths) for position, deaths in fields["deaths"].items()},
            fruitless=int(fields.get("fruitless", 0)),  # older versions wrote neither
            request=str(fields.get("request", "")),
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


def _timing(fields: dict[str, Any]) -> TaskTiming:
    return TaskTiming(float(fields["seconds"]), float(fields["start"]), int(fields["workers"]))


def _rows(spans: list[list[int]]) -> tuple[int, ...]:
    return tuple(row for start, stop in spans for row in range(int(start), int(stop)))


def _spans(rows: Sequence[int]) -> list[list[int]]:
    """Return consecutive numbers as [start, stop): plans are mostly consecutive, and every task reads this."""
    spans = []
    for _, span in groupby(enumerate(rows), lambda pair: pair[1] - pair[0]):
        members = [row for _, row in span]
        spans.append([members[0], members[-1] + 1])
    return spans
