"""A sweep that trains until a reliability, played without training: records have planted effects."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.e2e.program import write_config
from tests.unit.store.conftest import make_info, make_record
from tui_influence.config.loader import config_to_json, load_config
from tui_influence.designs import Row, make_design, schedule
from tui_influence.growth.extension import extend_sweep
from tui_influence.roles import Role
from tui_influence.runs.prepare import extend_plan_file
from tui_influence.store.examples import Examples, write_examples
from tui_influence.store.growth import read_growth
from tui_influence.store.listing import list_completed
from tui_influence.store.paths import Paths
from tui_influence.store.plan import read_plan, write_plan
from tui_influence.store.records import as_margins, write_record
from tui_influence.store.run_info import SourceInfo, TargetInfo, read_run_info, write_run_info

GROUPS, EXAMPLES, HELDOUT = 12, 12, 2


class GrowingRun:
    """A run whose owner is the test.

    Attributes:
        noises: deviation of the noise on each target.
    """

    def __init__(
        self,
        root: Path,
        *,
        until: float | None = 0.9,
        models: int = 16,
        most: int = 80,
        noises: tuple[float, ...] = (1.0,),
    ) -> None:
        self.paths, self.noises = Paths(root), noises
        root.mkdir(parents=True)
        goal = f"\nuntil = {until}\nmax_models = {most}" if until else ""
        swap = {'kind = "fixed"': 'kind = "balanced"', "prior = 0": f"prior = 0{goal}"}
        self.config = load_config(write_config(root.parent, models=models, swap=swap, output=root))
        self.design = make_design(self.config.design, GROUPS, 1)
        examples = Examples(np.arange(EXAMPLES) % 3, np.arange(EXAMPLES) % 2 == 0, ("x",) * EXAMPLES)
        targets = []
        for index in range(len(noises)):
            digests = write_examples(self.paths, index, examples, np.zeros((EXAMPLES, 8, 8, 1), np.uint8))
            classes = ["x", "y", "z"]
            targets.append(TargetInfo(f"t{index}", "fixed-feature", classes, 3, EXAMPLES, ["f1", "f2"], 0, digests))
        source = SourceInfo(["a"] * GROUPS, [f"g{k}" for k in range(GROUPS)], [2] * GROUPS, 2 * GROUPS, "f0", 0)
        config = config_to_json(self.config)
        write_run_info(
            self.paths, make_info(config=config, source=source, targets=targets, models=models, heldout=HELDOUT)
        )
        write_plan(self.paths, schedule(self.design, models, HELDOUT))

    @property
    def rows(self) -> list[tuple]:
        """The plan, as values that can be compared."""
        return [comparable(row) for row in read_plan(self.paths)]

    @property
    def models(self) -> int:
        return read_run_info(self.paths.root).models

    @property
    def outcomes(self) -> list[tuple[int, str, int]]:
        return [(one.models, one.outcome.value, one.further) for one in read_growth(self.paths).decisions]

    def train(self) -> None:
        """Record what is planned and not recorded."""
        effects = np.linspace(-1, 1, GROUPS)
        done = {role: list_completed(self.paths, role, len(self.noises)) for role in Role}
        for row in read_plan(self.paths):
            if row.index in done[row.role]:
                continue
            for target, noise in enumerate(self.noises):
                rng = np.random.default_rng([row.seed, row.index, target])
                margins = as_margins(row.mask @ effects + noise * rng.normal() + 0.01 * rng.normal(size=EXAMPLES))
                record = make_record(row.index, row.role, target, mask=row.mask, margins=margins)
                write_record(self.paths, replace(record, seed=row.seed, cluster=row.cluster))

    def extend(self) -> list[Row]:
        """Extend the plan as a supervisor does."""
        rows = extend_sweep(self.paths)
        if rows:
            extend_plan_file(self.paths, read_run_info(self.paths.root), rows)
        return rows

    def to_the_end(self) -> list[tuple]:
        """Train and extend until nothing follows; return the plan."""
        self.train()
        while self.extend():
            self.train()
        return self.rows


def comparable(row: Row) -> tuple:
    return row.role, row.index, row.seed, row.cluster, row.mask.tobytes()
