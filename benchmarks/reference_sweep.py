"""The reference sweep: many models of the embedded pair as one file of arrays, to compare estimators on.

    python -m benchmarks.reference_sweep [--models 1264] [--results results/reference] [--output FILE]

Trains the models and the prior networks in one process, in a results directory, and continues there if it was stopped
(ten minutes of CPU). Then trains some of them again to measure their CPU seconds, which must give the same outputs, and
writes the arrays. `benchmarks/reference/README.md` says what they are.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.analysis.snapshot import read_snapshot
from tui_influence.cli.commands.demo import demo_config
from tui_influence.cli.launch import run_here
from tui_influence.config.loader import config_from_json
from tui_influence.influence.lds import correlation
from tui_influence.influence.outputs import OutputMatrix, mean_outputs_by_label
from tui_influence.influence.ridge import ridge
from tui_influence.regular_files import read_regular
from tui_influence.roles import Role
from tui_influence.runs.datasets import reopen_datasets
from tui_influence.runs.devices import worker_environment
from tui_influence.runs.supervisor import Request
from tui_influence.runs.worker import trainer_for
from tui_influence.store.paths import Paths
from tui_influence.store.plan import read_plan
from tui_influence.store.records import as_margins, read_record
from tui_influence.store.run_info import read_run_info

FILE = Path(__file__).parent / "reference" / "embedded-pair.npz"
NETWORKS = 16
_TIMED = {Role.ESTIMATE: 24, Role.PRIOR: 8}
"""Models of each role whose CPU seconds are measured."""
_MAX_BYTES = 64 << 20


@dataclass(frozen=True)
class Reference:
    """The arrays of the file: of m models on halves of K groups, and of networks on all of them; n examples, C classes.

    Attributes:
        groups: (K,) names of the source classes.
        classes: (C,) names of the target classes.
        masks: (m, K) bool.
        seed_pairs: (m,) int32, equal for the two models of a seed pair.
        margins: (m, n) float16, in nats.
        predicted: (m, n) uint8.
        labels: (n,) uint8.
        estimate_half: (n,) bool.
        class_outputs: (m, C) float32, mean margin on the examples of each class.
        mapping: (networks, K, C) float32, of each prior network.
        ablation: (networks, K, C) float32, likewise.
        truth: (K, C + 1) float32, influence on the mean margin of each class and, last, of the whole target, by ridge
            from all models.
        truth_se: (K, C + 1) float32, its standard errors.
        truth_reliability: (C + 1,) float32, the correlation to expect with the truth of a second such sweep.
        model_seconds: (24,) float32, CPU seconds of some models.
        network_seconds: (8,) float32, CPU seconds of some prior networks.
        versions: (v,) packages that made it, such as "torch 2.7.1".
    """

    groups: NDArray[np.str_]
    classes: NDArray[np.str_]
    masks: NDArray[np.bool_]
    seed_pairs: NDArray[np.int32]
    margins: NDArray[np.float16]
    predicted: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    estimate_half: NDArray[np.bool_]
    class_outputs: NDArray[np.float32]
    mapping: NDArray[np.float32]
    ablation: NDArray[np.float32]
    truth: NDArray[np.float32]
    truth_se: NDArray[np.float32]
    truth_reliability: NDArray[np.float32]
    model_seconds: NDArray[np.float32]
    network_seconds: NDArray[np.float32]
    versions: NDArray[np.str_]

    @property
    def outputs(self) -> NDArray[np.float64]:
        """(m, C + 1) mean margin on each class and, last, on the whole target."""
        by_class = self.class_outputs.astype(np.float64)
        return np.column_stack([by_class, by_class.mean(axis=1)])


def load_reference(path: Path = FILE) -> Reference:
    """Read the arrays from a file; nothing in it is unpickled."""
    with np.load(BytesIO(read_regular(path, _MAX_BYTES)), allow_pickle=False) as arrays:
        return Reference(**{field.name: arrays[field.name] for field in fields(Reference)})


def train(results: Path, models: int) -> None:
    """Train the models and prior networks that are missing, in one process."""
    config = demo_config(results, models)
    design = config.design.model_copy(update={"heldout": 0, "prior": NETWORKS})
    compute = config.compute.model_copy(update={"devices": ["cpu"], "workers_per_device": 1})
    run_here(Request(config.model_copy(update={"design": design, "compute": compute}), results))


def measure_seconds(results: Path) -> dict[str, list[float]]:
    """Train some models again; return the CPU seconds of each by role.

    Raises:
        ValueError: a model has other outputs than its record.
    """
    paths, info = Paths(results), read_run_info(results)
    config = config_from_json(info.config)
    trainer = trainer_for(config, reopen_datasets(config, info), "cpu", 1)
    seconds: dict[str, list[float]] = {}
    for role, count in _TIMED.items():
        rows = [row for row in read_plan(paths) if row.role is role][:count]
        seconds[role.value] = []
        for row in [*rows[:1], *rows]:  # the first time, what is needed only once is counted too
            start = time.process_time()
            (outcome,) = trainer.run(row.mask, row.seed, is_prior=role is Role.PRIOR)
            seconds[role.value].append(time.process_time() - start)
            if not np.array_equal(as_margins(outcome.margins), read_record(paths, role, row.index, 0).margins):
                raise ValueError(f"{role.value} {row.index}: trained again, it has other outputs than its record")
        del seconds[role.value][:1]
    return seconds


def influences(
    masks: NDArray[np.bool_], outputs: NDArray[np.float64], seed_pairs: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return influences by ridge, (K, outputs), and their standard errors."""
    estimate = ridge(masks, outputs, seed_pairs)
    return estimate.influence.astype(np.float64), estimate.se.astype(np.float64)


