"""Probes against planted truth, with real trainings on the embedded digits: what the documentation's tables come from.

    python -m benchmarks.bench_probes [--models 256] [--keep FOLDER]

Round: the target says only round (0, 6, 8, 9), straight (1, 4, 7) or curled (2, 3, 5); the source is printed glyphs.
Are the hidden digits found, and by their printed likeness? Swapped: the source is handwritten digits in 20 groups, of
which two have their labels swapped in pairs. Are these the harmful ones, are failures blamed on them, and do
predictions flip when they are left out? Mislabelled: the source is a few handwritten digits, a fifth of them with a
wrong label, and every image is a group. Do these rank as harmful?
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.planted import auc
from tui_influence.analysis.class_relative import class_relative_influence
from tui_influence.analysis.failures import find_failures
from tui_influence.analysis.probe_types import ClassSubpopulations
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import rank
from tui_influence.analysis.snapshot import RunSnapshot, read_snapshot
from tui_influence.analysis.subpopulations import find_subpopulations
from tui_influence.datasets.builtin import BuiltinReader
from tui_influence.influence.difference import difference
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import read_run_info

KINDS = {"round": (0, 6, 8, 9), "straight": (1, 4, 7), "curled": (2, 3, 5)}
FEW, WRONG = 20, 0.2
"""Source images of each digit in the third experiment, and the share of them with the label of another digit."""
TRAIN, TEST = 12, 200
"""Handwritten digits of each kind that the target has, labelled and to be tested."""
GROUPS, SWAPPED = 20, (4, 13)
"""Groups of the source of the second experiment, and those of swapped labels."""
PER_GROUP = 8
"""Images of each digit in a group."""

CONFIG = """
[run]
name = "{name}"
output = "{root}"

[source]
{source}

[[target]]
kind = "npz"
name = "digits"
train = "{folder}/train.npz"
test = "{folder}/test.npz"

[design]
kind = "{design}"
models = {models}
heldout = 0
prior = 0

[model]
arch = "small-cnn"
resolution = 14

[train]
epochs = {epochs}
batch_size = 128
lr = 0.2
probe_l2 = 1.0
"""


def main() -> None:
    """Run the experiments and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", type=int, default=256)
    parser.add_argument("--keep", type=Path, help="keep the runs here; a run that is there is not trained again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tinfl-probes-") as scratch:
        folder = (options.keep or Path(scratch)).absolute()
        round_digits(folder / "round", options.models)
        swapped_labels(folder / "swapped", options.models)
        mislabelled_images(folder / "mislabelled", 4 * options.models)


def hidden_digits(folder: Path, models: int) -> tuple[RunSnapshot, NDArray[np.int64]]:
    """Train the first experiment's sweep; return it, and the (n,) hidden digits of its test examples."""
    pixels, digits = _digits()
    kind_of = {digit: index for index, members in enumerate(KINDS.values()) for digit in members}
    labels = np.array([kind_of[int(digit)] for digit in digits])
    train, test = _pools(digits, 0)
    _save(folder / "train.npz", pixels, labels, train, list(KINDS))
    _save(folder / "test.npz", pixels, labels, test, list(KINDS))
    return _sweep(folder, "round", 'kind = "builtin"\nname = "glyphs"', models, epochs=4), digits[test]


def round_digits(folder: Path, models: int) -> None:
    """Hidden digits inside three labels."""
    reading, hidden = hidden_digits(folder, models)
    print(f"\nround: {len(reading.outputs)} models, {len(hidden)} test examples\n")
    print("| label | told | parts | purity | chance | by its printed digit |\n| --- | --- | --- | --- | --- | --- |")
    for subpopulations in find_subpopulations(reading, Question(split="all")):
        purity, chance = purity_of(subpopulations, hidden)
        printed = [p for p in subpopulations.subpopulations if reading.info.source.groups[p.group].isdigit()]
        hits = sum(
            int(hidden[member.example] == int(reading.info.source.groups[part.group]))
            for part in printed
            for member in part.members
        )
        size = sum(len(part.members) for part in printed)
        print(
            f"| {list(KINDS)[subpopulations.label]} | {subpopulations.n_assigned} of {subpopulations.n_examples} "
            f"| {len(subpopulations.subpopulations)} | {purity:.2f} "
            f"| {chance:.2f} | {hits} of {size} |"
        )
    print("\n| hidden digit | area under the curve of what its printed digit drives, within its label |\n| --- | --- |")
    for digit, kind in sorted((digit, kind) for kind, members in KINDS.items() for digit in members):
        print(f"| {digit} | {area_of(reading, kind, digit, hidden):.2f} |")


