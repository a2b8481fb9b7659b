"""Tiny datasets made on the spot, and loading with the settings most tests share."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from tui_influence.config.schema import FolderSource, FolderTarget, NpzSource, NpzTarget, Source, Target
from tui_influence.datasets import ImageSet, TargetSet, load_source, load_target


def save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def noise(seed: int, height: int = 8, width: int = 8, channels: int = 3) -> np.ndarray:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def image_folder(root: Path, classes: str = "ab", each: int = 3, start: int = 0) -> Path:
    for number, name in enumerate(classes):
        for index in range(each):
            save(root / name / f"{index}.png", noise(start + 100 * number + index))
    return root


def truncated_jpeg(path: Path) -> None:
    data = io.BytesIO()
    Image.fromarray(noise(1, 64, 64)).save(data, "JPEG")
    path.write_bytes(data.getvalue()[: len(data.getvalue()) // 2])


def bomb(path: Path, side: int = 20_000) -> None:
    """A PNG of a few bytes that declares side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b""))


def npz(path: Path, **arrays: object) -> Path:
    np.savez_compressed(path, **{"x": noise(0, 6, 48).reshape(6, 8, 18)[:, :, :8], "y": np.array([0, 1] * 3)} | arrays)
    return path


def source(root: Path, cache: Path, **settings: object) -> ImageSet:
    options = {"resolution": 8, "channels": 3, "seed": 0} | {
        key: settings.pop(key) for key in ("resolution", "channels", "seed", "progress") if key in settings
    }
    section: Source
    if root.suffix == ".npz":
        section = NpzSource(kind="npz", path=str(root), **settings)
    else:
        section = FolderSource(kind="folder", path=str(root), **settings)
    return load_source(section, cache=cache, **options)


def target(train: Path, test: Path, cache: Path, **settings: object) -> TargetSet:
    kind = NpzTarget if train.suffix == ".npz" else FolderTarget
    section: Target = kind(
        kind="npz" if train.suffix == ".npz" else "folder", name="t", train=str(train), test=str(test), **settings
    )
    return load_target(section, seed=0, resolution=8, channels=3, cache=cache)


def leftovers(cache: Path) -> list[str]:
    return [path.name for path in (cache / "tmp").iterdir()]
