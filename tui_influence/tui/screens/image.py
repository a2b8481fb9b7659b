"""One test example, large: its picture, what models predict with and without a class, and the classes that drive it."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Static

from tui_influence.analysis.names import group_noun
from tui_influence.analysis.question import Question
from tui_influence.analysis.types import ImageSeries
from tui_influence.render.counterfactual import counterfactual_lines
from tui_influence.render.example import example_lines
from tui_influence.render.format import cut, plain
from tui_influence.render.run import preparing_lines, retraining_line, retraining_problems
from tui_influence.runs.heartbeat import State
from tui_influence.runs.overview import Overview
from tui_influence.tui.actions import CHANGING, bindings
from tui_influence.tui.keymap import keys_of
from tui_influence.tui.messages import StateChanged
from tui_influence.tui.operations import RunOperations, has_graphics
from tui_influence.tui.state import AnyQuery, RunHandle, RunState
from tui_influence.tui.widgets.image_view import ImageView
from tui_influence.tui.widgets.incremental_text import IncrementalText


class ImageScreen(Screen[int]):
    """Shows one of some images, and goes through them; ends with the index of the one that was shown last."""

    scope = "image"
    AUTO_FOCUS = "#image-text"
    help = (
        "One image of the target. Beside it are its label, what models predict with the class and without it, and the "
        "classes that help and hurt it most. <image.previous> and <image.next> go through the images. "
        "<image.verify> retrains without the classes that hurt the image most, without as many at random and with "
        "everything, and counts which models are right about it."
    )
    BINDINGS = bindings("image")

    def __init__(self, state: RunState, operations: RunOperations, series: ImageSeries, index: int) -> None:
        """Open an image.

        Args:
            state: of the run.
            operations: on the run.
            series: images to go through.
            index: of the first one to show.
        """
        super().__init__()
        self._state, self._operations, self._series, self._index = state, operations, series, index

    @property
    def retraining(self) -> RunHandle | None:
        """The counterfactual of the example, if there is one."""
        return self._state.counterfactual.run

    def queries(self) -> Iterable[AnyQuery]:
        """Ask about the example, and for what its counterfactual shows."""
        yield self._state.example
        if self._state.counterfactual.exists:
            yield self._state.counterfactual.result

    def compose(self) -> ComposeResult:
        """Lay out title, picture and words."""
        yield Static(id="image-title", markup=False)
        with Horizontal(id="image"):
            yield ImageView(self._state.images)
            with VerticalScroll(id="image-text"):
                yield IncrementalText(id="example")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Begin with the image that was opened."""
        self._ask()

    def on_unmount(self) -> None:
        """Leave the counterfactual, unless another image has been opened by now."""
        if not any(isinstance(screen, ImageScreen) for screen in self.app.screen_stack):
            self._state.counterfactual.open(None, 0)
        self.app.post_message(StateChanged())  # to the app itself, as this screen passes nothing on by now

    def on_resize(self) -> None:
        """Write for the new width."""
        self.call_after_refresh(self.show)

    def show(self) -> None:
        """Show the image, and what has been computed about it."""
        if not self.is_mounted or not self.query(ImageView):  # on its way in, or out
            return
        self.query_one("#image-title", Static).update(self._title())
        self.query_one(ImageView).refresh()
        self.query_one("#example", IncrementalText).show(self._lines())

    def _lines(self) -> list[Text]:
        style, example = self._state.style, self._state.example
        if example.question != self._series.question_at(self._index):
            return [Text("looking...", style=style.quiet)]
        if example.error:
            return [Text(plain(example.error, style.ascii), style=style.warning)]
        if example.value is None or example.is_stale:
            return [Text("looking...", style=style.quiet)]
        snapshot, box = self._series.snapshot, self.query_one("#image-text").size
        classes, width = snapshot.target_info.classes, max(box.width - 1, 20)
        lines = example_lines(
            example.value,
            classes,
            style,
            width,
            box.height,
            group=self._group(),
            counterfactual=self._counterfactual(width),
        )
        error = self._state.image_errors.get(snapshot.target)
        return [*lines, Text(plain(error, style.ascii), style=style.warning)] if error else lines

    def _counterfactual(self, width: int) -> list[Text]:
        """Return the state of its counterfactual, and what that shows; nothing if there is none."""
        counterfactual, style = self._state.counterfactual, self._state.style
        run, result = counterfactual.run, counterfactual.result
        if run is None:
            return []
        lines = preparing_lines(self._state.preparing.get(run.root, ""), style)
        if run.error:
            lines.append(Text(f"its counterfactual: {plain(run.error, style.ascii)}", style=style.error))
        overview = run.overview
        if overview is None or not counterfactual.exists:
            return lines
        lines += [retraining_line(overview, style, width), *retraining_problems(overview, style)]
        if result.error:
            lines.append(Text(plain(result.error, style.ascii), style=style.error))
        if result.value is not None:
            lines += counterfactual_lines(result.value, style, width)
        hint = self._counterfactual_hint(run.root, overview)
        return [*lines, Text(keys_of(self.app).put_into(hint), style=style.quiet)] if hint else lines

    def _counterfactual_hint(self, root: Path, overview: Overview) -> str:
        """Return the keys that stop it or resume it."""
        if self._state.readonly:
            return ""
        if overview.is_active:
            return f"to stop it: <image.close>, <app.prune> Prune, <prune.name> {root.name}, <prune.stop>"
        return "" if overview.state is State.DONE and not overview.left else "<image.verify> resumes it"

    def _group(self) -> str | None:
        group = self._series.groups[self._index]
        return None if group is None else self._series.snapshot.info.source.groups[group]

    def _title(self) -> Text:
        style, series, group = self._state.style, self._series, self._group()
        position = f" image {self._index + 1:,} of {len(series.examples):,} {plain(series.description, style.ascii)}"
        if group is None:
            return Text(position, style=style.quiet)
        name = cut(plain(group, style.ascii), 40, style.ellipsis)
        role = f" {series.role}" if series.role else ""
        noun = group_noun(series.snapshot.info)
        return Text.assemble((f" source {noun} ", style.quiet), (name, "bold"), role, (f" {position}", style.quiet))

    def action_next(self) -> None:
        """Go to the next image."""
        self._go(1)

    def action_previous(self) -> None:
        """Go to the image before."""
        self._go(-1)

    def action_close(self) -> None:
        """Go back to where the image was opened."""
        self.dismiss(self._index)

    def action_large(self) -> None:
        """Have the image shown by the terminal's own graphics, with the app out of the way."""
        self._operations.open_in_terminal_graphics(self._question())

    def action_command(self) -> None:
        """Copy the command that shows the same."""
        self._operations.copy_command(self._question().command(self._state.root, "show"))

    def action_verify(self) -> None:
        """Retrain without the harmful groups, after asking."""
        self._operations.start_counterfactual(self._series.snapshot, self._question())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether a key does this now: some need a terminal with graphics, or a run that may be changed."""
        if action in CHANGING:
            return not self._state.readonly
        return action != "large" or has_graphics()

    def _question(self) -> Question:
        """Return the question about this image alone."""
        example = self._series.examples[self._index]
        return replace(self._series.question, target_class=None, example=example)

    def _go(self, by: int) -> None:
        self._index = (self._index + by) % len(self._series.examples)
        self._ask()

    def _ask(self) -> None:
        """Ask about the image, and go to its counterfactual."""
        state, target, question = self._state, self._series.snapshot.target, self._series.question_at(self._index)
        state.ask_example(target, question)
        self.query_one(ImageView).show(target, question.example, state.style)
        self.post_message(StateChanged())
        self.show()
