"""The details beside a probe's table or images: images and text about what the cursor is on.

They are on the right of a wide screen, and below a table of pairs on a narrow one.
"""

from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from tui_influence.render.style import Style
from tui_influence.tui.image_cache import ImageCache
from tui_influence.tui.widgets.image_view import ImageView
from tui_influence.tui.widgets.incremental_text import IncrementalText


class ProbeDetail(Vertical):
    """A source image, a test image, and lines; each only where there is one."""

    def __init__(self, images: ImageCache, *, id: str) -> None:
        super().__init__(id=id)
        self._images = images

    def compose(self) -> ComposeResult:
        """Lay out pictures and words."""
        with Horizontal(id="probe-pictures"):
            yield ImageView(self._images, id="probe-source")
            yield ImageView(self._images, id="probe-test")
        yield IncrementalText(id="probe-text")

    @property
    def room(self) -> tuple[int, int]:
        """Cells and lines that words have; nothing before it is laid out, or where there is no room for it."""
        return (self.query_one("#probe-text").size.width, self.size.height) if self.display else (0, 0)

    def show(self, target: int, example: int | None, sample: int | None, lines: Sequence[Text], style: Style) -> None:
        """Show pictures and words.

        Args:
            target: position of the target that the test image is of.
            example: its number; None for no test image.
            sample: position of a source image among those that are kept; None for no source image.
            lines: words.
            style: colours and signs.
        """
        source, test = self.query_one("#probe-source", ImageView), self.query_one("#probe-test", ImageView)
        self.query_one("#probe-pictures").display = example is not None
        source.display = sample is not None
        if example is not None:
            test.show(target, example, style)
        if sample is not None:
            source.show(None, sample, style)
        self.query_one("#probe-text", IncrementalText).show(lines)

    def redraw(self) -> None:
        """Draw again: there may be other pictures."""
        for view in self.query(ImageView):
            view.refresh()
