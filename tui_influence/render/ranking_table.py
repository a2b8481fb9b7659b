"""A ranking, or a comparison of two, as a table: the groups with their intervals, and what is said around them.

The printed table, from top to bottom: what it is about; a warning where the order is noise; the groups; what the signs
mean; how far the order can be trusted. With `top` it shows the first so many groups, as every other format does; else
all where they fit, or as many of both ends as do. Groups without an influence come last and are the first to make room.
The app's table has the same lines, and beside them one group in words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from math import isfinite

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.text import Text

from tui_influence.analysis.types import AnyReport, ComparisonReport, RankReport
from tui_influence.influence.types import SIGNIFICANCE_LEVEL, ComparedGroup, RankedGroup
from tui_influence.render.format import plain
from tui_influence.render.interval_table import Column, Estimates, IntervalTable, point_estimate
from tui_influence.render.numbers import format_interval, format_q, value_format, with_interval
from tui_influence.render.ranking import (
    circumstances,
    comparison_labels,
    comparison_title,
    first,
    meaning,
    scope,
    selection,
    short_name,
    trust,
    unit,
    verdict,
)
from tui_influence.render.style import Style

MIN_ROWS = 4
"""Rows that a table has however low the terminal is."""
_OTHER_END = 3
"""Groups that the line after `top` names."""
_LABEL = 13
"""Cells of a label beside the table."""


def ranking_rows(rows: Sequence[RankedGroup], noun: str, style: Style, width: int) -> IntervalTable:
    """Return groups as lines: rank, name, influence and its interval, and what else fits."""
    unknown = style.unknown
    ranks = Column("#", tuple(f"{row.rank}" if isfinite(row.influence) else unknown for row in rows))
    return IntervalTable(
        noun,
        [row.group for row in rows],
        [_influences("influence ", rows, style)],
        style,
        width,
        rank=ranks,
        after=[
            Column("q", tuple(format_q(row.q, unknown) for row in rows), keep=1),
            Column("with/without", tuple(f"{row.n_with:,}/{row.n_without:,}" for row in rows), keep=2),
        ],
        min_name=0,
    )


def comparison_rows(rows: Sequence[ComparedGroup], report: ComparisonReport, style: Style, width: int) -> IntervalTable:
    """Return compared groups as lines: rank, name, influence and its interval in both, and what else fits.

    Whiskers of the two rankings are drawn on scales of their own: outputs of different targets need not be of the same
    size.
    """
    sides = zip(
        comparison_labels(report),
        (report.first, report.second),
        ([row.first for row in rows], [row.second for row in rows]),
        strict=True,
    )
    unknown = style.unknown
    digits = value_format((row.difference for row in rows), ((row.high - row.low) / 4 for row in rows))
    digits = digits.replace("+", "+z")  # no minus before a zero
    differences = tuple(f"{row.difference:{digits}}" if isfinite(row.difference) else unknown for row in rows)
    return IntervalTable(
        report.first.noun,
        [row.group for row in rows],
        [_influences(label, groups, style, is_noise=side.is_noise()) for label, side, groups in sides],
        style,
        width,
        rank=Column("#", tuple(f"{row.rank}" if isfinite(row.difference) else unknown for row in rows)),
        after=[
            Column("difference", differences, keep=1),
            Column("effect", tuple(str(row.kind) for row in rows), right=False, keep=2),
        ],
        min_name=0,
    )


def _influences(header: str, rows: Sequence[RankedGroup], style: Style, *, is_noise: bool = False) -> Estimates:
    return Estimates(
        header,
        [point_estimate(row) for row in rows],
        unknown=f"{style.unknown} ",
        colour_all=True,
        is_noise=is_noise,
    )


@dataclass(frozen=True)
class RowChoice:
    """The rows of a table, and notes on those that it leaves out.

    Attributes:
        head: from the best on.
        between: the line after them, if any were left out there.
        tail: to the worst.
        below: the line after all; empty if there is nothing to say.
    """

    head: Sequence[RankedGroup]
    between: str = ""
    tail: Sequence[RankedGroup] = ()
    below: str = ""


def choose_rows(rows: Sequence[RankedGroup], style: Style, top: int | None, room: int | None) -> RowChoice:
    """Choose the rows of a table.

    Args:
        rows: of a ranking.
        style: colours and signs.
        top: the first so many; None for as many as there is room for.
        room: lines for rows and notes on the others; None if there is no limit. Ignored with `top`.
    """
    if top is not None:
        return _first_rows(rows, style, top)
    defined = [row for row in rows if isfinite(row.influence)]
    below = _undefined([row for row in rows if not isfinite(row.influence)])
    if room is None or len(rows) + bool(below) <= room:
        return RowChoice(rows, below=below)
    room = max(room - bool(below), MIN_ROWS + 1)
    if len(defined) <= room:
        return RowChoice(defined, below=below)
    tail = (room - 1) // 2
    head = room - 1 - tail
    between = f"{style.ellipsis} {len(defined) - head - tail:,} more {style.ellipsis}"
    return RowChoice(defined[:head], between, defined[len(defined) - tail :], below)


def _first_rows(rows: Sequence[RankedGroup], style: Style, top: int) -> RowChoice:
    head = first(rows, top)
    rest = rows[len(head) :]
    if not rest:
        return RowChoice(head, below=_undefined([row for row in rows if not isfinite(row.influence)]))
    ends = [row for row in rest if isfinite(row.influence)][-_OTHER_END:]
    names = ", ".join(f"{short_name(row.group)} ({_signed(row.influence, style)})" for row in ends[::-1])
    other = f"; at the other end: {names}" if names else f": {_undefined(rest)}"
    return RowChoice(head, below=f"{style.ellipsis} {len(rest):,} more{other}")


def _signed(value: float, style: Style) -> str:
    return f"{style.before(value) if value else ''}{value:+.3g}"


def _undefined(rows: Sequence[RankedGroup]) -> str:
    if not rows:
        return ""
    constant = all(not row.n_with or not row.n_without for row in rows)
    return f"{len(rows):,} undefined ({'in every model or none' if constant else 'too few models to tell'})"


def choice_lines(choice: RowChoice, noun: str, style: Style, width: int) -> list[Text]:
    """Return chosen rows of a ranking as lines, with their header and the notes on the others."""
    rows = [*choice.head, *choice.tail]
    table = ranking_rows(rows, noun, style, width)
    lines = [table.header()]
    for row in range(len(rows)):
        if row == len(choice.head):
            lines.append(_note(choice.between, style, table.indent, width))
        lines.append(table.line(row))
    if choice.below:
        lines.append(_note(choice.below, style, table.indent, width))
    return lines


def head_and_tail(rows: Sequence[RankedGroup], noun: str, style: Style, width: int, height: int) -> list[Text]:
    """Return a header and a line a row, in at most `height` lines; where not all fit, the first and the last rows."""
    return choice_lines(choose_rows(rows, style, None, height - 1), noun, style, width)


def _note(text: str, style: Style, indent: int, width: int) -> Text:
    """Return a line about rows that are left out, below the names."""
    text = " " * indent + style.cut(text, max(width - indent, 1))
    return Text(text, style=style.quiet, no_wrap=True, overflow="crop")


def rank_table(
    report: AnyReport, *, top: int | None = None, width: int, height: int | None = None, ascii: bool = False
) -> RenderableType:
    """Return the ranking, or the comparison, as a printed table.

    Args:
        report: it, and its circumstances.
        top: show the first so many groups; None shows all, or as many as fit.
        width: of the terminal, in cells.
        height: of the terminal, in lines, which the whole table should not exceed; None if that does not matter.
        ascii: draw and write with ASCII characters only.
    """
    style = Style(ascii, dims=True)
    if isinstance(report, ComparisonReport):
        return _comparison_table(report, style, top, width, height)
    style = style.muted(report.is_noise())
    title = f"Influence of {len(report.ranking.rows):,} {report.nouns} on {scope(report)}"
    above = _above(title, report, noise_warning(report, style, "this order"), style, width)
    below = _below(report, report, style, width)
    room = None if height is None else height - height_of([*above, *below], width) - 1
    choice = choose_rows(report.ranking.rows, style, top, room)
    return Constrain(Group(*above, *choice_lines(choice, report.noun, style, width), *below), width)


def _comparison_table(
    report: ComparisonReport, style: Style, top: int | None, width: int, height: int | None
) -> RenderableType:
    warnings = [
        line
        for side, label in zip((report.first, report.second), comparison_labels(report), strict=True)
        for line in noise_warning(side, style, f"the order for {label}")
    ]
    above = _above(comparison_title(report), report.first, warnings, style, width)
    below = _below(report, report.first, style, width)
    rows: Sequence[ComparedGroup] = report.comparison.rows
    if top is None and height is not None:
        room = max(height - height_of([*above, *below], width) - 1, MIN_ROWS + 1)
        top = None if len(rows) <= room else room - 1
    rows = first(rows, top)
    table = comparison_rows(rows, report, style, width)
    lines = [table.header(), *(table.line(row) for row in range(len(rows)))]
    n_excluded = len(report.comparison.rows) - len(rows)
    if n_excluded:
        lines.append(_note(f"{style.ellipsis} {n_excluded:,} more", style, table.indent, width))
    return Constrain(Group(*above, *lines, *below), width)


def _above(title: str, report: RankReport, warnings: Sequence[Text], style: Style, width: int) -> list[Text]:
    lines = [style.line(title, "bold"), *packed(circumstances(report), style, width), Text()]
    return [*lines, *warnings, Text()] if warnings else lines


def _below(report: AnyReport, ranking: RankReport, style: Style, width: int) -> list[Text]:
    sentences = [f"Influence: {meaning(report)}.", verdict(report)]
    if isinstance(report, RankReport):
        sentences.append(selection(report))
    key = packed(signs_explained(ranking, style), style, width)
    return [Text(), *key, *(paragraph(text, style) for text in sentences)]


def context_lines(report: RankReport, style: Style, width: int) -> list[Text]:
    """Return what a ranking was made from, what its numbers mean, and how far its order can be trusted."""
    parts = circumstances(report)
    if report.example is not None:
        parts = parts[:-1]  # the example, which the title names
    sentences = [f"Influence: {meaning(report)}.", trust(report)]
    return [*packed(parts, style, width), *(paragraph(text, style) for text in sentences)]


def packed(parts: Sequence[str], style: Style, width: int) -> list[Text]:
    """Return short facts with separators between them, broken into lines only there."""
    lines: list[str] = []
    for part in parts:
        longer = style.separator.join([*lines[-1:], part])
        if lines and cell_len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return [style.line(line, style.quiet) for line in lines]


def signs_explained(report: RankReport, style: Style) -> list[str]:
    """Return what the signs in the rows mean, a part each."""
    worse = f"worse than an average {report.noun}" if report.is_relative else ""
    helps, hurts = ("better", worse) if worse else ("helps", "hurts")
    whisker = style.whisker.line * 2 + style.whisker.dot + style.whisker.line * 2
    return [
        f"{style.helps} {helps}, {style.hurts} {hurts}",
        f"{whisker} 95% interval",
        f"* q < {SIGNIFICANCE_LEVEL:g} (FDR)",
    ]


def paragraph(text: str, style: Style) -> Text:
    """Return sentences whose first word stands out."""
    line = style.line(text)
    line.highlight_regex(r"^\w+", "bold")
    return line


def noise_warning(report: RankReport, style: Style, order: str) -> list[Text]:
    """Return a line that says that the order of a ranking, called `order`, is noise; none where it is not."""
    reliability = report.ranking.reliability
    if not report.is_noise() or reliability is None:
        return []
    value = with_interval(reliability.value, reliability.low, reliability.high)
    text = f"NOISE, not a result: {order} cannot be distinguished from chance (reliability {value})."
    return [style.line(text, f"bold {style.warning}")]


def height_of(texts: Sequence[Text], width: int) -> int:
    """Return how many lines these take, wrapped."""
    console = Console(width=width, file=StringIO())
    return sum(len(text.wrap(console, width)) for text in texts)


def group_detail(report: RankReport, row: RankedGroup | None, images: int | None, style: Style) -> Text:
    """Return one group in words, and the ranking it is in.

    Args:
        report: the ranking.
        row: the group; None if none is chosen.
        images: of the group, in the source dataset.
        style: colours and signs.
    """
    lines: list[Text] = []
    if row is not None:
        lines += [Text(plain(row.group, style.ascii)[:200], style="bold"), Text()]
        lines += _facts([*_numbers(report, row), *_counts(row, images)], style)
        lines += [Text(), _judgement(report, row, style), Text()]
    return Text("\n").join([*lines, *_explained(report, style)])


def compared_group_detail(
    report: ComparisonReport, row: ComparedGroup | None, images: int | None, style: Style
) -> Text:
    """Return one group in two rankings in words, and both rankings; arguments as in `group_detail`."""
    lines: list[Text] = []
    if row is not None:
        lines += [Text(plain(row.group, style.ascii)[:200], style="bold"), Text()]
        sides = ((report.first, row.first), (report.second, row.second))
        for label, (side, group) in zip(comparison_labels(report), sides, strict=True):
            lines += [Text(plain(label, style.ascii), style="underline")]
            lines += _facts(_numbers(side, group), style)
            lines += [_judgement(side, group, style), Text()]
        lines += [*_facts([*_difference(row), *_counts(row.first, images)], style), Text()]
    return Text("\n").join([*lines, *_explained(report, style)])


def _explained(report: AnyReport, style: Style) -> list[Text]:
    return [style.line(f"{meaning(report)}.", style.quiet), Text(), style.line(verdict(report), style.quiet)]


def _facts(facts: Sequence[tuple[str, str]], style: Style) -> list[Text]:
    return [style.fact(label, text, label_cells=_LABEL) for label, text in facts]


def _difference(row: ComparedGroup) -> list[tuple[str, str]]:
    facts = []
    if isfinite(row.difference):
        facts.append(("difference", f"{row.difference:+.4g}"))
    if interval := format_interval(row.low, row.high, "+.4g"):
        facts.append(("at least 95%", interval))
    return facts


def _numbers(report: RankReport, row: RankedGroup) -> list[tuple[str, str]]:
    facts = [("rank", f"{row.rank:,} of {len(report.ranking.rows):,}")]
    if isfinite(row.influence):
        facts.append(("influence", f"{row.influence:+.4g} ({unit(report)})"))
    if interval := format_interval(row.low, row.high, "+.4g"):
        facts += [("95%", interval), ("se", f"{row.se:.3g}")]
    if isfinite(row.q):
        facts.append(("q (FDR)", f"{row.q:.3g}"))
    return facts


def _counts(row: RankedGroup, images: int | None) -> list[tuple[str, str]]:
    facts = [("models", f"{row.n_with:,} with, {row.n_without:,} without")]
    if images is not None:
        facts.append(("images", f"{images:,}"))
    return facts


def _judgement(report: RankReport, row: RankedGroup, style: Style) -> Text:
    than = f" than an average {report.noun}" if report.is_relative else ""
    if not isfinite(row.influence):
        return Text("Its influence is unknown: too few models, or it is in all of them or in none.", style=style.quiet)
    if not row.q < SIGNIFICANCE_LEVEL:
        return Text("The effect is not significant.", style=style.quiet)
    helps = row.influence > 0
    word = ("better" if helps else "worse") + than if than else "helps" if helps else "hurts"
    text = f"{style.arrow(row.influence)} {word}, significant (q < {SIGNIFICANCE_LEVEL:g})"
    return Text(text, style=style.good if helps else style.bad)
