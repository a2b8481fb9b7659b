"""Pairs of a source image and a test image for `tinfl leaks`, side by side, and what is known of each."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from tui_influence.analysis.leakage import (
    groups_are_images,
    source_class_of,
)
from tui_influence.analysis.names import (
    group_noun,
)
from tui_influence.analysis.question import Question
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.analysis.types import (
    Duplicates,
    Leak,
    Leaks,
)
from tui_influence.cli import diagnostics
from tui_influence.cli.images import Canvas
from tui_influence.errors import ResultsError
from tui_influence.export.leakage import duplicate_kinds
from tui_influence.influence.types import (
    SIGNIFICANCE_LEVEL,
)
from tui_influence.render.format import cut, plain
from tui_influence.render.ranking_table import packed, paragraph
from tui_influence.render.style import Style
from tui_influence.store.examples import read_source_thumbnails, read_thumbnails
from tui_influence.text import pluralize

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COLUMNS = 16
"""Width of a picture, in cells."""
_GAP = 2
_LONGEST = 88
"""Cells of a fact; where there are fewer, the terminal's edge cuts it."""
_PLURAL = {"image": "images", "class": "classes", "example": "images", "group": "groups"}
_UNITS = {"margin": "margin, nats", "probability": "probability of its class", "correct": "fraction correct"}


class Album:
    """The pictures that a run keeps; None for what it does not, which is said once."""

    def __init__(self, reading: RunSnapshot) -> None:
        self._reading = reading
        self._test: NDArray[np.uint8] | None = None
        self._source: tuple[NDArray[np.uint8], NDArray[np.int32]] | None = None
        try:
            self._test = read_thumbnails(reading.paths.target(reading.target))
            self._source = read_source_thumbnails(reading.paths)
        except ResultsError as error:
            diagnostics.warn(f"no picture: {error}")

    def of_example(self, example: int) -> "NDArray[np.uint8] | None":
        """Return the picture of a test example."""
        return self._test[example] if self._test is not None and example < len(self._test) else None

    def of_group(self, group: int) -> "NDArray[np.uint8] | None":
        """Return the first picture of a source group."""
        if self._source is None:
            return None
        pictures, groups = self._source
        places = (groups == group).nonzero()[0]
        return pictures[places[0]] if len(places) else None


def print_leaks(
    canvas: Canvas,
    reading: RunSnapshot,
    question: Question,
    found: Leaks,
    copies: Duplicates | None,
    top: int,
    wanted: int | None,
) -> None:
    """Show on stdout the pairs that help most surely, and those that hurt; and how much could have been found."""
    console, style = canvas.console, canvas.style
    what = "image" if groups_are_images(reading.info) else group_noun(reading.info)
    album, kinds = Album(reading), duplicate_kinds(copies) if what == "image" else {}
    console.print(
        style.line(f'Source {_PLURAL[what]} and single test images of target "{reading.target_info.name}"', "bold")
    )
    facts = [
        f"run {reading.info.name}",
        pluralize(found.models, "model"),
        reading.info.design_label,
        "all test examples" if question.split == "all" else f"{question.split} half",
        _UNITS[question.output_kind],
        pluralize(found.n_tested, "pair"),
    ]
    console.print(*packed(facts, style, console.width), sep="\n")
    single = groups_are_images(reading.info)
    parts = (
        ("helped" + ": likely leakage" * single, found.helped, found.n_helped),
        ("hurt" + ": misleading" * single, found.hurt, found.n_hurt),
    )
    for words, pairs, count in parts:
        title = f"{words}; {pluralize(count, 'pair')} beyond chance (q < {SIGNIFICANCE_LEVEL:g})"
        console.print(Text(), style.line(title, "bold"), sep="\n")
        shown = pairs[: min(top, max(count, 1))]
        for leak in shown:
            kind = kinds.get((reading.info.source.groups[leak.group], leak.example))
            lines = _about(reading, leak, "" if kind is None else f"{kind[0]} copy", style)
            mine = album.of_group(leak.group) if single else None
            _print_pair(canvas, mine, album.of_example(leak.example), lines, wanted)
    console.print(
        Text(),
        paragraph(
            "Influence: on one test example beyond that on the others of its class, over models trained with the "
            f"{what} minus over models trained without it; of the same sign as that on the example itself.",
            style,
        ),
        paragraph(
            f"Found: a pair is seen four times in five if its influence is {found.detectable_influence:.2g} "
            "or more, with "
            f"{pluralize(found.models, 'model')} and as many pairs.",
            style,
        ),
        sep="\n",
    )


