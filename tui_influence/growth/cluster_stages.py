"""The stages of a sweep with class clusters: prior networks, cluster rows, class rows.

Once the prior networks are recorded, the classes are clustered by their features, and the first cluster rows follow:
half of the models. Once these are recorded, the rest is divided between cluster rows and class rows. Both are written
to `clusters.json` and never decided again.
"""

from dataclasses import replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from tui_influence.analysis.snapshot import read_snapshot
from tui_influence.cluster_stage import ClusterStage, describe_clusters, first_cluster_rows, row_options
from tui_influence.config.schema import Config
from tui_influence.designs import Row
from tui_influence.growth.balanced_kmeans import cluster_classes
from tui_influence.growth.cluster_share import EffectVariances, effect_variances, posterior_variance
from tui_influence.influence.outputs import OutputMatrix, mean_outputs_by_label, parse_output_kind
from tui_influence.roles import Role
from tui_influence.staged_design import sweep_rows
from tui_influence.store.class_clusters import ClassClusters, read_class_clusters, write_class_clusters
from tui_influence.store.paths import Paths
from tui_influence.store.prior_records import read_class_features
from tui_influence.store.run_info import RunInfo
from tui_influence.text import pluralize


def extend_clusters(paths: Paths, info: RunInfo, config: Config) -> list[Row]:
    """Return all rows of a sweep with class clusters, with those of its next stage.

    Args:
        paths: of the run, all of whose rows so far are recorded, or have failed.
        info: of the run.
        config: of the run, with class clusters.

    Raises:
        ResultsError: the records, or `clusters.json`, cannot be read.
    """
    clusters = read_class_clusters(paths, info.identity, info.source.groups)
    if clusters is None:
        write_class_clusters(paths, form_clusters(paths, info, config))
    elif clusters.cluster_rows is None:
        write_class_clusters(paths, decide_share(paths, info, config, clusters))
    final = read_class_clusters(paths, info.identity, info.source.groups)
    return _rows(config, info, None if final is None else final.stage)


def form_clusters(paths: Paths, info: RunInfo, config: Config) -> ClassClusters:
    """Cluster the classes by the features of the prior networks; without any recorded, leave them as they are."""
    features = read_class_features(paths, info)
    count, classes = config.n_clusters(len(info.source.groups)), tuple(info.source.groups)
    if not features:
        reason = "no prior network has recorded the features that classes are clustered by: all masks are over classes"
        return ClassClusters(info.identity, classes, (), info.prior, 0, 0, reason)
    labels = cluster_classes(features, count, info.seed)
    first = first_cluster_rows(config.design.models)
    reason = (
        f"{describe_clusters(labels)} by {pluralize(len(features), 'prior network')}; the share of "
        f"cluster masks follows after {pluralize(first, 'model')}"
    )
    return ClassClusters(info.identity, classes, labels, info.prior, first, None, reason)


def decide_share(paths: Paths, info: RunInfo, config: Config, clusters: ClassClusters) -> ClassClusters:
    """Decide how many rows have cluster masks in all: see `cluster_share`."""
    models = config.design.models
    options = row_options(models, clusters.first_rows)
    variances = _measured_variances(paths, info, clusters)
    if variances is None:
        reason = "the first say nothing of the best number"
        return clusters.decided(options["half"], reason, {})
    labels = np.array(clusters.clusters)
    by_rows: dict[int, float] = {}
    for count in options.values():
        if count not in by_rows:
            rows = _rows(config, info, replace(clusters.stage, rows=count))
            by_rows[count] = posterior_variance([row for row in rows if row.role is Role.ESTIMATE], labels, variances)
    best = min(by_rows, key=lambda count: by_rows[count])
    others = [f"{sqrt(variance):.3g} with {count}" for count, variance in by_rows.items() if count != best]
    error = f"{sqrt(by_rows[best]):.3g} nats"
    reason = f"expected standard error of a class {error}"
    if others:
        reason += f", against {' and '.join(others)}"
    numbers = {
        "effect_variance": variances.effect,
        "between_share": variances.between,
        "noise_variance": variances.noise,
        **{f"expected_variance_{name}": by_rows[count] for name, count in options.items()},
    }
    return clusters.decided(best, reason, numbers)


def _measured_variances(paths: Paths, info: RunInfo, clusters: ClassClusters) -> EffectVariances | None:
    """Return the variances by the first cluster rows, over the classes of all targets; None if they say nothing."""
    labels = np.array(clusters.clusters)
    parts: list[NDArray[np.float64]] = []
    mappings: list[NDArray[np.floating]] = []
    snapshots = [read_snapshot(paths, info, target.name) for target in info.targets]
    recorded = [set(snapshot.outputs.indices.tolist()) for snapshot in snapshots]
    common = sorted(index for index in set.intersection(*recorded) if index < clusters.first_rows)
    for snapshot in snapshots:
        outputs, examples, classes = snapshot.outputs, snapshot.examples, len(snapshot.target_info.classes)
        matrix = OutputMatrix(outputs.margins, outputs.predicted, examples.labels, parse_output_kind("margin"))
        chosen = np.flatnonzero(np.isin(outputs.indices, common))
        chosen = chosen[np.argsort(outputs.indices[chosen])]
        by_class = mean_outputs_by_label(matrix, examples.in_split("estimate"), examples.labels, classes)
        parts.append(by_class[chosen])
        mapping = snapshot.prior.mapping
        mappings.append(mapping.mean(axis=0) if len(mapping) else np.full((len(labels), classes), np.nan))
    masks, seeds = outputs.masks[chosen], outputs.clusters[chosen]
    return effect_variances(masks, seeds, np.hstack(parts), np.hstack(mappings), labels)


def _rows(config: Config, info: RunInfo, stage: ClusterStage | None) -> list[Row]:
    classes = len(info.source.groups)
    return sweep_rows(config.design, classes, info.seed, info.prior, config.n_clusters(classes), stage)
