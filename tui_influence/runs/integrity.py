"""The integrity check of a results directory, by digests where there are any and by consistency; it changes nothing.

It works on an active run, whose files come and go: a file that is gone by the time it is read was replaced or moved to
quarantine, and does not count as damage.
"""

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tui_influence.cluster_stage import ClusterStage
from tui_influence.config.loader import config_from_json
from tui_influence.datasets.cache import Cache
from tui_influence.designs import Row
from tui_influence.errors import ResultsError, TinflError
from tui_influence.roles import Role
from tui_influence.runs.heartbeat import FINISHED, read_heartbeat
from tui_influence.runs.record_check import check_row
from tui_influence.staged_design import sweep_rows
from tui_influence.store.class_clusters import read_cluster_stage
from tui_influence.store.events import count_damaged_lines, read_events
from tui_influence.store.examples import check_thumbnails, read_examples
from tui_influence.store.files import COPY_AGAIN, AlteredFileError, read_json, to_results_error
from tui_influence.store.generation import DamagedGenerationError, LargerPlanError, Outputs, open_generation
from tui_influence.store.growth import check_growth
from tui_influence.store.listing import list_completed, list_failures, list_records
from tui_influence.store.matrix import check_record, generation_spec, list_generations, matches_record
from tui_influence.store.paths import Paths
from tui_influence.store.plan import read_plan
from tui_influence.store.pruning_plan import Pruning, check_arms, read_arms
from tui_influence.store.records import DamagedRecordError, read_record
from tui_influence.store.run_info import RunInfo, read_run_info
from tui_influence.text import pluralize, printable

ProgressCallback = Callable[[str, int, int], None]
"""Called with the present stage, the number of checked files, and the total."""

_COPY = f"{COPY_AGAIN}; it cannot be recreated"
_REWRITE = (
    f"{COPY_AGAIN}; or move it away and run `tinfl sweep CONFIG` with the config of the run, which writes it again "
    "and keeps the records"
)
_REMOVE_ARMS = "remove it; a pruning has its own directory"
_IMAGES = f"no number depends on it; {COPY_AGAIN}"
_REMOVE = "remove it; a results directory holds only files and directories"
_REPACK = "remove it; the data are packed again when they are needed"
_PROGRESS_STEP = 100
_NOUNS = {
    "records": ("record", "records"),
    "matrices": ("compacted matrix", "compacted matrices"),
    "examples": ("set of examples", "sets of examples"),
    "thumbnails": ("set of thumbnails", "sets of thumbnails"),
    "plans": ("plan", "plans"),
    "arms": ("list of arms", "lists of arms"),
    "clusters": ("list of class clusters", "lists of class clusters"),
    "failures": ("failure", "failures"),
    "prunings": ("pruning", "prunings"),
    "packed": ("packed dataset", "packed datasets"),
}
"""Singular and plural of what is counted, by key in JSON."""


@dataclass(frozen=True)
class Damage:
    """A damaged file.

    Attributes:
        path: of the file, or of the directory that it should be in.
        problem: a one-line description, safe to print.
        remedy: how to repair it.
    """

    path: Path
    problem: str
    remedy: str


