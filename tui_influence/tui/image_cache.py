"""A cache of drawn images: requested by key, drawn by a thread, kept for as long as they may be shown.

A key holds everything that an image depends on, so a cached one is never wrong. What cannot be drawn is remembered for
a while: a missing file is not read at every key press, but it may still be on its way.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from textual.strip import Strip

from tui_influence.render.style import Style

MAX_IMAGES = 800
"""Images in the cache at most: a few megabytes, and more than a screen of any size holds."""

RETRY_SECONDS = 5.0
"""Seconds after which an image that could not be drawn may be requested again."""

ImageStrips = tuple[Strip, ...]


@dataclass(frozen=True)
class ImageKey:
    """The identity of a drawn image.

    Attributes:
        target: position of the target whose test example it is; None for an image of the source.
        index: number of the example, or position among the stored images of the source.
        columns: width in cells, at most: one that is enlarged is a whole number of times as wide as the image.
        style: colours and signs.
    """

    target: int | None
    index: int
    columns: int
    style: Style


class ImageCache:
    """Drawn images; those not used for longest make room for new ones. Only the event loop uses it.

    Attributes:
        changes: number of changes, so that a widget knows whether there are other images.
    """

    def __init__(self) -> None:
        self.changes = 0
        self._images: dict[ImageKey, ImageStrips] = {}
        self._missing: set[ImageKey] = set()
        self._requested: set[ImageKey] = set()
        self._failed = 0.0

    def get(self, key: ImageKey) -> ImageStrips | None:
        """Return an image if it has been drawn; it is then the last to make room."""
        image = self._images.pop(key, None)
        if image is not None:
            self._images[key] = image
        return image

    def is_missing(self, key: ImageKey) -> bool:
        """Return whether an image could not be drawn."""
        return key in self._missing

    def request(self, keys: Iterable[ImageKey]) -> list[ImageKey]:
        """Return those that are neither drawn nor requested yet, and count them as requested."""
        if time.monotonic() - self._failed > RETRY_SECONDS:
            self._missing.clear()
        new = [key for key in keys if key not in self._images and key not in self._missing | self._requested]
        self._requested.update(new)
        return new

    def store(self, images: Mapping[ImageKey, ImageStrips | None]) -> None:
        """Add images that were drawn, or could not be."""
        self.changes += 1
        self._requested -= images.keys()
        self._images |= {key: image for key, image in images.items() if image is not None}
        missing = {key for key, image in images.items() if image is None}
        if missing:
            self._missing |= missing
            self._failed = time.monotonic()
        for key in list(self._images)[: max(len(self._images) - MAX_IMAGES, 0)]:
            del self._images[key]
