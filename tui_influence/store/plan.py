"""The plan on disk: all rows of a run, as arrays that any program can read."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from tui_influence.designs import Row
from tui_influence.errors import ResultsError
from tui_influence.roles import Role
from tui_influence.store.files import read_bytes, write_atomically
from tui_influence.store.npy_file import as_mask
from tui_influence.store.paths import Paths
from tui_influence.text import printable

_ROLES = tuple(Role)


def write_plan(paths: Paths, rows: Sequence[Row]) -> None:
    """Write rows in training order: `masks` (m, K), `seeds`, `clusters`, `indices`, `roles` (m,).

    `roles` are indices into the members of `Role`.
    """
    write_atomically(
        paths.plan,
        save_tensors(
            {
                "masks": np.array([row.mask for row in rows], dtype=np.bool_),
                "seeds": np.array([row.seed for row in rows], dtype=np.int64),
                "clusters": np.array([row.cluster for row in rows], dtype=np.int64),
                "indices": np.array([row.index for row in rows], dtype=np.int64),
                "roles": np.array([_ROLES.index(row.role) for row in rows], dtype=np.uint8),
            }
        ),
    )


def read_plan(paths: Paths) -> list[Row]:
    """Read the plan.

    Raises:
        ResultsError: it is missing or damaged.
    """
    where = printable(str(paths.plan))
    try:
        columns = load_tensors(read_bytes(paths.plan))
        numbers = [_column(columns, name, np.int64) for name in ("indices", "seeds", "clusters")]
        roles, masks = _column(columns, "roles", np.uint8), as_mask(columns["masks"])
        if masks.ndim != 2 or any(column.min(initial=0) < 0 for column in numbers):
            raise ValueError("wrong type or shape")
        return [
            Row(_ROLES[role], index, mask, seed, cluster)
            for role, mask, index, seed, cluster in zip(
                roles.tolist(), masks, *(column.tolist() for column in numbers), strict=True
            )
        ]
    except (SafetensorError, KeyError, ValueError, IndexError, TypeError, ImportError, OverflowError) as error:
        raise ResultsError(f"{where}: damaged or half copied: the plan cannot be read") from error


def _column(columns: dict[str, NDArray[Any]], name: str, dtype: Any) -> NDArray[Any]:
    column = columns[name]
    if column.dtype != dtype or column.ndim != 1:
        raise ValueError("wrong type or shape")
    return column
