"""Prunings that are killed at random moments, and gone on with."""

import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from contextlib import suppress
from functools import cache
from pathlib import Path

from tests.e2e.program import kill_everything, processes_of, record_bytes, tinfl, wait_until, write_config
from tests.soak.kills import damage_record, survivors_of
from tui_influence.runs.heartbeat import ACTIVE, FINISHED, observe
from tui_influence.store.paths import Paths

_OPTIONS = ("--drop-counts", "6", "--seeds", "6", "--ci-width", "0")
SWEEP_MODELS = 40


def attempt(directory: Path, rng: random.Random, blows: int = 4) -> Counter[str]:
    """Kill a pruning and its workers a few times; compare its records with those of one that was left alone.

    One that is done before that goes on after some of its records are damaged.
    """
    reference = directory.parent / "undisturbed-prunings"
    expected = _undisturbed(reference)
    sweep = directory / "results"
    shutil.copytree(_swept(reference), sweep)
    pruning_paths, counts = Paths(sweep / "prune" / "main"), Counter[str]()
    try:
        while counts.total() < blows:
            if observe(pruning_paths)[0] in FINISHED:
                for name in rng.sample(sorted(survivors_of(pruning_paths)), 10):
                    damage_record(pruning_paths, name, rng)
            if observe(pruning_paths)[0] not in ACTIVE:
                tinfl("prune", sweep, *_OPTIONS)
            time.sleep(rng.uniform(0, 1))
            if observe(pruning_paths)[0] not in ACTIVE:
                continue
            workers = processes_of(pruning_paths.root)
            with suppress(ProcessLookupError):
                if workers and rng.random() < 0.5:
                    os.kill(rng.choice(workers).pid, signal.SIGKILL)
                    counts["workers killed"] += 1
                    continue
                os.kill(int(json.loads(pruning_paths.owner.read_text())["pid"]), signal.SIGKILL)
                counts["supervisors killed"] += 1
            wait_until(lambda: not processes_of(pruning_paths.root), "workers do not end after their supervisor")
        wait_until(lambda: observe(pruning_paths)[0] not in ACTIVE, "the pruning does not end")
        tinfl("resume", "--foreground", pruning_paths.root)
        assert record_bytes(pruning_paths.root) == expected, "records differ"
    finally:
        kill_everything(pruning_paths.root)
    return counts


@cache
def _swept(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    tinfl("sweep", "--foreground", write_config(directory, models=SWEEP_MODELS))
    return directory / "results"


@cache
def _undisturbed(directory: Path) -> dict[str, bytes]:
    sweep = directory / "pruned"
    shutil.copytree(_swept(directory), sweep)
    tinfl("prune", sweep, "--foreground", *_OPTIONS)
    return record_bytes(sweep / "prune" / "main")