def reliability(
    masks: NDArray[np.bool_], outputs: NDArray[np.float64], seed_pairs: NDArray[Any]
) -> NDArray[np.float64]:
    """Return the correlation, per output, of the influences from both halves of the models, by Spearman-Brown."""
    first = np.arange(len(masks)) < len(masks) // 2
    halves = [influences(masks[part], outputs[part], seed_pairs[part])[0] for part in (first, ~first)]
    half = correlation(*halves)
    return 2 * half / (1 + half)


def collect(results: Path, seconds: dict[str, list[float]]) -> Reference:
    """Return the arrays of a finished sweep."""
    paths, info = Paths(results), read_run_info(results)
    snapshot = read_snapshot(paths, info)
    outputs, examples, classes = snapshot.outputs, snapshot.examples, snapshot.target_info.classes
    matrix, everything = OutputMatrix(outputs.margins, None, examples.labels), np.arange(snapshot.target_info.test)
    by_class = mean_outputs_by_label(matrix, everything, examples.labels, len(classes)).astype(np.float32)
    wide = by_class.astype(np.float64)
    with_whole = np.column_stack([wide, wide.mean(axis=1)])
    masks, seed_pairs = np.asarray(outputs.masks), np.asarray(outputs.clusters)
    truth, se = influences(masks, with_whole, seed_pairs)
    return Reference(
        groups=np.array(info.source.groups),
        classes=np.array(classes),
        masks=masks,
        seed_pairs=seed_pairs.astype(np.int32),
        margins=np.asarray(outputs.margins, np.float16),
        predicted=np.asarray(outputs.predicted).astype(np.uint8),
        labels=examples.labels.astype(np.uint8),
        estimate_half=examples.estimate,
        class_outputs=by_class,
        mapping=snapshot.prior.mapping,
        ablation=snapshot.prior.ablation,
        truth=truth.astype(np.float32),
        truth_se=se.astype(np.float32),
        truth_reliability=reliability(masks, with_whole, seed_pairs).astype(np.float32),
        model_seconds=np.array(seconds[Role.ESTIMATE.value], np.float32),
        network_seconds=np.array(seconds[Role.PRIOR.value], np.float32),
        versions=np.array([f"{name} {version}" for name, version in info.versions.items()]),
    )


def write_reference(reference: Reference, path: Path) -> None:
    """Write the arrays; equal ones give equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path, allow_pickle=False, **{field.name: getattr(reference, field.name) for field in fields(Reference)}
    )


def main() -> None:
    """Train, measure and write; `--seconds-of` is the part that runs in the environment of a worker."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", type=int, default=1264)
    parser.add_argument("--results", type=Path, default=Path("results/reference"))
    parser.add_argument("--output", type=Path, default=FILE)
    parser.add_argument("--seconds-of", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.seconds_of is not None:
        print(json.dumps(measure_seconds(options.seconds_of)))
        return
    train(options.results, options.models)
    command = [sys.executable, "-m", "benchmarks.reference_sweep", "--seconds-of", str(options.results)]
    environment = os.environ | worker_environment("cpu")
    timed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    reference = collect(options.results, json.loads(timed.stdout))
    write_reference(reference, options.output)
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.1f} MB, {len(reference.masks):,} models")


if __name__ == "__main__":
    main()
