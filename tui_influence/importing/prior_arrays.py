"""The prior of an import: what networks that were trained on every group say about each group, from a `.npz` file."""

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.errors import ConfigError
from tui_influence.importing.array_files import path_text, position_text, read_npz
from tui_influence.npy_header import Header
from tui_influence.store.prior_records import PriorMeasures
from tui_influence.text import printable

MAX_PAIRS = 1 << 24
"""Groups times target classes of one network: its record is then far below the limit of a record's size."""
_MAX_BYTES = 1 << 30
_MAX_SUM = 1.01
"""Of the probabilities of one softmax, rounded."""


def read_prior(path: Path, groups: int, labels: NDArray[np.int64], classes: tuple[str, ...]) -> PriorMeasures:
    """Read the mapping and the ablation of all networks.

    Args:
        path: an `.npz` file with the arrays `mapping` and, optionally, `ablation`: floats, (networks, K, C), or (K, C)
            for one network.
        groups: K.
        labels: (n,) target class of each example.
        classes: C names.

    Returns:
        The measures as they are stored: NaN for every class without examples. Without ablation it is 0, which gives
        covariates of 0: `informed` has the slopes of the mapping alone then.

    Raises:
        ConfigError: the file cannot be read, or its arrays do not fit the groups, the classes or each other.
    """

    def check(name: str, header: Header) -> None:
        shape = header.shape if len(header.shape) == 3 else (1, *header.shape)
        if header.dtype.kind != "f" or shape[1:] != (groups, len(classes)) or 0 in shape:
            raise ConfigError(
                f"{path_text(path)}: {name} is {header}; expected floats, (networks, "
                f"{groups}, {len(classes)}) for the groups and the target's classes, in their order"
            )
        if math.prod(shape[1:]) > MAX_PAIRS or header.nbytes > _MAX_BYTES:
            raise ConfigError(
                f"{path_text(path)}: {name} is {header}; at most {MAX_PAIRS:,} values "
                "for a network and 1 GiB in all are supported"
            )

    has_examples = np.bincount(labels, minlength=len(classes)) > 0
    checks = {name: partial(check, name) for name in ("mapping", "ablation")}
    arrays = read_npz(path, checks, optional=["ablation"])
    measures = {name: _as_measures(path, name, array, classes, has_examples) for name, array in arrays.items()}
    mapping = measures["mapping"]
    ablation = measures.get("ablation", np.where(has_examples, np.zeros_like(mapping), np.float32(np.nan)))
    if ablation.shape != mapping.shape:
        raise ConfigError(f"{path_text(path)}: mapping of {len(mapping):,} networks, but ablation of {len(ablation):,}")
    mean = mapping[:, :, has_examples].mean(axis=0)
    if (mean == mean[0]).all():
        raise ConfigError(f"{path_text(path)}: mapping is the same for every group, so it says nothing about them")
    return PriorMeasures(mapping, ablation)


def has_probabilities(mapping: NDArray[np.float32]) -> bool:
    """Whether a mapping (networks, K, C) may be of probabilities: none is negative, nor do they add up to more than 1.

    That fails for logits, and in most cases for an array with groups and classes exchanged.
    """
    return bool(np.nanmin(mapping) >= 0 and np.nanmax(mapping.sum(axis=1)) <= _MAX_SUM)


def _as_measures(
    path: Path, name: str, array: NDArray[Any], classes: tuple[str, ...], has_examples: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return values (networks, K, C) as they are stored: NaN where the class has no examples, else finite."""
    array = array.reshape(-1, *array.shape[-2:])
    with np.errstate(over="ignore"):  # infinite then
        measures = np.where(has_examples, array, np.nan).astype(np.float32)
    invalid = np.argwhere(has_examples & ~np.isfinite(measures))
    if len(invalid):
        network, group, label = (int(index) for index in invalid[0])
        raise ConfigError(
            f"{path_text(path)}: {array[network, group, label]} at {name}{position_text(invalid[0])}; it must be a "
            f"number within the range of float32, as class {printable(classes[label], 60)} has examples"
        )
    return measures
