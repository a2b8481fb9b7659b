"""A ranking in a few lines: all of it where it fits, else both ends. A pure function of its rows."""

from collections.abc import Sequence
from math import isfinite

from rich.text import Text

from tui_influence.influence.types import (
    RankedGroup,
)
from tui_influence.render.interval_table import Lines
from tui_influence.render.style import Style

_FEWEST = 3


def both_ends(rows: Sequence[RankedGroup], noun: str, style: Style, width: int, height: int) -> list[Text]:
    """Return a header and a line a row; where not all fit, the first and the last of them.

    Args:
        rows: in the order of the ranking.
        noun: what each is called.
        style: colours and signs.
        width: of the lines.
        height: lines at most, the header included; four are needed.
    """
    table = Lines(rows, noun, width, style)
    known = sum(1 for row in rows if isfinite(row.influence))  # the others come last
    room = max(height - 1, _FEWEST)
    if len(rows) <= room:
        return [table.header(), *(table.line(place) for place in range(len(rows)))]
    head = min(room // 2, known)
    tail = min(room - head - 1, known - head)
    undefined = f", {len(rows) - known:,} undefined" if known < len(rows) else ""
    return [
        table.header(),
        *(table.line(place) for place in range(head)),
        Text.assemble((f"{style.ellipsis} {len(rows) - head - tail:,} more{undefined}", style.quiet)),
        *(table.line(place) for place in range(known - tail, known)),
    ]
