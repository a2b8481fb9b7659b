"""Tar shards in the layout of WebDataset."""

import io
import json
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import bomb, noise
from PIL import Image

from tui_influence.config.schema import WebdatasetSource, WebdatasetTarget
from tui_influence.datasets import ImageSet, ImageShape, load_source, load_target, native_shape, thumbnails, webdataset
from tui_influence.datasets.webdataset import WebdatasetReader
from tui_influence.errors import DatasetError


def png(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(noise(seed)).save(file, "PNG")
    return file.getvalue()


def pixels(seeds: Iterable[int]) -> np.ndarray:
    return np.stack([noise(seed) for seed in seeds])


def shard(path: Path, members: dict[str, bytes | str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def members(seeds: Iterable[int], labels: Iterable[Any] | None = None) -> dict[str, bytes | str]:
    """Images of noise, and their labels: 0, 1, 0, ... if there are none."""
    numbers = list(seeds)
    result: dict[str, bytes | str] = {}
    for seed, label in zip(numbers, labels or (seed % 2 for seed in numbers), strict=True):
        result |= {f"{seed:06d}.png": png(seed), f"{seed:06d}.cls": f"{label}\n"}
    return result


def section(path: Path, **settings: Any) -> WebdatasetSource:
    return WebdatasetSource(kind="webdataset", path=str(path), **settings)


def source(path: Path, cache: Path, **settings: Any) -> ImageSet:
    return load_source(section(path, **settings), seed=0, resolution=8, channels=3, cache=cache)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A directory of two shards with 5 and 3 samples."""
    shard(tmp_path / "data" / "0000.tar", {"__meta__.json": "{}"} | members(range(5)))
    shard(tmp_path / "data" / "0001.tar", members(range(5, 8)))
    return tmp_path / "data"


def test_images_and_labels_are_read(data: Path, cache: Path) -> None:
    images = source(data, cache)
    assert np.array_equal(images.images, pixels(range(8)))
    assert images.classes == ("0", "1")
    assert images.labels.tolist() == [0, 1] * 4
    assert images.names[:2] == ("0/0", "1/1")
    assert native_shape(section(data)) == ImageShape(8, 3)
    got = thumbnails(section(data), "source", images, [7, 0, 4, 5], 8)
    assert np.array_equal(got, pixels([7, 0, 4, 5]))
    assert np.array_equal(source(data / "0001.tar", cache).images, pixels(range(5, 8)))


def test_only_the_requested_images_are_read(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = WebdatasetReader(str(data))
    assert reader.count() == 8
    sizes: list[int] = []
    read = webdataset._read_image
    monkeypatch.setattr(webdataset, "_read_image", lambda *arguments: sizes.append(1) or read(*arguments))
    assert [sample.content for sample in reader.samples([2, 6])] == [png(2), png(6)]
    assert len(sizes) == 2


def test_a_text_file_names_the_classes(data: Path, cache: Path, tmp_path: Path) -> None:
    names = tmp_path / "classes.txt"
    names.write_text("cat\ndog\nnever\n")
    assert source(data, cache, classes=str(names)).classes == ("cat", "dog")
    names.write_text("ape\ndog\n")
    assert source(data, cache, classes=str(names)).classes == ("ape", "dog")
    for text, message in [
        ("cat\n", r"4 labels outside the 1 class of `classes`, such as 1"),
        ("a\nb\na\n", r"classes\.txt names a more than once"),
    ]:
        names.write_text(text)
        with pytest.raises(DatasetError, match=message):
            source(data, cache, classes=str(names))
    names.write_bytes(b"\xff\n")
    with pytest.raises(DatasetError, match=r"classes\.txt is not UTF-8 text"):
        source(data, cache, classes=str(names))


def test_labels_are_numbers_or_text(tmp_path: Path, cache: Path) -> None:
    numbers = source(shard(tmp_path / "a.tar", members(range(4), [10, 9, -1, 10])), cache)
    assert numbers.classes == ("-1", "9", "10")
    assert numbers.labels.tolist() == [2, 1, 0, 2]
    text = source(shard(tmp_path / "b.tar", members(range(4), ["ü", "ape", "ü", "b c"])), cache)
    assert text.classes == ("ape", "b c", "ü")
    with pytest.raises(DatasetError, match="labels must be all numbers or all text; 1 are text"):
        source(shard(tmp_path / "c.tar", members(range(3), [0, "x", 1])), cache)


def test_labels_in_json(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "a.tar"

    def written(*contents: object) -> Path:
        names: dict[str, bytes | str] = {}
        for index, content in enumerate(contents):
            names |= {f"x/{index}.PNG": png(index), f"x/{index}.json": json.dumps(content)}
        return shard(path, names)

    images = source(written({"y": 3}, {"y": 1, "z": 0}), cache, label="y")
    assert images.classes == ("1", "3")
    assert images.labels.tolist() == [1, 0]
    for content, message in [
        ({"z": 1, "w": 2}, r"a\.tar: x/0\.json has no key y \(its keys: z, w\)"),
        ([1], r"a\.tar: x/0\.json has no key y \(its keys: none\)"),
        ({"y": 1.5}, r"a\.tar: x/0\.json: y is neither a whole number nor text"),
        ({"y": True}, r"neither a whole number nor text"),
    ]:
        with pytest.raises(DatasetError, match=message):
            source(written(content), cache, label="y")
    with pytest.raises(DatasetError, match=r"sample x/0 has no \.cls with its label; set label to a key of its \.json"):
        source(path, cache)
    with pytest.raises(DatasetError, match=r"sample 000000 has no \.json with its label; leave label out for labels"):
        source(shard(path, members(range(2))), cache, label="y")
    shard(path, {"0.png": png(0), "0.json": "[" * 100_000})
    with pytest.raises(DatasetError, match=r"a\.tar is damaged, or its download was interrupted"):
        source(path, cache, label="y")


def test_a_target_has_training_and_test_shards(data: Path, cache: Path, tmp_path: Path) -> None:
    test = shard(tmp_path / "test.tar", members(range(50, 54)))
    target = WebdatasetTarget(kind="webdataset", name="t", train=str(data), test=str(test))
    loaded = load_target(target, seed=0, resolution=8, channels=3, cache=cache)
    assert np.array_equal(loaded.train.images, pixels(range(8)))
    assert np.array_equal(loaded.test.images, pixels(range(50, 54)))


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({}, r"has no images \(\.jpg, \.jpeg, \.png or \.webp\)"),
        ({"0.cls": "1"}, r"sample 0 has a label and no image \(\.jpg, \.jpeg, \.png or \.webp\)"),
        ({"0.png": b"", "0.jpg": b"", "0.cls": "1"}, "sample 0 has several images"),
        ({"0.png": b"", "0.cls": " \n"}, r"0\.cls is empty"),
        ({"0.png": b"", "0.cls": "1" * 5000}, r"0\.cls is too large for a label"),
        ({"0.png": b"", "0.cls": b"\xff"}, r"is damaged, or its download was interrupted \(.*utf-8"),
        ({"0.png": b"", "0.cls": "1"}, "unreadable image in .*: 1/0 .empty file"),
        (members([0, 2]), "has 1 class: at least 2 are needed"),
    ],
)
def test_samples_that_are_not_whole(tmp_path: Path, cache: Path, contents: Any, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        source(shard(tmp_path / "a.tar", contents), cache)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_only_regular_members_are_read(tmp_path: Path, cache: Path, kind: bytes) -> None:
    path = shard(tmp_path / "a.tar", members(range(4)))
    with tarfile.open(path, "a") as archive:
        info = tarfile.TarInfo("9.png")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(DatasetError, match=r"a\.tar: 9\.png is a link, or no regular file otherwise"):
        source(path, cache)


def test_damaged_shards_are_errors(data: Path, cache: Path) -> None:
    path = data / "0001.tar"
    whole = path.read_bytes()
    for content in (whole[:700], whole[:1300], whole[:2048], whole[:1024] + b"x" * 2048, b"no tar" * 200, b""):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=r"0001\.tar is damaged, or its download was interrupted \(.+\): downl"):
            source(data, cache)
    header = tarfile.TarInfo("long")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 1 << 30
    path.write_bytes(header.tobuf() + b"x" * 4096)
    with pytest.raises(DatasetError, match=r"0001\.tar is damaged.*\(a header is too large\)"):
        source(data, cache)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DatasetError, match=r"cannot read .*0001\.tar: not a regular file"):
        source(data, cache)


def test_a_shard_that_shrinks_while_it_is_read_is_an_error(data: Path) -> None:
    reader = WebdatasetReader(str(data))
    assert reader.count() == 8
    os.truncate(data / "0001.tar", 600)
    with pytest.raises(DatasetError, match=r"0001\.tar is damaged, or its download was interrupted \(truncated\)"):
        list(reader.samples([5]))


def test_large_and_hostile_images(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb(tmp_path / "bomb.png")
    contents = members(range(3)) | {"9.png": (tmp_path / "bomb.png").read_bytes(), "9.cls": "1"}
    path = shard(tmp_path / "a.tar", contents)
    with pytest.raises(DatasetError, match=r"1 unreadable image in .*: 1/3 \(decompression bomb"):
        source(path, cache)
    assert source(path, cache, on_bad_image="skip").skipped == ("1/3",)
    monkeypatch.setattr(webdataset, "MAX_BYTES", 100)
    with pytest.raises(DatasetError, match=r"4 unreadable images in .*: 0/0 \(larger than 0 MiB\)"):
        source(path, tmp_path / "other")


def test_directories_of_something_else(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere does not exist"):
        source(tmp_path / "nowhere", cache)
    (tmp_path / "data").mkdir()
    with pytest.raises(DatasetError, match=r"has no \.tar files$"):
        source(tmp_path / "data", cache)
    (tmp_path / "data" / "0.tar.gz").touch()
    with pytest.raises(DatasetError, match=r"has no \.tar files: compressed shards must be decompressed first"):
        source(tmp_path / "data", cache)
    (tmp_path / "data" / "0.tar.incomplete").touch()
    with pytest.raises(DatasetError, match=r"has an interrupted download, 0\.tar\.incomplete: complete it"):
        source(tmp_path / "data", cache)


def test_the_stamp_changes_with_what_is_read(data: Path, tmp_path: Path) -> None:
    names = tmp_path / "classes.txt"
    names.write_text("cat\ndog\n")

    def stamp(**settings: str) -> str:
        return WebdatasetReader(str(data), **settings).stamp()

    stamps = {stamp(), stamp(label="y"), stamp(classes=str(names))}
    assert stamp() in stamps
    names.write_text("cat\nape\n")
    stamps.add(stamp(classes=str(names)))
    os.utime(data / "0001.tar", ns=(1, 1))
    assert len(stamps | {stamp()}) == 5
