"""Everything in a results directory held against its checksums, and what has none against the rest; nothing is changed.

Works on a run under way, whose files come and go: what is gone by the time it is read was replaced or set aside, and
is no damage.
"""

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tui_influence.config.loader import config_from_json
from tui_influence.datasets.cache import Cache
from tui_influence.designs import Row, make_design, schedule
from tui_influence.errors import ResultsError, TinflError
from tui_influence.roles import Role
from tui_influence.runs.heartbeat import FINISHED, read_heartbeat
from tui_influence.runs.record_check import check_row
from tui_influence.store.events import count_damaged_lines, read_events
from tui_influence.store.examples import check_pictures, read_examples
from tui_influence.store.files import COPY_AGAIN, AlteredFileError, read_json, to_results_error
from tui_influence.store.generation import DamagedGenerationError, LargerPlanError, Outputs, open_generation
from tui_influence.store.listing import (
    list_completed,
    list_failures,
    list_records,
)
from tui_influence.store.matrix import check_record, generation_spec, list_generations, matches_record
from tui_influence.store.paths import Paths
from tui_influence.store.plan import read_plan
from tui_influence.store.pruning_plan import Pruning, check_arms, read_arms
from tui_influence.store.records import (
    DamagedRecordError,
    read_record,
)
from tui_influence.store.run_info import RunInfo, read_run_info
from tui_influence.text import pluralize, printable

ProgressCallback = Callable[[str, int, int], None]
"""Is told what is checked, how many of it are done, and of how many."""

_COPY = f"{COPY_AGAIN}; nothing else makes it again"
_REWRITE = (
    f"{COPY_AGAIN}; or move it away and start `tinfl sweep CONFIG` with the config of the run, which writes it again "
    "and keeps the records"
)
_REMOVE_ARMS = "remove it; the pruning that it is of lies in a directory of its own"
_PICTURES = f"no number depends on it; {COPY_AGAIN}"
_REMOVE = "remove it; a results directory holds files and directories alone"
_REPACK = "remove it; the data are packed again when they are needed"
_EVERY = 100
_NOUNS = {
    "records": ("record", "records"),
    "matrices": ("compacted matrix", "compacted matrices"),
    "examples": ("set of examples", "sets of examples"),
    "pictures": ("set of pictures", "sets of pictures"),
    "plans": ("plan", "plans"),
    "arms": ("list of arms", "lists of arms"),
    "failures": ("failure", "failures"),
    "prunings": ("pruning", "prunings"),
    "packed": ("packed dataset", "packed datasets"),
}
"""What is counted, by its key in JSON."""


@dataclass(frozen=True)
class Damage:
    """A file that is not what it should be.

    Attributes:
        path: of the file, or of the directory that it should be in.
        problem: what is wrong, in one line that is safe to show.
        remedy: what helps.
    """

    path: Path
    problem: str
    remedy: str


