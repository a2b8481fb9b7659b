"""Local Hugging Face datasets: what `save_to_disk` writes, or Parquet files as on the hub, with images in a column.

The images are encoded files inside a column, in the layout of the library's `Image` feature, {bytes, path}, or as plain
bytes; only bytes are used, never a path or URL. Labels are whole numbers, with the names of a `ClassLabel` feature if
there is one, or text. Nothing is downloaded, and no code of a dataset is run. Images that are in the cache are loaded
without pyarrow.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.config.schema import HuggingfaceSource, HuggingfaceTarget
from tui_influence.datasets.base import ImageShape, Labels, Part, Sample, occurring_classes, parse_index
from tui_influence.datasets.errors import BadImageError, abbreviate_list, printable_path
from tui_influence.datasets.folder import files_stamp
from tui_influence.datasets.huggingface_files import choose_split, list_splits
from tui_influence.datasets.huggingface_tables import Table, Values, import_pyarrow, open_table
from tui_influence.datasets.images import MAX_BYTES, first_shape
from tui_influence.errors import DatasetError
from tui_influence.regular_files import expand_home
from tui_influence.text import pluralize, printable

_IMAGE_ROWS = 16
"""Most images of a Parquet file in memory before they are handed on."""
_LABEL_ROWS = 1 << 16
_BYTES = "bytes"
_MAX_LISTED = 12


def open_reader(section: HuggingfaceSource | HuggingfaceTarget, part: Part, *, trusted: bool) -> "HuggingfaceReader":
    """Return the reader of the split of one part."""
    if isinstance(section, HuggingfaceSource):
        split = section.split
    else:
        split = section.train if part == "train" else section.test
    return HuggingfaceReader(section.path, split, image=section.image, label=section.label)


@dataclass(frozen=True, eq=False)
class _Contents:
    """What is known of a split before an image is read.

    Attributes:
        tables: its files.
        starts: first row of each file, in the split.
        image: name of the column of images.
        field: of the structs in that column; None if it has no structs.
        labels: (N,) label of each row, in terms of `classes`.
        classes: names that labels stand for; some may have no image.
    """

    tables: Sequence[Table]
    starts: Sequence[int]
    image: str
    field: str | None
    labels: Labels
    classes: tuple[str, ...]


class HuggingfaceReader:
    """Reader of one split of a dataset.

    Args:
        path: a directory, or a Parquet file.
        split: name of the split; the only one by default.
        image: name of the column of images; the only one by default.
        label: name of the column of labels; the only one by default.
    """

    declared_classes = None
    """A `ClassLabel` may have classes without an image, as after `filter`."""

    def __init__(self, path: str, split: str | None, *, image: str | None = None, label: str | None = None) -> None:
        self.path = expand_home(path)
        self.split = split
        self.image = image
        self.label = label
        self.display_name = printable_path(path) if split is None else f"{printable(split)} of {printable_path(path)}"

    def stamp(self) -> str:
        """The columns, and path, size and time of every file of the split."""
        return f"{self.image!r} {self.label!r} {files_stamp(self._files)}"

    def shape(self) -> ImageShape:
        """Shape of the first image that can be read."""
        return first_shape(self.samples(range(self.count())), self.display_name)

    def count(self) -> int:
        """Number of rows of the split."""
        return len(self._contents.labels)

    def samples(self, positions: Sequence[int]) -> Iterator[Sample]:
        """Images, which are in the order of the rows; few are in memory at a time."""
        return self._read(positions)

    def finalize_labels(self, labels: Labels) -> tuple[tuple[str, ...], Labels]:
        """Return the classes that occur."""
        return occurring_classes(self.display_name, self._contents.classes, labels)

    def find(self, names: Iterable[str]) -> Iterator[Sample]:
        """Images by their row."""
        return self._read([parse_index(name, self.count(), self.display_name) for name in names])

    def _read(self, positions: Iterable[int]) -> Iterator[Sample]:
        contents = self._contents
        batches: Iterator[Values] = iter(())
        current_block: tuple[int, int] | None = None
        start, values = 0, ()
        for position in positions:
            table_index = bisect_right(contents.starts, position) - 1
            table, row = contents.tables[table_index], position - contents.starts[table_index]
            block = table_index, bisect_right(table.block_starts, row) - 1
            if block != current_block or row < start:
                batches = table.read(contents.image, contents.field, block[1], _IMAGE_ROWS)
                current_block, start, values = block, 0, ()
            while row >= start + len(values):
                start, values = next(batches)  # an error if there are fewer rows than declared
            label = int(contents.labels[position])
            yield Sample(f"{contents.classes[label]}/{position}", label, _encoded_image(values[row - start]))

    @cached_property
    def _files(self) -> Sequence[Any]:
        return choose_split(list_splits(self.path), self.split, printable_path(self.path))

    @cached_property
    def _contents(self) -> _Contents:
        tables = [open_table(path) for path in self._files]
        first = tables[0]
        image = self.image if self.image is not None else self._only_image_column(first)
        label = self.label if self.label is not None else self._only_label_column(first, image)
        for table in tables:
            self._check_columns(table, image, label)
            if table.features.get(label) != first.features.get(label):
                raise DatasetError(
                    f"{printable_path(table.path)}: the classes of column {printable(label)} are not those of "
                    f"{printable_path(first.path)}"
                )
        *starts, total = accumulate((table.rows for table in tables), initial=0)
        if not total:
            raise DatasetError(f"{self.display_name} has no images: it has no rows")
        labels, classes = self._read_labels(tables, label)
        return _Contents(tables, starts, image, _bytes_field(first.types[image]), labels, classes)

    def _only_image_column(self, table: Table) -> str:
        """Name of the column of images, if there is no doubt."""
        columns = [name for name, feature in table.features.items() if _kind_of(feature) == "Image"]
        columns = columns or [name for name, kind in table.types.items() if _bytes_field(kind) is not None]
        columns = columns or [name for name, kind in table.types.items() if _is_image_type(kind)]
        if len(columns) == 1:
            return columns[0]
        if columns:
            raise DatasetError(
                f"{self.display_name} has several columns of images: set image to one of {_list(columns)}"
            )
        text = [name for name, kind in table.types.items() if _is_text(kind)]
        for name in text:
            if self._holds_urls(table, name):
                raise self._text_column_error(name)
        raise DatasetError(f"{self.display_name} has no column of images (its columns: {_list(table.types)})")

    def _only_label_column(self, table: Table, image: str) -> str:
        """Name of the column of labels, if there is no doubt."""
        columns = [name for name, feature in table.features.items() if _kind_of(feature) == "ClassLabel"]
        others = [name for name, kind in table.types.items() if name != image and (_is_whole(kind) or _is_text(kind))]
        columns = columns or others
        if len(columns) == 1:
            return columns[0]
        if columns:
            raise DatasetError(
                f"{self.display_name} has several columns that may be labels: set label to one of {_list(columns)}"
            )
        raise DatasetError(
            f"{self.display_name} has no labels: no column of whole numbers or text (its columns: {_list(table.types)})"
        )

    def _check_columns(self, table: Table, image: str, label: str) -> None:
        """Refuse a file without these columns, or with other values in them."""
        for key, name in (("image", image), ("label", label)):
            if name not in table.types:
                raise DatasetError(
                    f"{printable_path(table.path)} has no column {printable(name)}: set {key} to one of its columns: "
                    f"{_list(table.types)}"
                )
        image_type, label_type = table.types[image], table.types[label]
        if _is_text(image_type):
            raise self._text_column_error(image)
        if not _is_image_type(image_type):
            raise DatasetError(
                f"{self.display_name}: column {printable(image)} holds {_describe(image_type)}, not images "
                "(encoded bytes, or {bytes, path})"
            )
        if not _is_whole(label_type) and not _is_text(label_type):
            raise DatasetError(
                f"{self.display_name}: column {printable(label)} holds {_describe(label_type)}; labels must be whole "
                "numbers or text"
            )

    def _text_column_error(self, column: str) -> DatasetError:
        return DatasetError(
            f"{self.display_name}: column {printable(column)} holds text, such as URLs or paths, not images: tinfl "
            "downloads nothing; fetch the images, cast the column to datasets.Image() and write with save_to_disk"
        )

    def _holds_urls(self, table: Table, column: str) -> bool:
        """Whether the first value of a column is a URL."""
        if not table.rows:
            return False
        _, values = next(table.read(column, None, bisect_right(table.block_starts, 0) - 1, 1))
        return str(values[0].as_py()).startswith(("http://", "https://"))

    def _read_labels(self, tables: Sequence[Table], column: str) -> tuple[Labels, tuple[str, ...]]:
        """Return the label of each row, and the names of the labels."""
        arrays = [
            _without_dictionary(values)
            for table in tables
            for block in range(len(table.block_starts))
            for _, values in table.read(column, None, block, _LABEL_ROWS)
        ]
        missing = sum(values.null_count for values in arrays)
        if missing:
            raise self._missing_labels(missing, sum(map(len, arrays)), "empty", column)
        if _is_text(tables[0].types[column]):
            return _number_text(arrays)
        numbers = np.concatenate([values.to_numpy(zero_copy_only=False) for values in arrays]).astype(np.int64)
        names = self._class_names(tables[0], column)
        if names is None:
            values, labels = np.unique(numbers, return_inverse=True)
            return labels.astype(np.int64).reshape(-1), tuple(str(value) for value in values)
        if (outside := (numbers < 0) | (numbers >= len(names))).any():
            value = numbers[outside][0]
            state = "-1" if value == -1 else f"outside its {pluralize(len(names), 'class', 'classes')}, such as {value}"
            raise self._missing_labels(int(outside.sum()), len(numbers), state, column)
        return numbers, names

    def _missing_labels(self, count: int, total: int, state: str, column: str) -> DatasetError:
        rows = "every row" if count == total else f"{count:,} of {total:,} rows"
        return DatasetError(
            f"{self.display_name} has no labels in {rows}: column {printable(column)} is {state} there; "
            "choose a labelled split or leave these rows out"
        )

    def _class_names(self, table: Table, column: str) -> tuple[str, ...] | None:
        """Names of a `ClassLabel`; None if the column is another feature."""
        feature = table.features.get(column)
        if not isinstance(feature, dict) or _kind_of(feature) != "ClassLabel":
            return None
        names = feature.get("names")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise DatasetError(f"{printable_path(table.path)} is damaged: no names of classes")
        repeated = [printable(name) for name, times in Counter(names).items() if times > 1]
        if repeated:
            raise DatasetError(f"{printable_path(table.path)} names {abbreviate_list(repeated)} more than once")
        return tuple(names)


def _number_text(arrays: Sequence[Any]) -> tuple[Labels, tuple[str, ...]]:
    """Return labels for text values, in the order of the text, and the text of each label."""
    number_of: dict[str, int] = {}
    parts: list[NDArray[np.int64]] = []
    for values in arrays:
        encoded = values.dictionary_encode()
        numbers = [number_of.setdefault(text, len(number_of)) for text in encoded.dictionary.to_pylist()]
        parts.append(np.array(numbers, np.int64)[encoded.indices.to_numpy()] if numbers else np.empty(0, np.int64))
    classes = sorted(number_of)
    new_number = np.empty(len(classes), np.int64)
    new_number[[number_of[text] for text in classes]] = np.arange(len(classes))
    return new_number[np.concatenate(parts)], tuple(classes)


def _encoded_image(value: Any) -> bytes | BadImageError:
    """Return the bytes of an image, from a value of pyarrow, or why there are none."""
    buffer = value.as_buffer()
    if buffer is None:
        return BadImageError("not in the dataset: it has no bytes, at most a path or URL")
    if buffer.size > MAX_BYTES:
        return BadImageError(f"larger than {MAX_BYTES >> 20} MiB")
    data: bytes = buffer.to_pybytes()
    return data


def _kind_of(feature: object) -> object:
    return feature.get("_type") if isinstance(feature, dict) else None


def _bytes_field(kind: Any) -> str | None:
    """Name of the field with the bytes of an image, if a type is the layout of the hub."""
    types = import_pyarrow().types
    if not types.is_struct(kind):
        return None
    index = kind.get_field_index(_BYTES)
    return _BYTES if index >= 0 and _is_binary(kind.field(index).type) else None


def _is_image_type(kind: Any) -> bool:
    return _is_binary(kind) or _bytes_field(kind) is not None


def _is_binary(kind: Any) -> bool:
    types = import_pyarrow().types
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _is_text(kind: Any) -> bool:
    types = import_pyarrow().types
    value = kind.value_type if types.is_dictionary(kind) else kind
    return bool(types.is_string(value) or types.is_large_string(value))


def _is_whole(kind: Any) -> bool:
    return bool(import_pyarrow().types.is_integer(kind))


def _without_dictionary(values: Any) -> Any:
    return values.dictionary_decode() if import_pyarrow().types.is_dictionary(values.type) else values


def _describe(kind: Any) -> str:
    return printable(str(kind), 60)


def _list(columns: Iterable[str]) -> str:
    return abbreviate_list([printable(name) for name in columns], _MAX_LISTED)
