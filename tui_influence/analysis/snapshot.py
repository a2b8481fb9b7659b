"""Snapshots of a run's records on one target, read once for any number of questions.

Records arrive while a run is examined: `read_snapshot` returns the earlier snapshot as long as the same records are
there.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tui_influence.errors import ResultsError
from tui_influence.roles import Role
from tui_influence.store.examples import Examples, read_examples
from tui_influence.store.generation import Outputs
from tui_influence.store.listing import list_records
from tui_influence.store.matrix import load_outputs
from tui_influence.store.paths import Paths
from tui_influence.store.prior_records import PriorMeasures, read_prior_measures
from tui_influence.store.run_info import RunInfo, TargetInfo
from tui_influence.text import printable


@dataclass(frozen=True)
class RunSnapshot:
    """A run's outputs on one target.

    Attributes:
        paths: of the run.
        info: what it is.
        target: position of the target.
        examples: labels, split and names of its n test examples.
        outputs: of the models to estimate from.
        heldout: of the models kept for the LDS.
        prior: what the prior networks say; of length 0 where there are none.
        recorded: indices of the target's records, by role.
    """

    paths: Paths
    info: RunInfo
    target: int
    examples: Examples
    outputs: Outputs
    heldout: Outputs
    prior: PriorMeasures
    recorded: dict[Role, frozenset[int]]

    @property
    def target_info(self) -> TargetInfo:
        """The description of the target."""
        return self.info.targets[self.target]

    @property
    def clusters(self) -> NDArray[np.int64] | None:
        """(m,) equal for models that share a training seed; None if all are independent."""
        clusters = self.outputs.clusters
        return clusters if len(np.unique(clusters)) < len(clusters) else None

    def require_models(self) -> None:
        """Refuse a question that needs models where there are none.

        Raises:
            ResultsError: no model has been recorded.
        """
        if not len(self.outputs):
            where = printable(str(self.paths.root))
            if self.info.arms:
                raise ResultsError(f"{where}: a pruning has no ranking of its own; `tinfl prune` shows what it gained")
            raise ResultsError(f"{where}: no model has been recorded yet; see `tinfl status`")


def read_snapshot(
    paths: Paths, info: RunInfo, target: str | None = None, earlier: RunSnapshot | None = None
) -> RunSnapshot:
    """Read the records of a target that exist by now.

    Args:
        paths: of the run.
        info: what it is.
        target: its name; None is the first.
        earlier: a snapshot to return if nothing has changed since.

    Raises:
        ConfigError: there is no such target.
        ResultsError: the directory cannot be read.
    """
    target_index = info.target_index(target)
    recorded = {
        role: frozenset(i for i, t in list_records(paths, role) if t == target_index)
        for role in (Role.ESTIMATE, Role.HELDOUT, Role.PRIOR)
    }
    if earlier is not None and (earlier.paths, earlier.info, earlier.target, earlier.recorded) == (
        paths,
        info,
        target_index,
        recorded,
    ):
        return earlier
    del earlier  # while records arrive it holds hundreds of megabytes, as its successor will
    return RunSnapshot(
        paths=paths,
        info=info,
        target=target_index,
        examples=read_examples(paths, info, target_index),
        outputs=load_outputs(paths, info, Role.ESTIMATE, target_index),
        heldout=load_outputs(paths, info, Role.HELDOUT, target_index),
        prior=read_prior_measures(paths, info, target_index),
        recorded=recorded,
    )
