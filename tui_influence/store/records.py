"""Records: the outputs of one model on one target. A model is finished when it has one for every target.

A record is a safetensors file: `mask` (K,) bool, `margins` (n,) float16 in nats, or float32 where `run.json` says so,
`predicted` (n,) uint16, for baselines also `mapped` and `nearest` (n,) uint16, for prior networks also `mapping` and
`ablation` (K, C) float32 and, for the first target, `class_features` (S, d) float32, and one metadata entry `tinfl`,
JSON with the rest. Nothing in it depends on when or where the model was trained, so that training a row again gives the
same bytes. The digest covers every value.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from tui_influence.designs import Mask
from tui_influence.errors import ResultsError
from tui_influence.roles import Role
from tui_influence.store.files import is_machine_error, make_directory, read_bytes, write_atomically
from tui_influence.store.json_values import count, finite, numbers, parse, table, text
from tui_influence.store.npy_file import as_mask
from tui_influence.store.paths import Paths
from tui_influence.text import printable

Margins = NDArray[np.float16 | np.float32]

MARGIN_LIMIT = 6e4
"""Below the largest float16, 65,504; any margin beyond it means "certain"."""
WIDE_MARGIN_LIMIT = 1e12
"""Limit of margins stored as float32: sums of their squares stay in its range."""
MAX_ROUNDING = 0.01
"""Rounding of an example's stored margins, as a part of their standard deviation over models, that is of no account."""
_EXPONENT = np.uint16(0x7C00)
"""The bits of a float16 that are all set in infinities and NaN, and in no other number."""
_MAX_SEED = 2**63 - 1
_MAX_FILE_BYTES = 1 << 28


class DamagedRecordError(ResultsError):
    """A record cannot be read, or does not match its digest or its file name."""


@dataclass(frozen=True)
class Record:
    """Outputs of one model on one target.

    Attributes:
        role: of the model.
        index: i within the role.
        target: index of the target in the config.
        seed: of the model's training.
        cluster: models of a role with the same cluster share their seed.
        identity: of the config and data it was trained under.
        numerics: device kind, precision and threads: equal rows give equal bytes under equal numerics.
        mask: (K,) bool, the groups it was trained on.
        margins: (n,) float16 or float32, log p_y - log(1 - p_y) of each test example.
        predicted: (n,) uint16, the class it predicts.
        metrics: losses and accuracies of the training.
        mapped: (n,) uint16, the source class that the source network predicts for each test example; only of models
            of a pruning that are trained on every class.
        nearest: (n,) uint16, the source class whose mean feature is nearest to that of each test example; likewise.
        mapping: (K, C) float32, mean softmax probability of each group on the test examples of each target class, those
            of the estimate half; NaN for a class without examples; only of prior networks.
        ablation: (K, C) float32, by how much the margins of a linear probe on the source network's outputs fall without
            those of the group, in nats; likewise.
        class_features: (S, d) float32, mean feature of each source class; NaN for a class without images; only of prior
            networks, for the first target. Older versions wrote none.
    """

    role: Role
    index: int
    target: int
    seed: int
    cluster: int
    identity: str
    numerics: str
    mask: Mask
    margins: Margins
    predicted: NDArray[np.uint16]
    metrics: dict[str, float]
    mapped: NDArray[np.uint16] | None = None
    nearest: NDArray[np.uint16] | None = None
    mapping: NDArray[np.float32] | None = None
    ablation: NDArray[np.float32] | None = None
    class_features: NDArray[np.float32] | None = None


def as_margins(margins: NDArray[np.floating[Any]], margin_type: str = "float16") -> Margins:
    """Return margins as they are stored: float16, cut off at +-60,000 nats, or float32."""
    if margin_type == "float32":
        return margins.astype(np.float32)
    stored: Margins = np.clip(margins, -MARGIN_LIMIT, MARGIN_LIMIT).astype(np.float16)
    return stored


def as_finite(margins: Margins) -> Margins:
    """Return stored margins, none of which is NaN, infinite or, in float32, beyond `WIDE_MARGIN_LIMIT`.

    Raises:
        ValueError: one is.
    """
    if margins.dtype == np.float16:
        if np.any((margins.view(np.uint16) & _EXPONENT) == _EXPONENT):
            raise ValueError("a margin is not finite")
    elif not (np.abs(margins) <= WIDE_MARGIN_LIMIT).all():
        raise ValueError("a margin is not finite, or too large")
    return margins


