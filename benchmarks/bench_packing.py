"""Images packed a second, in threads and in processes, and how soon a worker starts on a large pack.

    python -m benchmarks.bench_packing [--images 4000] [--source-side 256] [--side 256] [--turns 3] [--packed 100000]

The images are synthetic JPEGs. A rate per core is images by seconds of CPU, of all processes together, which other load
on the machine changes little; a rate by the clock is the best of some turns. Packing is interrupted near
its end once, and takes over what was packed. The start of a worker is a fresh process that opens a pack
of small images, assigns groups and makes a trainer; the import of torch is not counted.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from tui_influence.config.schema import FolderSource, ModelSection, TrainSection
from tui_influence.datasets import assign_groups, decoder_pool, load_source, reopen
from tui_influence.datasets.batch import make_batch
from tui_influence.datasets.cache import Cache
from tui_influence.training.trainer import SourceData, Trainer

CLASSES, DIFFERENT = 10, 500
PACKED_SIDE, PACKED_CLASSES = 32, 100


class Halfway(Exception):  # noqa: N818
    """Raised to interrupt packing."""


def write_jpegs(root: Path, count: int, side: int) -> None:
    """Write JPEGs with the smooth areas and the grain of photos; links repeat the first ones."""
    rng = np.random.default_rng(0)
    for index in range(count):
        path = root / f"class{index % CLASSES}" / f"{index:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        if index >= DIFFERENT:
            original = index % DIFFERENT
            path.hardlink_to(root / f"class{original % CLASSES}" / f"{original:06}.jpg")
            continue
        smooth = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((side, side))
        grain = rng.normal(0, 12, (side, side, 1))
        Image.fromarray(np.clip(np.asarray(smooth) + grain, 0, 255).astype(np.uint8)).save(path, quality=90)


def cpu_seconds() -> float:
    """CPU time of this process and of those that it has waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def pack(root: Path, side: int, cache: Path, progress: Callable[[int, int], None] | None = None) -> int:
    """Pack a folder; return the number of images."""
    section = FolderSource(kind="folder", path=str(root))
    return len(load_source(section, seed=0, resolution=side, channels=3, cache=cache, progress=progress))


def report_packing(root: Path, side: int, turns: int) -> None:
    """Print the rates of threads and processes on one core and on all."""
    cores = len(os.sched_getaffinity(0))
    every = {"threads": sys.maxsize, "processes": 0}
    decoder_pool.MIN_CORES = 2
    rates: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for _ in range(turns):
        for kind, minimum in every.items():
            for count in sorted({1, cores}):
                if kind == "processes" and count == 1 < cores:
                    continue
                with tempfile.TemporaryDirectory() as cache:
                    decoder_pool.MIN_IMAGES = minimum
                    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
                    begin, cpu = time.perf_counter(), cpu_seconds()
                    packed = pack(root, side, Path(cache))
                    seconds, cpu = time.perf_counter() - begin, cpu_seconds() - cpu
                    os.sched_setaffinity(0, range(os.cpu_count() or 1))
                    rates.setdefault((kind, count), []).append((packed / seconds, packed / cpu))
    for (kind, count), values in rates.items():
        by_clock, per_core = np.max(values, axis=0)
        print(f"{kind}, {count} core(s): {by_clock:,.0f} images/s by the clock, {per_core:,.0f} a second and core")


def report_continuation(root: Path, side: int) -> None:
    """Print how fast packed images are taken over after an interruption."""
    decoder_pool.MIN_IMAGES = 0

    def stop(done: int, total: int) -> None:
        if done > 0.9 * total:
            raise Halfway

    with tempfile.TemporaryDirectory() as cache:
        with suppress(Halfway):
            pack(root, side, Path(cache), stop)
        (unfinished,) = (Path(cache) / "tmp").iterdir()
        left = (unfinished / "images.npy").stat().st_size // (3 * side * side)
        begun: list[float] = []
        begin = cpu_seconds()
        pack(root, side, Path(cache), lambda done, total: begun.append(cpu_seconds() - begin) if not begun else None)
        print(f"continuing: {left:,} packed images are taken over in {begun[0]:.1f} s of CPU at most")


def report_start(packed: int) -> None:
    """Print how long a worker takes to start on a large pack."""
    with tempfile.TemporaryDirectory() as cache:
        rng = np.random.default_rng(0)
        shape = packed, PACKED_SIDE, PACKED_SIDE, 3
        with Cache(Path(cache)).write_entry(shape, "synthetic images") as writer:
            for start in range(0, packed, 1000):
                numbers = range(start, min(start + 1000, packed))
                pixels = rng.integers(0, 256, (len(numbers), *shape[1:]), dtype=np.uint8)
                labels = [number % PACKED_CLASSES for number in numbers]
                writer.append(make_batch(pixels, labels, [f"class{n % PACKED_CLASSES}/{n:08}.JPEG" for n in numbers]))
            classes = tuple(f"class{label}" for label in range(PACKED_CLASSES))
            whole = writer.finish(None, np.arange(packed) % PACKED_CLASSES, classes)
        part = np.arange(0, packed, 2)
        half = Cache(Path(cache)).select("half", whole, part, whole.labels[part], classes)
        for name, images in (("all", whole), ("a selection of half of them", half)):
            command = [sys.executable, "-m", "benchmarks.bench_packing", "--start", images.fingerprint]
            environment = os.environ | {"TINFL_CACHE": cache}
            done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
            seconds = json.loads(done.stdout)
            print(f"start on {packed:,} packed images, {name}: {seconds['clock']:.2f} s, {seconds['cpu']:.2f} s of CPU")


def start(fingerprint: str) -> None:
    """Do what a worker does before its first model, and print the seconds."""
    begin, cpu = time.perf_counter(), cpu_seconds()
    images = reopen(fingerprint)
    assert images is not None
    groups = assign_groups(FolderSource(kind="folder", path="none"), images)
    data = SourceData(images.images, images.labels, len(images.classes), groups.group_of_image, images.counts)
    Trainer(data, [], ModelSection(arch="small-cnn"), TrainSection())
    print(json.dumps({"clock": time.perf_counter() - begin, "cpu": cpu_seconds() - cpu}))


def main() -> None:
    """Print all rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--source-side", type=int, default=256)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--packed", type=int, default=100_000)
    parser.add_argument("--start", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.start:
        start(options.start)
        return
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "images"
        write_jpegs(root, options.images, options.source_side)
        report_packing(root, options.side, options.turns)
        report_continuation(root, options.side)
        shutil.rmtree(root)
    report_start(options.packed)


if __name__ == "__main__":
    main()
