"""Where images stand: named shelves of tiles, and how many of them, how large, fit into a room of cells.

Pure arithmetic. A picture is square, and a cell twice as high as it is wide.
"""

from dataclasses import dataclass

from rich.text import Text

IMAGE_WIDTHS = (12, 16, 20, 24, 32)
"""Widths of a picture, in cells."""
IMAGE_GAP = 2
"""Cells between two pictures."""
_SIDE_BY_SIDE = (4, 3, 2)
"""Pictures that are shown side by side, unless a size was chosen: fewer where they would be hard to recognise."""
_MIN_ROW_HEIGHT = 7
"""Lines below which a picture is no picture: then there are fewer shelves at a time."""


@dataclass(frozen=True)
class CaptionedImage:
    """An image in a row.

    Attributes:
        target: position of the target whose test example it is; None for a sample of the source.
        place: its number there.
        caption: lines below it.
    """

    target: int | None
    index: int
    caption: tuple[Text, ...]


@dataclass(frozen=True)
class ImageRow:
    """A row of images.

    Attributes:
        title: what they have in common.
        tiles: the images.
        empty: what is said where there is none.
    """

    title: Text
    images: tuple[CaptionedImage, ...]
    empty: str = "none"


@dataclass(frozen=True)
class Layout:
    """How shelves stand in a room.

    Attributes:
        width: of the room, in cells.
        height: of the room, in lines.
        shelves: how many there are.
        captions: lines below each picture.
        chosen: width of a picture that was asked for; None for what fits best. It never exceeds the room.
    """

    width: int
    height: int
    rows: int
    captions: int
    chosen_columns: int | None = None

    @property
    def shows_all(self) -> bool:
        """Whether all shelves are seen at once."""
        return self.visible_rows == self.rows

    @property
    def visible_rows(self) -> int:
        """Shelves that are seen at once."""
        return min(max(self.height // (1 + _MIN_ROW_HEIGHT + self.captions), 1), self.rows)

    @property
    def columns(self) -> int:
        """Width of a picture, in cells."""
        tall = 2 * (self.height // max(self.visible_rows, 1) - 1 - self.captions)
        fits = max(min(self.width, tall), 2)
        if self.chosen_columns is not None:
            return min(self.chosen_columns, fits)
        for count in _SIDE_BY_SIDE:
            enough = [size for size in IMAGE_WIDTHS[1:] if size <= (self.width + IMAGE_GAP) // count - IMAGE_GAP]
            if enough:
                return min(enough[-1], fits)
        return min(IMAGE_WIDTHS[0], fits)

    @property
    def image_height(self) -> int:
        """Height of a picture, in lines."""
        return -(-self.columns // 2)

    @property
    def tile_height(self) -> int:
        """Height of a picture with its caption."""
        return self.image_height + self.captions

    @property
    def across(self) -> int:
        """Pictures side by side."""
        return max((self.width + IMAGE_GAP) // (self.columns + IMAGE_GAP), 1)

    @property
    def down(self) -> int:
        """Rows of pictures on a shelf."""
        return max((self.height // max(self.visible_rows, 1) - 1) // self.tile_height, 1)

    @property
    def per_page(self) -> int:
        """Pictures of a shelf that are seen at once."""
        return self.across * self.down

    @property
    def row_height(self) -> int:
        """Height of a shelf with its title."""
        return 1 + self.down * self.tile_height

    def start(self, cursor: int) -> int:
        """Return the first picture of the page that holds the one at `cursor`."""
        return cursor - cursor % self.per_page

    def next_size(self, by: int) -> int:
        """Return the next larger (1) or smaller (-1) width of a picture."""
        now = max(place for place, size in enumerate(IMAGE_WIDTHS) if size <= max(self.columns, IMAGE_WIDTHS[0]))
        return IMAGE_WIDTHS[min(max(now + by, 0), len(IMAGE_WIDTHS) - 1)]
