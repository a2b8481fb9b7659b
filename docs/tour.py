"""The pictures of the README and the guide: opens the app on a finished run and writes what is to be seen in it as SVG.

Of the commands that answer with pictures, what they print is written likewise.

    python docs/tour.py results/demo docs/tour --images results/demo-images

The runs are read only: a sweep over classes, and one over single images (its second stage). Pictures show nothing of
the machine that they are made on.
"""

import argparse
import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from command_output import WIDTH, printed
from terminal_svg import svg
from textual.pilot import Pilot
from textual.strip import Strip

from tui_influence.runs.heartbeat import State
from tui_influence.runs.overview import overview
from tui_influence.store.paths import Paths
from tui_influence.tui.app import ExploreApp
from tui_influence.tui.theme import DARK, LIGHT

SIZE = (110, 32)
_PATIENCE = 60.0
_STILL = 0.5
"""Seconds without a change after which a screen is complete."""


@dataclass(frozen=True)
class Stop:
    """A place of the tour.

    Attributes:
        name: of its file.
        title: what is to be seen.
        keys: that lead here from the stop before.
        words: that are on the screen once it is complete.
    """

    name: str
    title: str
    keys: tuple[str, ...]
    words: tuple[str, ...]


def stops(target_class: str) -> tuple[Stop, ...]:
    """Return the tour: what helps with a class of the target, what the first of all does, and what the class is of."""
    return (
        Stop("sweep", "A finished run, and how reliable its ranking is by now", (), ("models", "Reliability")),
        Stop(
            "rank",
            "Source classes by their influence on one target class, with intervals around zero",
            ("2", "c", *target_class, "enter"),
            (f"{target_class}, margin", "with/without"),
        ),
        Stop(
            "class",
            "The test images that a source class helps and hurts most",
            ("c", "enter", "3"),
            (", margin", "helped most"),
        ),
        Stop(
            "image",
            "What models with and without the class say about one image",
            ("enter",),
            ("without it", "classes that drive it"),
        ),
        Stop(
            "probe",
            "The test images of one target class by the source class that drives each, in the app",
            ("escape", "6", "v", "c", *target_class, "enter"),
            (f"{target_class}, margin", "images assigned"),
        ),
    )


async def tour(run: Path, folder: Path, target_class: str, *, dark: bool) -> None:
    """Write a picture of every stop into a folder."""
    app = ExploreApp(run, readonly=True, dark=dark)
    async with app.run_test(size=SIZE) as pilot:
        for stop in stops(target_class):
            await pilot.press(*stop.keys)
            await _until_complete(app, pilot, stop.words)
            picture = svg(_lines(app), SIZE[0], app.theme_variables["background"], stop.title)
            (folder / f"{stop.name}.svg").write_text(picture, encoding="utf-8")


def commands(target_class: str) -> tuple[tuple[str, tuple[str, ...], str], ...]:
    """Return the commands that are pictured: each with its options, and what is to be seen."""
    return (
        (
            "subpops",
            ("--class", target_class, "--top", "4"),
            "Subpopulations of one target class, by the source class that drives each",
        ),
        (
            "failures",
            ("--top", "4"),
            "Test images that most models get wrong, and the source classes that hurt them",
        ),
    )


IMAGES = (
    "leaks",
    ("--top", "4"),
    "Source images beside the single test images that they help and hurt most, with intervals",
)
"""The command that is pictured on a sweep over single images."""


def print_out(command: str, options: Sequence[str], title: str, run: Path, folder: Path, *, dark: bool) -> None:
    """Write a picture of what a command prints into a folder."""
    background = (DARK if dark else LIGHT).background or ""
    picture = svg(printed(command, run, options, dark=dark), WIDTH, background, title)
    (folder / f"{command}.svg").write_text(picture, encoding="utf-8")


def _lines(app: ExploreApp) -> list[Strip]:
    return app.screen._compositor.render_strips(app.size)


async def _until_complete(app: ExploreApp, pilot: Pilot[str], words: tuple[str, ...]) -> None:
    """Wait until these words are on the screen, no picture is being drawn, and nothing changes any more."""
    deadline = time.monotonic() + _PATIENCE
    seen, since = _lines(app), time.monotonic()
    while True:
        await pilot.pause(0.05)
        lines = _lines(app)
        if lines != seen:
            seen, since = lines, time.monotonic()
        text = "\n".join(line.text for line in lines)
        drawn = all(word in text for word in words) and not app.state.images._requested
        if drawn and time.monotonic() - since > _STILL:
            return
        if time.monotonic() > deadline:
            raise SystemExit(f"{words} never came; this did:\n{text}")


def main() -> None:
    """Make the pictures."""
    parser = argparse.ArgumentParser(description="Write the pictures of the README and the guide.")
    parser.add_argument("run", type=Path, help="results directory of a finished run, such as the demo's")
    parser.add_argument("folder", type=Path, help="where to write them")
    parser.add_argument("--images", type=Path, help="results directory of a sweep over single images")
    parser.add_argument("--class", dest="target_class", default="7", help="of the target, that is ranked for")
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")
    asked = parser.parse_args()
    if overview(Paths(asked.run)).state is not State.DONE:
        raise SystemExit(f"{asked.run}: not finished; of another run, pictures would show its machine")
    asked.folder.mkdir(parents=True, exist_ok=True)
    dark = asked.theme == "dark"
    asyncio.run(tour(asked.run, asked.folder, asked.target_class, dark=dark))
    for pictured in commands(asked.target_class):
        print_out(*pictured, asked.run, asked.folder, dark=dark)
    if asked.images is not None:
        print_out(*IMAGES, asked.images, asked.folder, dark=dark)


if __name__ == "__main__":
    main()
