"""Parquet files and Arrow streams: their columns, and the values of a column, a few at a time.

They are read by pyarrow, which runs no code of a dataset. A Parquet file is read page by page. An Arrow stream is
mapped into memory and never copied: its buffers are checked before they are used, and compressed ones, which could take
any memory, are refused. Whatever pyarrow reports becomes a `DatasetError` of one line.
"""

import importlib
import json
import mmap
import os
import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

from tui_influence.datasets.errors import damaged_file, directory_problem, printable_path, reason_of
from tui_influence.datasets.huggingface_files import PARQUET
from tui_influence.errors import DatasetError
from tui_influence.regular_files import open_regular

_POINTER = b"version https://git-lfs"
_ARROW_FILE = b"ARROW1"
_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"
_MAX_BATCH_BYTES = 1 << 23
_BUFFER_BYTES = 1 << 20
_MESSAGE_HEADER, _BATCH_COMPRESSION = 2, 3
"""Indices of fields in the tables that describe an Arrow message, from Message.fbs of Arrow's format."""

Values = tuple[int, Any]
"""First row of some rows of a column, and their values: an array of pyarrow."""


class Table(ABC):
    """A file of a dataset.

    Attributes:
        path: of the file.
        types: type of each column, as pyarrow has it.
        features: what the `datasets` library notes about each column; empty if another program wrote the file.
        block_starts: first row of each part that can be read by itself.
        rows: number of rows.
    """

    def __init__(self, path: Path, schema: Any, lengths: Sequence[int]) -> None:
        self.path = path
        if min(lengths, default=0) < 0:
            raise damaged_file(path, "a negative number of rows")
        self.types: Mapping[str, Any] = {field.name: field.type for field in schema}
        if len(self.types) < len(schema.names):
            raise DatasetError(f"{printable_path(path)} has several columns of the same name")
        self.features = _features(schema)
        starts = list(accumulate(lengths, initial=0))
        self.block_starts: Sequence[int] = starts[:-1]
        self.rows = starts[-1]

    @abstractmethod
    def read(self, column: str, field: str | None, block: int, most_rows: int) -> Iterator[Values]:
        """Yield the values of a column in a part of the file, in order.

        Args:
            column: name of the column.
            field: name of the field to read, if the column is of structs.
            block: index of the part.
            most_rows: most values to take memory for at a time.

        Raises:
            DatasetError: the file is damaged, or cannot be read.
        """


def open_table(path: Path) -> Table:
    """Return a Parquet file, or an Arrow stream by any other name; only its head is read.

    Raises:
        DatasetError: it is damaged, cannot be read, or pyarrow is not installed.
    """
    import_pyarrow()
    with _reading(path):
        return _ParquetTable(path) if path.suffix.lower() == PARQUET else _ArrowTable(path)


def import_pyarrow() -> Any:
    """Return the module `pyarrow`, with those of its modules that are used here.

    Raises:
        DatasetError: it is not installed.
    """
    try:
        for name in ("pyarrow.ipc", "pyarrow.parquet"):
            importlib.import_module(name)
        return importlib.import_module("pyarrow")
    except ImportError as error:
        raise DatasetError(f'kind = "huggingface" needs pyarrow ({reason_of(error)}): pip install pyarrow') from error


class _ParquetTable(Table):
    def __init__(self, path: Path) -> None:
        with _open_parquet(path) as file:
            groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
            super().__init__(path, file.schema_arrow, [group.num_rows for group in groups])

    def read(self, column: str, field: str | None, block: int, most_rows: int) -> Iterator[Values]:
        leaf = column if field is None else f"{column}.{field}"
        start = self.block_starts[block]
        with _reading(self.path), _open_parquet(self.path) as file:
            rows = _rows_at_once(file.metadata.row_group(block), most_rows)
            for batch in file.iter_batches(rows, row_groups=[block], columns=[leaf], use_threads=False):
                values = _flatten(batch.column(column), field)
                values.validate(full=True)
                yield start, values
                start += batch.num_rows
            if start != self.block_starts[block] + file.metadata.row_group(block).num_rows:
                raise damaged_file(self.path, "it has fewer rows than it declares")


