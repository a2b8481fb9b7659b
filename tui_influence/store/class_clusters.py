"""`clusters.json`: the class clusters of a sweep's first stage, how many rows have cluster masks, and why.

It is written once the prior networks are recorded, and again once the number of cluster rows is decided. A run that
continues reads it, and decides nothing again.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tui_influence.cluster_stage import ClusterStage
from tui_influence.errors import ResultsError
from tui_influence.roles import Role
from tui_influence.store.files import COPY_AGAIN, check_digest, read_json, write_json
from tui_influence.store.json_values import array, count, describe_damage, numbers, table, text, texts, with_digest
from tui_influence.store.listing import list_records
from tui_influence.store.paths import Paths
from tui_influence.text import printable

_MAX_FILE_BYTES = 16 << 20


@dataclass(frozen=True)
class ClassClusters:
    """The class clusters of a run.

    Attributes:
        identity: of the run.
        classes: (K,) names of the classes.
        clusters: (K,) cluster of each class, from 0; empty if the classes could not be clustered.
        prior_rows: prior networks that they are clustered by.
        first_rows: cluster rows before the number of all was decided.
        cluster_rows: cluster rows in all; None until it is decided. All further rows have masks over classes.
        reason: one line.
        numbers: that the decision follows from, by name.
    """

    identity: str
    classes: tuple[str, ...]
    clusters: tuple[int, ...]
    prior_rows: int
    first_rows: int
    cluster_rows: int | None
    reason: str
    numbers: dict[str, float] = field(default_factory=dict)

    @property
    def stage(self) -> ClusterStage:
        """The first stage of the design."""
        return ClusterStage(self.clusters, self.first_rows, self.cluster_rows)

    def describe(self, models: int) -> str:
        """Return the clusters, or the share of cluster masks once it is decided, with the reason.

        Args:
            models: of the `estimate` role that are planned by now; those that a run has grown by have class masks.
        """
        if self.cluster_rows is None or not self.clusters:
            return self.reason
        return f"{self.cluster_rows:,} of {models:,} models have cluster masks: {self.reason}"

    def decided(self, cluster_rows: int, reason: str, numbers: dict[str, float]) -> "ClassClusters":
        """Return the same clusters with the number of cluster rows in all."""
        return replace(self, cluster_rows=cluster_rows, reason=reason, numbers=numbers)


def read_cluster_stage(paths: Paths, identity: str, classes: Sequence[str], clusters: int) -> ClusterStage | None:
    """Read the first stage of a sweep that continues; None before its classes are clustered.

    Args:
        paths: of the run.
        identity: of the run.
        classes: names of its classes.
        clusters: number of class clusters by its config; 0 for none.

    Raises:
        ResultsError: `clusters.json` is damaged, missing, or of another run.
    """
    where = printable(str(paths.class_clusters))
    read = read_class_clusters(paths, identity, classes)
    if read is None:
        if clusters and any(list_records(paths, Role.ESTIMATE)):
            raise ResultsError(f"{where}: missing, though models with masks over clusters are recorded; {COPY_AGAIN}")
        return None
    if not clusters:
        raise ResultsError(f"{where}: the config of this run has no class clusters ([design] clusters); remove it")
    if read.clusters and max(read.clusters) + 1 != clusters:
        raise ResultsError(
            f"{where}: it has {max(read.clusters) + 1} clusters, where the config has {clusters}; {COPY_AGAIN}"
        )
    return read.stage


def write_class_clusters(paths: Paths, clusters: ClassClusters) -> None:
    """Write `clusters.json` with a digest."""
    write_json(paths.class_clusters, with_digest(asdict(clusters) | {"classes": list(clusters.classes)}))


def read_class_clusters(paths: Paths, identity: str, classes: Sequence[str]) -> ClassClusters | None:
    """Read `clusters.json`; None if there is none.

    Args:
        paths: of the run.
        identity: of the run.
        classes: names of its classes.

    Raises:
        AlteredFileError: it does not match its digest.
        ResultsError: it is damaged, or belongs to another run.
    """
    path = paths.class_clusters
    if not path.exists():
        return None
    where = printable(str(path))
    values = read_json(path, limit=_MAX_FILE_BYTES)
    if isinstance(values, dict):
        check_digest(path, values)
    try:
        clusters = _parse(table(values))
    except (KeyError, TypeError, ValueError) as error:
        raise ResultsError(f"{where}: damaged ({describe_damage(error)}); {COPY_AGAIN}") from error
    if clusters.identity != identity or list(clusters.classes) != list(classes):
        raise ResultsError(f"{where}: it belongs to another run; {COPY_AGAIN}")
    return clusters


def _parse(values: dict[str, Any]) -> ClassClusters:
    cluster_rows = values["cluster_rows"]
    clusters = ClassClusters(
        identity=text(values["identity"]),
        classes=tuple(texts(values["classes"])),
        clusters=tuple(count(label) for label in array(values["clusters"])),
        prior_rows=count(values["prior_rows"]),
        first_rows=count(values["first_rows"]),
        cluster_rows=None if cluster_rows is None else count(cluster_rows),
        reason=text(values["reason"]),
        numbers=numbers(values["numbers"]),
    )
    labels = clusters.clusters
    if labels and (len(labels) != len(clusters.classes) or set(labels) != set(range(max(labels) + 1))):
        raise ValueError("its clusters are not those of its classes")
    if clusters.cluster_rows is not None and clusters.cluster_rows < clusters.first_rows:
        raise ValueError("it has fewer cluster rows than it began with")
    return clusters
