"""The first stage of a sweep with class clusters: how many of its models keep or leave out whole clusters of classes.

With hundreds of classes, a mask over single classes changes so little that noise hides it; the effects of a cluster add
up. A mask over G clusters of s classes says as much of the mean effect of a cluster as s masks over classes: with n
models, the variance of the mean is 4 σ² / (n s²) under the first and 4 σ² / (n s) under the second, σ² that of a model.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_LEAST_SHARE = 3
"""At least a third of the models have cluster masks."""


@dataclass(frozen=True)
class ClusterStage:
    """The first stage of a sweep.

    Attributes:
        labels: (K,) cluster of each class, from 0; empty if the classes could not be clustered.
        first_rows: cluster rows that are trained before the number of all is decided.
        rows: cluster rows in all; None until it is decided.
    """

    labels: tuple[int, ...]
    first_rows: int
    rows: int | None = None

    @property
    def planned_rows(self) -> int:
        """Cluster rows as far as they are planned."""
        return self.first_rows if self.rows is None else self.rows


def first_cluster_rows(models: int) -> int:
    """Return the number of cluster rows before the share of either kind is decided: half of all, in whole pairs."""
    return min(2 * -(-models // 4), models - models % 2) if models > 1 else models


def row_options(models: int, first: int) -> dict[str, int]:
    """Return the numbers of cluster rows to choose from, in whole pairs: at least a third of all models.

    Args:
        models: of the `estimate` role.
        first: cluster rows that are trained already.

    Returns:
        by what the other models have: masks over `clusters` or `classes`, or `half` of each.
    """
    least = max(first, -(-models // _LEAST_SHARE))
    least += least % 2 if least < models else 0
    most = max(least, models - models % 2)
    return {"clusters": most, "half": least + (most - least) // 4 * 2, "classes": least}


def models_over_classes(models: int, classes: int, clusters: int) -> int:
    """Return how many masks over classes say as much of the clusters' mean effects as so many masks over clusters."""
    return round(models * classes / clusters)


def describe_clusters(labels: Sequence[int]) -> str:
    """Return the number and the sizes of clusters, such as "25 clusters of 8 classes"."""
    return describe_sizes(list(Counter(labels).values()))


def describe_sizes(sizes: Sequence[int]) -> str:
    """Return the number and the sizes of clusters in words."""
    low, high = min(sizes), max(sizes)
    return f"{len(sizes)} clusters of {low if low == high else f'{low} or {high}'} classes"


def equal_sizes(classes: int, clusters: int) -> list[int]:
    """Return the sizes of clusters that differ by one at most."""
    size, larger = divmod(classes, clusters)
    return [size + (number < larger) for number in range(clusters)]