class _ArrowTable(Table):
    def __init__(self, path: Path) -> None:
        with open_regular(path) as file:
            head = file.peek(len(_POINTER))
            _refuse_pointer(path, head)
            if head.startswith(_ARROW_FILE):
                raise DatasetError(f"{printable_path(path)} is no Arrow stream, as save_to_disk writes: save it again")
            if not os.fstat(file.fileno()).st_size:
                raise damaged_file(path, "empty file")
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if content[-len(_END_OF_STREAM) :] != _END_OF_STREAM:
            raise damaged_file(path, "truncated")
        pyarrow = import_pyarrow()
        buffer = pyarrow.py_buffer(content)
        for message in pyarrow.ipc.MessageReader.open_stream(buffer):
            if message.type == "dictionary" or (message.type == "record batch" and _is_compressed(message.metadata)):
                raise DatasetError(f"{printable_path(path)} is compressed: save it again with save_to_disk")
        reader = pyarrow.ipc.open_stream(buffer)
        self._batches = list(reader)
        super().__init__(path, reader.schema, [batch.num_rows for batch in self._batches])

    def read(self, column: str, field: str | None, block: int, most_rows: int) -> Iterator[Values]:
        with _reading(self.path):
            values = self._batches[block].column(column)
            values.validate(full=True)
            yield self.block_starts[block], _flatten(values, field)


@contextmanager
def _open_parquet(path: Path) -> Iterator[Any]:
    with open_regular(path) as file:
        _refuse_pointer(path, file.peek(len(_POINTER)))
        yield import_pyarrow().parquet.ParquetFile(file, buffer_size=_BUFFER_BYTES, pre_buffer=False)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn every error of reading a file into one of the dataset."""
    pyarrow = import_pyarrow()
    try:
        yield
    except MemoryError as error:
        raise DatasetError(f"cannot read {printable_path(path)}: not enough memory") from error
    except OSError as error:
        if error.errno is None:  # pyarrow's, for what it cannot decode
            raise damaged_file(path, reason_of(error)) from error
        raise directory_problem(path, error) from error
    except (pyarrow.ArrowException, ValueError, LookupError, OverflowError, struct.error, EOFError) as error:
        raise damaged_file(path, reason_of(error)) from error


def _refuse_pointer(path: Path, head: bytes) -> None:
    if head.startswith(_POINTER):
        raise DatasetError(f"{printable_path(path)} is not the file but its pointer in Git LFS: run git lfs pull")


def _features(schema: Any) -> Mapping[str, Any]:
    """What the `datasets` library notes in a file about its columns."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}  # of another program
    return features if isinstance(features, dict) else {}


def _flatten(values: Any, field: str | None) -> Any:
    """Return an array, or a field of an array of structs; the field of no struct is null."""
    return values if field is None else values.flatten()[values.type.get_field_index(field)]


def _rows_at_once(group: Any, most_rows: int) -> int:
    """Number of rows that take a few megabytes, by the size that a row group declares.

    That of a column would be better, but pyarrow crashes where a damaged group has fewer columns than the schema.
    """
    rows: int = group.num_rows
    size: int = group.total_byte_size
    return max(1, min(most_rows, _MAX_BATCH_BYTES * rows // max(1, size)))


def _is_compressed(metadata: Any) -> bool:
    """Tell whether the buffers of a record batch are compressed, by the FlatBuffers table that describes it."""
    data = metadata.to_pybytes()
    (message,) = struct.unpack_from("<I", data, 0)
    header = _field_position(data, message, _MESSAGE_HEADER)
    if header is None:
        return False
    (offset,) = struct.unpack_from("<I", data, header)
    return _field_position(data, header + offset, _BATCH_COMPRESSION) is not None


def _field_position(data: bytes, table: int, index: int) -> int | None:
    """Position of a field of a FlatBuffers table; None if the table does not have it."""
    (back,) = struct.unpack_from("<i", data, table)
    (size,) = struct.unpack_from("<H", data, table - back)
    entry = 4 + 2 * index
    if entry >= size:
        return None
    offset: int = struct.unpack_from("<H", data, table - back + entry)[0]
    return table + offset if offset else None
