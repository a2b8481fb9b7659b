"""Escape sequences of an image in the graphics protocol of a terminal, as term-image writes them.

The only module that imports term_image, which is an extra (`graphics.library_problem` checks for it). On import it
opens the terminal and replaces `multiprocessing.Process.start`, so no process that trains may load this module. It
queries the terminal and reads the answers from the user's keys, so its queries are disabled before any of its classes
is loaded. The classes below supply the answers: that the terminal supports the protocol (`graphics.detect_protocol`),
and the size of an image in pixels, without which term-image assumes a cell of one pixel by two.
"""

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from tui_influence.images.graphics import Protocol
from tui_influence.images.text_image import text_rows

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "It seems this process is not running within a terminal", UserWarning)
    import term_image

term_image.disable_queries()

from term_image.image import ITerm2Image, KittyImage  # noqa: E402 - not before the queries are switched off

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PIXELS_PER_CELL = 20
"""Width of a cell in pixels on a dense screen: small images are enlarged to about this, or terminals blur them."""
_FORMAT = "1.1+Wc6"
"""Padding of at most a cell; the image as a whole; a compression level that makes enlarged pixels a third as large as
the default does, in the same time."""


class _FixedSizeImage:
    """An image of term-image that queries no terminal and is written with all of its pixels."""

    @classmethod
    def is_supported(cls) -> bool:
        return True

    def _get_render_size(self) -> tuple[int, int]:
        width, height = self.original_size  # type: ignore[attr-defined]
        return width, height


class _Kitty(_FixedSizeImage, KittyImage):  # type: ignore[misc]
    """An image by the kitty protocol."""


class _ITerm2(_FixedSizeImage, ITerm2Image):  # type: ignore[misc]
    """An image by iTerm2's protocol."""


_CLASSES: dict[Protocol, Any] = {Protocol.KITTY: _Kitty, Protocol.ITERM2: _ITerm2}


def escape_sequence(pixels: "NDArray[np.uint8]", columns: int, protocol: Protocol) -> str:
    """Return the sequence that shows an image at the cursor, which ends at the right of its last row.

    Args:
        pixels: (h, w, C) uint8; C is 1 (grey) or 3 (RGB).
        columns: width on the screen in cells; `text_rows` is the height.
        protocol: protocol of the terminal.
    """
    image = _CLASSES[protocol](_enlarged(pixels, columns), width=columns, height=text_rows(pixels.shape, columns))
    return format(image, _FORMAT)


def _enlarged(pixels: "NDArray[np.uint8]", columns: int) -> Image.Image:
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    times = max(1, -(-columns * _PIXELS_PER_CELL // image.width))
    return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
