"""What a sweep on a large cluster would be like: a discrete-event simulation around the real cutting of blocks.

    python -m benchmarks.simulate_cluster                     # the table
    python -m benchmarks.simulate_cluster --check RESULTS     # what it predicts for a real run, and what that took

Simulated are slots that take blocks in order, the start of a task, models of varying length, nodes that are lost (their
task is started again by the engine, as with `--requeue`), the submission of arrays, the latency of the file system, the
planner between rounds and compaction. The sizes of blocks come from `runs.cluster.rounds.divide_rows`, the costs of
files from this machine. Queueing for nodes is not simulated: slots are there from the start.
"""

import argparse
import heapq
import random
import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tui_influence.roles import Role
from tui_influence.runs.cluster.rounds import TaskTiming, divide_rows
from tui_influence.store.events import read_events
from tui_influence.store.listing import list_completed
from tui_influence.store.paths import RECORDS_PER_DIRECTORY, Paths


@dataclass(frozen=True)
class Site:
    """A cluster and a sweep.

    Attributes:
        slots: tasks at a time.
        models: of the sweep.
        seconds: of a model.
        spread: coefficient of variation of that.
        start: seconds until a task trains.
        lost_per_hour: nodes lost, per node and hour.
        dispatch: seconds that the scheduler takes for each task it starts.
        wait: seconds until a planner runs.
        array: tasks an array may have.
        submit: seconds an `sbatch` takes.
        file: seconds a record takes to be written.
        list_record: seconds a record takes to be listed.
        compact_record: seconds a record takes to be compacted.
        block_minutes: as in the config.
        says_slots: whether the config says `array_concurrency`.
    """

    slots: int
    models: int
    seconds: float = 60.0
    spread: float = 0.1
    start: float = 10.0
    lost_per_hour: float = 1e-3
    dispatch: float = 0.01
    wait: float = 30.0
    array: int = 1000
    submit: float = 0.2
    file: float = 0.005
    list_record: float = 2e-6
    compact_record: float = 2e-3
    block_minutes: float = 30.0
    says_slots: bool = True


@dataclass(frozen=True)
class Outcome:
    """What came of it: seconds of wall time, shares of all slots' time, and counts."""

    wall: float
    useful: float
    starting: float
    lost: float
    idle: float
    planner: float
    tasks: int
    arrays: int
    losses: int
    tasks_directory: int
    record_directories: int
    event_megabytes: float


