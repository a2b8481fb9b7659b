"""How long the probes take over a run of the paper's size: 7,540 models x 1,000 groups x 10,000 examples.

    python -m benchmarks.bench_probe_speed [RESULTS]

Each is timed as a whole process, from the shell's point of view, and alone in one that has read the run and asked the
question once. Without RESULTS a synthetic run is made (`benchmarks.synthetic`). Prints a table.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.synthetic import PAPER, write_run
from tui_influence.analysis.failures import find_failures
from tui_influence.analysis.leakage import find_leaks
from tui_influence.analysis.question import Question
from tui_influence.analysis.snapshot import RunSnapshot, read_snapshot
from tui_influence.analysis.subpopulations import driven_examples, find_subpopulations
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import read_run_info

ASKED: dict[str, tuple[str, Callable[[RunSnapshot], object]]] = {
    "subpops": ("subpops {root}", lambda reading: find_subpopulations(reading, Question())),
    "subpops, one class": (
        "subpops {root} --class={label}",
        lambda reading: find_subpopulations(reading, Question(target_class=reading.target_info.classes[0])),
    ),
    "subpops, one source class": (
        "subpops {root} --source={group}",
        lambda reading: driven_examples(reading, Question(), 0),
    ),
    "failures, the 12 worst": ("failures {root} --top=12", lambda reading: find_failures(reading, Question(), top=12)),
    "leaks": ("leaks {root}", lambda reading: find_leaks(reading, Question())),
}
TIMES = 3
LAUNCHER = """
import resource, subprocess, sys, time
started = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""Starts a command and prints its seconds and KB: a process's peak counts that of the one that started it."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("results", nargs="?", type=Path)
    root = parser.parse_args().results
    with tempfile.TemporaryDirectory(prefix="tinfl-probes-") as folder:
        if root is None:
            root = Path(folder) / "paper"
            write_run(root, PAPER)
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; the best of {TIMES}\n")
        print("| probe | command s | peak MB | asked again s |\n|---|---|---|---|")
        reading = read_snapshot(Paths(root), read_run_info(root))
        for name, (command, ask) in ASKED.items():
            seconds, megabytes = whole(command, reading)
            ask(reading)
            again = min(timed(partial(ask, reading)) for _ in range(TIMES))
            print(f"| {name} | {seconds:.2f} | {megabytes:.0f} | {again:.2f} |", flush=True)


def whole(command: str, reading: RunSnapshot) -> tuple[float, float]:
    """Return the seconds and the peak of memory, MB, of a command of `tinfl`."""
    names = {
        "root": str(reading.paths.root),
        "label": reading.target_info.classes[0],
        "group": reading.info.source.groups[0],
    }
    arguments = [part.format(**names) for part in command.split(" ")]
    run = [sys.executable, "-c", LAUNCHER, sys.executable, "-m", "tui_influence", *arguments]
    printed = [subprocess.run(run, check=True, capture_output=True, text=True).stdout.split() for _ in range(TIMES)]
    return min(float(seconds) for seconds, _ in printed), max(float(kilobytes) for _, kilobytes in printed) / 1024


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that some work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
