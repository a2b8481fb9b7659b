"""Label mapping: the ranking of source classes that one model gives, which thousands of models have to beat.

A model trained on every source class takes each target example for one of them; a class that hardly any example is
taken for is of no use to the target (DP4TL, Zhang et al., NeurIPS 2023). Counted on the `estimate` half.
"""

import numpy as np
from numpy.typing import NDArray

from tui_influence.errors import ConfigError
from tui_influence.roles import Role
from tui_influence.store.arms_file import ArmKind, Pruning
from tui_influence.store.examples import read_examples
from tui_influence.store.paths import Paths
from tui_influence.store.records import read_record
from tui_influence.store.run_info import read_run_info
from tui_influence.text import printable


def uses_of_classes(paths: Paths, pruning: Pruning) -> list[NDArray[np.float64]]:
    """Return how often target examples are taken for each class, (K,) for each repeat of keeping everything.

    Targets count by their weights. Repeats are counted from the first, up to one that is not recorded.

    Raises:
        ConfigError: a group is not a class, or no model that keeps everything is recorded yet.
        ResultsError: a record is damaged.
    """
    where = printable(str(paths.root))
    uses: list[NDArray[np.float64]] = []
    if paths.run.exists():
        info = read_run_info(paths.root)
        if info.source.groups != info.source.classes:
            raise ConfigError(f"{where}: label mapping ranks source classes, and here groups are left out instead")
        halves = [read_examples(paths, info, place).estimate for place in range(len(info.targets))]
        everything = next(arm for arm in pruning.arms if arm.kind is ArmKind.ALL)
        for row in everything.rows:
            if not all(paths.record(Role.ARM, row.index, place).exists() for place in range(len(halves))):
                break
            count = np.zeros(len(pruning.groups))
            for place, half in enumerate(halves):
                mapped = read_record(paths, Role.ARM, row.index, place).mapped
                if mapped is None or len(mapped) != len(half):
                    raise ConfigError(f"{where}: its records do not say which class each example is taken for")
                share = np.bincount(mapped[half], minlength=len(count))[: len(count)] / half.sum()
                count += pruning.ranking.targets[info.targets[place].name] * share
            uses.append(count)
    if not uses:
        raise ConfigError(
            f"{where}: label mapping needs a model that was trained on everything: train the other arms first, "
            "or add --foreground, which does both"
        )
    return uses
