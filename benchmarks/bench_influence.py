"""What the influence figures in the README come from: a synthetic sweep of the paper's size, measured.

    python benchmarks/bench_influence.py [--models 7540 --groups 1000 --examples 10000 --repeats 3]

Writes a sweep as float16 `.npy` files to a temporary directory and runs every measurement in a process of its own:
seconds are from starting Python to its end, imports included, and the peak memory is that question's alone, with the
pages of the mapped file counted in. The file is in the page cache, as after compacting a run. Prints a table.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Question = Callable[[dict[str, Any]], object]

GOALS = {  # seconds; those without one are printed for comparison
    "whole target, difference": 1.5,
    "whole target, ridge": 1.5,
    "one target class, difference": 0.5,
    "one example, difference": 0.5,
    "one source class on every example": 0.5,
    "all K x n, difference": 6.0,
    "all K x n, ridge": 6.0,
}
PEAK_GOAL_GB = 2.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", type=int, default=7540)
    parser.add_argument("--groups", type=int, default=1000)
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--measure", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(*options.measure)
        return
    with tempfile.TemporaryDirectory(prefix="tinfl-bench-") as folder:
        write_sweep(Path(folder), options.models, options.groups, options.examples)
        print(
            f"{options.models} models x {options.groups} groups x {options.examples} examples,"
            f" {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, median of {options.repeats}\n"
        )
        print(f"{'question':46} {'seconds':>8} {'goal':>6} {'CPU s':>8} {'peak GB':>8}")
        for name in QUESTIONS:
            seconds, busy, peak = run_apart(name, folder, options.repeats)
            goal = GOALS.get(name)
            missed = (goal is not None and seconds > goal) or peak > PEAK_GOAL_GB
            goal_text = f"{goal:6.1f}" if goal else f"{'':6}"
            print(
                f"{name:46} {seconds:8.2f} {goal_text} {busy:8.2f} {peak:8.2f}{'  MISSED' if missed else ''}",
                flush=True,
            )


def write_sweep(folder: Path, models: int, groups: int, examples: int) -> None:
    """Fixed masks (and a balanced set), margins that they explain a quarter of, labels of ten classes."""
    rng = np.random.default_rng(0)
    masks = rng.random((models, groups)).argsort(axis=1) < groups // 2
    np.save(folder / "masks.npy", masks)
    np.save(folder / "balanced.npy", balanced_masks(models, groups, rng))
    np.save(folder / "heldout_masks.npy", rng.random((200, groups)).argsort(axis=1) < groups // 2)
    np.save(folder / "labels.npy", rng.integers(0, 10, examples).astype(np.int16))
    for name, count in (("margins", models), ("heldout_margins", 200)):
        margins = np.lib.format.open_memmap(
            folder / f"{name}.npy", mode="w+", dtype=np.float16, shape=(count, examples)
        )
        predicted = np.lib.format.open_memmap(
            folder / f"{name.replace('margins', 'predicted')}.npy", mode="w+", dtype=np.int16, shape=(count, examples)
        )
        chosen = masks if name == "margins" else np.load(folder / "heldout_masks.npy")
        for start in range(0, examples, 1000):
            columns = slice(start, start + 1000)
            effects = np.random.default_rng([1, start]).standard_normal((groups, 1000), dtype=np.float32)
            signal = (chosen - np.float32(0.5)) @ effects
            noise = rng.standard_normal(signal.shape, dtype=np.float32) * np.sqrt(3) * signal.std()
            margins[:, columns] = (signal + noise) / 10
            predicted[:, columns] = rng.integers(0, 10, signal.shape)


def balanced_masks(models: int, groups: int, rng: np.random.Generator) -> np.typing.NDArray[np.bool_]:
    """Blocks of a Hadamard matrix (Sylvester's), each row followed by its complement."""
    order = 1 << groups.bit_length()
    rows = np.arange(order)
    odd = np.bitwise_count(rows[:, None] & rows) % 2 == 1
    blocks = []
    for _ in range(-(-models // (2 * order))):
        block = odd[rng.permutation(order)][:, 1 + rng.permutation(order - 1)[:groups]]
        blocks.append(np.stack([block, ~block], axis=1).reshape(-1, groups))
    return np.concatenate(blocks)[:models]


def run_apart(name: str, folder: str, repeats: int) -> tuple[float, float, float]:
    """Median seconds and CPU seconds, and largest peak in GB, of a question asked in processes of its own."""
    results = []
    for _ in range(repeats):
        command = [sys.executable, __file__, "--measure", name, folder]
        start, busy = time.perf_counter(), cpu_of_children()
        peak = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        results.append((time.perf_counter() - start, cpu_of_children() - busy, peak))
    seconds, busy_seconds, peaks = zip(*results, strict=True)
    return float(np.median(seconds)), float(np.median(busy_seconds)), max(peaks)


def cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(name: str, folder: str) -> None:
    """Ask one question; print the peak in GB."""
    path = Path(folder)
    data: dict[str, Any] = {
        "masks": np.load(path / "masks.npy"),
        "margins": np.load(path / "margins.npy", mmap_mode="r"),
        "predicted": np.load(path / "predicted.npy", mmap_mode="r"),
        "labels": np.load(path / "labels.npy"),
    }
    data["heldout"] = (
        np.load(path / "heldout_masks.npy"),
        np.load(path / "heldout_margins.npy", mmap_mode="r"),
        np.load(path / "heldout_predicted.npy", mmap_mode="r"),
    )
    data["balanced"] = path / "balanced.npy"
    QUESTIONS[name](data)
    # VmHWM, because ru_maxrss starts from the parent's
    status = Path("/proc/self/status").read_text()
    print(float(status.split("VmHWM:")[1].split()[0]) / 2**20)


def ranking(which: str, **options: Any) -> Question:
    """A ranking with interval, q, reliability, forecast and LDS, for the `all`, `class` or `example` columns."""

    def ask(data: dict[str, Any]) -> object:
        from tui_influence.influence.ranking import Heldout, rank_groups

        labels = data["labels"]
        columns = {
            "all": np.arange(labels.size),
            "class": np.flatnonzero(labels == 3),
            "example": np.array([labels.size // 2]),
        }[which]
        balanced = options.pop("balanced", False)
        masks = np.load(data["balanced"]) if balanced else data["masks"]
        return rank_groups(
            masks=masks,
            margins=data["margins"],
            predicted=data["predicted"],
            labels=labels,
            group_names=[str(k) for k in range(masks.shape[1])],
            examples=columns,
            clusters=np.arange(masks.shape[0]) // 2 if balanced else None,
            heldout=Heldout(*data["heldout"]),
            **options,
        )

    return ask


def matrix(estimator: str, balanced: bool = False) -> Question:
    """All K x n influences with their standard errors."""

    def ask(data: dict[str, Any]) -> object:
        from tui_influence.influence.ranking import influence_matrix

        masks = np.load(data["balanced"]) if balanced else data["masks"]
        clusters = np.arange(masks.shape[0]) // 2 if balanced else None
        return influence_matrix(masks=masks, margins=data["margins"], estimator=estimator, clusters=clusters)

    return ask


def row(balanced: bool = False) -> Question:
    """One source class on every target example."""

    def ask(data: dict[str, Any]) -> object:
        from tui_influence.influence.ranking import influence_matrix

        masks = np.load(data["balanced"]) if balanced else data["masks"]
        clusters = np.arange(masks.shape[0]) // 2 if balanced else None
        return influence_matrix(masks=masks, margins=data["margins"], clusters=clusters, only=np.array([7]))

    return ask


def imports(data: dict[str, Any]) -> object:
    import tui_influence.influence.ranking

    return tui_influence.influence.ranking


QUESTIONS: dict[str, Question] = {
    "Python, imports, opening the files": imports,
    "whole target, difference": ranking("all"),
    "whole target, ridge": ranking("all", estimator="ridge"),
    "whole target, difference, probability": ranking("all", kind="probability"),
    "whole target, difference, correct": ranking("all", kind="correct"),
    "whole target, difference, balanced": ranking("all", balanced=True),
    "whole target, ridge, balanced": ranking("all", estimator="ridge", balanced=True),
    "one target class, difference": ranking("class"),
    "one target class, ridge": ranking("class", estimator="ridge"),
    "one example, difference": ranking("example"),
    "one example, ridge": ranking("example", estimator="ridge"),
    "one source class on every example": row(),
    "one source class on every example, balanced": row(balanced=True),
    "all K x n, difference": matrix("difference"),
    "all K x n, ridge": matrix("ridge"),
    "all K x n, difference, balanced": matrix("difference", balanced=True),
    "all K x n, ridge, balanced": matrix("ridge", balanced=True),
}

if __name__ == "__main__":
    main()
