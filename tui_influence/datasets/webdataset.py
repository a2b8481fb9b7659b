"""WebDataset shards: tar files whose members of one name make one sample, such as `0017.jpg` and `0017.cls`.

A shard is listed once, by its headers; images are then read in place, and nothing is unpacked. Labels are whole
numbers, with names from a text file if there is one, or text. Images are named by class and position, such as "cat/17".
"""

import hashlib
import json
import re
import tarfile
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from tui_influence.config.schema import WebdatasetSource, WebdatasetTarget
from tui_influence.datasets.base import ImageShape, Labels, Part, Sample, occurring_classes, parse_index
from tui_influence.datasets.errors import (
    BadImageError,
    abbreviate_list,
    damaged_file,
    directory_problem,
    interrupted_download,
    printable_path,
    reason_of,
)
from tui_influence.datasets.folder import files_stamp
from tui_influence.datasets.images import MAX_BYTES, first_shape
from tui_influence.errors import DatasetError
from tui_influence.regular_files import expand_home, open_regular, read_regular
from tui_influence.text import pluralize, printable

_IMAGES = frozenset({"jpg", "jpeg", "png", "webp"})
_CLASS, _JSON = "cls", "json"
_NUMBER = re.compile(r"-?\d{1,18}", re.ASCII)
_MAX_HEADER_BYTES = 1 << 20
_MAX_CLASS_BYTES = 1 << 12
_MAX_JSON_BYTES = 1 << 20
_MAX_NAMES_BYTES = 1 << 24


def open_reader(section: WebdatasetSource | WebdatasetTarget, part: Part, *, trusted: bool) -> "WebdatasetReader":
    """Return the reader of the shards of one part."""
    if isinstance(section, WebdatasetSource):
        return WebdatasetReader(section.path, label=section.label, classes=section.classes)
    path = section.train if part == "train" else section.test
    return WebdatasetReader(path, label=section.label, classes=section.classes)