def encode(record: Record) -> bytes:
    """Return a record's file: the same record always gives the same bytes."""
    header = _header(record)
    header["digest"] = _digest(header, record)
    tensors = {
        "margins": record.margins,
        "mask": record.mask,
        "predicted": record.predicted,
        "mapped": record.mapped,
        "nearest": record.nearest,
        "mapping": record.mapping,
        "ablation": record.ablation,
        "class_features": record.class_features,
    }
    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items() if tensor is not None}
    return save_tensors(contiguous, metadata={"tinfl": json.dumps(header, sort_keys=True)})


def decode(content: bytes) -> Record:
    """Return the record in a file's content.

    Raises:
        DamagedRecordError: it is truncated, altered, or no record.
    """
    try:
        tensors = load_tensors(content)
        size = int.from_bytes(content[:8], "little")
        metadata = table(table(parse(content[8 : 8 + size]))["__metadata__"])
        header = table(parse(text(metadata["tinfl"]).encode()))
        digest = text(header.pop("digest"))
        record = Record(
            role=Role(header["role"]),
            index=count(header["index"], _MAX_SEED),
            target=count(header["target"], _MAX_SEED),
            seed=count(header["seed"], _MAX_SEED),
            cluster=count(header["cluster"], _MAX_SEED),
            identity=text(header["identity"]),
            numerics=text(header["numerics"]),
            mask=as_mask(_array(tensors["mask"], np.bool_)),
            margins=as_finite(_margins(tensors["margins"])),
            predicted=_array(tensors["predicted"], np.uint16),
            metrics=numbers(header["metrics"]),
            mapped=_array(tensors["mapped"], np.uint16) if "mapped" in tensors else None,
            nearest=_array(tensors["nearest"], np.uint16) if "nearest" in tensors else None,
            mapping=_measures(tensors["mapping"]) if "mapping" in tensors else None,
            ablation=_measures(tensors["ablation"]) if "ablation" in tensors else None,
            class_features=_measures(tensors["class_features"]) if "class_features" in tensors else None,
        )
        sound = digest == _digest(_header(record), record)
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError, ImportError, OverflowError) as error:
        raise DamagedRecordError(f"not a record, or half of one ({type(error).__name__})") from error
    if not sound:
        raise DamagedRecordError("its content does not match its digest")
    return record


def write_record(paths: Paths, record: Record) -> Path:
    """Write a record where it belongs; when this returns, it is on the disk.

    Raises:
        ResultsError: the disk is full or refuses.
    """
    path = paths.record(record.role, record.index, record.target)
    make_directory(path.parent)
    write_atomically(path, encode(record))
    return path


def read_record(paths: Paths, role: Role, index: int, target: int) -> Record:
    """Read one record and check it against its digest and its file name.

    Raises:
        DamagedRecordError: it does not match, or cannot be read.
        ResultsError: this machine or its network failed, which says nothing about the record.
    """
    path = paths.record(role, index, target)
    try:
        content = read_bytes(path, limit=_MAX_FILE_BYTES)
    except ResultsError as error:
        if is_machine_error(error.__cause__):
            raise
        raise DamagedRecordError(str(error)) from error
    try:
        record = decode(content)
    except DamagedRecordError as error:
        raise DamagedRecordError(f"{printable(str(path))}: {error}") from error
    if (record.role, record.index, record.target) != (role, index, target):
        raise DamagedRecordError(f"{printable(str(path))}: it is the record of another row")
    return record


def _header(record: Record) -> dict[str, Any]:
    return {
        "role": record.role.value,
        "index": record.index,
        "target": record.target,
        "seed": record.seed,
        "cluster": record.cluster,
        "identity": record.identity,
        "numerics": record.numerics,
        "metrics": finite(record.metrics),
    }


def _digest(header: dict[str, Any], record: Record) -> str:
    digest = hashlib.blake2b(json.dumps(header, sort_keys=True).encode(), digest_size=16)
    arrays = (record.mask, record.margins, record.predicted, record.mapped, record.nearest)
    for array in (*arrays, record.mapping, record.ablation, record.class_features):
        if array is None:
            continue
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _array(array: NDArray[Any], dtype: Any, dimensions: int = 1) -> NDArray[Any]:
    if array.dtype != dtype or array.ndim != dimensions:
        raise ValueError("wrong type or shape")
    return array


def _margins(array: NDArray[Any]) -> Margins:
    return _array(array, np.float32 if array.dtype == np.float32 else np.float16)


def _measures(array: NDArray[Any]) -> NDArray[np.float32]:
    if np.isinf(_array(array, np.float32, 2)).any():
        raise ValueError("a measure is infinite")
    return array
