"""A small results directory, made by hand."""

from dataclasses import replace

import numpy as np
import pytest

from tui_influence.roles import Role
from tui_influence.store.examples import Examples, write_examples
from tui_influence.store.paths import Paths
from tui_influence.store.records import Record, as_margins, write_record
from tui_influence.store.run_info import RunInfo, SourceInfo, TargetInfo, write_run_info

N, K = 12, 6


def make_record(index: int = 3, role: Role = Role.ESTIMATE, target: int = 0, **changes) -> Record:
    rng = np.random.default_rng(index)
    record = Record(
        role=role,
        index=index,
        target=target,
        seed=index + 100,
        cluster=index,
        identity="cafe",
        numerics="cpu fp32 1 thread",
        mask=rng.random(K) < 0.5,
        margins=as_margins(rng.normal(size=N)),
        predicted=rng.integers(0, 3, N).astype(np.uint16),
        metrics={"source_loss": 0.5, "target_accuracy": 0.25},
    )
    return replace(record, **changes)


def make_info(**changes) -> RunInfo:
    info = RunInfo(
        name="small",
        identity="cafe",
        config={"design": {"kind": "fixed", "alpha": 0.5}, "source": {"groups": "class"}},
        seed=1,
        models=8,
        heldout=0,
        resolution=8,
        channels=1,
        source=SourceInfo(["a"] * K, [f"g{k}" for k in range(K)], [2] * K, 2 * K, "f0", 0),
        targets=[TargetInfo("digits", "fixed-feature", ["x", "y", "z"], 3, N, ["f1", "f2"], 0, {})],
        versions={"tinfl": "0"},
        created="2026-01-01T00:00:00+00:00",
    )
    return replace(info, **changes)


@pytest.fixture
def paths(tmp_path) -> Paths:
    return Paths(tmp_path)


@pytest.fixture
def run(paths) -> tuple[Paths, RunInfo]:
    """A run with four records and everything else a reader needs."""
    examples = Examples(np.arange(N) % 3, np.arange(N) % 2 == 0, tuple(f"image {j}" for j in range(N)))
    digests = write_examples(paths, 0, examples, np.zeros((N, 8, 8, 1), np.uint8))
    base = make_info()
    info = replace(base, targets=[replace(base.targets[0], digests=digests)])
    write_run_info(paths, info)
    for index in range(4):
        write_record(paths, make_record(index))
    return paths, info
