"""A ranking in a few lines: all of it where it fits, else both ends. A pure function of its rows."""

from collections.abc import Sequence
from math import isfinite

from rich.text import Text

from tui_influence.influence.types import (
    RankedGroup,
)
from tui_influence.render.interval_table import Lines
from tui_influence.tui.theme import Look

_FEWEST = 3


def both_ends(
    rows: Sequence[RankedGroup], noun: str, look: Look, width: int, height: int, *, coloured: bool = True
) -> list[Text]:
    """Return a header and a line a row; where not all fit, the first and the last of them.

    Args:
        rows: in the order of the ranking.
        noun: what each is called.
        look: how to draw.
        width: of the lines.
        height: lines at most, the header included; four are needed.
        coloured: whether sign has a colour; noise has none.
    """
    table = Lines(rows, noun, width, look.pen(coloured=coloured))
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
        Text.assemble((f"{look.sign('…', '...')} {len(rows) - head - tail:,} more{undefined}", look.quiet)),
        *(table.line(place) for place in range(known - tail, known)),
    ]
