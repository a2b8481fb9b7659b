"""Rankings made by hand: their numbers are chosen, not estimated, so that every output byte is known."""

from dataclasses import replace
from io import StringIO

from rich.console import Console

from tui_influence.analysis.ranking import compare_reports
from tui_influence.analysis.types import AnyReport, ComparisonReport, RankReport
from tui_influence.influence.types import (
    LDS,
    LDSCeiling,
    OutputKind,
    RankedGroup,
    Ranking,
    Reliability,
    ReliabilityForecast,
)
from tui_influence.render.ranking_table import rank_table

NAN = float("nan")

GOOD = Reliability(0.8312, 0.7112, 0.7604, 0.8831, 20)
NOISE = Reliability(0.0404, 0.0206, -0.3112, 0.3521, 20)

FORECAST = ReliabilityForecast(0.9, 366, 239, 568, "about 366 models in all for reliability 0.9")
NO_FORECAST = ReliabilityForecast(0.9, None, None, None, "there are too few models or groups for a forecast")

NASTY = (
    ("3", 0.831, 0.061, 0.0000004),
    ("=cmd|'/C calc'!A0", 0.524, 0.058, 0.0003),
    ("狮子 and 虎", 0.3071, 0.062, 0.0021),
    ("[bold red]x[/] [link=http://e.vil]", 0.2218, 0.0595, 0.0130),
    ("esc\x1b[31m\x07 \u202ebidi\nline\x7f\x9b", 0.1345, 0.0601, 0.0640),
    ("long " * 60, 0.0402, 0.0611, 0.7012),
    ('comma, "quote" and #hash', 0.0, 0.0600, 1.0),
    ("+49 30", -0.0521, 0.0598, 0.5120),
    ("naïve café", -0.1288, 0.0612, 0.0702),
    ("-1", -0.2904, 0.0604, 0.0024),
    ("C", -0.6127, 0.0622, 0.0000071),
)


def row(rank: int, group: str, influence: float, se: float = 0.06, q: float = 0.5, n_with: int = 98) -> RankedGroup:
    half = 1.972 * se
    return RankedGroup(rank, group, rank, influence, se, influence - half, influence + half, q, n_with, 200 - n_with)


def constant(rank: int, group: str, *, everywhere: bool = True) -> RankedGroup:
    return RankedGroup(rank, group, rank, NAN, NAN, NAN, NAN, NAN, 200 * everywhere, 200 * (not everywhere))


def ranking_of(rows: tuple[RankedGroup, ...], reliability: Reliability | None = GOOD, **changes) -> Ranking:
    made = Ranking(
        rows=rows,
        estimator="difference",
        output=OutputKind.MARGIN,
        n_models=200,
        n_examples=500,
        reliability=reliability,
        lds=LDS(0.4123, 0.2801, 0.5307, 40, 20, 20),
        lds_ceiling=LDSCeiling(0.5047, 0.3562, 0.6201),
        forecast=FORECAST if reliability is GOOD else NO_FORECAST,
        constant_groups=tuple(row.group for row in rows if row.influence != row.influence),
        is_relative=True,
    )
    return replace(made, **changes)


def report_of(rows: tuple[RankedGroup, ...], reliability: Reliability | None = GOOD, **changes) -> RankReport:
    made = RankReport(
        run="glyphs-digits",
        config_hash="5f2c9a1e",
        target="digits",
        target_class=None,
        example=None,
        split="estimate",
        design="fixed alpha=0.5",
        ranking=ranking_of(rows, reliability),
        n_failed=3,
    )
    return replace(made, **changes)


def nasty_report() -> RankReport:
    """Every kind of name and of number that a ranking can hold: what the golden files are made from."""
    rows = tuple(row(rank, *values) for rank, values in enumerate(NASTY, start=1))
    return report_of((*rows, constant(12, "in all"), constant(13, "in none", everywhere=False)))


def noise_report(reliability: Reliability = NOISE) -> RankReport:
    """A ranking in which nothing is more than chance."""
    report = alphabet_report(reliability)
    rows = tuple(replace(row, q=max(row.q, 0.2)) for row in report.ranking.rows)
    return replace(report, ranking=replace(report.ranking, rows=rows))


def alphabet_report(reliability: Reliability | None = GOOD) -> RankReport:
    """An ordinary ranking of 36 groups."""
    names = "37T958S261ZI0OBQF4RGEPULAYVMKNJWDHXC"
    size = len(names)
    rows = tuple(
        row(
            k + 1,
            name,
            round(0.83 * (1 - 2 * k / (size - 1)) ** 3 + 0.05 - 0.002 * k, 4),
            0.055 + 0.001 * (k % 7),
            q=min(1.0, round(0.001 + 4 * max(0.0, 0.25 - abs(0.5 - k / size)), 4)),
        )
        for k, name in enumerate(names)
    )
    return report_of(rows, reliability)


def few_models_report() -> RankReport:
    """What two models give: estimates without errors, and no way to tell how reliable."""
    rows = tuple(
        RankedGroup(rank, name, rank, value, NAN, NAN, NAN, NAN, 1, 1)
        for rank, (name, value) in enumerate((("a", 0.5), ("b", 0.1), ("c", -0.6)), start=1)
    )
    ranking = ranking_of((*rows, constant(4, "d")), None, n_models=2, lds=None, lds_ceiling=None)
    return report_of(rows, None, ranking=ranking, n_failed=0)


def other_target(report: RankReport) -> RankReport:
    """The same groups for another target: what was first is last, and a little less sure."""
    known = [row for row in report.ranking.rows if row.influence == row.influence]
    rows = [
        replace(row, influence=0.1 - row.influence, low=0.1 - row.high, high=0.1 - row.low, q=min(1.0, 2 * row.q))
        for row in reversed(known)
    ]
    rows += [row for row in report.ranking.rows if row.influence != row.influence]
    ranked = tuple(replace(row, rank=rank) for rank, row in enumerate(rows, start=1))
    return replace(report, target="letters", ranking=replace(report.ranking, rows=ranked))


def comparison_of(report: RankReport) -> ComparisonReport:
    """A report beside its `other_target`."""
    return compare_reports(report, other_target(report))


def printed(report: AnyReport, width: int, **options) -> str:
    """The table as a terminal without colour shows it, blanks at line ends left out."""
    console = Console(width=width, file=StringIO(), color_system=None, highlight=False, legacy_windows=False)
    console.print(rank_table(report, width=width, **options))
    return "".join(f"{line.rstrip(' ')}\n" for line in console.file.getvalue().split("\n")[:-1])
