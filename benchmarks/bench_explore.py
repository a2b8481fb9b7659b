"""How `tinfl explore` feels: the real program in a pseudo-terminal, on synthetic runs, small and of the paper's size.

    python -m benchmarks.bench_explore [--repeats 7] [--only filter tailing] [--runs FOLDER]

Times are from starting Python, or from pressing a key, to the last byte of what is then drawn. Nothing is warmed up
but the page cache. `--runs` keeps the synthetic runs, 1.3 GB, in a folder and finds them there the next time.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.synthetic import PAPER, SMALL, SyntheticSweep, write_run
from benchmarks.terminal import Program
from tui_influence.runs.heartbeat import State
from tui_influence.store.run_info import read_run_info

UNDER_WAY = 6000
"""Models that the run which is followed has at the start."""
QUIET = 0.12
"""Seconds without a byte after which a screen counts as drawn; an editor's cursor blinks more slowly."""
DRAWN = 0.3
"""Such seconds where images come after the screen that they are on."""
PATIENCE = 5.0
"""Seconds for pictures to be drawn."""
MIN_BYTES = 50_000
"""That two dozen images take, in half blocks of true colours."""
TYPED = ("shark", "tree fro", ">0.01", "q<0.05 te", "|x|>0.005", "n>=3700 ow", "zzz", "great w")
_BACKSPACE = "\x7f"


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        what: was measured.
        measured: values, of which the median counts.
        unit: of the values; ms, s, MB, % or B/s.
        goal: that the median should be below; None where there is none.
    """

    what: str
    measured: tuple[float, ...]
    unit: str
    goal: float | None = None

    def line(self) -> str:
        """Return it as a line."""
        median = float(np.median(self.measured))
        spread = f"{min(self.measured):,.4g} to {max(self.measured):,.4g}" if len(self.measured) > 1 else ""
        goal = f"< {self.goal:g}" if self.goal is not None else ""
        missed = "  MISSED" if self.goal is not None and median >= self.goal else ""
        return f"{self.what:52} {median:9,.4g} {self.unit:4} {goal:8} {spread:>20}{missed}"


@dataclass(frozen=True)
class Runs:
    """The runs that the app is opened on: two that are done, and where one that is under way can be made."""

    small: Path
    paper: Path
    under_way: Path


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        repeats: of what takes a moment.
        seconds: that a run is followed.
    """

    repeats: int
    seconds: float


