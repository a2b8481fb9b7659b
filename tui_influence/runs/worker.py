"""A worker process: receives rows from its supervisor, trains them, and writes their records.

    python -P -m tui_influence.runs.worker RESULTS DEVICE THREADS [--allow-code]

It exchanges the messages of `protocol` on its original stdin and stdout; anything a library prints goes to its log.
When the supervisor is gone it finishes the current model, records it, and exits. `-P` keeps the current directory off
the import path, so that nothing in a results directory can be imported.
"""

import argparse
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import torch

from tui_influence.config.loader import config_from_json
from tui_influence.config.schema import Config
from tui_influence.designs import Row, split_examples
from tui_influence.errors import ConfigError, ExitCode, TinflError, first_line
from tui_influence.roles import Role
from tui_influence.runs.datasets import Datasets, reopen_datasets
from tui_influence.runs.protocol import (
    ALIVE_INTERVAL,
    Alive,
    Assignment,
    Begun,
    Done,
    Failed,
    FailureKind,
    Fatal,
    Ready,
    Report,
    from_line,
    to_line,
)
from tui_influence.store.files import DiskFullError
from tui_influence.store.paths import Paths
from tui_influence.store.plan import read_plan
from tui_influence.store.records import Record, as_margins, write_record
from tui_influence.store.run_info import RunInfo, read_run_info
from tui_influence.text import printable
from tui_influence.training.trainer import Trainer
from tui_influence.training.types import Outcome, OutOfMemory, SourceData, TargetData, TrainingFailed


class ReportPipe:
    """The pipe to the supervisor; if the supervisor is gone, the current model is finished all the same."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def send(self, report: Report) -> None:
        """Send a report."""
        try:
            with self._lock:
                self._pipe.write(to_line(report))
                self._pipe.flush()
        except BrokenPipeError:
            sys.stderr.write("the supervisor is gone\n")

    def start_signs_of_life(self) -> None:
        """Send a sign of life every few seconds, from a separate thread, until the process ends."""
        threading.Thread(target=self._send_signs_of_life, name="tinfl-alive", daemon=True).start()

    def _send_signs_of_life(self) -> None:
        while True:
            time.sleep(ALIVE_INTERVAL)
            try:
                with self._lock:
                    self._pipe.write(to_line(Alive()))
                    self._pipe.flush()
            except (BrokenPipeError, ValueError):
                return


def trainer_for(
    config: Config, data: Datasets, device: str, threads: int, streamed: list[bool] | None = None
) -> Trainer:
    """Return a trainer for a config's datasets on a device; `streamed` as for `Trainer`, None as the config says."""
    packed = data.source
    source = SourceData(packed.images, packed.labels, len(packed.classes), data.groups.group_of_image, packed.counts)
    targets = [
        TargetData(
            section.transfer,
            images.train.images,
            images.train.labels,
            images.test.images,
            images.test.labels,
            len(images.test.classes),
            split_examples(images.test.labels, config.run.seed),
            config.train.for_target(section),
        )
        for section, images in zip(config.target, data.targets, strict=True)
    ]
    return Trainer(source, targets, config.model, config.train, device, threads, streamed or config.compute.images)


