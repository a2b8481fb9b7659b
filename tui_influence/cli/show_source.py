"""One source group for `tinfl show`: its sample images, and its place in the ranking."""

from math import isfinite
from typing import TYPE_CHECKING, Any

from rich.text import Text

from tui_influence.analysis.names import (
    group_noun,
)
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.analysis.types import (
    RankReport,
)
from tui_influence.cli.images import Canvas, print_pictures
from tui_influence.cli.show_words import context_lines, fact, one
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.export.json import rank_document, row_document
from tui_influence.influence.types import (
    RankedGroup,
)
from tui_influence.render.ranking import scope
from tui_influence.store.examples import read_source_thumbnails
from tui_influence.text import did_you_mean, printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def group_of(reading: RunSnapshot, name: str) -> int:
    """Return the position of a source group.

    Raises:
        ConfigError: there is none of that name.
    """
    groups = reading.info.source.groups
    if name not in groups:
        noun = group_noun(reading.info)
        raise ConfigError(f'the source has no {noun} "{printable(name, 60)}"{did_you_mean(name, groups)}')
    return groups.index(name)


def samples_of(reading: RunSnapshot, group: int) -> "NDArray[np.uint8]":
    """Return the sample images of a source group, (s, side, side, C) uint8.

    Raises:
        ResultsError: the run's pictures are missing or damaged, or there is none of this group.
    """
    if reading.info.is_imported:
        raise ResultsError("imported, so without pictures of the source")
    kept, groups = read_source_thumbnails(reading.paths)
    found: NDArray[np.uint8] = kept[groups == group]
    if not len(found):
        raise ResultsError(f"the run keeps no picture of {printable(reading.info.source.groups[group], 60)}")
    return found


def print_source(
    canvas: Canvas,
    reading: RunSnapshot,
    report: RankReport,
    row: RankedGroup,
    samples: "NDArray[np.uint8] | None",
    wanted: int | None,
) -> None:
    """Show a source group on stdout: rows of its sample images, and below them its influence."""
    console, style = canvas.console, canvas.style.muted(report.is_noise())
    if samples is not None:
        print_pictures(canvas, samples, wanted)
    kept = f", {len(samples)} of them shown" if samples is not None else ""
    facts = [
        ("images", f"{reading.info.source.sizes[row.index]:,}{kept}"),
    ]
    if isfinite(row.influence):
        facts.append(("rank", f"{row.rank:,} of {len(report.ranking.rows):,} by influence on {scope(report)}"))
    title = fact(report.noun, row.group, style, console.width)
    title.stylize("bold")
    console.print(title, *(fact(label, text, style, console.width) for label, text in facts), Text(), sep="\n")
    console.print(*one(report, row, style, console.width), Text(), sep="\n")
    console.print(*context_lines(report, style, console.width), sep="\n")


def source_document(
    reading: RunSnapshot, report: RankReport, row: RankedGroup, samples: "NDArray[np.uint8] | None", problem: str
) -> dict[str, Any]:
    """Return what is said of a source group as JSON; `problem` says why there are no pictures."""
    return {
        "source": row.group,
        "images": reading.info.source.sizes[row.index],
        "samples": None if samples is None else list(samples.shape),
        "image_problem": problem,
        "influence": row_document(row),
        "ranking": rank_document(report, top=0),
    }
