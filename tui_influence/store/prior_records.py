"""What the prior networks of a run say about each group and target class, read from their records."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tui_influence.roles import Role
from tui_influence.store.listing import list_records
from tui_influence.store.paths import Paths
from tui_influence.store.records import DamagedRecordError, read_record
from tui_influence.store.run_info import RunInfo
from tui_influence.text import printable


@dataclass(frozen=True)
class PriorMeasures:
    """Measures of the prior networks of one target; see `influence.prior`.

    Attributes:
        mapping: (networks, K, C) float32; NaN for a class without examples.
        ablation: (networks, K, C) float32, likewise.
        damaged: errors of records that are left out.
    """

    mapping: NDArray[np.float32]
    ablation: NDArray[np.float32]
    damaged: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.mapping)


def read_prior_measures(paths: Paths, info: RunInfo, target: int) -> PriorMeasures:
    """Read the measures of every prior network that has a record for a target.

    Raises:
        ResultsError: this machine or its network failed.
    """
    shape = len(info.source.groups), len(info.targets[target].classes)
    mappings: list[NDArray[np.float32]] = []
    ablations: list[NDArray[np.float32]] = []
    damaged: list[str] = []
    for index in sorted(index for index, of in list_records(paths, Role.PRIOR) if of == target and index < info.prior):
        try:
            record = read_record(paths, Role.PRIOR, index, target)
        except DamagedRecordError as error:
            damaged.append(str(error))
            continue
        where = printable(str(paths.record(Role.PRIOR, index, target)))
        mapping, ablation = record.mapping, record.ablation
        if mapping is None or ablation is None or not mapping.shape == ablation.shape == shape:
            damaged.append(f"{where}: it says nothing of the run's groups and classes")
        elif record.identity != info.identity:
            damaged.append(f"{where}: it belongs to a run of another config or data")
        else:
            mappings.append(mapping)
            ablations.append(ablation)
    return PriorMeasures(
        mapping=np.array(mappings, np.float32).reshape(-1, *shape),
        ablation=np.array(ablations, np.float32).reshape(-1, *shape),
        damaged=tuple(damaged),
    )
