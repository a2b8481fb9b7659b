"""What has been recorded of a run, read once for as many questions as are asked of it.

Records arrive while a run is looked at: a reading is a snapshot, and `read` gives the earlier one back as long as the
same records are there.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tui_influence.errors import ResultsError
from tui_influence.roles import Role
from tui_influence.store.examples import Examples, read_examples
from tui_influence.store.generation import Outputs
from tui_influence.store.listing import (
    list_records,
)
from tui_influence.store.matrix import load_outputs
from tui_influence.store.paths import Paths
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
        recorded: which records of the target there were, a role each.
    """

    paths: Paths
    info: RunInfo
    target: int
    examples: Examples
    outputs: Outputs
    heldout: Outputs
    recorded: dict[Role, frozenset[int]]

    @property
    def target_info(self) -> TargetInfo:
        """What is known of the target besides its examples."""
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
    """Read what is recorded of a target by now.

    Args:
        paths: of the run.
        info: what it is.
        target: its name; None is the first.
        earlier: a reading to be given back if nothing has changed since.

    Raises:
        ResultsError: there is no such target, or the directory cannot be read.
    """
    place = info.target_index(target)
    recorded = {
        role: frozenset(i for i, t in list_records(paths, role) if t == place) for role in (Role.ESTIMATE, Role.HELDOUT)
    }
    if earlier is not None and (earlier.paths, earlier.info, earlier.target, earlier.recorded) == (
        paths,
        info,
        place,
        recorded,
    ):
        return earlier
    del earlier  # while records arrive it holds hundreds of megabytes, as its successor will
    return RunSnapshot(
        paths=paths,
        info=info,
        target=place,
        examples=read_examples(paths, info, place),
        outputs=load_outputs(paths, info, Role.ESTIMATE, place),
        heldout=load_outputs(paths, info, Role.HELDOUT, place),
        recorded=recorded,
    )
