"""Processes that are killed, stopped and orphaned, and records that are damaged, at random moments of a sweep.

Whatever happens, what was finished stays untouched (the same file, not a newer one with the same content), and in the
end every record has the bytes of an undisturbed run.
"""

import json
import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from functools import cache
from pathlib import Path

from tests.e2e.program import kill_everything, processes_of, record_bytes, tinfl, wait_until, write_config
from tui_influence.roles import Role
from tui_influence.runs.heartbeat import ACTIVE, FINISHED, observe
from tui_influence.store.listing import list_records
from tui_influence.store.paths import Paths

MODELS = 40
"""Of the sweeps of `test_faults`."""
_MANY = 240
"""Of a sweep of the campaign: enough that several blows fall before its end, as a start costs more than they do."""
_SILENCE = "3"
"""Seconds after which a stopped worker counts as hung here."""

Survivors = dict[str, tuple[int, int]]


class Torment:
    """One sweep and its bad luck.

    Attributes:
        counts: how often each thing was done.
    """

    def __init__(self, config: Path, root: Path, rng: random.Random) -> None:
        self._config, self._root, self._rng = config, root, rng
        self._paths = Paths(root)
        self._survivors: Survivors = {}
        self.counts: Counter[str] = Counter()

    def run(self, blows: int) -> None:
        """Hit processes so many times, and damage records in between; then let the sweep finish.

        A sweep that is done before that goes on after some of its records are damaged.

        Raises:
            AssertionError: something that was finished is gone, or was made again.
        """
        rng = self._rng
        while self.counts.total() - self.counts["records damaged"] < blows:
            if not self._is_active():
                for _ in range(len(self._survivors) // 4 if observe(self._paths)[0] in FINISHED else 0):
                    self._damage_a_record()
                tinfl("sweep", self._config, TINFL_SILENCE_LIMIT=_SILENCE)
            for _ in range(rng.randint(1, 8)):
                self._let_pass()
                if not self._is_active():
                    break
                self._hurt_a_worker()
            if self._is_active():
                self._end_the_supervisor()
            self._check_untouched()
            if rng.random() < 0.5:
                self._damage_a_record()
        wait_until(lambda: not self._is_active(), "the sweep does not end")
        self._damage_a_record()
        done = tinfl("sweep", "--foreground", self._config, code=None, TINFL_SILENCE_LIMIT=_SILENCE)
        assert done.returncode == 0, done.stderr
        self._check_untouched()
        self._let_orphans_go_on()
        self._check_untouched()

    def _let_orphans_go_on(self) -> None:
        """Continue workers of dead supervisors that were stopped: they may finish their model, and find it done."""
        for process in processes_of(self._root):
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)
        wait_until(lambda: not processes_of(self._root), "workers do not end after their supervisor")

    def _is_active(self) -> bool:
        return observe(self._paths)[0] in ACTIVE

    def _let_pass(self) -> None:
        enough = len(survivors_of(self._paths)) + self._rng.randint(0, 3)
        wait_until(lambda: len(survivors_of(self._paths)) >= enough or not self._is_active(), "no progress")
        time.sleep(self._rng.uniform(0, 0.2))

    def _hurt_a_worker(self) -> None:
        workers = processes_of(self._root)
        if not workers:
            return
        kind = self._rng.choice(["workers killed", "workers stopped", "workers stopped and continued"])
        pid = self._rng.choice(workers).pid
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL if kind == "workers killed" else signal.SIGSTOP)
            self.counts[kind] += 1
            if kind == "workers stopped and continued":
                time.sleep(self._rng.uniform(0, 0.5))
                os.kill(pid, signal.SIGCONT)

    def _end_the_supervisor(self) -> None:
        kind = self._rng.choice(
            [
                "supervisors killed",
                "supervisors killed with orphans left",
                "everything killed",
                "supervisors stopped and continued",
            ]
        )
        supervisor = int(json.loads(self._paths.owner.read_text())["pid"])
        if kind == "supervisors stopped and continued":
            with suppress(ProcessLookupError):
                os.kill(supervisor, signal.SIGSTOP)
                time.sleep(self._rng.uniform(0, 5))
                os.kill(supervisor, signal.SIGCONT)
                self.counts[kind] += 1
            return
        with suppress(ProcessLookupError):
            os.kill(supervisor, signal.SIGKILL)
            self.counts[kind] += 1
        if kind == "everything killed":
            for process in processes_of(self._root):
                process.kill()
        if kind == "supervisors killed with orphans left":
            return  # those that are stopped stay so until the end
        self._let_orphans_go_on()

    def _check_untouched(self) -> None:
        """Compare what is finished with what was at the last look.

        An orphan that was stopped between writing a record and giving it its name replaces its successor's with its
        own, which is the older one: nothing was trained after it was finished.
        """
        now = survivors_of(self._paths)
        again = [
            name
            for name, (inode, time_ns) in self._survivors.items()
            if name not in now or (now[name][0] != inode and now[name][1] >= time_ns)
        ]
        assert not again, f"finished models were trained again or lost: {again}"
        self._survivors = now

    def _damage_a_record(self) -> None:
        if not self._survivors or self._is_active():
            return
        name = self._rng.choice(sorted(self._survivors))
        damage_record(self._paths, name, self._rng)
        self._survivors.pop(name)
        self.counts["records damaged"] += 1


def survivors_of(paths: Paths) -> Survivors:
    """Return the inode and time of every record, by its name."""
    survivors = {}
    for role in Role:
        for index, target in list_records(paths, role):
            status = paths.record(role, index, target).stat()
            survivors[f"{role.value} {index} {target}"] = (status.st_ino, status.st_mtime_ns)
    return survivors


def damage_record(paths: Paths, name: str, rng: random.Random) -> None:
    """Cut a record short, or flip a bit of it."""
    role, index, target = name.split()
    path = paths.record(Role(role), int(index), int(target))
    content = bytearray(path.read_bytes())
    if rng.random() < 0.5:
        content = content[: rng.randrange(len(content))]
    else:
        # Not in the margin of harmless bits: any flip inside the arrays or the header's text changes the record.
        content[rng.randrange(len(content) // 2, len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


@cache
def undisturbed(directory: Path, models: int = MODELS) -> dict[str, bytes]:
    """Return every record of a run that nothing happened to; trained once, in `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    tinfl("sweep", "--foreground", write_config(directory, models=models))
    return record_bytes(directory / "results")


def attempt(directory: Path, rng: random.Random, blows: int = 30) -> Counter[str]:
    """Torment one sweep, and compare its records with those of an undisturbed one."""
    root = directory / "results"
    torment = Torment(write_config(directory, models=_MANY), root, rng)
    try:
        torment.run(blows)
        assert record_bytes(root) == undisturbed(directory.parent / "undisturbed", _MANY), "records differ"
    finally:
        kill_everything(root)
    return torment.counts