@dataclass
class IntegrityReport:
    """What was checked, and what came of it.

    Attributes:
        checked: how many of each kind of thing: keys of `_NOUNS`.
        damaged: what is not what it should be.
        notes: what else there is to know, a line each.
    """

    checked: Counter[str] = field(default_factory=Counter)
    damaged: list[Damage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damaged

    def damage(self, path: Path, error: ResultsError | str, remedy: str) -> None:
        """Add what is damaged; the reason says neither the path nor the remedy again."""
        problem = _without_path(str(error), printable(str(path))).removesuffix(f"; {COPY_AGAIN}")
        self.damaged.append(Damage(path, problem, remedy))

    @property
    def summary(self) -> str:
        """What was checked, such as "12 records, 1 plan"."""
        checked = [pluralize(self.checked[key], *nouns) for key, nouns in _NOUNS.items() if self.checked[key]]
        return ", ".join(checked) or "nothing"


def check_results(root: Path, progress: ProgressCallback) -> IntegrityReport:
    """Read everything in a results directory, and in its prunings, and check it.

    Raises:
        ResultsError: it is none, or its `run.json` cannot be read; or the machine is in trouble.
    """
    findings = IntegrityReport()
    try:
        info = read_run_info(root)
    except AlteredFileError as error:
        findings.damage(Paths(root).run, error, _REWRITE if _is_sweep(Paths(root)) else _COPY)
        findings.notes.append(f"{printable(str(root))}: nothing else was checked, as it is held against run.json")
    else:
        _Check(Paths(root), info, findings, progress).run()
    for paths in _prunings(Paths(root)):
        if not (os.path.lexists(paths.run) or paths.records_root.exists()):
            findings.notes.append(f"{printable(str(paths.root))}: nothing was prepared yet")
            continue
        try:
            info = read_run_info(paths.root)
        except ResultsError as error:
            findings.damage(paths.run, error, _COPY)
            continue
        findings.checked["prunings"] += 1
        _Check(paths, info, findings, progress).run()
    for special in _special_files(root):
        _add_special_file(findings, special)
    return findings


def check_cache(root: Path, findings: IntegrityReport, progress: ProgressCallback) -> None:
    """Check the packed datasets that a run and its prunings were trained on, as far as the cache has them."""
    fingerprints: set[str] = set()
    for paths in (Paths(root), *_prunings(Paths(root))):
        try:
            fingerprints |= _fingerprints(read_run_info(paths.root))
        except ResultsError:  # `check_results` says so
            continue
    cache = Cache()
    for number, fingerprint in enumerate(sorted(fingerprints)):
        progress("checking the packed data", number, len(fingerprints))
        if not (fingerprint.isascii() and fingerprint.isalnum()):
            problem = f"a fingerprint of packed data that is none: {printable(fingerprint, 40)}"
            findings.damaged.append(Damage(Paths(root).run, problem, _COPY))
            continue
        entry = cache.root / "packed" / fingerprint
        if not entry.exists():
            findings.notes.append(f"not in the cache, and packed again when needed: {fingerprint}")
        elif damage := cache.check(fingerprint):
            findings.damaged.append(Damage(entry, damage, _REPACK))
        findings.checked["packed"] += entry.exists()


def _is_sweep(paths: Paths) -> bool:
    return not os.path.lexists(paths.arms) and not paths.records(Role.ARM).exists()


def _fingerprints(info: RunInfo) -> set[str]:
    """Return those of all that a run was trained on; of an imported one, none are known."""
    several = [info.source.fingerprint, *(part for target in info.targets for part in target.fingerprints)]
    return {fingerprint for fingerprint in several if fingerprint}


def _prunings(paths: Paths) -> list[Paths]:
    try:
        directories = sorted(path for path in paths.prunings.iterdir() if path.is_dir() and not path.is_symlink())
    except OSError:  # there are none, or they cannot be listed, which `_special_files` says
        return []
    return [Paths(path) for path in directories if not paths.prunings.is_symlink()]


_Rows = dict[tuple[Role, int], Row]


class _Check:
    """The check of one results directory, without those inside it."""

    def __init__(self, paths: Paths, info: RunInfo, findings: IntegrityReport, progress: ProgressCallback) -> None:
        self._paths, self._info, self._findings, self._progress = paths, info, findings, progress
        where = printable(str(paths.root))
        self._again = f"`tinfl resume {where}` trains it again"
        self._rewritten = f"`tinfl resume {where}` writes it again"
        if info.is_imported:
            self._again = self._rewritten = "import the run again: nothing here can train or write it"

    def run(self) -> None:
        """Check everything."""
        pruning = self._arms()
        rows = self._plan(pruning)
        for target in range(len(self._info.targets)):
            self._examples(target)
        self._pictures(self._paths.source, self._info.source.digests)
        for role in Role:
            matrices = [self._matrices(role, target) for target in range(len(self._info.targets))]
            self._records(role, rows, matrices)
            self._failures(role)
        self._what_happened()

    def _written_again(self, path: Path) -> str:
        """Return what helps where a run writes a file again, which it cannot while something else has its name."""
        return self._rewritten if path.is_file() or not os.path.lexists(path) else f"remove it; {self._rewritten}"

    def _arms(self) -> Pruning | None:
        if not self._info.arms:
            if os.path.lexists(self._paths.arms):
                self._findings.damage(self._paths.arms, "run.json is that of a sweep, which has no arms", _REMOVE_ARMS)
            return None
        try:
            pruning = read_arms(self._paths)
            check_arms(self._paths, pruning, self._info)
        except ResultsError as error:
            self._findings.damage(self._paths.arms, error, _COPY)
            return None
        self._findings.checked["arms"] += 1
        return pruning

    def _plan(self, pruning: Pruning | None) -> _Rows:
        """Check the plan against what it was made from; return the rows that records must be of."""
        if self._info.is_imported:
            return {}
        try:
            plan = read_plan(self._paths)
        except ResultsError as error:
            self._findings.damage(self._paths.plan, error, self._written_again(self._paths.plan))
            return {}
        self._findings.checked["plans"] += 1
        rows = {(row.role, row.index): row for row in plan}
        if sum(self._info.planned_rows.values()) > len(rows):  # it is written before `run.json`, and may hold more
            self._findings.damage(
                self._paths.plan, "it does not hold all rows that run.json speaks of", self._rewritten
            )
            return {}
        made = self._rows_made(pruning)
        for key, row in made.items():
            written = rows.get(key, row if pruning else None)  # arms.json is written before the plan
            if written is None or not _is_same(written, row):
                where = "arms.json" if pruning else "the config in run.json"
                self._findings.damage(
                    self._paths.plan, f"row {row.index} is not what {where} leads to", self._rewritten
                )
                break
        return made or rows

    def _rows_made(self, pruning: Pruning | None) -> _Rows:
        """Return the rows that a plan is made of, from the arms or the config; none where they cannot be told."""
        info = self._info
        try:
            if pruning is not None:
                made = pruning.rows()
            elif info.arms:
                return {}
            else:
                design = make_design(config_from_json(info.config).design, len(info.source.groups), info.seed)
                made = schedule(design, info.models, info.heldout)
        except TinflError as error:
            self._findings.damage(self._paths.run, f"its config is none: {printable(str(error), 200)}", _COPY)
            return {}
        return {(row.role, row.index): row for row in made}

    def _examples(self, target: int) -> None:
        try:
            read_examples(self._paths, self._info, target)
        except ResultsError as error:
            self._findings.damage(self._paths.target(target), error, _COPY)
        else:
            self._findings.checked["examples"] += 1
        self._pictures(self._paths.target(target), self._info.targets[target].digests)

    def _pictures(self, directory: Path, digests: dict[str, str]) -> None:
        try:
            self._findings.checked["pictures"] += check_pictures(directory, digests)
        except ResultsError as error:
            self._findings.damage(directory, error, _PICTURES)

    def _matrices(self, role: Role, target: int) -> Outputs | None:
        """Check every generation; return the newest sound one."""
        newest = None
        for directory in list_generations(self._paths, role, target):
            self._progress("checking the compacted matrix", 0, 0)
            try:
                newest = open_generation(directory, generation_spec(self._info, role, target), recheck=True)
            except LargerPlanError as error:
                info = read_run_info(self._paths.root)  # the plan may have grown since
                if self._info.planned_rows == info.planned_rows:
                    self._findings.damage(directory, error, self._remedy_of_matrix())
            except DamagedGenerationError as error:
                if directory.exists():
                    self._findings.damage(directory, error, self._remedy_of_matrix())
            else:
                self._findings.checked["matrices"] += 1
        return newest

    def _remedy_of_matrix(self) -> str:
        if self._info.is_imported:
            return "remove it; the records say the same, and are read instead"
        return f"the records are read instead; `tinfl resume {printable(str(self._paths.root))}` makes it again"

    def _records(self, role: Role, rows: _Rows, matrices: list[Outputs | None]) -> None:
        try:
            listed = sorted(list_records(self._paths, role))
        except ResultsError as error:
            self._findings.damage(self._paths.records(role), error, "make it readable, or copy it again")
            return
        planned = self._info.planned_rows.get(role, 0)
        within = [(index, target) for index, target in listed if index < planned and target < len(self._info.targets)]
        if len(within) < len(listed):
            beyond = pluralize(len(listed) - len(within), "record")
            self._findings.notes.append(f"{printable(str(self._paths.records(role)))}: {beyond} beyond the plan")
        for number, (index, target) in enumerate(within):
            if number % _EVERY == 0:
                self._progress(f"checking the records ({role.value})", number, len(within))
            path = self._paths.record(role, index, target)
            try:
                record = read_record(self._paths, role, index, target)
                check_record(record, self._info)
                if (row := rows.get((role, index))) is not None:
                    check_row(record, row)
            except DamagedRecordError as error:
                if os.path.lexists(path):
                    self._findings.damage(path, error, self._again)
                continue
            self._findings.checked["records"] += 1
            matrix = matrices[target]
            if matrix is not None and not matches_record(matrix, record):
                self._findings.damage(
                    self._paths.matrix(role, target),
                    f"it does not say what the record of row {index} says",
                    "remove it; the records are read instead",
                )
                matrices[target] = None
        self._missing(role, matrices)

    def _missing(self, role: Role, matrices: list[Outputs | None]) -> None:
        """Say which models are not there: of a run that is done they are gone, as after half a copy."""
        planned, failed = self._info.planned_rows.get(role, 0), len(list_failures(self._paths, role))
        there = list_completed(self._paths, role, len(matrices), planned)
        gone = planned - len(there | list_failures(self._paths, role))
        held = [0 if matrix is None else len(matrix) for matrix in matrices]
        if gone <= 0:
            return
        where = printable(str(self._paths.records(role)))
        if min(held) >= planned - failed:
            self._findings.notes.append(
                f"{where}: {gone:,} of {planned:,} models have no record; the compacted matrix holds what they say"
            )
        elif self._was_done():
            self._findings.damage(
                self._paths.records(role), f"{gone:,} of {planned:,} models are missing, though the run was done",
                f"copy them again from where the run was made; or {self._again.replace(' it ', ' them ')}",
            )  # fmt: skip
        else:
            self._findings.notes.append(f"{where}: {planned - gone:,} of {planned:,} models")

    def _was_done(self) -> bool:
        """Whether the run was done, by its heartbeat, or where that is missing by the last event."""
        heartbeat = read_heartbeat(self._paths)
        if heartbeat is not None:
            return heartbeat.state in FINISHED
        try:
            last = deque(read_events(self._paths.events), maxlen=1)
        except ResultsError:  # `_what_happened` says so
            return False
        return any(event["event"] in {*FINISHED, "imported"} for event, _ in last)

    def _failures(self, role: Role) -> None:
        try:
            for index in sorted(list_failures(self._paths, role)):
                path = self._paths.failure(role, index)
                try:
                    read_json(path, limit=1 << 20)
                    self._findings.checked["failures"] += 1
                except ResultsError as error:
                    if os.path.lexists(path):
                        self._findings.damage(path, error, "`tinfl resume --retry-failed` tries the model again")
        except ResultsError as error:
            self._findings.damage(self._paths.failures(role), error, "make it readable, or copy it again")

    def _what_happened(self) -> None:
        """Check what no number depends on: the log and the heartbeat."""
        events = self._paths.events
        try:
            damaged = count_damaged_lines(events)
        except ResultsError as error:
            self._findings.damage(events, error, "move it away: a run goes on without it")
        else:
            if damaged:
                self._findings.notes.append(
                    f"{printable(str(events))}: {pluralize(damaged, 'line')} without an event, which nobody reads"
                )
        heartbeat = self._paths.heartbeat
        if heartbeat.exists() and read_heartbeat(self._paths) is None:
            self._findings.damage(heartbeat, "damaged: it says nothing sensible", self._written_again(heartbeat))
        if self._paths.quarantine.is_dir():
            aside = pluralize(len(list(self._paths.quarantine.iterdir())), "record")
            self._findings.notes.append(f"{printable(str(self._paths.quarantine))}: {aside} set aside earlier")


def _is_same(row: Row, other: Row) -> bool:
    return (row.seed, row.cluster) == (other.seed, other.cluster) and np.array_equal(row.mask, other.mask)


def _without_path(problem: str, where: str) -> str:
    """Return a reason without the path of a file, or of its directory: such as "masks.npy: cannot be read: ..."."""
    if not problem.startswith(f"cannot read {where}"):
        return problem.removeprefix(f"{where}: ").removeprefix(f"{where}/")
    name, _, reason = problem.removeprefix(f"cannot read {where}").removeprefix("/").partition(": ")
    return f"{name}: cannot be read: {reason}" if name else f"cannot be read: {reason}"


def _add_special_file(findings: IntegrityReport, special: Damage) -> None:
    """Add what is no file, once: a link is to be removed by hand, the rest is what the check of its file says."""
    same = [
        damage
        for damage in findings.damaged
        if damage.path == special.path
        or (damage.path == special.path.parent and printable(special.path.name) in damage.problem)
    ]
    if special.path.is_symlink():
        findings.damaged[:] = [damage for damage in findings.damaged if damage not in same]
    elif same:
        return
    findings.damaged.append(special)


def _special_files(root: Path) -> Iterator[Damage]:
    """Yield what is neither a file nor a directory, and directories that cannot be listed.

    Pipes and devices in `quarantine/` are left out: that is where a run moves what was in the way of a record.
    """
    pending = [root]
    while pending:
        folder = pending.pop()
        is_quarantine = Paths(root).quarantine.name in folder.relative_to(root).parts
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(Path(entry.path))
                    elif entry.is_symlink():
                        yield Damage(Path(entry.path), "a link", _REMOVE)
                    elif not entry.is_file(follow_symlinks=False) and not is_quarantine:
                        yield Damage(Path(entry.path), "a pipe, a socket or a device", _REMOVE)
        except FileNotFoundError:
            continue
        except OSError as error:
            yield Damage(folder, str(to_results_error(error, "list", folder)), "make it readable, or copy it again")
