"""Printed characters with planted copies of handwritten test digits among them, and mislabelled ones: known leakage.

Everything is made from the built-in data at their own 28 pixels and written as `.npz` files.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tui_influence.config.schema import BuiltinSource, BuiltinTarget
from tui_influence.datasets import load_source, load_target

Pixels = NDArray[np.uint8]
SIDE = 28
KINDS = ("exact", "recompressed", "cropped")
_QUALITY, _CROP = 60, 0.85

CONFIG = """\
[run]
name = "planted"
output = "{root}/results"

[source]
kind = "npz"
path = "{root}/source.npz"
{grouping}

[[target]]
kind = "npz"
name = "digits"
train = "{root}/train.npz"
test = "{root}/test.npz"

[design]
kind = "bernoulli"
models = {models}
prior = 0

[model]
arch = "small-cnn"
resolution = 14

[train]
epochs = {epochs}
batch_size = 128
lr = 0.2
probe_l2 = 1.0

[compute]
devices = ["cpu"]
"""


@dataclass(frozen=True)
class Planted:
    """What was planted where.

    Attributes:
        config: the config of a sweep over single images of the digits' classes.
        names: of all source images.
        copies: source image -> test image that it is a copy of.
        kinds: source image -> kind of copy.
        mislabelled: source images with the label of another class.
    """

    config: Path
    names: tuple[str, ...]
    copies: dict[int, int]
    kinds: dict[int, str]
    mislabelled: frozenset[int]


def plant(
    root: Path,
    copies: int,
    *,
    kinds: tuple[str, ...] = KINDS,
    mislabelled: int = 0,
    fonts: int | None = None,
    test_per_class: int = 100,
    models: int = 300,
    epochs: int = 4,
    seed: int = 0,
) -> Planted:
    """Write datasets with so many planted copies, the kinds in turn, and a config for them.

    Args:
        root: directory to write to.
        copies: source images that are copies of test images, each in the printed class of its digit.
        kinds: of copies.
        mislabelled: printed digits that get the label of another digit.
        fonts: printed images of each class; all of them by default.
        test_per_class: handwritten test images a digit.
        models: of the sweep.
        epochs: of each model.
        seed: of all that is drawn.
    """
    root.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    source = load_source(BuiltinSource(kind="builtin", per_class=fonts), seed=seed, resolution=SIDE, channels=1)
    target = load_target(
        BuiltinTarget(kind="builtin", train_per_class=10, test_per_class=test_per_class),
        seed=seed,
        resolution=SIDE,
        channels=1,
    )
    x, y = np.array(source.images), np.array(source.labels)
    digit = [source.classes.index(name) for name in target.test.classes]
    printed = np.flatnonzero(np.isin(y, digit))
    wrong = rng.choice(printed, mislabelled, replace=False)
    y[wrong] = [rng.choice([label for label in digit if label != y[index]]) for index in wrong]
    chosen = rng.choice(len(target.test), copies, replace=False)
    kind_of = [kinds[index % len(kinds)] for index in range(copies)]
    made = [changed(target.test.images[index], kind, rng) for index, kind in zip(chosen, kind_of, strict=True)]
    x = np.concatenate([x, *(pixels[None] for pixels in made)])
    y = np.concatenate([y, [digit[target.test.labels[index]] for index in chosen]]).astype(np.int64)
    order = rng.permutation(len(x))
    x, y = x[order], y[order]
    place_of = np.argsort(order)
    planted_at = place_of[len(order) - copies :] if copies else np.empty(0, int)
    classes = np.array(source.classes)
    _write(root / "source.npz", x, y, classes)
    for part, images in (("train", target.train), ("test", target.test)):
        _write(root / f"{part}.npz", images.images[:], images.labels, np.array(images.classes))
    names = tuple(f"{classes[label]}/{index}" for index, label in enumerate(y))
    grouped = np.flatnonzero(np.isin(y, digit))
    (root / "images.csv").write_text("path,group\n" + "".join(f"{names[k]},{names[k]}\n" for k in grouped))
    config = root / "images.toml"
    config.write_text(CONFIG.format(root=root, grouping=f'groups = "{root}/images.csv"', models=models, epochs=epochs))
    return Planted(
        config,
        names,
        {int(index): int(test) for index, test in zip(planted_at, chosen, strict=True)},
        {int(index): kind for index, kind in zip(planted_at, kind_of, strict=True)},
        frozenset(int(place_of[index]) for index in wrong),
    )


def changed(pixels: Pixels, kind: str, rng: np.random.Generator) -> Pixels:
    """Return a copy of an image: exact, recompressed as JPEG, or a crop brought back to its size."""
    image = Image.fromarray(pixels[..., 0])
    if kind == "recompressed":
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=_QUALITY)
        image = Image.open(buffer)
    elif kind == "cropped":
        side = _CROP * SIDE
        left, top = rng.uniform(0, SIDE - side, 2)
        image = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
    return np.asarray(image, dtype=np.uint8)[..., None]


def auc(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Area under the curve: how often a positive scores above another."""
    order = np.argsort(np.argsort(score, kind="stable")) + 1
    n = int(positive.sum())
    return float((order[positive].sum() - n * (n + 1) / 2) / (n * (len(score) - n)))


def _write(path: Path, x: Pixels, y: NDArray[np.int64], classes: NDArray[np.str_]) -> None:
    np.savez_compressed(path, x=x[..., 0], y=y, classes=classes)