def train_assignments(
    paths: Paths,
    info: RunInfo,
    trainer: Trainer,
    rows: dict[tuple[str, int], Row],
    assignments: Iterator[bytes],
    reports: ReportPipe,
) -> None:
    """Train the assigned rows until the input ends.

    Args:
        paths: of the run.
        info: of the run.
        trainer: on this worker's device.
        rows: the plan, by role and index.
        assignments: one per line.
        reports: to the supervisor.
    """
    reports.send(Ready(trainer.numerics, trainer.streamed_bytes, trainer.unrecorded))
    for line in assignments:
        assignment: Assignment = from_line(line)
        started = time.monotonic()
        reports.send(Begun(assignment.role, assignment.index))
        if (assignment.role, assignment.index) not in rows:  # the plan was extended meanwhile
            rows.update(_rows(paths))
        row = rows[assignment.role, assignment.index]
        report: Report
        try:
            # A network trained on all groups can rank the classes by itself, for the baselines of a pruning.
            maps_classes = row.role is Role.ARM and bool(row.mask.all())
            outcomes = trainer.run(row.mask, row.seed, map_classes=maps_classes, is_prior=row.role is Role.PRIOR)
            for target, outcome in enumerate(outcomes):
                # A worker that outlived its supervisor may have written the record first: that one is kept.
                if not paths.record(row.role, row.index, target).exists():
                    write_record(paths, _record(row, target, outcome, info, trainer.numerics))
        except OutOfMemory as error:
            report = Failed(row.role, row.index, FailureKind.MEMORY, str(error))
        except TrainingFailed as error:
            report = Failed(row.role, row.index, FailureKind.DIVERGED, str(error))
        except DiskFullError as error:
            report = Fatal(str(error), int(error.exit_code))
        except TinflError as error:
            report = Failed(row.role, row.index, FailureKind.ERROR, str(error))
        except Exception as error:  # noqa: BLE001  (a model may fail in any way; the sweep reports it and continues)
            traceback.print_exc()
            report = Failed(row.role, row.index, FailureKind.ERROR, _reason(error))
        else:
            seconds = time.monotonic() - started
            report = Done(row.role, row.index, seconds, [outcome.metrics for outcome in outcomes])
        reports.send(report)
        if isinstance(report, Fatal) or (isinstance(report, Failed) and report.ends_worker):
            return


def _reason(error: Exception) -> str:
    words = printable(first_line(error), 300)
    name = type(error).__name__
    return name if words in ("", name) else f"{name}: {words}"


def _record(row: Row, target: int, outcome: Outcome, info: RunInfo, numerics: str) -> Record:
    return Record(
        role=row.role,
        index=row.index,
        target=target,
        seed=row.seed,
        cluster=row.cluster,
        identity=info.identity,
        numerics=numerics,
        mask=row.mask,
        margins=as_margins(outcome.margins),
        predicted=outcome.predicted.astype(np.uint16),
        metrics=outcome.metrics,
        mapped=None if outcome.mapped is None else outcome.mapped.astype(np.uint16),
        nearest=None if outcome.nearest is None else outcome.nearest.astype(np.uint16),
        mapping=outcome.mapping,
        ablation=outcome.ablation,
        class_features=outcome.class_features,
    )


def _rows(paths: Paths) -> dict[tuple[str, int], Row]:
    return {(row.role.value, row.index): row for row in read_plan(paths)}


def _start(root: Path, device: str, threads: int, *, allow_code: bool) -> tuple[RunInfo, Trainer]:
    torch.set_num_threads(threads)
    info = read_run_info(root)
    config = config_from_json(info.config)
    if config.model.needs_own_config and not allow_code:
        part = (
            f"the network {printable(config.model.arch)} is code"
            if config.model.is_user_code
            else f"the weights {printable(str(config.model.weights))} are a pickle"
        )
        raise ConfigError(f"{part}: start the run from its own config")
    if config.model.is_user_code:
        sys.path.append(str(Path.cwd()))
    return info, trainer_for(config, reopen_datasets(config, info), device, threads)


def main() -> int:
    """Run one worker; the exit code says how it ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("device")
    parser.add_argument("threads", type=int)
    parser.add_argument("--allow-code", action="store_true")
    arguments = parser.parse_args()
    # A batch system signals every process of a job: the supervisor decides whether the current model is finished.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # The protocol uses duplicated descriptors: what user code prints or reads goes elsewhere.
    assignments, reports = os.fdopen(os.dup(0), "rb"), ReportPipe(os.fdopen(os.dup(1), "wb"))
    reports.start_signs_of_life()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    paths = Paths(arguments.root)
    try:
        info, trainer = _start(arguments.root, arguments.device, arguments.threads, allow_code=arguments.allow_code)
        rows = _rows(paths)
    except TinflError as error:
        reports.send(Fatal("; ".join([str(error), *error.details]), int(error.exit_code)))
        return int(error.exit_code)
    except Exception as error:  # noqa: BLE001  (a driver may fail in any way: the supervisor needs the reason)
        traceback.print_exc()
        reports.send(Fatal(_reason(error), int(ExitCode.RUN_FAILED)))
        return int(ExitCode.RUN_FAILED)
    train_assignments(paths, info, trainer, rows, iter(assignments.readline, b""), reports)
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # every record is on disk; unloading torch would take seconds that a sweep waits for
