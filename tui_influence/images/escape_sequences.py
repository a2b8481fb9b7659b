"""The escape sequences of an image in a terminal's own graphics, as term-image writes them.

The only module that imports term_image, which is an extra (`graphics.library_problem` tells whether it can be). On
import it opens the terminal and replaces `multiprocessing.Process.start`, so no process that trains may load this
module. It asks the terminal things and reads the answers from the keyboard's stream, so its queries are switched off
before any of its classes is loaded, and it is told here what it would ask for: that the terminal has the protocol
(`graphics.detect` knows that), and how many pixels an image needs. Without that it takes a cell for one pixel by two.
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

_CELL = 20
"""Pixels of a cell's width on a dense screen: small images are enlarged to about this, or a terminal blurs them."""
_FORMAT = "1.1+Wc6"
"""Padded to no more than a cell; the image as a whole; compressed to a third of what the usual level makes of pixels
that are enlarged, in no more time."""


class _Whole:
    """What makes an image of term-image be written without a question to the terminal, with all the pixels it has."""

    @classmethod
    def is_supported(cls) -> bool:
        return True

    def _get_render_size(self) -> tuple[int, int]:
        width, height = self.original_size  # type: ignore[attr-defined]
        return width, height


class _Kitty(_Whole, KittyImage):  # type: ignore[misc]
    """An image by the kitty protocol."""


class _ITerm2(_Whole, ITerm2Image):  # type: ignore[misc]
    """An image by iTerm2's protocol."""


_CLASSES: dict[Protocol, Any] = {Protocol.KITTY: _Kitty, Protocol.ITERM2: _ITerm2}


def escape_sequence(pixels: "NDArray[np.uint8]", columns: int, protocol: Protocol) -> str:
    """Return what shows an image at the cursor; the cursor ends at the right of its last row.

    Args:
        pixels: (h, w, C) uint8; C is 1 (grey) or 3 (RGB).
        columns: width on the screen, in cells; the height is `text_rows` it.
        protocol: the terminal's.
    """
    image = _CLASSES[protocol](_enlarged(pixels, columns), width=columns, height=text_rows(pixels.shape, columns))
    return format(image, _FORMAT)


def _enlarged(pixels: "NDArray[np.uint8]", columns: int) -> Image.Image:
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    times = max(1, -(-columns * _CELL // image.width))
    return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
