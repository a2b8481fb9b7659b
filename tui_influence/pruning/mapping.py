"""The rankings of source classes that one model gives, which thousands of models have to beat.

A model trained on every source class takes each target example for one of them, by its head (label mapping) or by the
nearest mean of a class's features (feature mapping); a class that hardly any example is taken for is of no use to the
target (DP4TL, Zhang et al., NeurIPS 2023; theirs clusters the source instead of using its classes for features).
Counted on the `estimate` half.
"""

import numpy as np
from numpy.typing import NDArray

from tui_influence.errors import ResultsError
from tui_influence.roles import Role
from tui_influence.store.arms_file import ArmKind, Pruning
from tui_influence.store.examples import read_examples
from tui_influence.store.paths import Paths
from tui_influence.store.records import read_record
from tui_influence.store.run_info import read_run_info
from tui_influence.text import printable


def uses_of_classes(paths: Paths, pruning: Pruning, kind: ArmKind) -> list[NDArray[np.float64]]:
    """Return how often target examples are taken for each class, (K,) for each repeat of keeping everything.

    Targets count by their weights. Repeats are counted from the first, up to one that is not recorded.

    Args:
        paths: of the pruning.
        pruning: whose groups are the source classes.
        kind: by labels or by features.

    Raises:
        ResultsError: a record is damaged.
    """
    info = read_run_info(paths.root)
    halves = [read_examples(paths, info, place).estimate for place in range(len(info.targets))]
    everything = next(arm for arm in pruning.arms if arm.kind is ArmKind.ALL)
    uses: list[NDArray[np.float64]] = []
    for row in everything.rows:
        if not all(paths.record(Role.ARM, row.index, place).exists() for place in range(len(halves))):
            break
        count = np.zeros(len(pruning.groups))
        for place, half in enumerate(halves):
            record = read_record(paths, Role.ARM, row.index, place)
            taken = record.mapped if kind is ArmKind.LABELS else record.nearest
            if taken is None or len(taken) != len(half):
                raise ResultsError(
                    f"{printable(str(paths.root))}: its records do not say which class each example is taken for"
                )
            share = np.bincount(taken[half], minlength=len(count))[: len(count)] / half.sum()
            count += pruning.ranking.targets[info.targets[place].name] * share
        uses.append(count)
    return uses
