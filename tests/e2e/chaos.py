"""Bad luck, on purpose: processes killed and records damaged at random moments."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.e2e.program import processes_of, tinfl, wait_until
from tests.requirements import require
from tui_influence.roles import Role
from tui_influence.runs.heartbeat import ACTIVE, observe
from tui_influence.store.listing import list_records
from tui_influence.store.paths import Paths


def torment(config: Path, root: Path, rng: random.Random, *, rounds: int) -> dict[str, int]:
    """Start a sweep, and kill and damage it again and again; then let it finish.

    After each blow everything that survived is written down, and at the end it must be there unchanged: the same
    file, not a new one with the same content.

    Returns:
        how often each thing was done.
    """
    paths, counts = Paths(root), {"worker": 0, "supervisor": 0, "damaged": 0}
    survivors: dict[str, tuple[int, int]] = {}
    for _ in range(rounds):
        tinfl("sweep", config)
        enough = len(_survivors(paths)) + rng.randint(0, 5)
        wait_until(
            lambda enough=enough: len(_survivors(paths)) >= enough or observe(paths)[0] not in ACTIVE, "no progress"
        )
        time.sleep(rng.uniform(0, 0.1))
        if observe(paths)[0] not in ACTIVE:
            break
        if rng.random() < 0.5:
            workers = processes_of(root)
            if workers:
                os.kill(rng.choice(workers).pid, signal.SIGKILL)
                counts["worker"] += 1
                time.sleep(rng.uniform(0, 0.4))
        os.kill(json.loads(paths.owner.read_text())["pid"], signal.SIGKILL)
        counts["supervisor"] += 1
        if rng.random() < 0.5:
            for process in processes_of(root):
                process.kill()
        wait_until(lambda: not processes_of(root), "workers do not end after their supervisor")
        _check_untouched(paths, survivors)
        survivors = _survivors(paths)
        if survivors and rng.random() < 0.7:
            name = rng.choice(sorted(survivors))
            _damage(paths, name, rng)
            survivors.pop(name)
            counts["damaged"] += 1
    done = tinfl("sweep", "--foreground", config, code=None)
    assert done.returncode == 0, done.stderr
    _check_untouched(paths, survivors)
    return counts


def fill_disk_and_resume(config: Path, root: Path) -> str:
    """Run a sweep on a small file system, fill that to the last byte after the first record, make room and resume.

    Everything happens in a mount namespace of its own, which needs no privilege and ends with the process.

    Returns:
        what the sweep that ran out of space said, with its exit code and the status after it. The records after the
        resume are copied to `root`.
    """
    require("user namespaces")
    command = [sys.executable, "-m", "tests.e2e.chaos", str(config), str(root)]
    done = subprocess.run(
        ["unshare", "--mount", "--map-root-user", *command], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _fill_disk_and_resume(config: Path, root: Path) -> None:
    root.mkdir(parents=True)
    kept = os.open(root, os.O_RDONLY)  # the directory below the mount
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(root)], check=True)
    paths, ballast = Paths(root), root / "logs" / "ballast"
    process = subprocess.Popen(
        [sys.executable, "-m", "tui_influence", "sweep", "--foreground", str(config)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TINFL_COMPACT_AFTER": "2"},
    )
    wait_until(lambda: _survivors(paths), "no record")
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 12))
    _, said = process.communicate(timeout=60)
    before = _survivors(paths)
    print(f"exit {process.returncode}", said, tinfl("status", root).stdout, sep="\n")
    ballast.unlink()
    tinfl("resume", "--foreground", root)
    _check_untouched(paths, before)
    shutil.copytree(root, f"/proc/self/fd/{kept}", dirs_exist_ok=True)


def _survivors(paths: Paths) -> dict[str, tuple[int, int]]:
    found = {}
    for role in Role:
        for index, target in list_records(paths, role):
            stat = paths.record(role, index, target).stat()
            found[f"{role.value} {index} {target}"] = (stat.st_ino, stat.st_mtime_ns)
    return found


def _check_untouched(paths: Paths, survivors: dict[str, tuple[int, int]]) -> None:
    now = _survivors(paths)
    again = [name for name, identity in survivors.items() if now.get(name) != identity]
    assert not again, f"finished models were trained again or lost: {again}"


def _damage(paths: Paths, name: str, rng: random.Random) -> None:
    role, index, target = name.split()
    path = paths.record(Role(role), int(index), int(target))
    content = bytearray(path.read_bytes())
    if rng.random() < 0.5:
        content = content[: rng.randrange(len(content))]
    else:
        # Not in the margin of harmless bits: any flip inside the arrays or the header's text changes the record.
        content[rng.randrange(len(content) // 2, len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


if __name__ == "__main__":
    _fill_disk_and_resume(Path(sys.argv[1]), Path(sys.argv[2]))