def simulate(site: Site, seed: int = 0) -> Outcome:
    """Return what one run of a sweep is like."""
    rng = random.Random(seed)
    timing = TaskTiming(site.seconds, site.start, 1)
    blocks = divide_rows(
        range(site.models),
        timing,
        minutes=site.block_minutes,
        limit_minutes=240,
        slots=site.slots if site.says_slots else None,
    )
    arrays = -(-len(blocks) // site.array)
    planner = site.wait + site.models * site.list_record + arrays * site.submit
    free = [planner] * site.slots
    heapq.heapify(free)
    waiting = [len(block) for block in reversed(blocks)]
    useful = starting = lost = 0.0
    losses = tasks = 0
    scheduler = planner
    end = planner
    while waiting:
        left, slot = waiting.pop(), heapq.heappop(free)
        scheduler = max(scheduler, slot) + site.dispatch
        now = scheduler
        tasks += 1
        dies = now + rng.expovariate(site.lost_per_hour / 3600) if site.lost_per_hour else float("inf")
        now += site.start
        starting += min(site.start, max(0.0, dies - scheduler))
        while left and now < dies:
            takes = max(0.1, rng.gauss(1, site.spread)) * site.seconds + site.file
            if now + takes > dies:
                lost += dies - now
                break
            now, left, useful = now + takes, left - 1, useful + takes - site.file
        if left:
            losses += 1
            waiting.insert(0, left)  # the engine starts it again, behind what waits; what is recorded stays
            now = dies
        heapq.heappush(free, now)
        end = max(end, now)
    last = site.wait + site.models * (site.list_record + site.compact_record)
    wall = end + last
    everything, directory = wall * site.slots, 2 * min(len(blocks), RECORDS_PER_DIRECTORY)
    idle = 1 - (useful + starting + lost) / everything
    return Outcome(
        wall, useful / everything, starting / everything, lost / everything, idle, (planner + last) / wall,
        tasks, arrays, losses, directory, -(-site.models // RECORDS_PER_DIRECTORY), site.models * 330 / 1e6,
    )  # fmt: skip


def check(root: Path) -> None:
    """Compare the rounds of a real run with what is predicted from its own pace."""
    events = [event for event, _ in read_events(Paths(root).events)]
    rounds = [event for event in events if event["event"] == "round"][1:]
    print("| round | nodes | models | predicted s | measured s | of it starting |\n|---|---|---|---|---|---|")
    for number, round_document in enumerate(rounds, start=2):
        until = rounds[number - 1]["time"] if number - 1 < len(rounds) else float("inf")
        mine = [event for event in events if round_document["time"] <= event["time"] < until and "task" in event]
        by_task: dict[str, list[dict[str, float | str]]] = {}
        for event in mine:
            by_task.setdefault(str(event["task"]), []).append(event)
        models = [event for event in mine if event["event"] == "model"]
        starts = [
            float(next(e["time"] for e in task_events if e["event"] == "worker-ready"))
            - float(next(e["time"] for e in task_events if e["event"] == "task-started"))
            for task_events in by_task.values()
        ]
        nodes = {event["node"] for event in mine if event["event"] == "task-started"}
        seconds = sum(float(event["seconds"]) for event in models) / len(models)
        site = Site(
            slots=len(nodes), models=len(models), seconds=seconds, start=sum(starts) / len(starts), lost_per_hour=0,
            dispatch=0, wait=0, submit=0, file=0, list_record=0, compact_record=0, spread=0.1,
        )  # fmt: skip
        predicted = simulate(site)
        first = min(float(event["time"]) for event in mine if event["event"] == "task-started")
        last = max(float(event["time"]) for event in mine)
        print(
            f"| {number} | {len(nodes)} | {len(models)} | {predicted.wall:.1f} | {last - first:.1f} "
            f"| {sum(starts) / len(starts):.1f} |"
        )


def listing_seconds(count: int = 20_000) -> float:
    """Return what listing a record takes on this machine, at best."""
    with TemporaryDirectory() as directory:
        paths = Paths(Path(directory))
        for index in range(count):
            path = paths.record(Role.ESTIMATE, index, 0)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        took = []
        for _ in range(5):
            began = time.perf_counter()
            assert len(list_completed(paths, Role.ESTIMATE, 1)) == count
            took.append((time.perf_counter() - began) / count)
        return min(took)


def table() -> None:
    """Print what is predicted for sweeps of the paper's size."""
    listing = listing_seconds()
    print(f"Listing a record: {listing * 1e6:.1f} us here; 60 s a model, 10 s a start, 1e-3 losses a node and hour.\n")
    print(
        "| models | GPUs | slots said | wall h | useful | starting | lost | idle | planner | tasks | arrays | losses "
        "| files in a task directory | record directories | event log MB |"
    )
    print("|---" * 15 + "|")
    for models in (7_540, 71_753):
        for slots in (8, 64, 1000):
            for says in (True, False):
                row = simulate(replace(Site(slots, models, list_record=listing), says_slots=says))
                print(
                    f"| {models:,} | {slots:,} | {'yes' if says else 'no'} | {row.wall / 3600:.2f} | {row.useful:.1%} "
                    f"| {row.starting:.1%} | {row.lost:.2%} | {row.idle:.1%} | {row.planner:.2%} | {row.tasks:,} "
                    f"| {row.arrays} | {row.losses} | {row.tasks_directory:,} | {row.record_directories} "
                    f"| {row.event_megabytes:.0f} |"
                )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", type=Path)
    asked = parser.parse_args()
    if asked.check:
        check(asked.check)
    else:
        table()
