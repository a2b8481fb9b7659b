"""One test example, large: its picture, what models predict with and without a class, and the classes that drive it."""

from dataclasses import replace
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Footer, Static

from tui_influence.analysis.question import Question
from tui_influence.analysis.types import ExampleQuestion, ImageSeries
from tui_influence.render.counterfactual import counterfactual_lines
from tui_influence.render.example import example_lines
from tui_influence.render.format import cut, plain
from tui_influence.runs.heartbeat import State
from tui_influence.runs.overview import Overview
from tui_influence.tui.actions import CHANGING, bindings
from tui_influence.tui.keymap import keys_of
from tui_influence.tui.large import has_graphics
from tui_influence.tui.messages import CopyAsked
from tui_influence.tui.state import RunState
from tui_influence.tui.widgets.image_view import ImageView
from tui_influence.tui.widgets.incremental_text import IncrementalText
from tui_influence.tui.widgets.pruning_standing import retrainings, starting, troubles

if TYPE_CHECKING:
    from tui_influence.analysis.snapshot import RunSnapshot


class ImageScreen(Screen[int]):
    """Shows one of some images, and goes through them; ends with the place of the one that was shown last."""

    scope = "image"
    AUTO_FOCUS = "#said"
    help = (
        "One image of the target. Beside it are its label, what models predict with the class and without it, and the "
        "classes that help and hurt it most. <image.previous> and <image.next> go through the images. "
        "<image.verify> puts the blame to the test: it retrains without the classes that hurt the image most, without "
        "as many at random and with everything, and counts which models are right about it."
    )
    BINDINGS = bindings("image")

    class LookAsked(Message):
        """A closer look is wanted at an image."""

        def __init__(self, reading: "RunSnapshot", asked: ExampleQuestion) -> None:
            self.reading, self.asked = reading, asked
            super().__init__()

    class LargeAsked(Message):
        """An image is to be shown by the terminal's own graphics."""

        def __init__(self, question: Question) -> None:
            self.question = question
            super().__init__()

    class VerifyAsked(Message):
        """The classes that are to blame for an image are to be left out, to see what that changes."""

        def __init__(self, reading: "RunSnapshot", question: Question) -> None:
            self.reading, self.question = reading, question
            super().__init__()

    class Closed(Message):
        """No image is on the screen any more."""

    def __init__(self, state: RunState, series: ImageSeries, place: int) -> None:
        """Open an image.

        Args:
            state: of the run.
            series: images to go through, and what is said about them.
            place: which of them is first.
        """
        super().__init__()
        self._state, self._series, self._place = state, series, place

    def compose(self) -> ComposeResult:
        """Lay out title, picture and words."""
        yield Static(id="image-title", markup=False)
        with Horizontal(id="image"):
            yield ImageView(self._state.album)
            with VerticalScroll(id="said"):
                yield IncrementalText(id="example")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Begin with the image that was opened."""
        self._look()

    def on_unmount(self) -> None:
        """Nobody looks any more; asked of the app itself, as this screen passes nothing on by now."""
        self.app.post_message(self.Closed())

    def on_resize(self) -> None:
        """Write for the new width."""
        self.call_after_refresh(self.show)

    def show(self) -> None:
        """Show what is known of the image."""
        if not self.is_mounted or not self.query(ImageView):  # on its way in, or out
            return
        self.query_one("#image-title", Static).update(self._title())
        self.query_one(ImageView).refresh()
        self.query_one("#example", IncrementalText).show(self._lines())

    def _lines(self) -> list[Text]:
        style, seen = self._state.style, self._state.image
        if seen is None or seen.asked != self._asked():
            return [Text("looking...", style=style.quiet)]
        if seen.found is None:
            return [Text(plain(seen.reason, style.ascii), style=style.warning)]
        reading, box = self._series.reading, self.query_one("#said").size
        classes, width = reading.target_info.classes, max(box.width - 1, 20)
        lines = example_lines(
            seen.found,
            classes,
            style,
            width,
            box.height,
            group=self._group(),
            counterfactual=self._counterfactual(width),
        )
        problem = self._state.image_problems.get(reading.target)
        return [*lines, Text(plain(problem, style.ascii), style=style.warning)] if problem else lines

    def _counterfactual(self, width: int) -> list[Text]:
        """Return the state of its counterfactual, and what that shows; nothing if there is none."""
        verifying, style = self._state.verifying, self._state.style
        lines = starting(verifying.preparing.get(verifying.pruning_paths, "") if verifying.pruning_paths else "", style)
        if verifying.problem:
            lines.append(Text(f"its verification: {plain(verifying.problem, style.ascii)}", style=style.error))
        overview = verifying.overview
        if overview is None or not verifying.exists:
            return lines
        lines += [retrainings(overview, style, width), *troubles(overview, style)]
        if verifying.unread:
            lines.append(Text(plain(verifying.unread, style.ascii), style=style.error))
        if verifying.found is not None:
            lines += counterfactual_lines(verifying.found, style, width)
        hint = self._counterfactual_hint(overview)
        return [*lines, Text(keys_of(self.app).put_into(hint), style=style.quiet)] if hint else lines

    def _counterfactual_hint(self, overview: Overview) -> str:
        """Return the keys that stop it or resume it."""
        paths = self._state.verifying.pruning_paths
        if self._state.readonly or paths is None:
            return ""
        if overview.is_active:
            return f"to stop it: <image.close>, <app.prune> Prune, <prune.name> {paths.root.name}, <prune.stop>"
        return "" if overview.state is State.DONE and not overview.left else "<image.verify> goes on with it"

    def _group(self) -> str | None:
        group = self._series.groups[self._place]
        return None if group is None else self._series.reading.info.source.groups[group]

    def _title(self) -> Text:
        style, series, group = self._state.style, self._series, self._group()
        place = f" image {self._place + 1:,} of {len(series.examples):,} {plain(series.description, style.ascii)}"
        if group is None:
            return Text(place, style=style.quiet)
        name = cut(plain(group, style.ascii), 40, style.ellipsis)
        role = f" {series.role}" if series.role else ""
        return Text.assemble((f" {name}", "bold"), role, (f" {place}", style.quiet))

    def action_next(self) -> None:
        """Go to the next image."""
        self._go(1)

    def action_previous(self) -> None:
        """Go to the image before."""
        self._go(-1)

    def action_close(self) -> None:
        """Go back to where the image was opened."""
        self.dismiss(self._place)

    def action_large(self) -> None:
        """Have the image shown by the terminal's own graphics, with the app out of the way."""
        self.post_message(self.LargeAsked(self._question()))

    def action_command(self) -> None:
        """Copy the command that shows the same."""
        self.post_message(CopyAsked(self._question().command(self._state.root, "show"), "the command"))

    def action_verify(self) -> None:
        """Ask for what is to blame to be left out, and the models to be retrained."""
        self.post_message(self.VerifyAsked(self._series.reading, self._question()))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key does this now: large pictures take a terminal that draws them, changes one that may."""
        if action in CHANGING:
            return not self._state.readonly
        return action != "large" or has_graphics()

    def _asked(self) -> ExampleQuestion:
        return self._series.question_at(self._place)

    def _question(self) -> Question:
        """The question about this image alone."""
        return replace(self._series.question, target_class=None, example=self._asked().example)

    def _go(self, by: int) -> None:
        self._place = (self._place + by) % len(self._series.examples)
        self._look()

    def _look(self) -> None:
        reading, asked = self._series.reading, self._asked()
        self.query_one(ImageView).show(reading.target, asked.example, self._state.style)
        self.post_message(self.LookAsked(reading, asked))
        self.show()
