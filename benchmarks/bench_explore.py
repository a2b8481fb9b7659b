"""How `tinfl explore` feels: the real program in a pseudo-terminal, on synthetic runs, small and of the paper's size.

    python -m benchmarks.bench_explore [--repeats 7] [--only filter tailing] [--runs FOLDER]

Times are from starting Python, or from pressing a key, to the last byte of what is then drawn. Nothing is warmed up
but the page cache. `--runs` keeps the synthetic runs, 1.4 GB, in a folder and finds them there the next time.
"""

import argparse
import os
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

UNDER_WAY = 7000
"""Models that the run which is followed has at the start."""
QUIET = 0.12
"""Seconds without a byte after which a screen counts as drawn; an editor's cursor blinks more slowly."""
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
    """The runs that the app is opened on."""

    small: Path
    paper: Path
    under_way: Path


Measure = Callable[[Runs, int], Iterator[Figure]]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=7)
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
            for figure in MEASURES[name](runs, options.repeats):
                print(figure.line(), flush=True)


def made(folder: Path) -> Runs:
    """Make the runs that are not there yet."""
    runs = Runs(folder / "small", folder / "paper", folder / "under-way")
    for root, size, recorded in (
        (runs.small, SMALL, None),
        (runs.paper, PAPER, None),
        (runs.under_way, PAPER, UNDER_WAY),
    ):
        if not root.exists():
            write_run(root, size, recorded, name=root.name)
    return runs


def first_paint(runs: Runs, repeats: int) -> Iterator[Figure]:
    """From the shell to the first screen that says something: which run, its state, its progress."""
    for root, size, goal in ((runs.small, SMALL, 0.5), (runs.paper, PAPER, 1.0)):
        seconds, busy = [], []
        for repeat in range(repeats + 1):
            with Program(["explore", root]) as program:
                total = size.models + size.heldout
                painted = program.wait_for(root.name, "DONE", f"{total:,} of {total:,} models") - program.started
                if repeat:  # the first reads from the disk
                    seconds.append(painted)
                    busy.append(program.cpu)
                program.settle(0.5)
        yield Figure(f"first useful paint, {root.name} run", tuple(seconds), "s", goal)
        yield Figure("  CPU until then", tuple(busy), "s")


def filtering(runs: Runs, repeats: int) -> Iterator[Figure]:
    """From a key in the filter of 1,000 groups to the last byte that it draws."""
    waits = []
    with Program(["explore", runs.paper]) as program:
        open_ranking(program)
        program.press("/")
        program.settle(0.5)
        before = program.cpu
        for _ in range(max(repeats // 2, 1)):
            for text in TYPED:
                for key in (*text, *(_BACKSPACE * len(text))):
                    pressed = program.press(key)
                    waits.append(1000 * (program.settle(QUIET) - pressed))
        busy = 1000 * (program.cpu - before) / len(waits)
    median, high = np.percentile(waits, [50, 95])
    yield Figure(f"filter keystroke to paint, 95th percentile of {len(waits)}", (float(high),), "ms", 50)
    yield Figure("  median", (float(median),), "ms")
    yield Figure("  CPU a keystroke", (busy,), "ms")


def opening(runs: Runs, repeats: int) -> Iterator[Figure]:
    """From the key on a class in Rank to its last image; memory after that."""
    waits, resident, most = [], [], []
    for _ in range(max(repeats // 2, 1)):
        with Program(["explore", runs.paper]) as program:
            open_ranking(program)
            for _ in range(5):
                waits.append(1000 * open_class(program))
                program.press("2j")  # back in Rank, on to the next class
                program.settle(0.5)
            now, peak = program.memory
            resident.append(now / 1e6)
            most.append(peak / 1e6)
    yield Figure("opening a class", tuple(waits), "ms", 300)
    yield Figure("resident memory after ranking and opening classes", tuple(resident), "MB", 600)
    yield Figure("  at its peak", tuple(most), "MB")


def idle(runs: Runs, repeats: int) -> Iterator[Figure]:
    """What it costs to leave the app open on a run that is done."""
    for mode, key in (("Sweep", "1"), ("Rank", "2")):
        with Program(["explore", runs.paper]) as program:
            open_ranking(program)
            program.press(key)
            program.settle(3.0)
            share, rate = watched(program, 20.0)
        yield Figure(f"idle on a finished run, {mode}: of a core", (share,), "%", 3)
        yield Figure("  bytes", (rate,), "B/s")


def tailing(runs: Runs, repeats: int) -> Iterator[Figure]:
    """What it costs to watch a run of which two models are finished every second."""
    for mode, key in (("Sweep", "1"), ("Rank", "2"), ("Log", "5")):
        with supervised(runs.under_way), Program(["explore", runs.under_way]) as program:
            program.wait_for("RUNNING")
            program.press(key)
            program.settle(1.5)
            program.watch(10.0)
            share, rate = watched(program, 90.0)
        yield Figure(f"following a run, {mode}: of a core", (share,), "%", 10)
        yield Figure("  bytes", (rate,), "B/s")


def open_ranking(program: Program) -> None:
    """Go to Rank, and wait for the ranking."""
    program.wait_for("DONE")
    start = len(program.output)
    program.press("2")
    program.wait_for("reliability", "with/without", start=start)
    program.settle(0.5)


def open_class(program: Program) -> float:
    """Open the class under the cursor; return the seconds to its last byte."""
    start = len(program.output)
    pressed = program.press("3")
    program.wait_for("3 Class", start=start)
    return program.settle(QUIET) - pressed


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
