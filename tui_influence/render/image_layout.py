"""Layout of rows of images: how many of them, and how large, fit into an area of cells.

Pure arithmetic. An image is square, and a cell twice as high as it is wide.
"""

from dataclasses import dataclass

from rich.text import Text

IMAGE_WIDTHS = (12, 16, 20, 24, 32)
"""Widths of an image, in cells."""
IMAGE_GAP = 2
"""Cells between two images."""
_SIDE_BY_SIDE = (4, 3, 2)
"""Images side by side, unless a size was chosen: fewer where they would be hard to recognise."""
_MIN_ROW_HEIGHT = 7
"""Lines below which an image cannot be recognised: then fewer rows are visible at a time."""


@dataclass(frozen=True)
class CaptionedImage:
    """An image in a row.

    Attributes:
        target: position of the target whose test example it is; None for a sample of the source.
        index: its number there.
        caption: lines below it.
    """

    target: int | None
    index: int
    caption: tuple[Text, ...]


@dataclass(frozen=True)
class ImageRow:
    """A row of images.

    Attributes:
        title: what the images have in common.
        images: the images.
        empty: the text where there is none.
    """

    title: Text
    images: tuple[CaptionedImage, ...]
    empty: str = "none"


@dataclass(frozen=True)
class Layout:
    """The layout of rows of images in an area.

    Attributes:
        width: of the area, in cells.
        height: of the area, in lines.
        rows: how many there are.
        captions: lines below each image.
        chosen_columns: width of an image; None for what fits best. It never exceeds the area.
    """

    width: int
    height: int
    rows: int
    captions: int
    chosen_columns: int | None = None

    @property
    def shows_all(self) -> bool:
        """Whether all rows are visible at once."""
        return self.visible_rows == self.rows

    @property
    def visible_rows(self) -> int:
        """Rows that are visible at once."""
        return min(max(self.height // (1 + _MIN_ROW_HEIGHT + self.captions), 1), self.rows)

    @property
    def columns(self) -> int:
        """Width of an image, in cells."""
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
        """Height of an image, in lines."""
        return -(-self.columns // 2)

    @property
    def tile_height(self) -> int:
        """Height of an image with its caption."""
        return self.image_height + self.captions

    @property
    def across(self) -> int:
        """Images side by side."""
        return max((self.width + IMAGE_GAP) // (self.columns + IMAGE_GAP), 1)

    @property
    def down(self) -> int:
        """Lines of images in a row."""
        return max((self.height // max(self.visible_rows, 1) - 1) // self.tile_height, 1)

    @property
    def per_page(self) -> int:
        """Images of a row that are visible at once."""
        return self.across * self.down

    @property
    def row_height(self) -> int:
        """Height of a row with its title."""
        return 1 + self.down * self.tile_height

    def start(self, cursor: int) -> int:
        """Return the first image of the page that holds the one at `cursor`."""
        return cursor - cursor % self.per_page

    def next_size(self, by: int) -> int:
        """Return the next larger (1) or smaller (-1) width of an image."""
        current = max(index for index, size in enumerate(IMAGE_WIDTHS) if size <= max(self.columns, IMAGE_WIDTHS[0]))
        return IMAGE_WIDTHS[min(max(current + by, 0), len(IMAGE_WIDTHS) - 1)]
