"""What `tinfl show` says beside and below its pictures. The words of a ranking are those of `tinfl rank`."""

from rich.text import Text

from tui_influence.analysis.types import (
    RankReport,
)
from tui_influence.influence.types import (
    RankedGroup,
)
from tui_influence.render.format import cut, plain
from tui_influence.render.ranking import circumstances, meaning, trust
from tui_influence.render.ranking_table import (
    RowChoice,
    choice_lines,
    choose_rows,
    height_of,
    noise_warning,
    packed,
    paragraph,
    signs_explained,
)
from tui_influence.render.style import Style

_MOST_ROWS = 11
"""Lines of a ranking beside a picture: five groups of each end, and one for those between."""
_LABEL = 11
"""Cells of a fact's label."""


def fact(label: str, text: str, style: Style, width: int) -> Text:
    """Return a labelled fact in one line."""
    shown = cut(plain(text, style.ascii), max(width - _LABEL, 1), style.ellipsis)
    return Text.assemble((f"{label:<{_LABEL}}", style.quiet), shown, no_wrap=True, overflow="crop")


def ends(report: RankReport, style: Style, width: int, room: int | None) -> list[Text]:
    """Return the groups that help most and those that hurt most, and what their lines mean.

    Args:
        report: the ranking.
        style: colours and signs.
        width: of the lines.
        room: for so many lines, if that matters; a few groups are shown in any case.
    """
    warning, key = noise_warning(report, style, "this order"), packed(signs_explained(report, style), style, width)
    left = _MOST_ROWS if room is None else room - height_of([*warning, *key], width) - bool(warning) - 1
    rows = choose_rows(report.ranking.rows, style, None, min(left, _MOST_ROWS))
    return [*warning, *([Text()] if warning else []), *choice_lines(rows, report.noun, style, width), *key]


def one(report: RankReport, row: RankedGroup, style: Style, width: int) -> list[Text]:
    """Return the line of one group of a ranking."""
    return [
        *choice_lines(RowChoice([row]), report.noun, style, width),
        *packed(signs_explained(report, style), style, width),
    ]


def context_lines(report: RankReport, style: Style, width: int) -> list[Text]:
    """Return what a ranking was made from, what its numbers mean, and how far its order can be trusted."""
    parts = circumstances(report)
    known = parts[:-1] if report.example is not None else parts  # the last says which examples, as the title does
    sentences = [f"Influence: {meaning(report)}.", trust(report)]
    return [*packed(known, style, width), *(paragraph(text, style) for text in sentences)]
