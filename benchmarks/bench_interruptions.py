"""A sweep of photographs' size, killed again and again: are its records those of a sweep that nothing disturbed?

    python -m benchmarks.bench_interruptions [--images 20000] [--models 4] [--kills 4] [--arch resnet18]

Images are JPEG files of 72 px, packed at 64 px and trained on as random resized crops at 48 and 56 px, read from the
packed file during training. Two targets have settings of their own: a linear probe and a fine-tuned network. Both
sweeps pack the images for themselves. The second is killed with all its processes and resumed each time: first while it
packs, then while it trains its first model, then some time after its first record, its second, and so on.
"""

import argparse
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CLASSES, TARGET_CLASSES = 40, 10
FILE_SIDE, SEED = 72, 0
CONFIG = """\
[run]
name = "interrupted"
output = "{output}"

[source]
kind = "folder"
path = "source"

[[target]]
name = "probe"
kind = "folder"
train = "target/train"
test = "target/test"
probe_l2 = 0.01

[[target]]
name = "tuned"
kind = "folder"
train = "target/train"
test = "target/test"
transfer = "full-network"
finetune_epochs = 1
finetune_lr = 0.01
crop = 4
weight_decay = 1e-4

[design]
kind = "balanced"
models = {models}
prior = 1

[model]
arch = "{arch}"
resolution = 56
stored_side = 64

[train]
epochs = 1
batch_size = 128
lr = 0.1
resized_crop = [0.35, 1.0]
flip = true
resolutions = [48, 56]
schedule = "cosine"

[compute]
images = "streamed"
"""


def picture(rng: np.random.Generator, number: int) -> NDArray[np.uint8]:
    """(H, H, 3) a coarse pattern of the class, moved and noisy."""
    pattern = np.random.default_rng((SEED, number)).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    coarse = np.roll(pattern, tuple(rng.integers(0, 2, 2)), (0, 1))
    smooth = np.asarray(Image.fromarray(coarse).resize((FILE_SIDE, FILE_SIDE), Image.Resampling.BICUBIC), float)
    return np.clip(smooth + rng.normal(0, 40, smooth.shape), 0, 255).astype(np.uint8)


def write_images(root: Path, classes: int, per_class: int) -> None:
    """Write a folder of JPEG files for each class."""
    rng = np.random.default_rng(len(str(root)))
    for number in range(classes):
        folder = root / f"class {number:03d}"
        folder.mkdir(parents=True)
        for index in range(per_class):
            Image.fromarray(picture(rng, number)).save(folder / f"{index:05d}.jpg", quality=90)


def start(root: Path, name: str) -> "subprocess.Popen[bytes]":
    """Start a sweep with a cache of its own, in a process group of its own."""
    command = [sys.executable, "-P", "-m", "tui_influence", "sweep", "--foreground", f"{name}.toml"]
    environment = os.environ | {"TINFL_CACHE": str(root / f"{name}-cache")}
    with (root / f"{name}.log").open("ab") as log:
        return subprocess.Popen(command, cwd=root, stdout=log, stderr=log, env=environment, start_new_session=True)


def kill_all(root: Path, name: str) -> None:
    """Kill every process that works in a results directory, its workers included."""
    marker = f"TINFL_CACHE={root / f'{name}-cache'}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if marker in (process / "environ").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGKILL)
        except (OSError, ProcessLookupError):
            continue


def records(root: Path) -> dict[str, bytes]:
    """Return the content of each record of a results directory, by its path."""
    return {str(path.relative_to(root)): path.read_bytes() for path in (root / "records").rglob("*.safetensors")}


def packed_batches(root: Path, name: str) -> int:
    """Return the number of batches in the journal of what a sweep is packing."""
    journals = (root / f"{name}-cache" / "tmp").glob("*/journal")
    return max((journal.read_bytes().count(b"\n") - 1 for journal in journals), default=0)


def main() -> None:
    """Run both sweeps and compare their records."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--models", type=int, default=4)
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--arch", default="resnet18")
    options = parser.parse_args()
    rng = random.Random(SEED)
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        write_images(root / "source", CLASSES, options.images // CLASSES)
        for part in ("train", "test"):
            write_images(root / "target" / part, TARGET_CLASSES, 50)
        for name in ("calm", "killed"):
            (root / f"{name}.toml").write_text(CONFIG.format(output=name, models=options.models, arch=options.arch))
        started = time.monotonic()
        if start(root, "calm").wait():
            sys.exit((root / "calm.log").read_text()[-2000:])
        undisturbed = time.monotonic() - started
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        for kill in range(options.kills):
            sweep = start(root, "killed")
            began = time.monotonic()
            while sweep.poll() is None:
                is_due = packed_batches(root, "killed") > 2 if kill == 0 else len(records(root / "killed")) >= kill - 1
                if is_due and kill:
                    time.sleep(rng.uniform(0.1, 0.9) * undisturbed / options.models)
                if is_due:
                    break
                time.sleep(0.05)
            batches, count = packed_batches(root, "killed"), len(records(root / "killed"))
            print(f"killed after {time.monotonic() - began:.0f} s: {batches} batches in the journal, {count} records")
            kill_all(root, "killed")
            sweep.wait()
        if start(root, "killed").wait():
            sys.exit((root / "killed.log").read_text()[-2000:])
        calm, killed = records(root / "calm"), records(root / "killed")
        same = sum(killed.get(name) == content for name, content in calm.items())
        print(f"{options.images:,} images, {options.arch}: {undisturbed:.0f} s undisturbed, {peak:,.0f} MiB a process")
        print(f"{same} of {len(calm)} records the same to the last bit; {len(killed)} after the kills")
        shutil.rmtree(root / "source")
    sys.exit(same != len(calm) or len(killed) != len(calm))


if __name__ == "__main__":
    main()
