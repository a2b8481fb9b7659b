"""The removal curve as a figure for a paper: accuracy above, margin below, one column of a two-column page wide.

The only importer of matplotlib, which comes with the extra `figure`. It draws without pyplot: no display, no figure
that outlives the call, and none of the user's own style, so the same results make the same bytes (of one version of
matplotlib). Text from the run is drawn as it is: never as mathtext, nor as TeX.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_influence.errors import ConfigError, ResultsError
from tui_influence.pruning.curve import ARM_STYLES, KEEP_EVERYTHING, ArmStyle, drop_axis_label, removal_curves
from tui_influence.pruning.types import Point, PruningResults, Quantity, RemovalCurves
from tui_influence.render.format import cut
from tui_influence.text import pluralize, printable

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UNDATED: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
"""By suffix: what would make two files of the same results differ."""
_WIDTH = 3.4
"""Inches: the column of most two-column layouts."""
_HEIGHT, _KEY_LINE = 3.9, 0.13
"""Inches of all but the key, and of a line of it."""
_DPI = 400
_PANELS: tuple[tuple[Quantity, str, float], ...] = (("accuracy", "accuracy (%)", 100), ("margin", "margin (nats)", 1))
"""Quantity, axis label, factor to its unit."""
_BAND, _EDGE = 0.13, 0.5
"""Opacity of a band and of its edge."""
_GREY = "#595959"
_LIST_MARKERS = ("P", "X", "p", "h", "8", "<", ">")
_KEY_COLUMNS = 2
_LABEL, _TITLE = 27, 58
"""Cells of a label in the key and of the title: what fits the width."""
_TICK_SPACE = 0.07
"""Of the axis, between two numbers on it at least."""
_FONT = "DejaVu Sans"
"""Comes with matplotlib: the layout is the same on every machine."""
_STYLE: dict[str, Any] = {
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 7,
    "figure.constrained_layout.h_pad": 0.03,
    "font.family": "sans-serif",
    "font.sans-serif": [_FONT, "Verdana", "Arial", "Helvetica"],  # an SVG is shown where the first may be missing
    "font.size": 8,
    "legend.fontsize": 7,
    "legend.title_fontsize": 7,
    "lines.linewidth": 1.1,
    "lines.markersize": 4,
    "pdf.fonttype": 42,  # TrueType: text stays text; journals refuse the default
    "svg.fonttype": "none",  # likewise
    "svg.hashsalt": "tinfl",
    "text.parse_math": False,
    "xtick.labelsize": 7,
    "xtick.major.width": 0.6,
    "xtick.minor.width": 0.6,
    "ytick.labelsize": 7,
    "ytick.major.width": 0.6,
}


def figure_format(path: Path) -> str:
    """Return the format that the suffix of a figure's file names: svg, pdf or png.

    Raises:
        ConfigError: it is another.
    """
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in UNDATED:
        raise ConfigError(f"{printable(str(path))}: a figure is .svg, .pdf or .png")
    return suffix


def removal_figure(results: PruningResults, form: str) -> bytes:
    """Return the figure as the content of a file.

    Args:
        results: a pruning.
        form: as `figure_format` returns it.

    Raises:
        ConfigError: matplotlib is not installed.
        ResultsError: there are no two points to compare yet.
    """
    curves = [removal_curves(results, quantity) for quantity, _, _ in _PANELS]
    if len(curves[0].ks()) < 2:
        raise ResultsError("no figure yet: at least two drop counts must be retrained")
    with figure_style():
        content = BytesIO()
        _draw(results, curves).savefig(content, format=form, dpi=_DPI, metadata=UNDATED[form])
    return content.getvalue()


@contextmanager
def figure_style() -> Iterator[None]:
    """Draw in the style of figures for a paper, whatever the user's own style is.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        import matplotlib.style
    except ModuleNotFoundError as error:
        raise ConfigError("a figure needs matplotlib: pip install matplotlib") from error
    with matplotlib.style.context("default"), matplotlib.rc_context(_STYLE):  # type: ignore[arg-type]  # its keys
        yield


def _draw(results: PruningResults, curves: Sequence[RemovalCurves]) -> "Figure":
    from matplotlib.figure import Figure

    entries = 1 + len(curves[0].by_kind) + len(curves[0].lists)
    figure = Figure(figsize=(_WIDTH, _HEIGHT + _KEY_LINE * ceil(entries / _KEY_COLUMNS)), layout="constrained")
    panels = figure.subplots(len(_PANELS), 1, sharex=True)
    handles: dict[str, Artist] = {}
    for axes, curves_of_panel, (quantity, words, unit) in zip(panels, curves, _PANELS, strict=True):
        handles = _panel(axes, curves_of_panel, quantity, unit)
        axes.set_ylabel(words)
    panels[0].set_title(_title(results))
    panels[-1].set_xlabel(drop_axis_label(results))
    _number_axis(panels[-1], curves[0].ks())
    figure.align_ylabels(panels)
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside lower center",
        ncols=_KEY_COLUMNS,
        frameon=False,
        title=f"mean and 95% interval, {_seeds(curves[0].points())}",
        handlelength=3.2,
        columnspacing=1.2,
        labelspacing=0.35,
    )
    return figure


