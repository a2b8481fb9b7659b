"""Mode 3, Class: one source class, the target images it helps and hurts most, and what it does to each target class.

Everything fits on the screen: pages of images, and beside them, where it is wide, the effects on target classes and
the class's own images. Where it is narrow, a key turns from one to the other.
"""

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Static

from tui_influence.analysis.types import ImageSeries
from tui_influence.render.format import plain
from tui_influence.render.source_class import class_effect_lines, example_effect_rows, group_heading, sample_row
from tui_influence.tui.actions import bindings
from tui_influence.tui.messages import CopyAsked, GroupSeen
from tui_influence.tui.screens.base import AskingScreen
from tui_influence.tui.state import RunState
from tui_influence.tui.widgets.image_grid import ImageGrid

_WIDE = 120
_TALL = 32
_SAMPLE_ROWS = 10


class Beside(Vertical):
    """What is beside the images; it says when it has another size, which it has only after it is shown again."""

    class Sized(Message):
        """It has another size."""

    def on_resize(self) -> None:
        """Say so."""
        self.post_message(self.Sized())


class ClassScreen(AskingScreen):
    """Shows what one source class does."""

    mode = "class"
    AUTO_FOCUS = "#moved"
    hint = (
        "<grid.open> opens an image.  <class.next> and <class.previous> go through the classes, "
        "<class.choose> picks one.  <class.view> turns to the target classes."
    )
    BINDINGS = bindings("class")

    def __init__(self, state: RunState) -> None:
        super().__init__(state)
        self._turned = False
        self._shown: tuple[object, ...] = ()
        self._pictures = 0
        self._heading = Text()

    def body(self) -> ComposeResult:
        """Lay out heading, images, and what is beside them."""
        album, style = self.state.album, self.state.style
        yield Static(id="heading", markup=False)
        with Horizontal(id="looked"):
            yield ImageGrid(album, style, id="moved")
            with Beside(id="beside"):
                yield Static(id="class-effects", markup=False)
                yield ImageGrid(album, style, id="samples")
        yield Static(id="no-class", classes="calm", markup=False)

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.call_after_refresh(self.show)  # only then the parts know their sizes

    @on(Beside.Sized)
    def _sized(self) -> None:
        self.show()

    def show(self) -> None:
        """Show the group that is looked at, or why there is none."""
        state = self.state
        reason = self._nothing()
        self.query_one("#looked").display = not reason
        self.query_one("#heading").display = not reason
        empty = self.query_one("#no-class", Static)
        empty.display = bool(reason)
        if reason:
            empty.update(plain(reason, state.style.ascii))
            return
        wide = self.size.width >= _WIDE
        self.query_one("#moved").display = wide or not self._turned
        self.query_one("#beside").display = wide or self._turned
        self._show_heading()
        self._show_seen()
        self.offer("next", "previous", "choose")

    def allows(self, action: str) -> bool:
        """Going from class to class needs a ranking, opening an image an image."""
        if action in ("next", "previous", "choose"):
            return self.state.answer is not None
        if action == "view":
            return self.size.width < _WIDE
        return super().allows(action)

    def action_next(self) -> None:
        """Go to the next class of the ranking."""
        self._step(1)

    def action_previous(self) -> None:
        """Go to the class before."""
        self._step(-1)

    def action_choose(self) -> None:
        """Choose a class by name."""
        answer = self.state.answer
        assert answer is not None
        rows = answer.report.ranking.rows
        self.choose(
            f"Which {answer.report.noun}?",
            [row.group for row in rows],
            lambda place: self.post_message(self.GroupChosen(rows[place].index)),
        )

    def action_view(self) -> None:
        """Turn from the images to the effects on target classes, and back."""
        self._turned = not self._turned
        self.show()
        self.query_one("#samples" if self._turned else "#moved").focus()

    def action_command(self) -> None:
        """Copy the command that shows the same."""
        seen = self.state.seen
        overview = self.state.overview
        if seen is not None and overview is not None and overview.info is not None:
            group = overview.info.source.groups[seen.group]
            self.post_message(
                CopyAsked(self.state.question.command(self.state.root, "show", source=group), "the command")
            )

    @on(ImageGrid.Opened)
    def _opened(self, message: ImageGrid.Opened) -> None:
        shown, tiles = self._shown[0] if self._shown else None, message.tiles
        if not isinstance(shown, GroupSeen) or tiles[message.place].target is None:
            return
        effects, examples = shown.effects, [tile.index for tile in tiles]
        series = ImageSeries(
            effects.reading, effects.question, examples, [shown.group] * len(tiles), "", "that it moves"
        )
        grid = self.query_one("#moved", ImageGrid)
        self.open_image(series, message.place, lambda place: grid.select(tiles[place]))

    def _step(self, by: int) -> None:
        answer = self.state.answer
        if answer is None:
            return
        order = [row.index for row in answer.report.ranking.rows]
        place = order.index(self.state.group) if self.state.group in order else 0
        self.post_message(self.GroupChosen(order[(place + by) % len(order)]))

    def _nothing(self) -> str:
        """Why no class can be shown; empty if one can."""
        state = self.state
        if state.answer is None:
            return state.rank_problem or state.problem or "reading the models..."
        if state.effects is None:
            return state.effects_problem or "estimating what each class does to each image..."
        return ""

    def _show_heading(self) -> None:
        state = self.state
        answer, overview, seen = state.answer, state.overview, self._seen()
        group = seen.group if seen is not None else state.group
        if answer is None or overview is None or overview.info is None:
            return
        row = next((row for row in answer.report.ranking.rows if row.index == group), None)
        if row is None:
            return
        sizes, width = overview.info.source.sizes, self.size.width - 2
        lines = [group_heading(answer.report, row, sizes[row.index], state.style, width)]
        if seen is None:
            working = state.effects_problem or state.rank_problem or "working it out..."
            lines.append(Text.assemble((plain(working, state.style.ascii), state.style.warning)))
        problem = (seen.reason if seen is not None else "") or next(filter(None, state.image_problems.values()), "")
        if problem:
            lines.append(Text.assemble((plain(problem, state.style.ascii), state.style.warning)))
        text = Text("\n").join(lines)
        if text != self._heading:
            self._heading = text
            self.query_one("#heading", Static).update(text)

    def _show_seen(self) -> None:
        seen, style = self._seen(), self.state.style
        moved, samples = self.query_one("#moved", ImageGrid), self.query_one("#samples", ImageGrid)
        beside = self.query_one("#beside")
        size = (beside.size.width, beside.size.height)
        if self._shown == (seen, style, self.size, size):
            if self._pictures != self.state.album.changes:
                self._pictures = self.state.album.changes
                moved.redraw()
                samples.redraw()
                self.ask_for_pictures()  # those of the next page, once those that are seen are there
            return
        before, self._shown = self._shown, (seen, style, self.size, size)
        if seen is None or seen.moved is None:
            for grid in (moved, samples):
                grid.show((), style, follow=False)
            self.query_one("#class-effects", Static).update("")
            return
        follow = bool(before) and isinstance(before[0], GroupSeen) and before[0].group == seen.group
        target = seen.effects.reading.target
        captions = 2 if self.size.height >= _TALL else 1
        images = example_effect_rows(
            seen.moved, target, seen.effects.reading.target_info.classes, style, captions=captions
        )
        moved.show(images, style, captions=captions, follow=follow)
        samples.show((sample_row(seen.samples, style),), style, captions=0, follow=follow)
        room = max(size[1] - _SAMPLE_ROWS, size[1] // 2)
        lines = class_effect_lines(seen.moved, style, max(size[0] - 3, 20), room)
        self.query_one("#class-effects", Static).update(Text("\n").join(lines))

    def _seen(self) -> GroupSeen | None:
        """The last look at a group, if it answers the question that is asked.

        While the next group is looked at, which takes milliseconds, it is of the one before: all of the screen is.
        """
        seen, state = self.state.seen, self.state
        if seen is None or not seen.effects.question == state.question == state.answered:
            return None
        return seen if seen.group == state.group or seen.effects.examples is not None else None
