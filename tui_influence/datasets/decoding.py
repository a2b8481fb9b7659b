"""How much is decoded at a time: threads share one budget of pixels, so that memory does not grow with their number."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

PIXELS_IN_FLIGHT = 1 << 25
"""Pixels that all threads together decode at a time.

Decoding takes up to 16 bytes a pixel (WebP; most formats 4 to 9): 0.6 GB in all. Photographs have 1 to 24 million
pixels, and a JPEG is decoded at a fraction of its size, so threads rarely wait for each other. A larger image is no
error: it is decoded when nothing else is.
"""


class PixelBudget:
    """A number of pixels that threads may decode at a time."""

    def __init__(self, pixels: int) -> None:
        self._pixels = pixels
        self._in_flight = 0
        self._changed = Condition()

    @contextmanager
    def take(self, pixels: int) -> Iterator[None]:
        """Wait until so many more pixels are within the budget, or nothing else is decoded; give them back after."""
        with self._changed:
            self._changed.wait_for(lambda: not self._in_flight or self._in_flight + pixels <= self._pixels)
            self._in_flight += pixels
        try:
            yield
        finally:
            with self._changed:
                self._in_flight -= pixels
                self._changed.notify_all()


BUDGET = PixelBudget(PIXELS_IN_FLIGHT)
"""Of this process."""
