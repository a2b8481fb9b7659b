"""Answers of a run as plain values that a notebook shows: what the run is, influences by group, a ranking."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from tui_influence.analysis.types import RankReport
from tui_influence.export.data_frame import arrow_table, pandas_frame, polars_frame
from tui_influence.export.json import rank_document
from tui_influence.export.markup import html_table
from tui_influence.export.ranking import ranking_table
from tui_influence.influence.types import RankedGroup
from tui_influence.render.ranking_table import rank_table

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

_WIDTH, _HEIGHT = 100, 60
"""Cells and lines of a ranking as text."""


@dataclass(frozen=True)
class RunDescription:
    """What a run is.

    Attributes:
        name: of the run.
        identity: hash of everything that decides its models: config and data.
        classes: names of the source's classes.
        groups: (K,) names of the source's groups, in the order of the columns of `Run.masks`.
        targets: classes of each target by its name, in the order of the config.
        design: kind and parameters of the masks, such as "fixed alpha=0.5".
        planned: models planned, by role: `estimate`, `heldout`, `prior`.
        recorded: models recorded, by role.
        failed: models that failed for good, by role.
    """

    name: str
    identity: str
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    targets: Mapping[str, tuple[str, ...]]
    design: str
    planned: Mapping[str, int]
    recorded: Mapping[str, int]
    failed: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class GroupInfluences:
    """Influences of the K groups of a source on one output; `numpy.asarray` of it is the estimates.

    Attributes:
        groups: (K,) names, in the order of the columns of `Run.masks`.
        estimates: (K,) influences, in the unit of the output; NaN where undefined.
        standard_errors: (K,) likewise.
        intervals: (K, 2) lower and upper ends of the 95% intervals.
        q: (K,) false discovery rate at which each group would count as a discovery.
    """

    groups: tuple[str, ...]
    estimates: NDArray[np.float64]
    standard_errors: NDArray[np.float64]
    intervals: NDArray[np.float64]
    q: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.groups)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False and dtype not in (None, np.float64):
            raise ValueError("another type of number takes a copy")
        return np.array(self.estimates, dtype) if copy else np.asarray(self.estimates, dtype)


@dataclass(frozen=True, repr=False)
class GroupRanking:
    """A ranking of groups, the most helpful first: prints as a table, and iterates over its rows.

    Attributes:
        report: the ranking and its question.
        warnings: about the data behind it.
    """

    report: RankReport
    warnings: tuple[str, ...]

    @property
    def rows(self) -> tuple[RankedGroup, ...]:
        """All groups, best first, with rank, name, influence, standard error, interval and q."""
        return self.report.ranking.rows

    def __iter__(self) -> Iterator[RankedGroup]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        out = StringIO()
        console = Console(file=out, width=_WIDTH, color_system=None, force_terminal=False, highlight=False)
        console.print(rank_table(self.report, width=_WIDTH, height=_HEIGHT))
        return "\n".join(line.rstrip() for line in out.getvalue().splitlines())

    def _repr_html_(self) -> str:
        return html_table(self.report)

    def to_dict(self) -> dict[str, Any]:
        """Return what `tinfl rank --json` writes, as plain values."""
        return rank_document(self.report)

    def to_pandas(self) -> "pandas.DataFrame":
        """Return the rows as a data frame of pandas with the columns of `tinfl rank --csv`.

        Raises:
            ImportError: pandas is not installed.
        """
        return pandas_frame(ranking_table(self.report))

    def to_polars(self) -> "polars.DataFrame":
        """Return the rows as a data frame of polars with the columns of `tinfl rank --csv`.

        Raises:
            ImportError: polars is not installed.
        """
        return polars_frame(ranking_table(self.report))

    def to_pyarrow(self) -> "pyarrow.Table":
        """Return the rows as a table of pyarrow with the columns of `tinfl rank --csv`.

        Raises:
            ImportError: pyarrow is not installed.
        """
        return arrow_table(ranking_table(self.report))


def group_influences(report: RankReport) -> GroupInfluences:
    """Return the influences of a ranking in the order of the groups' columns."""
    rows = sorted(report.ranking.rows, key=lambda row: row.index)
    values = np.array([(row.influence, row.se, row.low, row.high, row.q) for row in rows], dtype=np.float64)
    estimates, errors, low, high, q = values.reshape(len(rows), 5).T.copy()
    return GroupInfluences(tuple(row.group for row in rows), estimates, errors, np.stack([low, high], axis=1), q)
