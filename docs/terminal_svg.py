"""A terminal's screen as an SVG that looks the same everywhere.

It refers to no font and to nothing else outside itself. Blocks and lines are drawn as shapes, not as letters, so that
pictures and whiskers join whatever font a viewer has; every piece of text is held to the width of its cells.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from rich.cells import cell_len
from rich.color import Color
from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import DEFAULT_TERMINAL_THEME

CELL, LINE = 10, 20
"""Pixels that a cell is wide and high: half a cell is a square."""
_MARGIN = 12
_BASELINE = 15
_FONT = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_FONT_SIZE = 16.6
"""A monospaced letter is 0.6 of this wide in nearly every font: one cell."""
_THIN = 1.5

Rectangle = tuple[float, float, float, float]
"""x, y, width, height in pixels."""


@dataclass(frozen=True)
class _Ink:
    """How a piece of text is written."""

    fill: str
    bold: bool


def svg(lines: Sequence[Iterable[Segment]], width: int, background: str, title: str) -> str:
    """Draw a screen.

    Args:
        lines: segments of each line, every one with a colour and a background.
        width: of the screen, in cells.
        background: colour around the cells, as "#rrggbb".
        title: what is to be seen, for those who cannot see it.
    """
    behind: list[tuple[Rectangle, str]] = []
    blocks: list[tuple[Rectangle, str]] = []
    rules: list[tuple[Rectangle, str]] = []
    texts: dict[_Ink, list[str]] = defaultdict(list)
    for row, line in enumerate(lines):
        x, y = 0, row * LINE
        for text, style, control in line:
            if control or not text:
                continue
            fill, back = _colours(style or Style())
            behind.append(((x, y, CELL * cell_len(text), LINE), back))
            ink = _Ink(fill, bool(style and style.bold))
            for place, piece in _pieces(text):
                at = x + CELL * place
                if piece in BLOCKS:
                    left, top, across, down = BLOCKS[piece]
                    blocks.append(((at + left, y + top, across, down), fill))
                elif piece in SHADES:
                    blocks.append(((at, y, CELL, LINE), _between(fill, back, SHADES[piece])))
                elif piece in RULES:
                    rules += [((at + left, y + top, w, h), fill) for left, top, w, h in RULES[piece]]
                else:
                    where = f'x="{at}" y="{y + _BASELINE}" textLength="{CELL * cell_len(piece)}"'
                    texts[ink].append(f"<text {where}>{escape(piece)}</text>")
            x += CELL * cell_len(text)
    size = (CELL * width + 2 * _MARGIN, LINE * len(lines) + 2 * _MARGIN)
    written = [
        f'<g fill="{ink.fill}" font-weight="{"bold" if ink.bold else "normal"}">{"".join(pieces)}</g>'
        for ink, pieces in texts.items()
    ]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect x="0.5" y="0.5" width="{size[0] - 1}" height="{size[1] - 1}" rx="8" fill="{background}" '
        'stroke="#808890" stroke-opacity="0.5"/>',
        f'<g transform="translate({_MARGIN} {_MARGIN})">',
        '<g shape-rendering="crispEdges">',
        *_paths((rectangle, colour) for rectangle, colour in behind if colour != background),
        *_paths(blocks),
        "</g>",
        *_paths(rules),
        f'<g font-family="{_FONT}" font-size="{_FONT_SIZE}" xml:space="preserve">',
        *written,
        "</g>",
        "</g>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """Yield shapes one by one, and words with the single spaces between them; each with its cell."""
    place, start, held = 0, 0, ""
    for letter in text:
        shape = letter in BLOCKS or letter in SHADES or letter in RULES
        if held and (shape or (letter == " " and held.endswith(" "))):
            if held.strip():
                yield start, held.rstrip()
            held = ""
        if shape:
            yield place, letter
        elif held or letter != " ":
            start = start if held else place
            held += letter
        place += cell_len(letter)
    if held.strip():
        yield start, held.rstrip()


def _paths(rectangles: Iterable[tuple[Rectangle, str]]) -> Iterator[str]:
    """Yield one path a colour; rectangles that touch are joined first along a line, then down."""
    rows: list[tuple[Rectangle, str]] = []
    for (x, y, w, h), colour in sorted(rectangles, key=lambda found: (found[0][1], found[0][3], found[0][0])):
        if rows and rows[-1][1] == colour and rows[-1][0][1::2] == (y, h) and rows[-1][0][0] + rows[-1][0][2] == x:
            left, _, before, _ = rows[-1][0]
            rows[-1] = ((left, y, before + w, h), colour)
        else:
            rows.append(((x, y, w, h), colour))
    columns: dict[str, list[Rectangle]] = defaultdict(list)
    above: dict[tuple[float, float, float, str], int] = {}
    for (x, y, w, h), colour in rows:
        place = above.pop((x, w, y, colour), None)
        if place is None:
            place = len(columns[colour])
            columns[colour].append((x, y, w, h))
        else:
            _, top, _, before = columns[colour][place]
            columns[colour][place] = (x, top, w, before + h)
        above[x, w, y + h, colour] = place
    for colour, found in columns.items():
        yield f'<path fill="{colour}" d="{"".join(f"M{x:g} {y:g}h{w:g}v{h:g}h{-w:g}z" for x, y, w, h in found)}"/>'


def _colours(style: Style) -> tuple[str, str]:
    fill, back = _rgb(style.color, foreground=True), _rgb(style.bgcolor, foreground=False)
    return (back, fill) if style.reverse else (fill, back)


def _rgb(colour: Color | None, *, foreground: bool) -> str:
    return (colour or Color.default()).get_truecolor(DEFAULT_TERMINAL_THEME, foreground=foreground).hex


def _between(fill: str, back: str, share: float) -> str:
    """Mix two colours."""
    two = (Color.parse(fill).get_truecolor(), Color.parse(back).get_truecolor())
    return ColorTriplet(*(round(share * a + (1 - share) * b) for a, b in zip(*two, strict=True))).hex


def _rules() -> Iterator[tuple[str, tuple[Rectangle, ...]]]:
    """Yield the lines of box drawing, from the arms that each has."""
    middle, centre = (CELL - _THIN) / 2, (LINE - _THIN) / 2
    arms: dict[str, Rectangle] = {
        "l": (0, centre, CELL / 2, _THIN),
        "r": (CELL / 2, centre, CELL / 2, _THIN),
        "u": (middle, 0, _THIN, LINE / 2),
        "d": (middle, LINE / 2, _THIN, LINE / 2),
    }
    for found in ("─lr", "│ud", "┌dr", "┐dl", "└ur", "┘ul", "├udr", "┤udl", "┬lrd", "┴lru", "┼lrud"):
        yield found[0], tuple(arms[arm] for arm in found[1:])
    yield "┄", tuple((CELL * (third + 0.2) / 3, centre, CELL * 0.6 / 3, _THIN) for third in range(3))


BLOCKS: dict[str, Rectangle] = {
    "▀": (0, 0, CELL, LINE / 2),
    "▐": (CELL / 2, 0, CELL / 2, LINE),
    **{chr(0x2580 + n): (0, LINE - LINE * n / 8, CELL, LINE * n / 8) for n in range(1, 9)},
    **{chr(0x2590 - n): (0, 0, CELL * n / 8, LINE) for n in range(1, 8)},
}
"""Letters that are one rectangle of their cell."""
SHADES = {"░": 0.25, "▒": 0.5, "▓": 0.75}
"""Letters that are a mixture of their two colours, and the share of the first."""
RULES = dict(_rules())
"""Letters that are thin lines, as rectangles of their cell."""
