"""What running a sweep costs besides training, and how fast the command line answers.

    python -m benchmarks.bench_runs

Overhead is everything in a worker's wall time that is not training: the turn-around between two models (events), the
writing of the record (measured beside it on the same disk), and the supervisor's own CPU time,
which it borrows from the workers' cores.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil

from tui_influence.roles import Role
from tui_influence.store.events import read_events
from tui_influence.store.matrix import load_outputs
from tui_influence.store.paths import Paths
from tui_influence.store.records import read_record, write_record
from tui_influence.store.run_info import read_run_info, write_run_info

MODELS = 60
MANY = 7540
REPEATS = 9


def main() -> None:
    """Measure and print a table."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "demo"
        command = [sys.executable, "-m", "tui_influence", "demo", str(root), "--models", str(MODELS)]
        overhead(Paths(root), watched(command))
        many(root, Path(scratch) / "many")


def watched(command: list[str]) -> list[tuple[float, float]]:
    """Run a command; return its own CPU seconds, its children's not counted, at times (seconds since 1970)."""
    process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    readings = []
    while process.poll() is None:
        try:
            used = process.cpu_times()
        except psutil.Error:
            break
        readings.append((time.time(), used.user + used.system))
        time.sleep(0.1)
    if process.wait() != 0:
        raise SystemExit(f"{command} failed")
    return readings


def overhead(paths: Paths, supervisor: list[tuple[float, float]]) -> None:
    """Print the share of a sweep's time that is not training."""
    models: dict[int, list[tuple[float, float]]] = {}
    for event, _ in read_events(paths.events):
        if event["event"] == "model":
            models.setdefault(event["worker"], []).append((event["time"], event["seconds"]))
    training = gaps = 0.0
    count = 0
    for finished in models.values():
        for (before, _), (after, seconds) in pairwise(finished):
            training += seconds
            gaps += max(0.0, after - before - seconds)
            count += 1
    record = read_record(paths, Role.ESTIMATE, 0, 0)
    started = time.perf_counter()
    for index in range(100):
        write_record(Paths(paths.root / "scratch"), replace(record, index=index))
    write = (time.perf_counter() - started) / 100
    wall = training + gaps
    first = min(time for finished in models.values() for time, _ in finished)
    last = max(time for finished in models.values() for time, _ in finished)
    times, used = zip(*supervisor, strict=True)
    supervisor_seconds = (
        float(np.interp(last, times, used) - np.interp(first, times, used)) / ((last - first) * len(models)) * wall
    )
    print(f"models measured                    {count}")
    print(f"training and writing               {training / count * 1000:8.1f} ms a model")
    print(f"  of which writing the record      {write * 1000:8.2f} ms")
    print(f"turn-around at the supervisor      {gaps / count * 1000:8.2f} ms a model")
    print(f"supervisor's own CPU               {supervisor_seconds / count * 1000:8.2f} ms a model")
    share = (gaps + write * count + supervisor_seconds) / wall
    print(f"supervisor and store               {share:8.2%} of the workers' time (goal: < 3%)")


def many(small: Path, root: Path) -> None:
    """Print how fast the command line answers, also on a run of the paper's size."""
    source, paths = Paths(small), Paths(root)
    info = read_run_info(small)
    root.mkdir()
    write_run_info(paths, replace(info, models=MANY))
    record = read_record(source, Role.ESTIMATE, 0, 0)
    for index in range(MANY):
        path = paths.record(Role.ESTIMATE, index, 0)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")  # status looks at names alone
    paths.heartbeat.write_text(source.heartbeat.read_text())
    print(f"record                             {record.margins.nbytes * 2 + 1024:8,} bytes, about")
    for what, arguments in {
        "tinfl --help": ["--help"],
        "tinfl status, small run": ["status", str(small)],
        f"tinfl status, {MANY} records": ["status", str(root)],
        "tinfl rank, small run": ["rank", str(small), "--json"],
    }.items():
        print(f"{what:<35}{answer_time(arguments):8.2f} s (median of {REPEATS})")
    started = time.perf_counter()
    outputs = load_outputs(source, info, Role.ESTIMATE, 0)
    print(f"reading {len(outputs)} records                  {(time.perf_counter() - started) * 1000:8.1f} ms")
    assert np.isfinite(outputs.margins.astype(float)).all()
    assert json.loads(source.run.read_text())["name"] == "demo"


def answer_time(arguments: list[str]) -> float:
    """Return the median seconds of a whole process."""
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "tui_influence", *arguments], check=True, capture_output=True)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
