"""A screen as text that a person can read in a diff: its lines, then how they are styled.

     digits  all classes, margin, difference              reliability 0.97, solid
    ...
    ===
     2     9 foreground bold, 71 foreground
     5-12  6 quiet, 12 good, 20 on #ffffff

Cells, and their style: colour by its name in the style or the theme, attributes, and "on" a background other than the
screen's. Blanks have no colour of their own and count with what is before them. Lines without any style are left out.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby

from rich.segment import Segment

from tui_influence.tui.app import ExploreApp

_OF_THE_THEME = ("foreground", "background", "surface", "panel", "panel-lighten-2", "cursor-back", "success")
_OF_THE_STYLE = ("good", "bad", "quiet", "warning", "error")
_ATTRIBUTES = ("bold", "dim", "italic", "underline")


def screen_as_text(app: ExploreApp) -> str:
    """Return what is on the screen, with its styles."""
    strips = app.screen._compositor.render_strips(app.size)
    names = {app.theme_variables[name].casefold(): name for name in _OF_THE_THEME}
    names |= {getattr(app.state.style, name).casefold(): name for name in _OF_THE_STYLE}
    plain = app.theme_variables["background"].casefold()
    styles = [(number, _styles(strip, names, plain)) for number, strip in enumerate(strips, 1)]
    written = [strip.text.rstrip() for strip in strips]
    for style, lines in groupby(styles, key=lambda found: found[1]):
        numbers = [number for number, _ in lines]
        if style:
            span = f"{numbers[0]}-{numbers[-1]}" if len(numbers) > 1 else f"{numbers[0]}"
            written.append(f"{span:<5}  {style}")
    return "\n".join([*written[: len(strips)], "===", *written[len(strips) :]]) + "\n"


def _styles(strip: Iterable[Segment], names: dict[str, str], plain: str) -> str:
    runs: list[tuple[str, str, int]] = []
    for front, back, cells in _pieces(strip, names, plain):
        last = runs[-1] if runs else ("", "", 0)
        if back == last[1] and front in ("", last[0]):
            runs[-1:] = [(last[0], back, last[2] + cells)]
        else:
            runs.append((front, back, cells))
    while runs and not any(runs[-1][:2]):
        runs.pop()
    return ", ".join(" ".join(part for part in (str(cells), front, back) if part) for front, back, cells in runs)


def _pieces(strip: Iterable[Segment], names: dict[str, str], plain: str) -> Iterator[tuple[str, str, int]]:
    """Yield how letters are styled, what is behind them, and their cells; of blanks, only what is behind."""
    for segment in strip:
        style = segment.style
        if style is None or segment.control:
            continue
        colours = ["default" if one is None else one.get_truecolor().hex for one in (style.color, style.bgcolor)]
        front, back = reversed(colours) if style.reverse else colours
        letters = " ".join([names.get(front, front), *(name for name in _ATTRIBUTES if getattr(style, name))])
        behind = f"on {names.get(back, back)}" if back != plain else ""
        for blank, group in groupby(segment.text, key=str.isspace):
            yield "" if blank else letters, behind, Segment("".join(group)).cell_length
