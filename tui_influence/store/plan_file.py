"""The plan on disk: which rows are to be trained, as arrays any program can read."""

from collections.abc import Sequence

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from tui_influence.designs import Row
from tui_influence.errors import ResultsError
from tui_influence.roles import Role
from tui_influence.store.files import read_bytes, write_atomically
from tui_influence.store.paths import Paths

_ROLES = tuple(Role)


def write_plan(paths: Paths, rows: Sequence[Row]) -> None:
    """Write rows in the order they are to be trained: `masks` (m, K), `seeds`, `clusters`, `indices`, `roles` (m,).

    `roles` counts the members of `Role` from 0 in their order.
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
    try:
        found = load_tensors(read_bytes(paths.plan))
        columns = (found["roles"], found["indices"], found["masks"], found["seeds"], found["clusters"])
        return [
            Row(_ROLES[role], int(index), mask.astype(np.bool_), int(seed), int(cluster))
            for role, index, mask, seed, cluster in zip(*columns, strict=True)
        ]
    except (SafetensorError, KeyError, ValueError, IndexError, TypeError) as error:
        raise ResultsError(f"{paths.plan}: damaged or half copied: the plan cannot be read") from error
