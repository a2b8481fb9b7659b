"""How much planted leakage is found: by the pixels, by influence alone; and whether mislabelled images rank as harmful.

    python -m benchmarks.bench_leaks [--models 300] [--rates 5 20 80] [--no-training]

Printed characters of 28 pixels with copies of handwritten test digits among them (a third exact, a third recompressed
as JPEG of quality 60, a third cropped to 85%), then the same without any. Recall is at the number planted: of so many
pairs, the surest first, the share that were planted. Prints tables.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks.planted import KINDS, Planted, auc, plant
from tui_influence.analysis.duplicates import find_duplicates
from tui_influence.analysis.leakage import find_leaks
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import rank
from tui_influence.analysis.snapshot import read_snapshot
from tui_influence.config.loader import load_config
from tui_influence.datasets import load_source, load_target
from tui_influence.influence.types import SIGNIFICANCE_LEVEL
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import read_run_info

MISLABELLED = 40


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", type=int, default=300)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rates", type=int, nargs="+", default=[5, 20, 80])
    parser.add_argument("--no-training", action="store_true", help="the check by pixels only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tinfl-leaks-") as folder:
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n\nby pixels")
        print(f"{'planted':>8} {'found':>6} " + " ".join(f"{kind:>13}" for kind in KINDS) + f" {'wrong':>6} {'s':>6}")
        for rate in [0, *options.rates, 300]:
            by_pixels(plant(Path(folder) / f"pixels-{rate}", rate), rate)
        if options.no_training:
            return
        print(f"\nby influence alone, {options.models} models")
        for rate in options.rates:
            where = Path(folder) / f"images-{rate}"
            made = plant(where, rate, mislabelled=MISLABELLED, models=options.models, epochs=options.epochs)
            by_influence(where, made, rate)


def by_pixels(made: Planted, rate: int) -> None:
    """Print what the check by pixels finds of planted copies."""
    config = load_config(made.config)
    source = load_source(config.source, seed=0, resolution=28, channels=1)
    test = load_target(config.target[0], seed=0, resolution=28, channels=1).test
    started = time.perf_counter()
    duplicates = find_duplicates(source.images, test.images, source.images.__getitem__, test.images.__getitem__)
    seconds = time.perf_counter() - started
    right = {copy.source for copy in duplicates if made.copies.get(copy.source) == copy.target}
    shares = []
    for kind in KINDS:
        planted = [index for index, kind_of_copy in made.kinds.items() if kind_of_copy == kind]
        shares.append(f"{len(right & set(planted))}/{len(planted)}".rjust(13))
    wrong = len(duplicates) - len(right)
    print(f"{rate:8} {len(duplicates):6} {' '.join(shares)} {wrong:6} {seconds:6.1f}", flush=True)


def by_influence(where: Path, made: Planted, rate: int) -> None:
    """Train, and print what influences find of planted copies and mislabelled images."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "tui_influence", "sweep", "--foreground", made.config], check=True)
    seconds = time.perf_counter() - started
    paths = Paths(where / "results")
    reading = read_snapshot(paths, read_run_info(paths.root))
    started = time.perf_counter()
    leaks = find_leaks(reading, Question(split="all"))
    question = time.perf_counter() - started
    groups = reading.info.source.groups
    planted = {(made.names[source], test): made.kinds[source] for source, test in made.copies.items()}
    first = [(groups[leak.group], leak.example) for leak in leaks.helped[:rate]]
    hits = Counter(planted[pair] for pair in first if pair in planted)
    ranked = rank(reading, Question(split="all")).report.ranking.rows
    wrong = {made.names[index] for index in made.mislabelled}
    harm = np.array([-row.influence for row in ranked])
    is_wrong = np.array([row.group in wrong for row in ranked])
    beyond = [(groups[pair.group], pair.example) for pair in leaks.helped if pair.q < SIGNIFICANCE_LEVEL]
    print(
        f"planted {rate}: recall {sum(hits.values())}/{rate} ({dict(hits)}); beyond chance {leaks.n_helped}, of which "
        f"planted {len(planted.keys() & set(beyond))}; smallest found {leaks.detectable_influence:.2f} nats"
    )
    print(
        f"  mislabelled {len(wrong)}: AUC {auc(harm, is_wrong):.2f} of harm on the whole target; "
        f"{len(groups)} images x {leaks.n_examples} examples, {leaks.models} models in {seconds:.0f} s, "
        f"answered in {question:.1f} s",
        flush=True,
    )


if __name__ == "__main__":
    main()
