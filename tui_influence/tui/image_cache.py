"""Pictures that have been drawn: asked for by key, made in a background thread, kept for as long as they may be seen.

A key says everything that a picture depends on, so a kept one is never wrong. What cannot be drawn is remembered for a
while: a missing file is not asked for at every key press, but may still be on its way.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textual.strip import Strip

from tui_influence.errors import ResultsError
from tui_influence.render.style import Style
from tui_influence.store.files import to_results_error
from tui_influence.store.paths import Paths

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from tui_influence.images.text_image import Ink

MAX_IMAGES = 800
"""Pictures kept at most: a few megabytes, and more than a screen of any size holds."""

RETRY_SECONDS = 5.0
"""Seconds after which what could not be drawn may be asked for again."""

ImageStrips = tuple[Strip, ...]


@dataclass(frozen=True)
class ImageKey:
    """Which picture.

    Attributes:
        target: position of the target whose test example it is; None for a sample image of the source.
        place: number of the example, or position among the samples.
        columns: width in cells, at most: one that is enlarged is a whole number of times as wide as the image.
        style: colours and signs.
    """

    target: int | None
    place: int
    columns: int
    style: Style


class ImageCache:
    """Keeps pictures; those not seen for longest make room for new ones. The event loop's alone.

    Attributes:
        changes: counts what has been kept, so that what shows pictures knows whether there are others.
    """

    def __init__(self) -> None:
        self.changes = 0
        self._pictures: dict[ImageKey, ImageStrips] = {}
        self._gone: set[ImageKey] = set()
        self._asked: set[ImageKey] = set()
        self._failed = 0.0

    def get(self, key: ImageKey) -> ImageStrips | None:
        """Return a picture if it has been drawn and could be; it is then the last to make room."""
        picture = self._pictures.pop(key, None)
        if picture is not None:
            self._pictures[key] = picture
        return picture

    def is_missing(self, key: ImageKey) -> bool:
        """Whether a picture could not be drawn."""
        return key in self._gone

    def request(self, keys: Iterable[ImageKey]) -> list[ImageKey]:
        """Return those that are neither there nor asked for yet; from now on they are asked for."""
        if time.monotonic() - self._failed > RETRY_SECONDS:
            self._gone.clear()
        new = [key for key in keys if key not in self._pictures and key not in self._gone | self._asked]
        self._asked.update(new)
        return new

    def store(self, pictures: Mapping[ImageKey, ImageStrips | None]) -> None:
        """Keep pictures."""
        self.changes += 1
        self._asked -= pictures.keys()
        self._pictures |= {key: picture for key, picture in pictures.items() if picture is not None}
        gone = {key for key, picture in pictures.items() if picture is None}
        if gone:
            self._gone |= gone
            self._failed = time.monotonic()
        for key in list(self._pictures)[: max(len(self._pictures) - MAX_IMAGES, 0)]:
            del self._pictures[key]


def draw_images(
    root: Path, keys: "Sequence[ImageKey]"
) -> tuple[dict[ImageKey, ImageStrips | None], dict[int | None, str]]:
    """Draw pictures of a run's images, from any thread.

    Returns:
        each picture, None for those that cannot be drawn; and for each target (None: the source) that was looked at
        why there are such, or nothing.
    """
    from tui_influence.images.text_image import draw_image  # here, because it loads numpy

    thumbnails: dict[int | None, NDArray[np.uint8] | None] = {}
    found: dict[ImageKey, ImageStrips | None] = {}
    reasons: dict[int | None, str] = {}
    for key in keys:
        if key.target not in thumbnails:
            reasons[key.target] = ""
            try:
                thumbnails[key.target] = _thumbnails(Paths(root), key.target)
            except ResultsError as error:
                thumbnails[key.target], reasons[key.target] = None, str(error)
            except OSError as error:
                thumbnails[key.target], reasons[key.target] = None, str(to_results_error(error))
        images = thumbnails[key.target]
        if images is None or not 0 <= key.place < len(images):
            found[key] = None
            reasons[key.target] = reasons[key.target] or "the run keeps fewer images than examples: is it half copied?"
            continue
        style = key.style
        side = images.shape[2]
        columns = key.columns if key.columns < side else key.columns // side * side
        rows = draw_image(images[key.place], columns, _ink(style), dark=style.dark)
        found[key] = tuple(Strip(row, columns) for row in rows)
    return found, reasons


def _ink(style: Style) -> "Ink":
    from tui_influence.images.text_image import Ink

    if style.ascii or not style.coloured:
        return Ink.ASCII if style.ascii else Ink.SHADES
    return Ink.BLOCKS_256 if style.few_colours else Ink.BLOCKS


def _thumbnails(paths: Paths, target: int | None) -> "NDArray[np.uint8]":
    from tui_influence.store.examples import read_source_thumbnails, read_thumbnails

    return read_source_thumbnails(paths)[0] if target is None else read_thumbnails(paths.target(target))
