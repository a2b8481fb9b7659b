"""One generation of the compacted matrix, which is written row by row and used only if it matches its digests.

Memory does not grow with the number of models: large arrays are mapped, and hashed by plain reads that leave no page of
them in the process.
"""

import hashlib
import mmap
import os
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib.format import dtype_to_descr, write_array_header_2_0
from numpy.typing import NDArray

from tui_influence.designs import Mask
from tui_influence.errors import ResultsError
from tui_influence.npy_header import Header
from tui_influence.roles import Role
from tui_influence.store.digest_memory import compute_stamp, is_remembered, remember
from tui_influence.store.files import open_file, read_bytes, to_results_error, write_json
from tui_influence.store.json_values import array, count, matches_digest, numbers, parse, table, text, with_digest
from tui_influence.store.npy_file import as_mask, map_open_file, read_plain_header
from tui_influence.store.records import Margins, as_finite
from tui_influence.store.run_info import MARGIN_TYPES
from tui_influence.text import printable

ARRAYS = ("margins", "predicted", "masks", "indices", "clusters")
_MANIFEST = "manifest.json"
_ROWS_PER_WRITE = 256
_CHUNK_BYTES = 1 << 20


class DamagedGenerationError(ResultsError):
    """A generation does not match its digests, or is of another run."""


class LargerPlanError(ResultsError):
    """A generation has rows beyond a plan that has grown since `run.json` was read."""


@dataclass(frozen=True, slots=True, eq=False)
class MatrixRow:
    """Outputs of one model, as a row of a generation: `margins` (n,), `predicted` (n,), `mask` (K,)."""

    margins: Margins
    predicted: NDArray[np.uint16]
    mask: Mask
    index: int
    cluster: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class GenerationSpec:
    """Requirements on a generation of a (role, target) of a run.

    Attributes:
        identity: of the run.
        role: of its models.
        target: index in the config.
        planned_rows: of the role; indices are below.
        groups: K.
        examples: n.
        margin_type: of its margins, one of `MARGIN_TYPES`.
    """

    identity: str
    role: Role
    target: int
    planned_rows: int
    groups: int
    examples: int
    margin_type: str = MARGIN_TYPES[0]


@dataclass(frozen=True, eq=False)
class Outputs:
    """Outputs of the models of one role on one target; rows are in the order of `indices`.

    Attributes:
        indices: (m,) int64, ascending.
        clusters: (m,) int64; models that share a cluster share their training seed.
        masks: (m, K) bool.
        margins: (m, n) float16 or float32, nats; often memory-mapped.
        predicted: (m, n) uint16 classes; often memory-mapped.
        metrics: of each model's training.
        is_labelled: whether the generation that they are read from names its role and target; one of an older version
            does not, and may be of others.
        damaged: errors of records that are left out.
        damaged_matrices: errors of generations that records were read in place of.
    """

    indices: NDArray[np.int64]
    clusters: NDArray[np.int64]
    masks: Mask
    margins: Margins
    predicted: NDArray[np.uint16]
    metrics: list[dict[str, float]]
    is_labelled: bool = True
    damaged: tuple[str, ...] = ()
    damaged_matrices: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.indices)

    def release(self) -> None:
        """Let the system take back the memory of mapped arrays; they are read again where needed."""
        for values in (self.margins, self.predicted):
            mapped = getattr(values, "_mmap", None)
            if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
                mapped.madvise(mmap.MADV_DONTNEED)


