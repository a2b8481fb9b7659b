"""Lines of text that change now and then: only those that differ are drawn again, so that a slow link has little to do.

Textual draws a `Static` whole when it is given another text; a run that is followed changes a few lines a second.
"""

from collections.abc import Sequence

from rich.style import Style
from rich.text import Text
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget


class IncrementalText(Widget):
    """Lines, wrapped to its width; laid out with `height: auto`, it is as high as they are."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: tuple[Text, ...] = ()
        self._drawn: tuple[tuple[Text, ...], int, Style, list[Strip]] = ((), 0, Style(), [])

    def show(self, lines: Sequence[Text]) -> None:
        """Show these lines."""
        width = self.size.width
        before = self._strips(width)
        self._lines = tuple(lines)
        now = self._strips(width)
        if len(now) != len(before):
            self.refresh(layout=True)
            return
        changed = [y for y, (old, new) in enumerate(zip(before, now, strict=True)) if old != new]
        if changed:
            self.refresh(*(Region(0, y, width, 1) for y in changed))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return how many lines there are at a width."""
        return len(self._strips(width))

    def render_line(self, y: int) -> Strip:
        """Draw one line of the widget."""
        strips = self._strips(self.size.width)
        return strips[y] if y < len(strips) else Strip.blank(self.size.width, self.rich_style)

    def _strips(self, width: int) -> list[Strip]:
        """All lines at a width, drawn once."""
        style = self.rich_style
        lines, known_width, known_style, strips = self._drawn
        if lines is not self._lines or known_width != width or known_style != style:
            console = self.app.console
            wrapped = [part for line in self._lines for part in line.wrap(console, max(width, 1))]
            for part in wrapped:
                part.stylize_before(part.style)  # which `render` leaves out where nothing else is styled
            strips = [
                Strip([segment for segment in part.render(console) if segment.text != "\n"])
                .adjust_cell_length(width, style)
                .apply_style(style)
                for part in wrapped
            ]
            self._drawn = (self._lines, width, style, strips)
        return strips