@dataclass(frozen=True, eq=False)
class _Shard:
    """Samples of one tar file: where their images are, and their labels."""

    path: Path
    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    sizes: "array[int]" = field(default_factory=lambda: array("q"))
    labels: list[int | str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class _Contents:
    """All samples: their shards, the first position of each, and (N,) labels in terms of the classes."""

    shards: Sequence[_Shard]
    starts: Sequence[int]
    labels: Labels
    classes: tuple[str, ...]


class WebdatasetReader:
    """Reader of the images in tar files.

    Args:
        path: a tar file, or a directory of them.
        label: key of the label in each sample's JSON; None if the label is in a member `.cls`.
        classes: text file with the names of the classes, one per line.
    """

    declared_classes = None
    """The names may be of classes without an image."""

    def __init__(self, path: str, *, label: str | None = None, classes: str | None = None) -> None:
        self.path = expand_home(path)
        self.display_name = printable_path(path)
        self.label = label
        self.classes_path = None if classes is None else expand_home(classes)

    def stamp(self) -> str:
        """The key of the label, the names of the classes, and path, size and time of every shard."""
        names = hashlib.sha256(json.dumps(self._names).encode()).hexdigest()
        return f"{self.label!r} {names} {files_stamp(self._paths)}"

    def shape(self) -> ImageShape:
        """Shape of the first image that can be read."""
        return first_shape(self.samples(range(self.count())), self.display_name)

    def count(self) -> int:
        """Number of samples in all shards."""
        return len(self._contents.labels)

    def samples(self, positions: Sequence[int]) -> Iterator[Sample]:
        """Images in the order of the shards, read one at a time."""
        return self._read(positions)

    def finalize_labels(self, labels: Labels) -> tuple[tuple[str, ...], Labels]:
        """Return the classes that occur."""
        return occurring_classes(self.display_name, self._contents.classes, labels)

    def find(self, names: Iterable[str]) -> Iterator[Sample]:
        """Images by their position."""
        return self._read([parse_index(name, self.count(), self.display_name) for name in names])

    def _read(self, positions: Iterable[int]) -> Iterator[Sample]:
        contents = self._contents
        file: BufferedReader | None = None
        current: _Shard | None = None
        try:
            for position in positions:
                index = bisect_right(contents.starts, position) - 1
                shard, row = contents.shards[index], position - contents.starts[index]
                if file is None or shard is not current:
                    if file is not None:
                        file.close()
                    with _reading(shard.path):
                        file = open_regular(shard.path)
                    current = shard
                label = int(contents.labels[position])
                yield Sample(f"{contents.classes[label]}/{position}", label, _read_image(file, shard, row))
        finally:
            if file is not None:
                file.close()

    @cached_property
    def _paths(self) -> Sequence[Path]:
        """The shards, in the order of their names."""
        if not self.path.is_dir():
            if not self.path.exists():
                raise DatasetError(f"{self.display_name} does not exist")
            return (self.path,)
        try:
            files = sorted(file for file in self.path.iterdir() if not file.name.startswith("."))
        except OSError as error:
            raise directory_problem(self.path, error) from error
        incomplete = [file for file in files if file.suffix == ".incomplete"]
        if incomplete:
            raise interrupted_download(self.display_name, incomplete[0])
        shards = [file for file in files if file.suffix.lower() == ".tar"]
        if not shards:
            compressed = any(file.name.lower().endswith((".tar.gz", ".tgz", ".tar.zst", ".tar.bz2")) for file in files)
            hint = ": compressed shards must be decompressed first" if compressed else ""
            raise DatasetError(f"{self.display_name} has no .tar files{hint}")
        return shards

    @cached_property
    def _names(self) -> tuple[str, ...] | None:
        """Names of the classes by label, if a file has them."""
        if self.classes_path is None:
            return None
        try:
            text = read_regular(self.classes_path, _MAX_NAMES_BYTES).decode()
        except OSError as error:
            raise directory_problem(self.classes_path, error) from error
        except UnicodeDecodeError as error:
            raise DatasetError(f"{printable_path(self.classes_path)} is not UTF-8 text") from error
        names = [line.strip() for line in text.rstrip().splitlines()]
        repeated = [printable(name) or "an empty line" for name, times in Counter(names).items() if times > 1]
        if repeated:
            raise DatasetError(f"{printable_path(self.classes_path)} names {abbreviate_list(repeated)} more than once")
        return tuple(names)

    @cached_property
    def _contents(self) -> _Contents:
        shards = [shard for path in self._paths if (shard := _list_shard(path, self.label)).labels]
        if not shards:
            raise DatasetError(f"{self.display_name} has no images (.jpg, .jpeg, .png or .webp)")
        starts = [0]
        for shard in shards:
            starts.append(starts[-1] + len(shard.labels))
        numbers, classes = self._number_labels([label for shard in shards for label in shard.labels])
        return _Contents(shards, starts[:-1], numbers, classes)

    def _number_labels(self, labels: Sequence[int | str]) -> tuple[Labels, tuple[str, ...]]:
        """Return labels in terms of classes, and the names of the classes."""
        texts = sum(isinstance(label, str) for label in labels)
        if 0 < texts < len(labels):
            raise DatasetError(f"{self.display_name}: labels must be all numbers or all text; {texts:,} are text")
        if self._names is None:
            values = sorted(set(labels), key=lambda value: (isinstance(value, str), value))
            number_of = {value: number for number, value in enumerate(values)}
            return np.array([number_of[label] for label in labels], np.int64), tuple(map(str, values))
        outside = [label for label in labels if isinstance(label, str) or not 0 <= label < len(self._names)]
        if outside:
            raise DatasetError(
                f"{self.display_name}: {pluralize(len(outside), 'label')} outside the "
                f"{pluralize(len(self._names), 'class', 'classes')} of `classes`, such as {printable(str(outside[0]))}"
            )
        return np.array(labels, dtype=np.int64), self._names


def _read_image(file: BufferedReader, shard: _Shard, row: int) -> bytes | BadImageError:
    """Return the bytes of an image of an open shard."""
    size = shard.sizes[row]
    if size > MAX_BYTES:
        return BadImageError(f"larger than {MAX_BYTES >> 20} MiB")
    with _reading(shard.path):
        file.seek(shard.offsets[row])
        data = file.read(size)
    if len(data) < size:
        raise damaged_file(shard.path, "truncated")
    return data


def _list_shard(path: Path, label: str | None) -> _Shard:
    """Return the samples of a tar file."""
    shard = _Shard(path)
    with _reading(path), open_regular(path) as file:
        image: tarfile.TarInfo | None = None
        value: int | str | None = None
        key: str | None = None
        for member in _members(file, path):
            member_key, extension = _split_name(member.name)
            if member_key != key:
                _add_sample(shard, key, image, value, label)
                key, image, value = member_key, None, None
            if extension in _IMAGES:
                if image is not None:
                    raise DatasetError(f"{printable_path(path)}: sample {printable(member_key)} has several images")
                image = member
            elif extension == (_CLASS if label is None else _JSON):
                value = _read_label(file, path, member, label)
        _add_sample(shard, key, image, value, label)
    return shard


def _add_sample(
    shard: _Shard, key: str | None, image: tarfile.TarInfo | None, value: int | str | None, label: str | None
) -> None:
    if key is None or (image is None and value is None):
        return  # members of another purpose
    name = f"{printable_path(shard.path)}: sample {printable(key)}"
    if image is None:
        raise DatasetError(f"{name} has a label and no image (.jpg, .jpeg, .png or .webp)")
    if value is None:
        remedy = "set label to a key of its .json" if label is None else "leave label out for labels in .cls"
        raise DatasetError(f"{name} has no .{_CLASS if label is None else _JSON} with its label; {remedy}")
    shard.offsets.append(image.offset_data)
    shard.sizes.append(image.size)
    shard.labels.append(value)


def _members(file: BufferedReader, path: Path) -> Iterator[tarfile.TarInfo]:
    """Yield the regular members of an open tar file."""
    headers: Any = _HeaderFile(file)
    with tarfile.TarFile(fileobj=headers) as archive:
        while (member := archive.next()) is not None:
            vars(archive)["members"] = []  # it would keep all of them
            if member.isdir():
                continue
            if not member.isreg() or member.issparse():
                raise DatasetError(
                    f"{printable_path(path)}: {printable(member.name)} is a link, or no regular file otherwise"
                )
            yield member
        # `tarfile` takes anything that is no header for the end; only blocks of zeros are.
        file.seek(archive.offset)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("no end of the archive")


def _split_name(name: str) -> tuple[str, str]:
    """Key of the sample that a member belongs to, and its extension: what follows the first dot."""
    folder, slash, base = name.rpartition("/")
    key, _, extension = base.partition(".")
    return f"{folder}{slash}{key}", extension.lower()


def _read_label(file: BufferedReader, path: Path, member: tarfile.TarInfo, label: str | None) -> int | str:
    """Return the label in a member of an open tar file, which is text or JSON."""
    name = f"{printable_path(path)}: {printable(member.name)}"
    if member.size > (_MAX_CLASS_BYTES if label is None else _MAX_JSON_BYTES):
        raise DatasetError(f"{name} is too large for a label")
    position = file.tell()
    file.seek(member.offset_data)
    data = file.read(member.size)
    file.seek(position)
    if label is None:
        text = data.decode().strip()
        if not text:
            raise DatasetError(f"{name} is empty")
        return int(text) if _NUMBER.fullmatch(text) else text
    content = json.loads(data)
    if not isinstance(content, dict) or label not in content:
        keys = abbreviate_list([printable(key) for key in content], 8) if isinstance(content, dict) else "none"
        raise DatasetError(f"{name} has no key {printable(label)} (its keys: {keys})")
    value = content[label]
    is_number = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63
    if not is_number and not isinstance(value, str):
        raise DatasetError(f"{name}: {printable(label)} is neither a whole number nor text")
    return value  # type: ignore[no-any-return]


class _HeaderFile:
    """An open tar file for `tarfile`, which reads headers from it, of at most a megabyte."""

    def __init__(self, file: BufferedReader) -> None:
        self._file = file
        self.tell, self.seek = file.tell, file.seek

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes.

        Raises:
            ValueError: they are more than a header has.
        """
        if not 0 <= size <= _MAX_HEADER_BYTES:
            raise ValueError("a header is too large")
        return self._file.read(size)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn every error of reading a shard into one of the dataset."""
    try:
        yield
    except OSError as error:
        if isinstance(error, tarfile.TarError):
            raise damaged_file(path, reason_of(error)) from error
        raise directory_problem(path, error) from error
    except (tarfile.TarError, ValueError, RecursionError, OverflowError, EOFError) as error:
        raise damaged_file(path, reason_of(error)) from error
