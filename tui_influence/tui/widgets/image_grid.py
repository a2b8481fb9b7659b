"""Images with captions in named rows, which page when they hold more than fits.

Everything that is shown fits: no scrolling, so that what helps and what hurts is seen at once; where not all rows fit,
those around the cursor's. The cursor goes over all images of a row, and the row turns its page under it. A picture
that is not drawn yet leaves its place blank; `missing` says which to draw.
"""

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style as RichStyle
from rich.text import Text
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui_influence.render.format import cut
from tui_influence.render.image_layout import IMAGE_GAP, CaptionedImage, ImageRow, Layout
from tui_influence.render.style import Style
from tui_influence.tui.actions import bindings
from tui_influence.tui.image_cache import ImageCache, ImageKey, ImageStrips


class ImageGrid(Widget, can_focus=True):
    """Shelves of images with a cursor."""

    help = (
        "Images of one class. Arrows go from image to image and turn the page at the edge; <grid.open> opens an image "
        "large; <grid.larger> and <grid.smaller> change their size."
    )

    scope = "grid"
    BINDINGS = bindings("grid")

    class Opened(Message):
        """An image is to be opened: the one at `index` among all images of the grid."""

        def __init__(self, tiles: Sequence[CaptionedImage], index: int) -> None:
            self.tiles, self.index = tiles, index
            super().__init__()

    class Turned(Message):
        """Other images are on the screen: some may have to be drawn."""

    def __init__(self, images: ImageCache, style: Style, *, id: str | None = None) -> None:
        """Begin without images.

        Args:
            images: where drawn images are.
            style: colours and signs.
            id: of the widget.
        """
        super().__init__(id=id)
        self._images, self._style, self._captions = images, style, 0
        self._shelves: Sequence[ImageRow] = ()
        self._shelf = 0
        self._cursors: list[int] = []
        self._image_size: int | None = None
        self._drawn: list[tuple[ImageStrips | None, bool]] = []

    @property
    def current(self) -> CaptionedImage | None:
        """The image under the cursor."""
        if not self._shelves or not self._shelves[self._shelf].images:
            return None
        return self._shelves[self._shelf].images[self._cursors[self._shelf]]

    @property
    def tiles(self) -> list[CaptionedImage]:
        """All images, shelf after shelf."""
        return [tile for shelf in self._shelves for tile in shelf.images]

    def show(self, shelves: Sequence[ImageRow], style: Style, *, captions: int = 0, follow: bool) -> None:
        """Show these images.

        Args:
            shelves: of images.
            style: colours and signs.
            captions: lines below each picture.
            follow: leave the cursor on its image where that is still there; otherwise it goes to the first.
        """
        tile_before = self.current if follow else None
        self._shelves, self._style, self._captions = shelves, style, captions
        self._cursors = [0] * len(shelves)
        self._shelf = next((index for index, shelf in enumerate(shelves) if shelf.images), 0)
        if tile_before is not None:
            self._find(tile_before)
        self.refresh()
        self.post_message(self.Turned())

    def select(self, tile: CaptionedImage) -> None:
        """Put the cursor on an image."""
        self._find(tile)
        self._follow_cursor()

    def missing(self, *, pages: int = 0) -> list[ImageKey]:
        """Return the keys of the pictures that are not drawn, of what is seen or so many pages after it."""
        return [key for key in self._keys(pages) if self._images.get(key) is None]

    def redraw(self) -> None:
        """Draw again if other pictures than before can be seen."""
        drawn = [(self._images.get(key), self._images.is_missing(key)) for key in self._keys(0)]
        if self._drawn != drawn:
            self._drawn = drawn
            self.refresh()

    def on_resize(self) -> None:
        """More or fewer images fit."""
        self.post_message(self.Turned())

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the image under the mouse; twice opens it."""
        position = self._at(event.x, event.y)
        if position is not None:
            self._shelf, self._cursors[position[0]] = position
            self._follow_cursor()
            if event.chain > 1:
                self.action_open()

    def action_step(self, by: int) -> None:
        """Go along the shelf."""
        if self._shelves and (tiles := self._shelves[self._shelf].images):
            self._cursors[self._shelf] = min(max(self._cursors[self._shelf] + by, 0), len(tiles) - 1)
            self._follow_cursor()

    def action_rows(self, by: int) -> None:
        """Go to the row above or below, on this shelf or the next."""
        room = self._room()
        if not self._shelves:
            return
        cursor, tiles = self._cursors[self._shelf], self._shelves[self._shelf].images
        start = room.start(cursor)
        row = (cursor - start) // room.across + by
        if 0 <= row < room.down and start + row * room.across < len(tiles):
            self._cursors[self._shelf] = min(cursor + by * room.across, len(tiles) - 1)
        else:
            self._to_shelf(by, (cursor - start) % room.across, room)
        self._follow_cursor()

    def action_edge(self, last: int) -> None:
        """Go to the first or last image of the shelf."""
        self.action_step(len(self.tiles) if last else -len(self.tiles))

    def action_open(self) -> None:
        """Open the image under the cursor."""
        if self.current is not None:
            before = sum(len(shelf.images) for shelf in self._shelves[: self._shelf])
            self.post_message(self.Opened(self.tiles, before + self._cursors[self._shelf]))

    def action_size(self, by: int) -> None:
        """Take the next size of pictures."""
        self._image_size = self._room().next_size(by)
        self._follow_cursor()

    def render_line(self, y: int) -> Strip:
        """Draw one line of the widget."""
        width = self.size.width
        blank = Strip.blank(width, self.rich_style)
        if not self._shelves:
            return blank
        room, visible = self._room(), self._visible_rows()
        at, line = divmod(y, room.row_height)
        if at >= len(visible):
            return blank
        number = visible[at]
        shelf, cursor = self._shelves[number], self._cursors[number]
        if line == 0:
            return self._line(self._title(number, room), width)
        if not shelf.images:
            return self._line(Text.assemble((f"  {shelf.empty}" if line == 1 else "", self._style.quiet)), width)
        row, inside = divmod(line - 1, room.tile_height)
        start = room.start(cursor) + row * room.across
        cells: list[Segment] = []
        for index in range(start, min(start + room.across, len(shelf.images))):
            current = number == self._shelf and index == cursor
            cells += self._cells(shelf.images[index], inside, room, current=current)
        return Strip(cells).adjust_cell_length(width, self.rich_style).apply_style(self.rich_style)

    def _cells(self, tile: CaptionedImage, inside: int, room: Layout, *, current: bool) -> list[Segment]:
        """One line of one image, with the gap after it."""
        columns, rows = room.columns, room.image_height
        gap = Segment(" " * IMAGE_GAP)
        if inside < rows:
            key = self._key(tile, room)
            drawn = self._images.get(key)
            if drawn is not None and inside < len(drawn):
                left = (columns - drawn[inside].cell_length) // 2
                return [*Strip.join([Strip.blank(left), drawn[inside]]).adjust_cell_length(columns), gap]
            text = "no image" if self._images.is_missing(key) and inside == rows // 2 else ""
            return [Segment(f"{cut(text, columns):^{columns}}", RichStyle.parse(self._style.quiet)), gap]
        index = inside - rows
        caption = tile.caption[index].copy() if index < min(len(tile.caption), self._captions) else Text("")
        caption.truncate(columns, overflow="ellipsis" if not self._style.ascii else "crop", pad=True)
        if current and index < self._captions:
            caption.stylize(self._style.cursor)
        return [*(segment for segment in caption.render(self.app.console) if segment.text != "\n"), gap]

    def _title(self, number: int, room: Layout) -> Text:
        shelf = self._shelves[number]
        title = shelf.title.copy()
        if len(shelf.images) > room.per_page:
            start = room.start(self._cursors[number])
            last = min(start + room.per_page, len(shelf.images))
            title.append(f"  {start + 1} to {last} of {len(shelf.images)}", style=self._style.quiet)
        if not room.shows_all:
            title.append(f"  {self._style.glyph('↕', 'up, down:')} {number + 1}/{len(self._shelves)}")
        return title

    def _line(self, text: Text, width: int) -> Strip:
        text.truncate(width, overflow="crop")
        segments = [segment for segment in text.render(self.app.console) if segment.text != "\n"]
        return Strip(segments).adjust_cell_length(width, self.rich_style).apply_style(self.rich_style)

    def _find(self, wanted_tile: CaptionedImage) -> None:
        for number, shelf in enumerate(self._shelves):
            for index, tile in enumerate(shelf.images):
                if (tile.target, tile.index) == (wanted_tile.target, wanted_tile.index):
                    self._shelf, self._cursors[number] = number, index
                    return

    def _to_shelf(self, by: int, column: int, room: Layout) -> None:
        number = self._shelf + by
        while 0 <= number < len(self._shelves):
            tiles = self._shelves[number].images
            if tiles:
                start = room.start(self._cursors[number])
                on_page = min(room.per_page, len(tiles) - start)
                row = 0 if by > 0 else (on_page - 1) // room.across
                self._shelf = number
                self._cursors[number] = start + min(row * room.across + column, on_page - 1)
                return
            number += by

    def _at(self, x: int, y: int) -> tuple[int, int] | None:
        room, visible = self._room(), self._visible_rows()
        at, line = divmod(y, room.row_height)
        across, inside = divmod(x, room.columns + IMAGE_GAP)
        if at >= len(visible) or line == 0 or across >= room.across or inside >= room.columns:
            return None
        number = visible[at]
        start = room.start(self._cursors[number])
        index = start + (line - 1) // room.tile_height * room.across + across
        return (number, index) if index < len(self._shelves[number].images) else None

    def _follow_cursor(self) -> None:
        self.refresh()
        self.post_message(self.Turned())

    def _keys(self, pages: int) -> list[ImageKey]:
        """Keys of the pictures that are seen, or so many pages after them."""
        room = self._room()
        keys = []
        for number in self._visible_rows():
            start = room.start(self._cursors[number]) + pages * room.per_page
            keys += [self._key(tile, room) for tile in self._shelves[number].images[start : start + room.per_page]]
        return keys

    def _visible_rows(self) -> range:
        """Return the rows that are on the screen: all, or the screenful of them that holds the cursor."""
        count, n_visible = len(self._shelves), self._room().visible_rows
        first = min(self._shelf // max(n_visible, 1) * n_visible, count - n_visible)
        return range(first, first + n_visible)

    def _key(self, tile: CaptionedImage, layout: Layout) -> ImageKey:
        return ImageKey(tile.target, tile.index, layout.columns, self._style)

    def _room(self) -> Layout:
        return Layout(self.size.width, self.size.height, len(self._shelves), self._captions, self._image_size)