def write_generation(directory: Path, entries: Iterable[MatrixRow], spec: GenerationSpec) -> int:
    """Write a generation into a new directory.

    Args:
        directory: does not exist yet.
        entries: ascending by index; one at a time is in memory.
        spec: of the (role, target) that it belongs to.

    Returns:
        m, the number of its models.

    Raises:
        OSError: a file cannot be written.
    """
    directory.mkdir()
    masks: list[Mask] = []
    indices: list[int] = []
    clusters: list[int] = []
    metrics: list[dict[str, float]] = []
    with ExitStack() as files:
        margins = _ArrayWriter(
            files.enter_context((directory / "margins.npy").open("wb")), np.dtype(spec.margin_type), spec.examples
        )
        predicted = _ArrayWriter(
            files.enter_context((directory / "predicted.npy").open("wb")), np.dtype(np.uint16), spec.examples
        )
        for entry in entries:
            margins.append(entry.margins)
            predicted.append(entry.predicted)
            masks.append(np.array(entry.mask))
            indices.append(entry.index)
            clusters.append(entry.cluster)
            metrics.append(entry.metrics)
        margins.finish()
        predicted.finish()
    small_arrays = {
        "masks": np.array(masks, dtype=np.bool_).reshape(len(indices), spec.groups),
        "indices": np.array(indices, dtype=np.int64),
        "clusters": np.array(clusters, dtype=np.int64),
    }
    for name, values in small_arrays.items():
        with (directory / f"{name}.npy").open("wb") as file:
            rows = _ArrayWriter(file, values.dtype, *values.shape[1:])
            for row in values:
                rows.append(row)
            rows.finish()
    manifest = {
        "identity": spec.identity,
        "role": spec.role.value,
        "target": spec.target,
        "count": len(indices),
        "digests": _digests(directory),
        "metrics": metrics,
    }
    write_json(directory / _MANIFEST, with_digest(manifest))
    return len(indices)


def open_generation(directory: Path, spec: GenerationSpec, *, recheck: bool = False) -> Outputs:
    """Open a generation and check its digests; the check is remembered.

    Args:
        directory: of the generation.
        spec: its requirements.
        recheck: check it even if an earlier check is remembered: the disk may have lost data since.

    Raises:
        DamagedGenerationError: it cannot be read, does not match its digests, or is of another run, role or target.
        LargerPlanError: it holds rows beyond the plan.
    """
    where = printable(str(directory))
    try:
        content = read_bytes(directory / _MANIFEST, limit=1 << 28)
        manifest = _manifest(content, spec)
        _check_plan(where, manifest.count, spec)
        with ExitStack() as opened:
            files = {name: opened.enter_context(open_file(directory / f"{name}.npy")) for name in ARRAYS}
            stats = {name: os.fstat(file.fileno()) for name, file in files.items()}
            headers = {name: read_plain_header(file, stats[name].st_size) for name, file in files.items()}
            _check_headers(headers, manifest.count, spec)
            stamp = compute_stamp(hashlib.blake2b(content, digest_size=16).hexdigest(), stats)
            if recheck or not is_remembered(directory, stamp):
                _check_content(files, headers, manifest)
                remember(directory, stamp, stats)
            arrays = {name: map_open_file(file, headers[name]) for name, file in files.items()}
        indices, clusters = (np.array(arrays[name]) for name in ("indices", "clusters"))
        if np.any(np.diff(indices) <= 0) or np.any(indices < 0):
            raise ValueError("a model is in it twice, or out of its place")
        _check_plan(where, int(indices[-1]) + 1 if len(indices) else 0, spec)
        masks = as_mask(np.array(arrays["masks"]))
    except LargerPlanError:
        raise
    except ResultsError as error:
        raise DamagedGenerationError(str(error)) from error.__cause__
    except OSError as error:
        path = Path(error.filename) if error.filename else directory
        raise DamagedGenerationError(str(to_results_error(error, "read", path))) from error
    except (ValueError, TypeError, KeyError, MemoryError) as error:
        raise DamagedGenerationError(f"{where}: damaged ({printable(str(error), 120)})") from error
    return Outputs(
        indices=indices,
        clusters=clusters,
        masks=masks,
        margins=arrays["margins"],
        predicted=arrays["predicted"],
        metrics=manifest.metrics,
        is_labelled=manifest.is_labelled,
    )


@dataclass(frozen=True)
class _Manifest:
    """Content of `manifest.json`: parsed, and all `values` in it."""

    count: int
    digests: dict[str, str]
    metrics: list[dict[str, float]]
    is_labelled: bool
    values: dict[str, Any]


