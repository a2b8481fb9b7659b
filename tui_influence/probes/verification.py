"""What is retrained to put the blame for one test example to the test.

A pruning with one list: the groups that are most to blame are left out, several seeds; beside it as many are left out
at random, and everything is kept. So it is planned, trained, stopped and gone on with as any pruning is, and there is
no second way to train. What its retrainings say of the example is for `flips` to read.
"""

from dataclasses import dataclass

from tui_influence.errors import ResultsError
from tui_influence.probes.failures import Blamed, blame
from tui_influence.probes.verification_names import kept_at
from tui_influence.pruning.arms import choice
from tui_influence.pruning.request import Wanted
from tui_influence.ranking_question import Question
from tui_influence.reading import Reading
from tui_influence.store.arms_file import ArmKind
from tui_influence.store.paths import Paths

SEEDS = 10
"""Retrainings of each arm: with fewer, hardly any change from wrong to right is more than chance."""
FEWEST_SEEDS = 4
"""Retrainings of an arm from which a flip can be told: 4 of 4 against 0 of 4 has p = 0.029, 3 of 3 has 0.1."""
DROP = 3
"""Groups that are left out, the most blamed first."""


@dataclass(frozen=True)
class Verification:
    """What is to be retrained for one example.

    Attributes:
        own: where it is kept.
        blamed: groups that are left out, the worst first.
        wanted: the pruning that leaves them out.
    """

    own: Paths
    blamed: tuple[Blamed, ...]
    wanted: Wanted

    @property
    def told(self) -> bool:
        """Whether any of the groups is to blame by more than chance."""
        return any(one.told for one in self.blamed)


def verification(
    reading: Reading,
    question: Question,
    *,
    drop: int | None = None,
    seeds: int | None = None,
    devices: list[str] | str | None = None,
) -> Verification:
    """Return what is to be retrained. Nothing is written.

    Args:
        reading: of the question's target.
        question: names the example, and what its blame is estimated with.
        drop: groups to leave out, `DROP` if it is not given; fewer are, where fewer lower the margin.
        seeds: retrainings of each arm, `SEEDS` if it is not given.
        devices: instead of the config's.

    Raises:
        ConfigError: the question does not fit the run, or too few groups would stay.
        ResultsError: nothing is to blame, or too few models have been recorded to say.
    """
    example = question.example
    if example is None:
        raise ValueError("a verification is of one example")
    found = blame(reading, question, drop or DROP)
    if not found:
        raise ResultsError(f"nothing lowers the margin of example {example}: there is nothing to leave out")
    groups = reading.info.source.groups
    names = [groups[one.group] for one in found]
    wanted = Wanted(
        chosen=[choice(names, groups, ArmKind.DROP, f"{len(names)} blamed for example {example}")],
        seeds=seeds or SEEDS,
        weights={reading.described.name: 1.0},
        estimator=question.estimator,
        output=question.output_kind,
        baselines=(),
        devices=devices,
    )
    return Verification(kept_at(reading.paths, reading.target, example), found, wanted)
