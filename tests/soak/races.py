"""Commands that race: the same results directory is swept, resumed, stopped, read and pruned by many at once.

One supervisor at most owns a run; every other command says in one line what is in its way.
"""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from tests.e2e.program import PATIENCE, kill_everything, record_bytes, tinfl, wait_until, write_config
from tests.soak.kills import MODELS, undisturbed
from tui_influence.runs.heartbeat import ACTIVE, observe
from tui_influence.store.paths import Paths

_EXPECTED = {
    "sweep": {0, 1, 4},  # 1: it was stopped before it began
    "resume": {0, 1, 3, 4},  # 3: nothing is prepared yet
    "stop": {0, 3},
    "stop --now": {0, 3},
    "status": {0, 3},
    "rank": {0, 3},
    "logs": {0, 3},
    "prune --dry-run": {0, 2, 3},  # 2: too few models for a ranking
}
"""Exit codes that each command may end with, whatever the others do."""


def attempt(directory: Path, rng: random.Random, volleys: int = 4) -> Counter[str]:
    """Start several commands at once, several times over; then let the sweep finish."""
    config, root = write_config(directory, models=MODELS), directory / "results"
    counts: Counter[str] = Counter()
    try:
        for _ in range(volleys):
            commands = [rng.choice(list(_EXPECTED)) for _ in range(rng.randint(2, 6))]
            processes = [(command, _start(command, config, root)) for command in commands]
            for command, process in processes:
                out, err = process.communicate(timeout=PATIENCE)
                assert "Traceback" not in err, f"{command}:\n{err}"
                assert process.returncode in _EXPECTED[command], f"{command}: {process.returncode}\n{out}\n{err}"
                counts[command] += 1
            time.sleep(rng.uniform(0, 0.5))
        wait_until(lambda: observe(Paths(root))[0] not in ACTIVE, "the sweep does not end", 4 * PATIENCE)
        tinfl("sweep", "--foreground", config)
        assert record_bytes(root) == undisturbed(directory.parent / "undisturbed"), "records differ"
    finally:
        kill_everything(root)
    return counts


def _start(command: str, config: Path, root: Path) -> "subprocess.Popen[str]":
    name, *options = command.split()
    return subprocess.Popen(
        [sys.executable, "-m", "tui_influence", name, str(config if name == "sweep" else root), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"COLUMNS": "100", "TINFL_COMPACT_AFTER": "3"},
    )
