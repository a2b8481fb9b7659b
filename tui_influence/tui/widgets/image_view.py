"""One picture, as large as its room allows."""

from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui_influence.render.style import Style
from tui_influence.tui.image_cache import ImageCache, ImageKey

_MOST = 96
"""Cells of the largest picture: thumbnails hold no more than this shows."""


class ImageView(Widget):
    """Shows a square picture; says by a message when it wants another size of it."""

    class Wanted(Message):
        """A picture is to be drawn."""

        def __init__(self, key: ImageKey) -> None:
            self.key = key
            super().__init__()

    def __init__(self, album: ImageCache, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._album = album
        self._about: tuple[int | None, int, Style] | None = None

    def show(self, target: int | None, place: int, style: Style) -> None:
        """Show a test example of a target; of None, a sample image of the source."""
        self._about = (target, place, style)
        self.call_later(self._want)  # as its own message: one that a screen posts on its behalf ends at that screen
        self.refresh()

    def on_resize(self) -> None:
        """Take the largest picture for the new size."""
        self._want()

    def render_line(self, y: int) -> Strip:
        """Draw one line, centred."""
        width, key = self.size.width, self._key()
        drawn = self._album.get(key) if key is not None else None
        if key is None or drawn is None or y >= len(drawn):
            text = (
                "no picture" if key is not None and self._album.is_missing(key) and y == self.size.height // 2 else ""
            )
            return Strip.blank(width, self.rich_style) if not text else self._line(text, width)
        left = Strip.blank((width - drawn[y].cell_length) // 2, self.rich_style)
        return Strip.join([left, drawn[y]]).adjust_cell_length(width, self.rich_style)

    def _line(self, text: str, width: int) -> Strip:
        from rich.segment import Segment

        return Strip([Segment(f"{text:^{width}}"[:width], self.rich_style)])

    def _key(self) -> ImageKey | None:
        if self._about is None:
            return None
        target, place, style = self._about
        columns = min(self.size.width, 2 * self.size.height, _MOST)
        return ImageKey(target, place, columns, style) if columns >= 2 else None

    def _want(self) -> None:
        key = self._key()
        if key is not None and self._album.get(key) is None:
            self.post_message(self.Wanted(key))