Measure = Callable[[Runs, Effort], Iterator[Figure]]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=90.0, help="that a run is followed, in each mode")
    parser.add_argument("--only", nargs="+", choices=sorted(MEASURES), default=list(MEASURES))
    parser.add_argument("--runs", type=Path, help="keep the synthetic runs here")
    parser.add_argument("--supervise", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.supervise:
        supervise(options.supervise)
        return
    with tempfile.TemporaryDirectory(prefix="tinfl-bench-") as scratch:
        runs = made(options.runs or Path(scratch))
        print(f"{PAPER}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {options.repeats} repeats\n")
        print(f"{'figure':52} {'median':>9} {'unit':4} {'goal':8} {'range':>20}")
        for name in options.only:
            for figure in MEASURES[name](runs, Effort(options.repeats, options.seconds)):
                print(figure.line(), flush=True)


def made(folder: Path) -> Runs:
    """Make the runs that are not there yet."""
    runs = Runs(folder / "small", folder / "paper", folder / "under-way")
    for root, size in ((runs.small, SMALL), (runs.paper, PAPER)):
        if not root.exists():
            write_run(root, size, name=root.name)
    return runs


def first_paint(runs: Runs, effort: Effort) -> Iterator[Figure]:
    """From the shell to the first screen that says something: which run, its state, its progress."""
    for root, size, goal in ((runs.small, SMALL, 0.5), (runs.paper, PAPER, 1.0)):
        seconds, busy = [], []
        for repeat in range(effort.repeats + 1):
            with Program(["explore", root]) as program:
                total = size.models + size.heldout
                painted = program.wait_for(root.name, "DONE", f"{total:,} of {total:,} models") - program.started
                if repeat:  # the first reads from the disk
                    seconds.append(painted)
                    busy.append(program.cpu)
                program.settle(0.5)
        yield Figure(f"first useful paint, {root.name} run", tuple(seconds), "s", goal)
        yield Figure("  CPU until then", tuple(busy), "s")


def filtering(runs: Runs, effort: Effort) -> Iterator[Figure]:
    """From a key in the filter of 1,000 groups to the last byte that it draws."""
    waits = []
    with Program(["explore", runs.paper]) as program:
        open_ranking(program)
        program.press("/")
        program.settle(0.5)
        before = program.cpu
        for _ in range(max(effort.repeats // 2, 1)):
            for text in TYPED:
                for key in (*text, *(_BACKSPACE * len(text))):
                    pressed = program.press(key)
                    waits.append(1000 * (program.settle(QUIET) - pressed))
        busy = 1000 * (program.cpu - before) / len(waits)
    median, high = np.percentile(waits, [50, 95])
    yield Figure(f"filter keystroke to paint, 95th percentile of {len(waits)}", (float(high),), "ms", 50)
    yield Figure("  median", (float(median),), "ms")
    yield Figure("  CPU a keystroke", (busy,), "ms")


def opening(runs: Runs, effort: Effort) -> Iterator[Figure]:
    """From the key that opens the class under the cursor to its last image; memory after that."""
    first, waits, steps, resident, most = [], [], [], [], []
    for _ in range(max(effort.repeats // 2, 1)):
        with Program(["explore", runs.paper]) as program:
            open_ranking(program)
            start = len(program.output)
            pressed = program.press("3")
            program.wait_for("images of the class itself", start=start)
            first.append(program.settle(DRAWN) - pressed)
            program.press("--")  # smaller images: 24 of them, and those of the class itself
            program.settle(DRAWN)
            for _ in range(6):
                program.press("2")
                program.settle(DRAWN)
                program.press("j")
                program.settle(DRAWN)
                waits.append(drawn(program, "3"))
                steps.append(drawn(program, "n"))
            now, peak = program.memory
            resident.append(now / 1e6)
            most.append(peak / 1e6)
    yield Figure("opening a class with 24 images from Rank", tuple(waits), "ms", 300)
    yield Figure("going to the next class with 24 images", tuple(steps), "ms", 300)
    yield Figure("  the first, with what all classes do to all images", tuple(first), "s")
    yield Figure("resident memory after ranking and opening classes", tuple(resident), "MB", 600)
    yield Figure("  at its peak", tuple(most), "MB")


def idle(runs: Runs, effort: Effort) -> Iterator[Figure]:
    """What it costs to leave the app open on a run that is done."""
    for mode, key in (("Sweep", "1"), ("Rank", "2")):
        with Program(["explore", runs.paper]) as program:
            open_ranking(program)
            program.press(key)
            program.watch(20.0)  # what is worked out at first is not idling
            share, rate = watched(program, 20.0)
        yield Figure(f"idle on a finished run, {mode}: of a core", (share,), "%", 3)
        yield Figure("  bytes", (rate,), "B/s")


def tailing(runs: Runs, effort: Effort) -> Iterator[Figure]:
    """What it costs to watch a run of which two models are finished every second."""
    shutil.rmtree(runs.under_way, ignore_errors=True)
    write_run(runs.under_way, PAPER, UNDER_WAY, name=runs.under_way.name)
    for mode, key in (("Sweep", "1"), ("Rank", "2"), ("Class", "3"), ("Log", "5")):
        with supervised(runs.under_way), Program(["explore", runs.under_way]) as program:
            program.wait_for("RUNNING")
            program.watch(1.0)
            program.press(key)
            program.watch(20.0)  # what is worked out at first is no following
            share, rate = watched(program, effort.seconds)
        yield Figure(f"following a run, {mode}: of a core", (share,), "%", 10)
        yield Figure("  bytes", (rate,), "B/s")


def open_ranking(program: Program) -> None:
    """Go to Rank, and wait for the ranking."""
    program.wait_for("DONE")
    start = len(program.output)
    program.press("2")
    program.wait_for("reliability", "with/without", start=start)
    program.settle(0.5)


def drawn(program: Program, key: str) -> float:
    """Press a key that has images drawn; return the milliseconds to their last byte."""
    start = len(program.output)
    pressed = program.press(key)
    finished = program.settle(DRAWN)
    while len(program.output) - start < MIN_BYTES:  # the words are there, the pictures not yet
        if finished - pressed > PATIENCE:
            raise SystemExit(f"{key} drew no images:\n{program.text(start)}")
        finished = program.settle(DRAWN)
    return 1000 * (finished - pressed)


def watched(program: Program, seconds: float) -> tuple[float, float]:
    """Return the share of a core, in percent, and the bytes a second that a program costs when it is left alone."""
    before, started = program.cpu, time.perf_counter()
    written = program.watch(seconds)
    passed = time.perf_counter() - started
    return 100 * (program.cpu - before) / passed, written / passed


@contextmanager
def supervised(root: Path) -> Iterator[None]:
    """Let a supervisor add models to a run; when this ends, it is as if it had been killed."""
    command = [sys.executable, "-m", "benchmarks.bench_explore", "--supervise", str(root)]
    supervisor = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert supervisor.stdout is not None
        supervisor.stdout.readline()
        yield
    finally:
        supervisor.kill()
        supervisor.wait()


def supervise(root: Path) -> None:
    """Record two models a second and say so every second, as a supervisor does, until there are no more."""
    sweep = SyntheticSweep(root, PAPER, root.name)
    done = sum(1 for path in sweep.paths.records_root.rglob("*.safetensors") if path.is_file())
    info = read_run_info(root)
    sweep.compact(info)
    sweep.say(State.RUNNING, done)
    print("running", flush=True)
    while done < len(sweep.rows):
        time.sleep(0.5)
        sweep.record(sweep.rows[done : done + 1])
        done += 1
        if done % 2 == 0:
            sweep.say(State.RUNNING, done)


MEASURES: dict[str, Measure] = {
    "first-paint": first_paint,
    "filter": filtering,
    "class": opening,
    "idle": idle,
    "tailing": tailing,
}

if __name__ == "__main__":
    main()
