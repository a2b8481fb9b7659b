"""A log that scrolls: lines are drawn when they are seen, so a hundred thousand cost no more than a hundred."""

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style as RichStyle
from rich.text import Text
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui_influence.render.run_words import Level
from tui_influence.render.style import Style
from tui_influence.tui.actions import bindings
from tui_influence.tui.background import LogLine

_SIGNS = {Level.INFO: " ", Level.WARNING: "!", Level.ERROR: "X"}


class LogView(ScrollView, can_focus=True):
    """Lines of at least a level; follows the end, or finds what is searched for."""

    scope = "lines"
    help = (
        "The log of the run. The newest line comes last. ! is a warning, X an error: a model that was given up, with "
        "its reason. Scrolling up stops following; <log.follow> goes back to the end and follows again. <log.level> "
        "filters by level, <log.search> searches."
    )
    BINDINGS = bindings("lines")

    def __init__(self, style: Style) -> None:
        super().__init__()
        self.follow = True
        self.level = Level.INFO
        self._style = style
        self._lines: Sequence[LogLine] = ()
        self._line_indices: list[int] = []
        self._read = 0
        self._part = ""
        self._hits: list[int] = []
        self._hit = -1

    @property
    def counts(self) -> tuple[int, int]:
        """Lines shown, and lines in all."""
        return len(self._line_indices), self._read

    @property
    def hits(self) -> tuple[int, int]:
        """The number of the current hit, from 1, and of all hits."""
        return self._hit + 1, len(self._hits)

    def show(self, lines: Sequence[LogLine], style: Style) -> None:
        """Show a log that may have grown since the last time."""
        other = lines is not self._lines or len(lines) < self._read
        if not other and len(lines) == self._read and style == self._style:
            return
        if other:
            self._lines, self._line_indices, self._read, self._hits, self._hit = lines, [], 0, [], -1
        self._style = style
        for index in range(self._read, len(lines)):
            self._add(index)
        self._read = len(lines)
        self._update_size()

    def filter(self, level: Level) -> None:
        """Show only lines of this level or above."""
        self.level = level
        self._rebuild()

    def search(self, part: str) -> None:
        """Search; from what is on the screen on."""
        self._part = part.casefold()
        self._rebuild()
        if self._hits:
            self._hit = next((n for n, hit in enumerate(self._hits) if hit >= self.scroll_offset.y), 0)
            self._reveal()

    def step(self, by: int) -> None:
        """Go to the next hit, or the one before, around."""
        if self._hits:
            self._hit = (self._hit + by) % len(self._hits)
            self._reveal()

    def set_follow(self, follow: bool) -> None:
        """Stay at the end, or not."""
        self.follow = follow
        self._update_size()

    def on_resize(self) -> None:
        """Lay out for the new size."""
        self._update_size()

    def watch_show_vertical_scrollbar(self) -> None:
        """Go to the end now that there is a bar: without one, Textual does not scroll, nor move the bar when forced."""
        if self.follow:
            self.call_after_refresh(self._to_end)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Stop to follow when scrolled up, and follow again at the end."""
        super().watch_scroll_y(old_value, new_value)
        if new_value < old_value:
            self.follow = self.follow and self.max_scroll_y <= new_value
        elif new_value > old_value and new_value >= self.max_scroll_y and not self._hits:
            self.follow = True

    def render_line(self, y: int) -> Strip:
        """Draw one line of the screen."""
        index = self.scroll_offset.y + y
        width = self.scrollable_content_region.width
        if index >= len(self._line_indices):
            return Strip.blank(width, self.rich_style)
        line, style = self._lines[self._line_indices[index]], self._style
        text_style = {Level.INFO: "", Level.WARNING: style.warning, Level.ERROR: style.error}[line.level]
        stamp = line.time if width >= 100 else line.time[-8:]
        room = width - len(stamp) - 4
        text = Text(style.cut(line.text, max(room, 1)), style=text_style)
        if self._part:
            text.highlight_words([self._part], style.match, case_sensitive=False)
        current = self._hit >= 0 and self._hits[self._hit] == index
        parts = [
            Segment(f"{_SIGNS[line.level]} ", RichStyle.parse(text_style)),
            Segment(f"{stamp}  ", RichStyle.parse(style.quiet)),
            *text.render(self.app.console),
        ]
        strip = Strip([part for part in parts if part.text != "\n"]).adjust_cell_length(width)
        return strip.apply_style(self.rich_style + RichStyle.parse(style.cursor) if current else self.rich_style)

    def _rebuild(self) -> None:
        self._line_indices, self._hits, self._hit = [], [], -1
        for index in range(self._read):
            self._add(index)
        self._update_size()

    def _add(self, index: int) -> None:
        line = self._lines[index]
        if line.level >= self.level:
            if self._part and self._part in line.text.casefold():
                self._hits.append(len(self._line_indices))
            self._line_indices.append(index)

    def _update_size(self) -> None:
        self.virtual_size = Size(self.scrollable_content_region.width, len(self._line_indices))
        if self.follow:
            self.call_after_refresh(self._to_end)  # only then it knows how long it is
        self.refresh()

    def _to_end(self) -> None:
        if self.follow:
            self.scroll_end(animate=False, immediate=True)

    def _reveal(self) -> None:
        self.follow = False
        self.scroll_to(y=max(self._hits[self._hit] - self.size.height // 2, 0), animate=False, immediate=True)
        self.refresh()
