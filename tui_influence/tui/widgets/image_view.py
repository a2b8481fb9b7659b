"""One image, as large as its room allows."""

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from tui_influence.render.style import Style
from tui_influence.tui.image_cache import ImageCache, ImageKey
from tui_influence.tui.messages import ImagesNeeded

_MAX_COLUMNS = 96
"""Cells of the widest image: thumbnails hold no more than this shows."""


class ImageView(Widget):
    """Shows a square image; asks by a message for the size that it needs."""

    def __init__(self, images: ImageCache, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._images = images
        self._subject: tuple[int | None, int, Style] | None = None

    def show(self, target: int | None, index: int, style: Style) -> None:
        """Show a test example of a target; of None, a stored image of the source."""
        self._subject = (target, index, style)
        self.call_later(self._request_image)  # by itself: what a screen posts on its behalf ends at that screen
        self.refresh()

    def on_resize(self) -> None:
        """Take the largest image for the new size."""
        self._request_image()

    def render_line(self, y: int) -> Strip:
        """Draw one line, centred."""
        width, key = self.size.width, self._key()
        strips = self._images.get(key) if key is not None else None
        if strips is not None and y < len(strips):
            left = Strip.blank((width - strips[y].cell_length) // 2, self.rich_style)
            return Strip.join([left, strips[y]]).adjust_cell_length(width, self.rich_style)
        is_missing = strips is None and key is not None and self._images.is_missing(key)
        if is_missing and y == self.size.height // 2:
            return Strip([Segment(f"{'no image':^{width}}"[:width], self.rich_style)])
        return Strip.blank(width, self.rich_style)

    def _key(self) -> ImageKey | None:
        if self._subject is None:
            return None
        target, index, style = self._subject
        columns = min(self.size.width, 2 * self.size.height, _MAX_COLUMNS)
        return ImageKey(target, index, columns, style) if columns >= 2 else None

    def _request_image(self) -> None:
        key = self._key()
        if key is not None and self._images.get(key) is None:
            self.post_message(ImagesNeeded([key]))