def print_copies(
    canvas: Canvas, reading: RunSnapshot, copies: Duplicates, top: int, wanted: int | None, *, pictures: bool
) -> None:
    """Show on stdout the copies of test images among the source images; with their pictures or as lines only."""
    console, style = canvas.console, canvas.style
    compared = f"{pluralize(copies.n_compared, 'source image')} (compared with {copies.n_examples:,})"
    title = f"{pluralize(len(copies.pairs), 'copy', 'copies')} of test images among {compared}"
    console.print(*([] if pictures else [Text()]), style.line(title, "bold"), sep="\n")
    album = Album(reading) if pictures and copies.pairs else None
    examples, classes = reading.examples, reading.target_info.classes
    for copy in copies.pairs[:top]:
        name, test = copies.names[copy.source], examples.names[copy.target]
        label = classes[int(examples.labels[copy.target])]
        kind = f"{copy.kind.value}, at {copy.relative:.0%} of the distance of unrelated images"
        if album is None:
            line = f"  {name}  {copy.kind.value} copy of example {copy.target}  {test}  (class {label})"
            console.print(Text(cut(plain(line, style.ascii), console.width, style.ellipsis)))
            continue
        lines = [
            _fact("source", f"{name}  (class {copies.source_classes[copy.source]})", style),
            _fact("test", f"example {copy.target}  {test}  (class {label})", style),
            _fact("copy", kind, style),
        ]
        group = _group_of(reading, name)
        mine = album.of_group(group) if group is not None else None
        _print_pair(canvas, mine, album.of_example(copy.target), lines, wanted)
    if len(copies.pairs) > top:
        console.print(style.line(f"{style.ellipsis} {len(copies.pairs) - top:,} more (--top, --csv)", style.quiet))


def _group_of(reading: RunSnapshot, image: str) -> int | None:
    """The group that is this one image, if there is one."""
    groups = reading.info.source.groups
    return groups.index(image) if groups_are_images(reading.info) and image in groups else None


def _about(reading: RunSnapshot, leak: Leak, copy: str, style: Style) -> list[Text]:
    group, examples = reading.info.source.groups[leak.group], reading.examples
    source_class = source_class_of(reading.info, group)
    label = reading.target_info.classes[int(examples.labels[leak.example])]
    mark = "*" if leak.q < SIGNIFICANCE_LEVEL else " "
    return [
        _fact("source", group + (f"  (class {source_class})" if source_class else ""), style),
        _fact("test", f"example {leak.example}  {examples.names[leak.example]}  (class {label})", style),
        Text.assemble(
            (f"{'influence':<11}", style.quiet),
            (f"{style.before(leak.influence)}{leak.influence:+.3g}{mark}", style.effect(leak.influence)),
            (f"  [{leak.low:+.3g} to {leak.high:+.3g}]  q {leak.q:.2g}", style.quiet),
        ),
        *([Text.assemble((f"{'copy':<11}", style.quiet), (copy, "bold"))] if copy else []),
    ]


def _fact(label: str, text: str, style: Style) -> Text:
    shown = cut(plain(text, style.ascii), _LONGEST, style.ellipsis)
    return Text.assemble(
        (f"{label:<11}", style.quiet), shown, no_wrap=True, overflow="crop" if style.ascii else "ellipsis"
    )


def _print_pair(
    canvas: Canvas,
    source: "NDArray[np.uint8] | None",
    test: "NDArray[np.uint8] | None",
    lines: Sequence[Text],
    wanted: int | None,
) -> None:
    """Show two pictures side by side, and words beside them, or below where there is no room."""
    pictures = [pixels for pixels in (source, test) if pixels is not None]
    columns = min(wanted or COLUMNS, canvas.console.width // 2 - _GAP)
    words = Group(*lines, Text())  # joined to one text, the lines would be broken instead of cut
    if not pictures:
        canvas.console.print(words)
        return
    if canvas.protocol is not None:
        for pixels in pictures:
            canvas.show(pixels, columns)
        canvas.console.print(words)
        return
    grid = Table.grid(padding=(0, _GAP, 0, 0))
    drawn = [canvas.drawn(pixels, columns) for pixels in pictures]
    if canvas.console.width - len(drawn) * (columns + _GAP) >= 30:
        grid.add_row(*drawn, Group(*lines))
        canvas.console.print(grid, Text(), sep="\n")
        return
    grid.add_row(*drawn)
    canvas.console.print(grid, words)