@dataclass
class IntegrityReport:
    """The result of an integrity check.

    Attributes:
        checked: number of checked items of each kind, by key of `_NOUNS`.
        damaged: damaged files.
        notes: remarks that are not damage, one line each.
    """

    checked: Counter[str] = field(default_factory=Counter)
    damaged: list[Damage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damaged

    def damage(self, path: Path, error: ResultsError | str, remedy: str) -> None:
        """Add a damaged file; the path and the remedy are removed from the error's text."""
        problem = _without_path(str(error), printable(str(path))).removesuffix(f"; {COPY_AGAIN}")
        self.damaged.append(Damage(path, problem, remedy))

    @property
    def summary(self) -> str:
        """The checked items, such as "12 records, 1 plan"."""
        items = [pluralize(self.checked[key], *nouns) for key, nouns in _NOUNS.items() if self.checked[key]]
        return ", ".join(items) or "nothing"


def check_results(root: Path, progress: ProgressCallback) -> IntegrityReport:
    """Read and check everything in a results directory and in its prunings.

    Raises:
        ResultsError: it is not a results directory, its `run.json` cannot be read, or the system fails.
    """
    report = IntegrityReport()
    try:
        info = read_run_info(root)
    except AlteredFileError as error:
        report.damage(Paths(root).run, error, _REWRITE if _is_sweep(Paths(root)) else _COPY)
        report.notes.append(f"{printable(str(root))}: nothing else was checked, as that requires run.json")
    else:
        _DirectoryCheck(Paths(root), info, report, progress).run()
    for paths in _prunings(Paths(root)):
        if not (os.path.lexists(paths.run) or paths.records_root.exists()):
            report.notes.append(f"{printable(str(paths.root))}: not prepared yet")
            continue
        try:
            info = read_run_info(paths.root)
        except ResultsError as error:
            report.damage(paths.run, error, _COPY)
            continue
        report.checked["prunings"] += 1
        _DirectoryCheck(paths, info, report, progress).run()
    for special in _list_special_files(root):
        _add_special_file(report, special)
    return report


def check_cache(root: Path, report: IntegrityReport, progress: ProgressCallback) -> None:
    """Check the packed datasets that a run and its prunings were trained on, as far as the cache holds them."""
    fingerprints: set[str] = set()
    for paths in (Paths(root), *_prunings(Paths(root))):
        try:
            fingerprints |= _fingerprints(read_run_info(paths.root))
        except ResultsError:  # `check_results` reports it
            continue
    cache = Cache()
    for number, fingerprint in enumerate(sorted(fingerprints)):
        progress("checking the packed data", number, len(fingerprints))
        if not (fingerprint.isascii() and fingerprint.isalnum()):
            problem = f"invalid fingerprint of packed data: {printable(fingerprint, 40)}"
            report.damaged.append(Damage(Paths(root).run, problem, _COPY))
            continue
        entry = cache.root / "packed" / fingerprint
        if not entry.exists():
            report.notes.append(f"not in the cache, and packed again when needed: {fingerprint}")
        elif damage := cache.check(fingerprint):
            report.damaged.append(Damage(*damage, _REPACK))
        report.checked["packed"] += entry.exists()


def _is_sweep(paths: Paths) -> bool:
    return not os.path.lexists(paths.arms) and not paths.records(Role.ARM).exists()


def _fingerprints(info: RunInfo) -> set[str]:
    """Return the fingerprints of a run's data; an imported run has none."""
    fingerprints = [info.source.fingerprint, *(part for target in info.targets for part in target.fingerprints)]
    return {fingerprint for fingerprint in fingerprints if fingerprint}


def _prunings(paths: Paths) -> list[Paths]:
    try:
        directories = sorted(path for path in paths.prunings.iterdir() if path.is_dir() and not path.is_symlink())
    except OSError:  # there are none, or they cannot be listed, which `_list_special_files` reports
        return []
    return [Paths(path) for path in directories if not paths.prunings.is_symlink()]


_Rows = dict[tuple[Role, int], Row]


class _DirectoryCheck:
    """The check of one results directory, without those inside it."""

    def __init__(self, paths: Paths, info: RunInfo, report: IntegrityReport, progress: ProgressCallback) -> None:
        self._paths, self._info, self._report, self._progress = paths, info, report, progress
        resume = f"`tinfl resume {printable(str(paths.root))}`"
        self._retrain_remedy, self._rewrite = f"{resume} trains it again", f"{resume} writes it again"
        if info.is_imported:
            self._retrain_remedy = self._rewrite = "import the run again: it can be neither trained nor written here"

    def run(self) -> None:
        """Check everything."""
        pruning = self._arms()
        rows = self._plan(pruning)
        for target in range(len(self._info.targets)):
            self._examples(target)
        self._thumbnails(self._paths.source, self._info.source.digests)
        for role in Role:
            matrices = [self._matrices(role, target) for target in range(len(self._info.targets))]
            self._records(role, rows, matrices)
            self._failures(role)
        self._log_and_heartbeat()

    def _rewrite_remedy(self, path: Path) -> str:
        """Return the remedy for a file that a run writes again, once nothing else has its name."""
        return self._rewrite if path.is_file() or not os.path.lexists(path) else f"remove it; {self._rewrite}"

    def _arms(self) -> Pruning | None:
        if not self._info.arms:
            if os.path.lexists(self._paths.arms):
                self._report.damage(self._paths.arms, "run.json is that of a sweep, which has no arms", _REMOVE_ARMS)
            return None
        try:
            pruning = read_arms(self._paths)
            check_arms(self._paths, pruning, self._info)
        except ResultsError as error:
            self._report.damage(self._paths.arms, error, _COPY)
            return None
        self._report.checked["arms"] += 1
        return pruning

    def _plan(self, pruning: Pruning | None) -> _Rows:
        """Compare the plan with the arms or the config that it was made from; return its rows, to check the records."""
        if self._info.is_imported:
            return {}
        try:
            plan = read_plan(self._paths)
        except ResultsError as error:
            self._report.damage(self._paths.plan, error, self._rewrite_remedy(self._paths.plan))
            return {}
        self._report.checked["plans"] += 1
        rows = {(row.role, row.index): row for row in plan}
        grows = pruning is not None or self._n_clusters() > 0
        # It is written before `run.json`, and may hold more; with class clusters, run.json mentions all stages.
        if sum(self._info.planned_rows.values()) > len(rows) and not self._n_clusters():
            self._report.damage(self._paths.plan, "it does not hold all rows that run.json mentions", self._rewrite)
            return {}
        expected = self._expected_rows(pruning)
        for key, row in expected.items():
            written = rows.get(key, row if grows else None)  # arms.json and clusters.json are written before the plan
            if written is None or not _is_same(written, row):
                origin = "arms.json" if pruning else "clusters.json" if grows else "the config in run.json"
                self._report.damage(self._paths.plan, f"row {row.index} does not follow from {origin}", self._rewrite)
                break
        return expected or rows

    def _expected_rows(self, pruning: Pruning | None) -> _Rows:
        """Return the rows of the plan that follow from the arms or the config; none if these are missing."""
        info = self._info
        try:
            if pruning is not None:
                rows = pruning.rows()
            elif info.arms:
                return {}
            else:
                section = config_from_json(info.config).design
                counts = {"models": info.models, "heldout": info.heldout}
                clusters, groups = self._n_clusters(), len(info.source.groups)
                stage = self._cluster_stage(clusters)
                rows = sweep_rows(section.model_copy(update=counts), groups, info.seed, info.prior, clusters, stage)
        except TinflError as error:
            self._report.damage(self._paths.run, f"its config is invalid: {printable(str(error), 200)}", _COPY)
            return {}
        return {(row.role, row.index): row for row in rows}

    def _n_clusters(self) -> int:
        """Return the number of class clusters of a sweep; 0 if it has none or its config is invalid."""
        if self._info.arms or self._info.is_imported:
            return 0
        try:
            return config_from_json(self._info.config).n_clusters(len(self._info.source.groups))
        except ResultsError:  # `_expected_rows` reports it
            return 0

    def _cluster_stage(self, clusters: int) -> ClusterStage | None:
        info = self._info
        try:
            stage = read_cluster_stage(self._paths, info.identity, info.source.groups, clusters)
        except ResultsError as error:
            self._report.damage(self._paths.class_clusters, error, _COPY)
            return None
        self._report.checked["clusters"] += stage is not None
        return stage

    def _examples(self, target: int) -> None:
        try:
            read_examples(self._paths, self._info, target)
        except ResultsError as error:
            self._report.damage(self._paths.target(target), error, _COPY)
        else:
            self._report.checked["examples"] += 1
        self._thumbnails(self._paths.target(target), self._info.targets[target].digests)

    def _thumbnails(self, directory: Path, digests: dict[str, str]) -> None:
        try:
            self._report.checked["thumbnails"] += check_thumbnails(directory, digests)
        except ResultsError as error:
            self._report.damage(directory, error, _IMAGES)

    def _matrices(self, role: Role, target: int) -> Outputs | None:
        """Check every generation; return the newest undamaged one."""
        newest = None
        for directory in list_generations(self._paths, role, target):
            self._progress("checking the compacted matrix", 0, 0)
            try:
                newest = open_generation(directory, generation_spec(self._info, role, target), recheck=True)
            except LargerPlanError as error:
                info = read_run_info(self._paths.root)  # the plan may have been extended meanwhile
                if self._info.planned_rows == info.planned_rows:
                    self._report.damage(directory, error, self._matrix_remedy())
            except DamagedGenerationError as error:
                if directory.exists():
                    self._report.damage(directory, error, self._matrix_remedy())
            else:
                self._report.checked["matrices"] += 1
        return newest

    def _matrix_remedy(self) -> str:
        if self._info.is_imported:
            return "remove it; the records hold the same, and are read instead"
        return f"the records are read instead; `tinfl resume {printable(str(self._paths.root))}` writes it again"

    def _records(self, role: Role, rows: _Rows, matrices: list[Outputs | None]) -> None:
        try:
            listed = sorted(list_records(self._paths, role))
        except ResultsError as error:
            self._report.damage(self._paths.records(role), error, "make it readable, or copy it again")
            return
        planned = self._info.planned_rows.get(role, 0)
        within = [(index, target) for index, target in listed if index < planned and target < len(self._info.targets)]
        if len(within) < len(listed):
            unplanned = pluralize(len(listed) - len(within), "record")
            self._report.notes.append(f"{printable(str(self._paths.records(role)))}: {unplanned} not in the plan")
        for number, (index, target) in enumerate(within):
            if number % _PROGRESS_STEP == 0:
                self._progress(f"checking the records ({role.value})", number, len(within))
            path = self._paths.record(role, index, target)
            try:
                record = read_record(self._paths, role, index, target)
                check_record(record, self._info)
                if (row := rows.get((role, index))) is not None:
                    check_row(record, row)
            except DamagedRecordError as error:
                if os.path.lexists(path):
                    self._report.damage(path, error, self._retrain_remedy)
                continue
            self._report.checked["records"] += 1
            matrix = matrices[target]
            if matrix is not None and not matches_record(matrix, record):
                self._report.damage(
                    self._paths.matrix(role, target),
                    f"it differs from the record of row {index}",
                    "remove it; the records are read instead",
                )
                matrices[target] = None
        self._missing(role, matrices)

    def _missing(self, role: Role, matrices: list[Outputs | None]) -> None:
        """Report models without a record: if the run is done they are damage, as after an incomplete copy."""
        planned, failed = self._info.planned_rows.get(role, 0), len(list_failures(self._paths, role))
        recorded = list_completed(self._paths, role, len(matrices), planned)
        missing = planned - len(recorded | list_failures(self._paths, role))
        in_matrix = [0 if matrix is None else len(matrix) for matrix in matrices]
        if missing <= 0:
            return
        where = printable(str(self._paths.records(role)))
        if min(in_matrix) >= planned - failed:
            self._report.notes.append(
                f"{where}: {missing:,} of {planned:,} models have no record; the compacted matrix holds their content"
            )
        elif self._was_done():
            self._report.damage(
                self._paths.records(role), f"{missing:,} of {planned:,} models are missing, though the run was done",
                f"copy them again from where the run was made; or {self._retrain_remedy.replace(' it ', ' them ')}",
            )  # fmt: skip
        else:
            self._report.notes.append(f"{where}: {planned - missing:,} of {planned:,} models")

    def _was_done(self) -> bool:
        """Whether the run was done, by its heartbeat, or if that is missing by its last event."""
        heartbeat = read_heartbeat(self._paths)
        if heartbeat is not None:
            return heartbeat.state in FINISHED
        try:
            last = deque(read_events(self._paths.events), maxlen=1)
        except ResultsError:  # `_log_and_heartbeat` reports it
            return False
        return any(event["event"] in {*FINISHED, "imported"} for event, _ in last)

    def _failures(self, role: Role) -> None:
        try:
            for index in sorted(list_failures(self._paths, role)):
                path = self._paths.failure(role, index)
                try:
                    read_json(path, limit=1 << 20)
                    self._report.checked["failures"] += 1
                except ResultsError as error:
                    if os.path.lexists(path):
                        self._report.damage(path, error, "`tinfl resume --retry-failed` tries the model again")
        except ResultsError as error:
            self._report.damage(self._paths.failures(role), error, "make it readable, or copy it again")

    def _log_and_heartbeat(self) -> None:
        """Check the event log, the growth and the heartbeat, which no number depends on."""
        events = self._paths.events
        try:
            damaged = count_damaged_lines(events)
        except ResultsError as error:
            self._report.damage(events, error, "move it away: a run continues without it")
        else:
            if damaged:
                self._report.notes.append(
                    f"{printable(str(events))}: {pluralize(damaged, 'line')} without an event, which are ignored"
                )
        try:
            check_growth(self._paths)
        except ResultsError as error:
            self._report.damage(self._paths.growth, error, self._rewrite_remedy(self._paths.growth))
        heartbeat = self._paths.heartbeat
        if heartbeat.exists() and read_heartbeat(self._paths) is None:
            self._report.damage(heartbeat, "damaged: it holds no valid heartbeat", self._rewrite_remedy(heartbeat))
        if self._paths.quarantine.is_dir():
            records = pluralize(len(list(self._paths.quarantine.iterdir())), "damaged record")
            self._report.notes.append(f"{printable(str(self._paths.quarantine))}: {records} of earlier sessions")


def _is_same(row: Row, other: Row) -> bool:
    return (row.seed, row.cluster) == (other.seed, other.cluster) and np.array_equal(row.mask, other.mask)


def _without_path(problem: str, where: str) -> str:
    """Remove the path of a file, or of its directory, from an error: such as "masks.npy: cannot be read: ..."."""
    if not problem.startswith(f"cannot read {where}"):
        return problem.removeprefix(f"{where}: ").removeprefix(f"{where}/")
    name, _, reason = problem.removeprefix(f"cannot read {where}").removeprefix("/").partition(": ")
    return f"{name}: cannot be read: {reason}" if name else f"cannot be read: {reason}"


def _add_special_file(report: IntegrityReport, special: Damage) -> None:
    """Add a link, pipe or device, once: a link replaces the errors of its file, the others give way to them."""
    same = [
        damage
        for damage in report.damaged
        if damage.path == special.path
        or (damage.path == special.path.parent and printable(special.path.name) in damage.problem)
    ]
    if special.path.is_symlink():
        report.damaged[:] = [damage for damage in report.damaged if damage not in same]
    elif same:
        return
    report.damaged.append(special)


def _list_special_files(root: Path) -> Iterator[Damage]:
    """Yield links, pipes, sockets and devices, and directories that cannot be listed.

    Pipes and devices in `quarantine/` are left out: a run moves there whatever blocks a record.
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
