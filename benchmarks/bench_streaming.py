"""Training rate on images that are read while the network trains, relative to that on images in memory.

    python -m benchmarks.bench_streaming [--images 20000] [--side 64] [--steps 40] [--turns 5]

One thread of the CPU trains each network by turns on the same images, held in memory and read from a file, and both
models must be equal to the last bit. The file is in the page cache, as that of a sweep is after its first model.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from tui_influence.config.schema import ModelSection, TrainSection
from tui_influence.training.device_memory import ImageMemory
from tui_influence.training.trainer import SourceData, Trainer

CLASSES, BATCH = 10, 128


def model_of(images: np.memmap, arch: str, steps: int, kind: ImageMemory) -> Callable[[], float]:
    """Return a function that trains one model and returns its loss."""
    labels = np.arange(len(images)) % CLASSES
    counts = np.ones((3, 256), np.int64)
    trainer = Trainer(
        SourceData(images, labels, CLASSES, labels.astype(np.int32), counts),
        [],
        ModelSection(arch=arch),
        TrainSection(epochs=None, steps=steps, batch_size=BATCH),
        image_memory=kind,
    )
    indices, train = torch.arange(len(images)), trainer._pretrain  # without a transfer
    return lambda: train(indices, 0, steps)["source_loss"]


def main() -> None:
    """Print images a second of both, and the median ratio of neighbouring turns."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    shape = options.images, options.side, options.side, 3
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "images"
        np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8).tofile(path)
        images = np.memmap(path, np.uint8, "r", shape=shape)
        for arch in ("small-cnn", "resnet9"):
            kinds: tuple[ImageMemory, ImageMemory] = ("resident", "streamed")
            train = {kind: model_of(images, arch, options.steps, kind) for kind in kinds}
            seconds: dict[ImageMemory, list[float]] = {kind: [] for kind in kinds}
            losses = set()
            for turn in range(options.turns + 1):
                for kind in kinds:
                    begin = time.perf_counter()
                    losses.add(train[kind]())
                    if turn:  # the first is a warm-up
                        seconds[kind].append(time.perf_counter() - begin)
            if len(losses) > 1:
                raise SystemExit(f"the models differ: {losses}")
            rates = {kind: BATCH * options.steps / float(np.median(seconds[kind])) for kind in kinds}
            ratio = np.median(np.divide(seconds["resident"], seconds["streamed"]))
            both = ", ".join(f"{kind} {rate:,.0f} images/s" for kind, rate in rates.items())
            print(f"{arch}: {both}: {ratio:.0%}")


if __name__ == "__main__":
    main()
