"""Disks that are full, read-only or frozen in the middle of a sweep.

Everything happens in a mount namespace of its own, which ends with the process: `python -m tests.soak.disks KIND CONFIG
ROOT`. A full disk and a read-only one need no privilege; one that is frozen is a file with a file system, which needs
root and a loop device.
"""

import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.e2e.program import kill_everything, record_bytes, tinfl, wait_until, write_config
from tests.soak.kills import MODELS, survivors_of, undisturbed
from tui_influence.store.paths import Paths

_PATIENCE = 120.0
NEEDED = ("unshare", "mount")
"""Programs, and for a frozen disk also `mkfs.ext4` and `fsfreeze`."""


def attempt(directory: Path, rng: random.Random) -> Counter[str]:
    """Run a sweep on a disk of its own that fails it; mend the disk, resume, and compare the records."""
    config, root = write_config(directory, models=MODELS), directory / "results"
    kinds = [kind for kind in KINDS if kind != "frozen" or can_freeze()]
    kind = rng.choice(kinds)
    try:
        output = on_own_disk(kind, config, root)
        assert "Traceback" not in output, output
        assert record_bytes(root) == undisturbed(directory.parent / "undisturbed"), "records differ"
    finally:
        kill_everything(root)
    return Counter({f"{kind} disks": 1})


def can_freeze() -> bool:
    """Whether a file system can be frozen here."""
    programs = all(shutil.which(program) for program in ("mkfs.ext4", "fsfreeze"))
    return os.getuid() == 0 and programs and Path("/dev/loop-control").exists()


def on_own_disk(kind: str, config: Path, root: Path) -> str:
    """Run a sweep whose disk becomes full, read-only or frozen; then resume it on a good one.

    Returns:
        what the sweep printed in its trouble, with its exit code and the status after it. The records after the
        resume are copied to `root`.
    """
    command = [sys.executable, "-m", "tests.soak.disks", kind, str(config), str(root)]
    user = [] if kind == "frozen" else ["--map-root-user"]
    done = subprocess.run(
        ["unshare", "--mount", *user, *command], capture_output=True, text=True, timeout=4 * _PATIENCE, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _full(root: Path, paths: Paths, sweep: Callable[[], "subprocess.Popen[str]"]) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(root)], check=True)
    process, ballast = sweep(), root / "logs" / "ballast"
    wait_until(lambda: survivors_of(paths), "no record")
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 12))
    _report(process, root)
    ballast.unlink()


def _read_only(root: Path, paths: Paths, sweep: Callable[[], "subprocess.Popen[str]"]) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(root)], check=True)
    process = sweep()
    wait_until(lambda: survivors_of(paths), "no record")
    # On top of the one that has open files, which cannot be made read-only: whatever is opened from now on is refused.
    subprocess.run(["mount", "--bind", str(root), str(root)], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(root)], check=True)
    _report(process, root)
    subprocess.run(["umount", str(root)], check=True)


def _frozen(root: Path, paths: Paths, sweep: Callable[[], "subprocess.Popen[str]"]) -> None:
    image = root.with_name("disk.img")
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(root)], check=True)
    (root / "lost+found").rmdir()
    process = sweep()
    wait_until(lambda: survivors_of(paths), "no record")
    subprocess.run(["fsfreeze", "--freeze", str(root)], check=True)
    try:
        time.sleep(5)
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", str(root)], check=True)
    _report(process, root)


KINDS: dict[str, Callable[[Path, Paths, Callable[[], "subprocess.Popen[str]"]], None]] = {
    "full": _full,
    "read-only": _read_only,
    "frozen": _frozen,
}


def _report(process: "subprocess.Popen[str]", root: Path) -> None:
    _, err = process.communicate(timeout=_PATIENCE)
    status = tinfl("status", root, code=None)
    print(f"exit {process.returncode}", err, status.stdout, status.stderr, sep="\n")


def _main(kind: str, config: Path, root: Path) -> None:
    root.mkdir(parents=True)
    below = os.open(root, os.O_RDONLY)  # the directory below the mount

    def sweep() -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "tui_influence", "sweep", "--foreground", str(config)],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"TINFL_COMPACT_AFTER": "2"},
        )

    paths = Paths(root)
    KINDS[kind](root, paths, sweep)
    before = survivors_of(paths)
    tinfl("resume", "--foreground", root)
    now = survivors_of(paths)
    assert {name: now.get(name) for name in before} == before, "finished models were trained again or lost"
    shutil.copytree(root, f"/proc/self/fd/{below}", dirs_exist_ok=True)


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