def swapped_groups(folder: Path, models: int) -> RunSnapshot:
    """Train the second experiment's sweep."""
    pixels, digits = _digits()
    source = np.concatenate([np.flatnonzero(digits == digit)[: GROUPS * PER_GROUP] for digit in range(10)])
    group = np.arange(len(source)) % GROUPS
    labels = np.where(np.isin(group, SWAPPED), digits[source] ^ 1, digits[source])  # 0 and 1, 2 and 3, ...
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "groups.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "group"])
        rows.writerows([f"{labels[index]}/{index}", f"group {group[index]:02d}"] for index in range(len(source)))
    section = _among_digits(folder, pixels, digits, source, labels, GROUPS * PER_GROUP)
    return _sweep(folder, "swapped", f'{section}\ngroups = "{folder}/groups.csv"', models, epochs=8)


def swapped_labels(folder: Path, models: int) -> None:
    """Groups of swapped labels in a source of handwritten digits."""
    reading = swapped_groups(folder, models)
    rows_found = rank(reading, Question()).report.ranking.rows
    print(f"\nswapped: {len(reading.outputs)} models, groups {', '.join(map(str, SWAPPED))} of {GROUPS}\n")
    print("| group | rank | influence | 95% interval | q |\n| --- | --- | --- | --- | --- |")
    for row in (row for row in rows_found if row.index in SWAPPED or row.rank > GROUPS - 3):
        mark = " (swapped)" if row.index in SWAPPED else ""
        between = f"{row.low:+.3f} to {row.high:+.3f}"
        print(f"| {row.group}{mark} | {row.rank} | {row.influence:+.3f} | {between} | {row.q:.2g} |")
    failures = find_failures(reading, Question())
    explained = [
        failure for failure in failures.examples if failure.harmful_groups and failure.harmful_groups[0].is_significant
    ]
    blamed = sum(failure.harmful_groups[0].group in SWAPPED for failure in explained)
    print(
        f"\n{failures.n_wrong} of {failures.n_examples} examples fail; "
        f"{len(explained)} can be blamed on a group, {blamed} of them "
        f"first on a swapped one (by chance {len(explained) * len(SWAPPED) / GROUPS:.0f})"
    )
    _verify(reading, [f for f in explained if {failure.group for failure in f.harmful_groups[:2]} & set(SWAPPED)])


def mislabelled_digits(folder: Path, models: int) -> tuple[RunSnapshot, NDArray[np.intp]]:
    """Train the third experiment's sweep; return it, and the groups that are mislabelled images."""
    pixels, digits = _digits()
    source = np.concatenate([np.flatnonzero(digits == digit)[:FEW] for digit in range(10)])
    rng = np.random.default_rng(0)
    wrong = rng.choice(len(source), round(WRONG * len(source)), replace=False)
    labels = digits[source]
    labels[wrong] = (labels[wrong] + rng.integers(1, 10, len(wrong))) % 10
    section = _among_digits(folder, pixels, digits, source, labels, FEW)
    reading = _sweep(folder, "mislabelled", f'{section}\ngroups = "example"', models, epochs=16, design="bernoulli")
    names = {f"{labels[index]}/{index}" for index in wrong}
    return reading, np.array([index for index, name in enumerate(reading.info.source.groups) if name in names])


def harm_of(reading: RunSnapshot, models: int | None = None) -> NDArray[np.float64]:
    """(K,) harm that each group does to the whole target, by the sweep's first models or all of them."""
    outputs = reading.outputs
    estimate = difference(outputs.masks[:models], np.asarray(outputs.margins[:models]).mean(axis=1, dtype=np.float64))
    return -estimate.influence[:, 0].astype(np.float64)


