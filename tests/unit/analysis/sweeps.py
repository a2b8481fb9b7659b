"""Results directories with planted effects on single test examples."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.unit.store.conftest import make_info, make_record
from tui_influence.analysis.snapshot import RunSnapshot, read_snapshot
from tui_influence.designs import split_examples
from tui_influence.store.examples import Examples, write_examples
from tui_influence.store.paths import Paths
from tui_influence.store.records import as_margins, write_record
from tui_influence.store.run_info import SourceInfo, TargetInfo, read_run_info, write_run_info


def write_sweep(
    root: Path,
    effects: NDArray[np.float64],
    labels: NDArray[np.int64],
    *,
    models: int,
    noise: float = 0.5,
    shared: float = 0.5,
    ease: NDArray[np.float64] | float = 1.0,
    seed: int = 0,
    masks: NDArray[np.bool_] | None = None,
) -> Paths:
    """Write a sweep whose margins are ease + mask · effects + noise.

    Args:
        root: where to.
        effects: (K, n) of each group on each example.
        labels: (n,) classes.
        models: m, with independent masks unless they are given.
        noise: deviation of what is each example's own.
        shared: deviation of what all examples of a model share.
        ease: margin without any group, (n,) or one for all.
        seed: of everything.
        masks: (m, K).
    """
    groups, n = effects.shape
    count = int(labels.max()) + 1
    paths = Paths(root)
    examples = Examples(labels, split_examples(labels, seed), tuple(f"image {j}" for j in range(n)))
    digests = write_examples(paths, 0, examples, np.zeros((n, 8, 8, 1), np.uint8))
    source = SourceInfo(["a"] * groups, [f"g{k}" for k in range(groups)], [2] * groups, 2 * groups, "f0", 0)
    classes = [f"class {label}" for label in range(count)]
    info = make_info(
        source=source,
        targets=[TargetInfo("things", "fixed-feature", classes, 3, n, ["f1", "f2"], 0, digests)],
        models=models,
    )
    write_run_info(paths, info)
    rng = np.random.default_rng(seed)
    if masks is None:
        masks = rng.random((models, groups)) < 0.5
    for index in range(models):
        margins = ease + masks[index] @ effects + shared * rng.normal() + noise * rng.normal(size=n)
        predicted = np.where(margins > 0, labels, (labels + 1) % count).astype(np.uint16)
        write_record(paths, make_record(index, mask=masks[index], margins=as_margins(margins), predicted=predicted))
    return paths


def read_sweep(paths: Paths) -> RunSnapshot:
    """Read it."""
    return read_snapshot(paths, read_run_info(paths.root))
