"""What a closer look at one group or one image takes, in a thread of its own: it never waits for estimates.

Each function asks the core, off the event loop, and tells what it found by a message.
"""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from tui_influence.analysis.types import ExampleQuestion
from tui_influence.errors import TinflError
from tui_influence.store.files import to_results_error
from tui_influence.store.paths import Paths
from tui_influence.tui.background import Background
from tui_influence.tui.image_cache import ImageKey, draw_images
from tui_influence.tui.messages import Finding, GroupSeen, ImageSeen, PicturesDrawn
from tui_influence.tui.state import RunState

if TYPE_CHECKING:
    from tui_influence.analysis.class_effects import TargetEffects
    from tui_influence.analysis.snapshot import RunSnapshot

SHOWN = 60
"""Images that are offered of those helped, and of those hurt, most: pages of them."""


class Looking:
    """Does closer looks in the background; the newest of a kind replaces those that wait."""

    def __init__(self, background: Background, tell: Callable[[RunState, Finding], None]) -> None:
        self._background, self._tell = background, tell
        self._wanted: dict[ImageKey, RunState] = {}
        self._lock = threading.Lock()

    def at_group(self, state: RunState, effects: "TargetEffects", group: int) -> None:
        """Find what a group does to the target, and the group's own images."""
        self._background.submit("group", partial(self._group, state, effects, group))

    def at_image(self, state: RunState, reading: "RunSnapshot", asked: ExampleQuestion) -> None:
        """Find what is said about an image."""
        self._background.submit("image", partial(self._image, state, reading, asked))

    def draw(self, state: RunState, keys: Sequence[ImageKey]) -> None:
        """Draw pictures."""
        if keys:
            with self._lock:  # pictures add up, while a job replaces the one of its kind that waits
                self._wanted |= dict.fromkeys(keys, state)
            self._background.submit("pictures", self._draw)

    def _group(self, state: RunState, effects: "TargetEffects", group: int) -> None:
        moved, reason = None, ""
        samples: tuple[int, ...] = ()
        try:
            moved = effects.of_group(group, SHOWN)
            samples = _samples(state, group)
        except TinflError as error:
            reason = str(error)
        except OSError as error:
            reason = str(to_results_error(error))
        self._tell(state, GroupSeen(effects, group, moved, samples, reason))

    def _image(self, state: RunState, reading: "RunSnapshot", asked: ExampleQuestion) -> None:
        from tui_influence.analysis.examples import explain_example  # here, because it loads numpy

        found, reason = None, ""
        try:
            found = explain_example(reading, asked.question, asked.example, asked.group)
        except TinflError as error:
            reason = str(error)
        except OSError as error:
            reason = str(to_results_error(error))
        self._tell(state, ImageSeen(asked, found, reason))

    def _draw(self) -> None:
        with self._lock:
            wanted, self._wanted = self._wanted, {}
        for state in {id(state): state for state in wanted.values()}.values():
            pictures, reasons = draw_images(state.root, [key for key, whose in wanted.items() if whose is state])
            self._tell(state, PicturesDrawn(pictures, reasons))


def _samples(state: RunState, group: int) -> tuple[int, ...]:
    """Positions of a group's images among the samples; none where they are gone, which their pictures will say."""
    import numpy as np

    from tui_influence.store.examples import read_source_thumbnails

    _, groups = read_source_thumbnails(Paths(state.root))
    return tuple(int(place) for place in np.flatnonzero(groups == group))