def mislabelled_images(folder: Path, models: int) -> None:
    """Mislabelled images among few."""
    reading, wrong = mislabelled_digits(folder, models)
    groups = len(reading.info.source.groups)
    is_wrong = np.isin(np.arange(groups), wrong)
    print(f"\nmislabelled: {len(wrong)} of {groups} images, each of them a group\n")
    print("| models | area under the curve | mislabelled among as many most harmful |\n| --- | --- | --- |")
    for count in (models // 8, models // 4, models // 2, models):
        harm = harm_of(reading, count)
        worst = np.argsort(-harm)[: len(wrong)]
        print(f"| {count} | {auc(harm, is_wrong):.2f} | {int(is_wrong[worst].sum())} of {len(wrong)} |")


def _verify(reading: RunSnapshot, candidates: Sequence[Any]) -> None:
    """Put the failure that is blamed most on swapped groups, and is nearly right, to the test."""
    if not candidates:
        print("no failure to verify")
        return
    chosen = max(candidates, key=lambda f: f.right - sum(group.influence for group in f.harmful_groups[:2]))
    root = str(reading.paths.root)
    command = ["failures", root, "--verify", f"--example={chosen.example}", "--drop=2", "--seeds=10"]
    _tinfl(*command, "--foreground")
    document = json.loads(_tinfl(*command[:4], "--json"))
    print(f"\nexample {chosen.example}, right in {chosen.right:.0%} of the sweep's models, verified:\n")
    print("| arm | right | margin | p over everything | p over random | evaluate half: turn right, wrong |")
    print("| --- | --- | --- | --- | --- | --- |")
    for arm in document["arms"]:
        cells = [_p(arm["over_everything"]), _p(arm["over_random"])]
        flips = arm["flips"]
        cells.append("" if flips is None else f"{flips['to_right']}, {flips['to_wrong']} of {flips['size']}")
        right, margin = f"{arm['right']} of {arm['models']}", f"{arm['margin']['value']:+.2f}"
        print(f"| {arm['arm']} | {right} | {margin} | {' | '.join(cells)} |")


def _p(against: dict[str, Any] | None) -> str:
    return "" if against is None or against["p"] is None else f"{against['p']:.2g}"


def purity_of(subpopulations: ClassSubpopulations, hidden: NDArray[np.int64]) -> tuple[float, float]:
    """Share of the told examples whose hidden kind is the most common of their part; and the same of shuffled kinds."""
    parts = [hidden[[member.example for member in part.members]] for part in subpopulations.subpopulations]
    if not parts:
        return float("nan"), float("nan")
    every = np.array([member.example for part in subpopulations.subpopulations for member in part.members])
    every = np.concatenate([every, [example.example for example in subpopulations.unassigned]]).astype(np.intp)
    rng = np.random.default_rng(0)

    def share(of: Sequence[NDArray[np.int64]]) -> float:
        return float(sum(np.bincount(part).max() for part in of) / sum(map(len, of)))

    shuffled = []
    for _ in range(200):
        drawn, start = rng.permutation(hidden[every]), 0
        cut = []
        for part in parts:
            cut.append(drawn[start : start + len(part)])
            start += len(part)
        shuffled.append(share(cut))
    return share(parts), float(np.mean(shuffled))


def area_of(reading: RunSnapshot, kind: str, digit: int, hidden: NDArray[np.int64]) -> float:
    """Chance that the printed digit drives an example of its own kind more than another of the same label."""
    group = reading.info.source.groups.index(str(digit))
    estimate = class_relative_influence(reading, Question(target_class=kind, split="all"), group)
    effect, is_own = estimate.estimate.influence[0], hidden[estimate.example_indices] == digit
    own_effects, others = effect[is_own], effect[~is_own]
    return float((own_effects[:, None] > others).mean() + 0.5 * (own_effects[:, None] == others).mean())


def _digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    digits = BuiltinReader("digits")
    samples = list(digits.samples(range(digits.count())))
    return np.stack([np.asarray(s.content) for s in samples]), np.array([s.label for s in samples])


def _pools(digits: NDArray[np.int64], skip: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Images to label and to test, of each digit, after the first `skip`."""
    members = [np.flatnonzero(digits == digit)[skip : skip + TRAIN + TEST] for digit in range(10)]
    return np.concatenate([some[:TRAIN] for some in members]), np.concatenate([some[TRAIN:] for some in members])


def _among_digits(
    folder: Path,
    pixels: NDArray[np.uint8],
    digits: NDArray[np.int64],
    source: NDArray[np.intp],
    labels: NDArray[np.int64],
    skip: int,
) -> str:
    """Write a source of handwritten digits with such labels and a target of others; return the section of a config."""
    names = [str(digit) for digit in range(10)]
    train, test = _pools(digits, skip)
    _save(folder / "train.npz", pixels, digits, train, names)
    _save(folder / "test.npz", pixels, digits, test, names)
    np.savez(folder / "source.npz", x=pixels[source], y=labels, classes=np.array(names))
    return f'kind = "npz"\npath = "{folder}/source.npz"'


def _save(
    path: Path, pixels: NDArray[np.uint8], labels: NDArray[np.int64], chosen: NDArray[np.intp], names: list[str]
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, x=pixels[chosen], y=labels[chosen], classes=np.array(names))


def _sweep(folder: Path, name: str, source: str, models: int, epochs: int, design: str = "balanced") -> RunSnapshot:
    root, config = folder / "run", folder / "sweep.toml"
    values = {"name": name, "root": root, "source": source, "folder": folder, "models": models, "epochs": epochs}
    config.write_text(CONFIG.format(**values, design=design))
    started = time.perf_counter()
    _tinfl("sweep", str(config), "--foreground")
    print(f"{name}: trained in {time.perf_counter() - started:.0f} s", file=sys.stderr)
    return read_snapshot(Paths(root), read_run_info(root))


def _tinfl(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tui_influence", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"tinfl {' '.join(arguments)}\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
