"""What the training figures in the README come from: this engine against the obvious script, side by side.

    python -m benchmarks.bench_training [--repeats 5]

Both train the same network by the same recipe on random halves of the embedded source (printed characters, 14 px) and
solve the same probe on 100 handwritten digits, with outputs for 2,000 more. The obvious script is a torchvision-style
dataset with transforms, a DataLoader (with no worker processes, and with two: the better counts), eager float32 and
torch's default threads. The engine runs as `tinfl sweep` runs it: one process a core, one thread each. All processes
stay alive, are warmed up by one model, and take turns, so that what else the machine does falls on all of them alike.

Exits with 1 when the engine is not three times as fast, or the probe is not the solution.
"""

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from tui_influence.runs.devices import worker_environment

GOAL = 3.0
ENOUGH_SECONDS = 130
SINGLE = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
LOSS_TOLERANCE = 1e-3
RESOLUTION, EPOCHS, BATCH, LR, MOMENTUM, DECAY, L2, WARM_UP = 14, 4, 128, 0.2, 0.9, 5e-4, 1e-3, 0.2
CLASSES, DIGITS, LABELLED, TESTED = 36, 10, 10, 200
BUILTIN = Path(__file__).parent.parent / "tui_influence" / "datasets" / "builtin"
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--serve", choices=["engine", "obvious", "probe"], help=argparse.SUPPRESS)
    parser.add_argument("--loaders", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve == "probe":
        return 0 if check_probe() else 1
    if options.serve:
        serve(engine() if options.serve == "engine" else obvious(options.loaders))
        return 0
    print(facts(), flush=True)
    fast = compare(options.repeats)
    command = [sys.executable, "-m", "benchmarks.bench_training", "--serve", "probe"]
    exact = subprocess.run(command, env={**os.environ, **worker_environment("cpu")}, check=False).returncode == 0
    print(f"load average now {os.getloadavg()[0]:.1f}")
    return 0 if fast and exact else 1


# --- the contenders ---------------------------------------------------------------------------------------------------

Model = Callable[[int], tuple[float, float]]
"""Trains model number i; returns accuracy on the source's last epoch and on the target's test images."""


@dataclass(frozen=True)
class Arrays:
    """The embedded pair, (N, 28, 28) uint8 and (N,) each."""

    source: tuple[NDArray[np.uint8], NDArray[np.int64]]
    train: tuple[NDArray[np.uint8], NDArray[np.int64]]
    test: tuple[NDArray[np.uint8], NDArray[np.int64]]


def arrays() -> Arrays:
    def read(name: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        with np.load(BUILTIN / name, allow_pickle=False) as file:
            return file["x"], file["y"].astype(np.int64)

    images, labels = read("digits.npz")
    members = [np.random.default_rng(0).permutation(np.flatnonzero(labels == digit)) for digit in range(DIGITS)]
    train = np.concatenate([those[:LABELLED] for those in members])
    test = np.concatenate([those[LABELLED : LABELLED + TESTED] for those in members])
    return Arrays(read("glyphs.npz"), (images[train], labels[train]), (images[test], labels[test]))


def packed(images: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """(N, side, side, 1) as tinfl packs grey images, once for all models."""
    from tui_influence.datasets.base import Sample
    from tui_influence.datasets.images import render_sample

    return np.stack([render_sample(Sample("", 0, image), side, 1) for image in images])


def kept_classes(i: int) -> NDArray[np.bool_]:
    """(36,) a random half: model i's mask, the same for both contenders."""
    mask = np.zeros(CLASSES, dtype=bool)
    mask[np.random.default_rng(i).choice(CLASSES, CLASSES // 2, replace=False)] = True
    return mask


def engine() -> Model:
    from tui_influence.config.schema import ModelSection, TrainSection
    from tui_influence.training.trainer import SourceData, TargetData, Trainer

    data = arrays()
    source, train, test = (packed(images, RESOLUTION) for images, _ in (data.source, data.train, data.test))
    labels = data.source[1]
    trainer = Trainer(
        SourceData(source, labels, CLASSES, labels.astype(np.int32)),
        [TargetData("fixed-feature", train, data.train[1], test, data.test[1], 10)],
        ModelSection(arch="small-cnn", resolution=RESOLUTION),
        TrainSection(
            epochs=EPOCHS,
            batch_size=BATCH,
            lr=LR,
            momentum=MOMENTUM,
            weight_decay=DECAY,
            warm_up=WARM_UP,
            probe_l2=L2,
        ),
    )

    def model(i: int) -> tuple[float, float]:
        metrics = trainer.run(kept_classes(i), i)[0].metrics
        return metrics["source_accuracy"], metrics["target_accuracy"]

    return model


def obvious(loaders: int) -> Model:
    import torch
    from PIL import Image
    from torch import nn
    from torch.utils.data import DataLoader, Dataset
    from torchvision import transforms

    from tui_influence.training.linear_probe import solve
    from tui_influence.training.networks import SmallCNN
    from tui_influence.training.training_loop import one_cycle

    class Characters(Dataset[tuple[torch.Tensor, int]]):
        """What torchvision.datasets.MNIST does: arrays in memory, a PIL image and its transforms an item."""

        def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
            self.images, self.labels = images, labels
            self.transform = transforms.Compose(
                [transforms.Resize(RESOLUTION), transforms.ToTensor(), transforms.Normalize((0.2,), (0.35,))]
            )

        def __len__(self) -> int:
            return len(self.labels)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])

    data = arrays()

    def features(network: nn.Module, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> torch.Tensor:
        with torch.no_grad():
            loader = DataLoader(Characters(images, labels), batch_size=256, num_workers=loaders)
            return torch.cat([network(x) for x, _ in loader])

    def model(i: int) -> tuple[float, float]:
        torch.manual_seed(i)
        images, labels = data.source
        chosen = np.flatnonzero(kept_classes(i)[labels])
        loader = DataLoader(
            Characters(images[chosen], labels[chosen]), BATCH, shuffle=True, num_workers=loaders, drop_last=True
        )
        network = SmallCNN(CLASSES, 1)
        optimiser = torch.optim.SGD(network.parameters(), LR, MOMENTUM, weight_decay=DECAY, nesterov=True)
        steps = EPOCHS * len(loader)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: one_cycle(min(1.0, (step + 0.5) / steps), WARM_UP, "linear")
        )
        for _ in range(EPOCHS):
            hits = train_images = 0
            for x, y in loader:
                logits = network(x)
                loss = nn.functional.cross_entropy(logits, y)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
                hits, train_images = hits + int((logits.argmax(1) == y).sum()), train_images + len(y)
        network.head = nn.Identity()  # type: ignore[assignment]
        network.eval()
        solution = solve(features(network, *data.train), torch.from_numpy(data.train[1]), DIGITS, L2)
        right = solution.logits(features(network, *data.test)).argmax(1).numpy() == data.test[1]
        return hits / train_images, float(right.mean())

    return model


# --- taking turns -----------------------------------------------------------------------------------------------------


def serve(model: Model) -> None:
    """Train "FIRST COUNT" models for each line read, and answer with their mean accuracies."""
    for line in sys.stdin:
        first, count = map(int, line.split())
        done = [model(first + i) for i in range(count)]
        print(*np.mean(done, axis=0), flush=True)


class Contender:
    """Processes of one kind that train together."""

    def __init__(self, name: str, processes: int, models: int, arguments: Sequence[str], environment: dict[str, str]):
        self.name, self.models = name, models
        self.rates: list[float] = []
        self.accuracies: list[list[float]] = []
        command = [sys.executable, "-m", "benchmarks.bench_training", *arguments]
        self.processes = [
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
            )
            for _ in range(processes)
        ]

    def turn(self, first: int, models: int) -> None:
        """Train `models` models in each process and note models a minute, all processes together."""
        with ThreadPoolExecutor(len(self.processes)) as pool:
            started = time.perf_counter()
            answers = list(pool.map(lambda i: self._ask(i, first + i * models, models), range(len(self.processes))))
            seconds = time.perf_counter() - started
        self.rates.append(60 * models * len(self.processes) / seconds)
        self.accuracies += answers

    def forget(self) -> None:
        """After the warm-up."""
        self.rates, self.accuracies = [], []

    def end(self) -> None:
        for process in self.processes:
            process.communicate("")

    def _ask(self, number: int, first: int, models: int) -> list[float]:
        process = self.processes[number]
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{first} {models}\n")
        process.stdin.flush()
        return [float(word) for word in process.stdout.readline().split()]


def compare(repeats: int) -> bool:
    """Print models a minute of each contender; whether the engine reaches the goal."""
    engine_arguments, environment = ["--serve", "engine"], worker_environment("cpu")
    contenders = [
        Contender("obvious script, DataLoader(num_workers=0)", 1, 1, ["--serve", "obvious"], {}),
        Contender("obvious script, DataLoader(num_workers=2)", 1, 1, ["--serve", "obvious", "--loaders", "2"], {}),
        # Not the obvious script: what is left of the engine's gain when the script, too, has a process a core.
        Contender(f"for comparison: {CORES} such scripts, 1 thread each", CORES, 1, ["--serve", "obvious"], SINGLE),
        Contender("engine, 1 worker", 1, 4, engine_arguments, environment),
        Contender(f"engine, {CORES} workers", CORES, 6, engine_arguments, environment),
    ]
    try:
        for contender in contenders:
            contender.turn(10_000, 1)
            contender.forget()
        started = time.perf_counter()
        for repeat in range(repeats):
            if repeat >= 2 and time.perf_counter() - started > ENOUGH_SECONDS:
                break
            for contender in contenders:
                contender.turn(100 * repeat, contender.models)
    finally:
        for contender in contenders:
            contender.end()
    best = max(contenders[:2], key=lambda contender: median(contender.rates))
    print(
        f"\n{'':48} {'models/min':>10} {'range':>15} {'ratio':>6} {'range':>12} {'accuracy: source':>17} {'target':>7}"
    )
    for contender in contenders:
        ratios = [rate / other for rate, other in zip(contender.rates, best.rates, strict=True)]
        source, target = np.mean(contender.accuracies, axis=0)
        print(
            f"{contender.name:48} {median(contender.rates):10.1f} {_range(contender.rates, 1):>15}"
            f" {median(ratios):6.2f} {_range(ratios, 2):>12} {source:17.3f} {target:7.3f}"
        )
    reached = median(a / b for a, b in zip(contenders[-1].rates, best.rates, strict=True))
    print(f"goal: {GOAL:g} times the better obvious script: {reached:.2f}{'' if reached >= GOAL else '  MISSED'}\n")
    return reached >= GOAL


def _range(values: Sequence[float], digits: int) -> str:
    return f"{min(values):.{digits}f} - {max(values):.{digits}f}"


# --- the probe --------------------------------------------------------------------------------------------------------


def check_probe() -> bool:
    """Print the probe's time and its distance from scikit-learn's solution; whether that is small enough."""
    import torch
    from sklearn.linear_model import LogisticRegression

    from tui_influence.training.linear_probe import solve

    with np.load(BUILTIN / "digits.npz", allow_pickle=False) as file:
        labels = file["y"].astype(np.int64)
        pixels = file["x"].reshape(-1, 14, 2, 14, 2).mean((2, 4)).reshape(len(labels), 196)
    order = np.random.default_rng(0).permutation(len(labels))
    rng = np.random.default_rng(0)
    made = np.arange(10_000) % 10
    clouds = rng.normal(size=(10, 256))[made] * 0.15 + rng.normal(size=(10_000, 256))
    print(f"{'probe, 1 thread':34} {'ms':>7} {'iterations':>10} {'sklearn ms':>10} {'loss':>9} {'loss - sklearn':>15}")
    exact = True
    for name, x, y in (
        ("digits, 100 x 196, 10 classes", pixels[order[:100]], labels[order[:100]]),
        ("digits, 2,000 x 196, 10 classes", pixels[order[:2000]], labels[order[:2000]]),
        ("made, 10,000 x 256, 10 classes", clouds, made),
    ):
        features, target = torch.from_numpy(x).float(), torch.from_numpy(y)
        times = []
        for _ in range(3):
            started = time.perf_counter()
            probe = solve(features, target, 10, L2)
            times.append(time.perf_counter() - started)
        standard = ((features.double() - probe.mean) / probe.scale).numpy()
        started = time.perf_counter()
        model = LogisticRegression(C=1 / (L2 * len(x)), tol=1e-6, max_iter=10_000).fit(standard, y)
        theirs = time.perf_counter() - started
        loss = -float(model.predict_log_proba(standard)[np.arange(len(y)), y].mean())
        exact = exact and abs(probe.loss - loss) < LOSS_TOLERANCE
        print(
            f"{name:34} {1000 * median(times):7.1f} {probe.iterations:10d} {1000 * theirs:10.0f} {probe.loss:9.5f}"
            f" {probe.loss - loss:15.1e}{'' if abs(probe.loss - loss) < LOSS_TOLERANCE else '  MISSED'}"
        )
    return exact


def facts() -> str:
    import torch

    from tui_influence.training.precision import choose_numerics, cpu_flags

    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
        processor = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        processor = platform.processor()
    fast = ", ".join(sorted({"avx2", "avx512f", "avx512_bf16", "amx_bf16"} & cpu_flags()))
    return (
        f"{processor} ({fast}), {CORES} cores, torch {torch.__version__}, Python {platform.python_version()}\n"
        f"{time.strftime('%Y-%m-%d')}, load average {os.getloadavg()[0]:.1f};"
        f' the engine trains as "{choose_numerics("cpu", "auto", 1)}"'
    )


if __name__ == "__main__":
    sys.exit(main())
