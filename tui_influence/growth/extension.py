"""The extension of a sweep's plan, once all of it is recorded."""

from tui_influence.config.loader import config_from_json
from tui_influence.designs import Row
from tui_influence.growth.cluster_stages import extend_clusters
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import read_run_info


def extend_sweep(paths: Paths) -> list[Row]:
    """Return all rows of a sweep, with those that follow from its records; none if its plan is complete.

    Raises:
        TinflError: the records cannot be read.
    """
    info = read_run_info(paths.root)
    config = config_from_json(info.config)
    return extend_clusters(paths, info, config) if config.n_clusters(len(info.source.groups)) else []
