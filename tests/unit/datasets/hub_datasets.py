"""Datasets of the `datasets` library, made on the spot.

Importing this module leaves tests out where the library is missing.
"""

import importlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from image_files import noise
from PIL import Image

from tests.requirements import require
from tui_influence.config.schema import HuggingfaceSource, HuggingfaceTarget
from tui_influence.datasets import ImageSet, TargetSet, load_source, load_target

require("datasets")
datasets = importlib.import_module("datasets")
pyarrow = importlib.import_module("pyarrow")
datasets.disable_progress_bars()

NAMES = ("cat", "dog")


def png(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(noise(seed)).save(file, "PNG")
    return file.getvalue()


def rows(count: int, start: int = 0, names: Sequence[str] | None = NAMES, **columns: Any) -> datasets.Dataset:
    """Images of noise with the labels 0, 1, 0, ..., which have names if there are any."""
    label = datasets.ClassLabel(names=list(names)) if names else datasets.Value("int64")
    content = {
        "image": [{"bytes": png(start + index), "path": f"{index}.png"} for index in range(count)],
        "label": [index % 2 for index in range(count)],
    }
    table = datasets.Dataset.from_dict(content, datasets.Features({"image": datasets.Image(), "label": label}))
    for name, values in columns.items():
        table = table.add_column(name, values)
    return table


def pixels(count: int, start: int = 0) -> np.ndarray:
    return np.stack([noise(start + index) for index in range(count)])


def parquet(folder: Path, **splits: datasets.Dataset) -> Path:
    """A repository as it is downloaded: one Parquet file a split."""
    (folder / "data").mkdir(parents=True)
    for name, split in splits.items():
        split.to_parquet(folder / "data" / f"{name}-00000-of-00001.parquet")
    return folder


def source_section(path: Path, **settings: Any) -> HuggingfaceSource:
    return HuggingfaceSource(kind="huggingface", path=str(path), **settings)


def source(path: Path, cache: Path, **settings: Any) -> ImageSet:
    return load_source(source_section(path, **settings), seed=0, resolution=8, channels=3, cache=cache)


def target(path: Path, cache: Path, **settings: Any) -> TargetSet:
    section = HuggingfaceTarget(kind="huggingface", name="t", path=str(path), **settings)
    return load_target(section, seed=0, resolution=8, channels=3, cache=cache)
