"""What the prior networks of a run say about each group and target class, and their features, read from records."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tui_influence.errors import ResultsError
from tui_influence.roles import Role
from tui_influence.store.class_clusters import read_class_clusters
from tui_influence.store.listing import list_records
from tui_influence.store.paths import Paths
from tui_influence.store.records import DamagedRecordError, Record, read_record
from tui_influence.store.run_info import RunInfo
from tui_influence.text import printable


@dataclass(frozen=True)
class PriorOutputs:
    """Outputs of the prior networks themselves on the test examples of one target.

    Attributes:
        indices: (networks,) index of each.
        margins: (networks, n) float32, in nats.
        predicted: (networks, n) uint16, the classes that it predicts.
    """

    indices: NDArray[np.int64]
    margins: NDArray[np.float32]
    predicted: NDArray[np.uint16]


@dataclass(frozen=True)
class PriorMeasures:
    """Measures of the prior networks of one target; see `influence.prior`.

    Attributes:
        mapping: (networks, K, C) float32; NaN for a class without examples.
        ablation: (networks, K, C) float32, likewise.
        outputs: of the networks; None where only the measures are known.
        class_clusters: (K,) cluster of each class, of a sweep whose masks keep or leave out whole clusters.
        clusters_problem: why these cannot be read, if so.
        damaged: errors of records that are left out.
    """

    mapping: NDArray[np.float32]
    ablation: NDArray[np.float32]
    outputs: PriorOutputs | None = None
    class_clusters: NDArray[np.int64] | None = None
    clusters_problem: str = ""
    damaged: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.mapping)


def read_class_features(paths: Paths, info: RunInfo) -> list[NDArray[np.float32]]:
    """Return the mean features of the source classes, (K, d), in every prior network that has recorded any.

    Damaged records and those of other runs are left out.

    Raises:
        ResultsError: this machine or its network failed.
    """
    features: list[NDArray[np.float32]] = []
    for index in sorted(index for index, of in list_records(paths, Role.PRIOR) if of == 0 and index < info.prior):
        try:
            record = read_record(paths, Role.PRIOR, index, 0)
        except DamagedRecordError:
            continue
        means = record.class_features
        if means is not None and len(means) == len(info.source.groups) and record.identity == info.identity:
            features.append(means)
    return features


def read_prior_measures(paths: Paths, info: RunInfo, target: int) -> PriorMeasures:
    """Read the measures of every prior network that has a record for a target.

    Raises:
        ResultsError: this machine or its network failed.
    """
    shape = len(info.source.groups), len(info.targets[target].classes)
    records: list[Record] = []
    damaged: list[str] = []
    for index in sorted(index for index, of in list_records(paths, Role.PRIOR) if of == target and index < info.prior):
        try:
            record = read_record(paths, Role.PRIOR, index, target)
        except DamagedRecordError as error:
            damaged.append(str(error))
            continue
        where = printable(str(paths.record(Role.PRIOR, index, target)))
        if any(measure is None or measure.shape != shape for measure in (record.mapping, record.ablation)):
            damaged.append(f"{where}: it says nothing of the run's groups and classes")
        elif len(record.margins) != info.targets[target].test:
            damaged.append(f"{where}: its outputs are not on the test examples of the run")
        elif record.identity != info.identity:
            damaged.append(f"{where}: it belongs to a run of another config or data")
        else:
            records.append(record)
    n = info.targets[target].test
    class_clusters, clusters_problem = _class_clusters(paths, info)
    return PriorMeasures(
        mapping=np.array([record.mapping for record in records], np.float32).reshape(-1, *shape),
        ablation=np.array([record.ablation for record in records], np.float32).reshape(-1, *shape),
        outputs=PriorOutputs(
            indices=np.array([record.index for record in records], np.int64),
            margins=np.array([record.margins for record in records], np.float32).reshape(-1, n),
            predicted=np.array([record.predicted for record in records], np.uint16).reshape(-1, n),
        ),
        class_clusters=class_clusters,
        clusters_problem=clusters_problem,
        damaged=tuple(damaged),
    )


def _class_clusters(paths: Paths, info: RunInfo) -> tuple[NDArray[np.int64] | None, str]:
    """Return the cluster of each class, (K,), or why it cannot be read; neither without clusters, or before them."""
    if not info.n_clusters:
        return None, ""
    try:
        clusters = read_class_clusters(paths, info.identity, info.source.groups)
    except ResultsError as error:
        return None, str(error)
    return (np.array(clusters.clusters, np.int64) if clusters and clusters.clusters else None), ""