def _manifest(content: bytes, spec: GenerationSpec) -> _Manifest:
    values = table(parse(content))
    metrics = [numbers(model) for model in array(values["metrics"])]
    models = count(values["count"])
    if len(metrics) != models:
        raise ValueError(f"{len(metrics):,} models are described, not {models:,}")
    if text(values["identity"]) != spec.identity:
        raise ValueError("it is of another config")
    is_labelled = "role" in values or "target" in values
    if is_labelled and (values["role"], values["target"]) != (spec.role.value, spec.target):
        raise ValueError("it is of another role or target")
    digests = {name: text(table(values["digests"])[name]) for name in ARRAYS}
    return _Manifest(models, digests, metrics, is_labelled, values)


def _check_plan(where: str, rows: int, spec: GenerationSpec) -> None:
    if rows > spec.planned_rows:
        raise LargerPlanError(f"{where}: it holds models beyond the {spec.planned_rows:,} of the plan")


def _check_headers(headers: dict[str, Header], models: int, spec: GenerationSpec) -> None:
    expected: dict[str, tuple[tuple[int, ...], Any]] = {
        "margins": ((models, spec.examples), spec.margin_type),
        "predicted": ((models, spec.examples), np.uint16),
        "masks": ((models, spec.groups), np.bool_),
        "indices": ((models,), np.int64),
        "clusters": ((models,), np.int64),
    }
    for name, (shape, dtype) in expected.items():
        header = headers[name]
        if (header.shape, header.dtype, header.order) != (shape, np.dtype(dtype), "C"):
            raise ValueError(f"{name}: {header}, not {shape} {np.dtype(dtype)}")


def _check_content(files: dict[str, BufferedReader], headers: dict[str, Header], manifest: _Manifest) -> None:
    if not matches_digest(manifest.values):
        raise ValueError(f"{_MANIFEST} does not match its digest")
    for name in ARRAYS:
        if _digest_in(files[name], headers[name]) != manifest.digests[name]:
            raise ValueError(f"{name}.npy does not match its digest")


def _digests(directory: Path) -> dict[str, str]:
    digests = {}
    for name in ARRAYS:
        with open_file(directory / f"{name}.npy") as file:
            digests[name] = _digest_in(file, read_plain_header(file, os.fstat(file.fileno()).st_size))
    return digests


def _digest_in(file: BufferedReader, header: Header) -> str:
    """Return the hash of the array in an open file, with its type and shape.

    Raises:
        ValueError: it is too short, or holds floats (margins) that are not finite.
    """
    digest = hashlib.blake2b(f"{header.dtype.str}{header.shape}".encode(), digest_size=16)
    remaining, buffer = header.nbytes, memoryview(bytearray(_CHUNK_BYTES))
    file.seek(header.offset)
    while remaining:
        n_read = file.readinto(buffer[: min(remaining, _CHUNK_BYTES)])
        if not n_read:
            raise ValueError("the file is too short")
        digest.update(buffer[:n_read])
        if header.dtype.kind == "f":
            as_finite(np.frombuffer(buffer[:n_read], header.dtype))
        remaining -= n_read
    return digest.hexdigest()


class _ArrayWriter:
    """Writes an array row by row with plain writes: on a full disk a memory map would end the process."""

    def __init__(self, file: BinaryIO, dtype: np.dtype[Any], *shape: int) -> None:
        self._file, self._dtype, self._shape = file, dtype, shape
        self._count = 0
        self._waiting: list[NDArray[Any]] = []
        self._header()

    def append(self, row: NDArray[Any]) -> None:
        self._waiting.append(np.array(row, dtype=self._dtype))
        self._count += 1
        if len(self._waiting) >= _ROWS_PER_WRITE:
            self._flush()

    def finish(self) -> None:
        self._flush()
        self._file.seek(0)
        self._header()  # numpy pads it: its length does not depend on the number of rows
        self._file.flush()
        os.fsync(self._file.fileno())

    def _flush(self) -> None:
        if self._waiting:
            self._file.write(np.stack(self._waiting).data)
            self._waiting.clear()

    def _header(self) -> None:
        shape = (self._count, *self._shape)
        header = {"descr": dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape}
        write_array_header_2_0(self._file, header)
