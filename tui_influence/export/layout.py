"""What the printed tables have in common above and below their rows."""

from collections.abc import Sequence
from io import StringIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from tui_influence.export.columns import cut, plain
from tui_influence.export.lines import Pen
from tui_influence.export.report import SIGNIFICANT, RankReport, with_interval

_WARNING = "bold #F0E442"


def packed(parts: Sequence[str], pen: Pen, width: int) -> list[Text]:
    """Return parts with separators between, broken into lines only there."""
    lines: list[str] = []
    for part in parts:
        longer = pen.signs.separator.join([*lines[-1:], part])
        if lines and cell_len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return [pen.line(line, pen.quiet) for line in lines]


def signs_explained(report: RankReport, pen: Pen) -> list[str]:
    """Return what the signs in the rows mean, a part each."""
    signs = pen.signs
    helps, hurts = (signs.helps, signs.hurts) if signs.helps else ("+", "-")
    worse = f"than an average {report.noun}" if report.is_relative else ""
    words = f"{helps} better, {hurts} worse {worse}" if worse else f"{helps} helps, {hurts} hurts"
    whisker = pen.glyphs.line * 2 + pen.glyphs.dot + pen.glyphs.line * 2
    return [words, f"{whisker} 95% interval", f"* q < {SIGNIFICANT:g} (FDR)"]


def paragraph(text: str, pen: Pen) -> Text:
    """Return sentences whose first word stands out."""
    made = pen.line(text)
    made.highlight_regex(r"^\w+", "bold")
    return made


def noise_warning(report: RankReport, pen: Pen, what: str) -> list[Text]:
    """Return a line that says that the order of a ranking, called `what`, is noise; none where it is not."""
    found = report.ranking.reliability
    if not report.is_noise() or found is None:
        return []
    value = with_interval(found.value, found.low, found.high)
    return [pen.line(f"NOISE, not a result: {what} cannot be told from chance (reliability {value}).", _WARNING)]


def note(text: str, pen: Pen, indent: int, width: int) -> Text:
    """Return a line about rows that are not shown as rows, below the names."""
    text = " " * indent + cut(plain(text, pen.ascii), max(width - indent, 1), pen.signs.ellipsis)
    return Text(text, style=pen.quiet, no_wrap=True, overflow="crop")


def height_of(texts: Sequence[Text], width: int) -> int:
    """Return how many lines these take, wrapped."""
    console = Console(width=width, file=StringIO())
    return sum(len(text.wrap(console, width)) for text in texts)
