"""The extension of a sweep's plan, once all of it is recorded."""

from tui_influence.config.loader import config_from_json
from tui_influence.designs import Row
from tui_influence.growth.cluster_stages import extend_clusters
from tui_influence.growth.measurement import publish_forecast
from tui_influence.growth.until import further_rows
from tui_influence.store.paths import Paths
from tui_influence.store.plan import read_plan
from tui_influence.store.run_info import read_run_info


def extend_sweep(paths: Paths) -> list[Row]:
    """Return all rows of a sweep, with those that follow from its records; none if its plan is complete.

    The stages of class clusters come first; only then does a goal of the reliability add rows.

    Raises:
        TinflError: the run cannot be read.
    """
    info = read_run_info(paths.root)
    config = config_from_json(info.config)
    planned = read_plan(paths)
    if config.n_clusters(len(info.source.groups)):
        rows = extend_clusters(paths, info, config)
        if len(rows) > len(planned):
            return rows
    if config.design.until is None:
        publish_forecast(paths)
        return []
    further = further_rows(paths, info, config)
    return [*planned, *further] if further else []