def _panel(axes: "Axes", curves: RemovalCurves, quantity: Quantity, unit: float) -> "dict[str, Artist]":
    """Draw a quantity; return what the key shows, by label.

    What is drawn has a name in an SVG (`accuracy-lowest`, `margin-random-band`), for who edits it.
    """
    handles: dict[str, Artist] = {}
    begin = curves.everything
    if begin is not None:
        axes.axhline(unit * begin.mean.value, color=_GREY, linewidth=0.5, dashes=(1, 2), zorder=1)
        handles[KEEP_EVERYTHING.label] = _single_point(
            axes, begin, unit, KEEP_EVERYTHING.color, KEEP_EVERYTHING.marker, f"{quantity}-all"
        )
    for order, (kind, points) in enumerate(curves.by_kind.items()):
        whole = [*([begin] if begin is not None else []), *points]
        handles[ARM_STYLES[kind].label] = _curve(
            axes, whole, unit, ARM_STYLES[kind], f"{quantity}-{kind}", 3 - order / 10
        )
    for number, (label, point) in enumerate(curves.lists):
        marker = _LIST_MARKERS[number % len(_LIST_MARKERS)]
        artist = _single_point(axes, point, unit, _GREY, marker, f"{quantity}-list-{number + 1}")
        handles[_unique(cut(_drawable(label), _LABEL), handles)] = artist
    return handles


def _curve(axes: "Axes", points: Sequence[Point], unit: float, style: ArmStyle, name: str, order: float) -> "Artist":
    """Draw a band and a line; the marker of keeping everything is left to that."""
    ks = [point.k for point in points]
    axes.fill_between(
        ks,
        [unit * point.mean.low for point in points],
        [unit * point.mean.high for point in points],
        facecolor=(style.color, _BAND),
        edgecolor=(style.color, _EDGE),
        linewidth=0.4,
        gid=f"{name}-band",
        zorder=order - 1,
    )
    (line,) = axes.plot(
        ks,
        [unit * point.mean.value for point in points],
        color=style.color,
        marker=style.marker,
        markevery=[index for index, k in enumerate(ks) if k],
        markerfacecolor=style.color if style.filled else "white",
        gid=name,
        zorder=order,
    )
    if style.dashes:
        line.set_dashes(style.dashes)
    return line


def _single_point(axes: "Axes", point: Point, unit: float, color: str, marker: str, name: str) -> "Artist":
    """Draw an arm that is no part of a curve, with its interval as a bar."""
    low, high = point.ends
    axes.vlines(point.k, unit * low, unit * high, color=color, linewidth=0.8, gid=f"{name}-bar", zorder=3)
    (mark,) = axes.plot(
        [point.k],
        [unit * point.mean.value],
        color=color,
        marker=marker,
        markersize=5.5,
        markeredgecolor="white",
        markeredgewidth=0.4,
        linestyle="",
        gid=name,
        zorder=4,
    )
    return mark


def _number_axis(axes: "Axes", ks: Sequence[int]) -> None:
    """Number the axis where something is measured, as far as there is room; a small tick marks the others."""
    numbered: list[int] = []
    for k in ks:
        if not numbered or k - numbered[-1] >= _TICK_SPACE * ks[-1]:
            numbered.append(k)
    axes.set_xticks(numbered)
    axes.set_xticks([k for k in ks if k not in numbered], minor=True)


def _title(results: PruningResults) -> str:
    names = ", ".join(f"{_drawable(target.name)} ({_drawable(target.transfer)})" for target in results.info.targets)
    half = "; evaluate half"
    return cut(names, _TITLE - len(half)) + half


def _seeds(points: Sequence[Point]) -> str:
    counts = sorted({point.seeds for point in points})
    return pluralize(counts[0], "seed") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"


def _unique(label: str, taken: "dict[str, Artist]") -> str:
    """Return a label that is not in the key yet: lists in different directories may share a file name."""
    number = 2
    unique = label
    while unique in taken:
        unique, number = f"{label} ({number})", number + 1
    return unique


def _drawable(text: str) -> str:
    r"""Return text of the run as this font can show it: letters that it lacks as escapes (`\u4e2d`)."""
    from matplotlib.font_manager import findfont, get_font

    charmap = get_font(findfont(_FONT)).get_charmap()
    return "".join(
        char if ord(char) in charmap else char.encode("ascii", "backslashreplace").decode("ascii")
        for char in printable(text)
    )
