"""Designs of two stages: masks that keep or leave out whole clusters of similar classes, then masks over classes.

With hundreds of classes, a mask over single classes changes so little that noise hides it; the effects of a cluster add
up. The groups of the run are the classes all the same: a mask of the first stage is one over classes that is constant
within each cluster, so that one regression on the masks joins both stages.

The plan grows as the run goes on: the prior networks, by whose features the classes are clustered; the first cluster
rows; and, once these say what a further row of either kind is worth, the rest. Rows are added at its end alone. A row
is a function of the config, the clusters, its role and its index.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tui_influence.cluster_stage import ClusterStage
from tui_influence.config.schema import MAX_CLUSTERED_CLASSES, DesignSection
from tui_influence.config.types import MIN_CLUSTERS
from tui_influence.designs import Design, Row, make_design, schedule
from tui_influence.errors import ConfigError
from tui_influence.roles import Role
from tui_influence.text import pluralize


@dataclass(frozen=True)
class StagedDesign:
    """The rows of a sweep whose first stage has cluster masks.

    Attributes:
        classes: the design over classes.
        clusters: the design over clusters, of the same kind and seed.
        stage: clusters of the classes, and the number of cluster rows.
    """

    classes: Design
    clusters: Design
    stage: ClusterStage

    def row(self, role: Role, index: int) -> Row:
        """Return a row.

        Every second held-out mask is one over clusters. Masks over single classes of many differ too little for the LDS
        to say anything; cluster masks alone would not test what the second stage adds.
        """
        cluster_rows = self.stage.planned_rows
        if role is Role.ESTIMATE and index >= cluster_rows:
            return self.classes.row(role, index, start=cluster_rows)
        is_over_clusters = index // self.clusters.heldout_repeats % 2 == 0
        if role is Role.ESTIMATE or (role is Role.HELDOUT and is_over_clusters):
            row = self.clusters.row(role, index)
            labels: NDArray[np.int64] = np.array(self.stage.labels)
            return Row(role, index, row.mask[labels], row.seed, row.cluster)
        return self.classes.row(role, index)


def design_clusters(section: DesignSection, classes: int, clusters: int, seed: int) -> Design:
    """Return the design over clusters, checked against the number of classes.

    Few clusters have few masks, which are repeated then: with other seeds, they still say something.

    Raises:
        ConfigError: there are more clusters than classes, too many classes, or masks of too few clusters.
    """
    if clusters > classes:
        remedy = (
            f"choose {MIN_CLUSTERS} to {classes // 2:,} clusters, or 0" if classes >= 2 * MIN_CLUSTERS else "choose 0"
        )
        raise ConfigError(
            f"[design] clusters = {clusters:,}, but the source has {pluralize(classes, 'class', 'classes')}: {remedy}"
        )
    if classes > MAX_CLUSTERED_CLASSES:
        raise ConfigError(
            f"[design] clusters: at most {MAX_CLUSTERED_CLASSES:,} classes can be clustered, and the source has "
            f"{classes:,}; choose 0, or put the classes into groups by a CSV file ([source] groups)"
        )
    try:
        design = Design(section.kind, section.alpha, clusters, seed, section.heldout_repeats)
    except ConfigError as error:
        raise ConfigError(f"[design] clusters = {clusters}: {str(error).replace('groups', 'clusters')}") from error
    return design


def check_design(section: DesignSection, groups: int, seed: int, clusters: int) -> None:
    """Check the design of a sweep against the number of groups.

    Raises:
        ConfigError: it is impossible.
    """
    make_design(section, groups, seed)
    if clusters:
        design_clusters(section, groups, clusters, seed)


def sweep_rows(
    section: DesignSection,
    groups: int,
    seed: int,
    prior: int,
    clusters: int = 0,
    stage: ClusterStage | None = None,
    further: int = 0,
) -> list[Row]:
    """Return the rows of a sweep as far as they are planned, in the order of `schedule`.

    With another stage the same rows come first.

    Args:
        section: `[design]` of the config.
        groups: number of groups.
        seed: of the run.
        prior: number of prior networks.
        clusters: number of class clusters; 0 for a sweep of one stage.
        stage: the first stage, once the classes are clustered.
        further: rows by which the sweep has grown beyond its config's models, once these are planned.

    Raises:
        ConfigError: the design is impossible for this number of groups.
    """
    classes = make_design(section, groups, seed)
    counts = section.models, section.heldout, prior
    if not clusters:
        return schedule(classes, *counts, further=further)
    over_clusters = design_clusters(section, groups, clusters, seed)
    if stage is None:
        return schedule(classes, *counts, planned=0)
    if not stage.labels:
        return schedule(classes, *counts, further=further)
    staged = StagedDesign(classes, over_clusters, stage)
    if stage.rows is None:
        return schedule(staged, *counts, planned=stage.first_rows)
    return schedule(staged, *counts, further=further)
