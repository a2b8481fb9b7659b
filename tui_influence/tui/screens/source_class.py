"""Mode 3, Class: one source class, the target images it helps and hurts most, and what it does to each target class.

Everything fits on the screen: pages of images, and beside them, where it is wide, the effects on target classes and
the class's own images. Where it is narrow, a key turns from one to the other.
"""

from collections.abc import Iterable

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from tui_influence.analysis.types import ImageSeries
from tui_influence.render.format import plain
from tui_influence.render.source_class import class_effect_lines, example_effect_rows, group_heading, sample_row
from tui_influence.tui.actions import bindings
from tui_influence.tui.operations import RunOperations
from tui_influence.tui.screens.base import WIDE, QueryScreen, SizeReporter
from tui_influence.tui.state import AnyQuery, GroupDetail, RunState
from tui_influence.tui.widgets.image_grid import ImageGrid

_TALL = 32
_SAMPLE_ROWS = 10


class SidePanel(SizeReporter, Vertical):
    """The panel beside the images; it gets its size only after it is shown again."""


class ClassScreen(QueryScreen):
    """Shows what one source class does."""

    mode = "class"
    AUTO_FOCUS = "#moved"
    hints = (
        "<grid.open> opens an image.",
        "<class.next>, <class.previous> change the class, <class.choose> picks one.",
        "<class.view> turns the view.",
        "<app.help> help.",
    )
    BINDINGS = bindings("class")

    def __init__(self, state: RunState, operations: RunOperations) -> None:
        super().__init__(state, operations)
        self._shows_classes = False
        self._drawn: tuple[object, ...] = ()
        self._drawn_detail: GroupDetail | None = None
        self._image_changes = 0
        self._heading = Text()

    def queries(self) -> Iterable[AnyQuery]:
        """Ask for the ranking, then for the effects, then for those of one group."""
        state = self.state
        yield from (query for query in super().queries() if query is not state.effects)
        if not state.ranking.is_stale:
            yield state.effects
        if state.effects.value is not None and state.group is not None:
            yield state.group_detail

    def body(self) -> ComposeResult:
        """Lay out heading, images, and what is beside them."""
        images, style = self.state.images, self.state.style
        yield Static(id="heading", markup=False)
        with Horizontal(id="class-body"):
            yield ImageGrid(images, style, id="moved")
            with SidePanel(id="class-detail"):
                yield Static(id="class-effects", markup=False)
                yield ImageGrid(images, style, id="samples")
        yield Static(id="no-class", classes="calm", markup=False)

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.call_after_refresh(self.show)  # only then the parts know their sizes

    @on(SidePanel.Sized)
    def _show_resized(self) -> None:
        self.show()

    def show(self) -> None:
        """Show the group, or why there is none."""
        state = self.state
        reason = self._empty_reason()
        self.query_one("#class-body").display = not reason
        self.query_one("#heading").display = not reason
        empty = self.query_one("#no-class", Static)
        empty.display = bool(reason)
        if reason:
            empty.update(plain(reason, state.style.ascii))
            return
        wide = self.size.width >= WIDE
        self.query_one("#moved").display = wide or not self._shows_classes
        self.query_one("#class-detail").display = wide or self._shows_classes
        self._show_heading()
        self._show_detail()
        self.offer("next", "previous", "choose")

    def allows(self, action: str) -> bool:
        """Return whether the state allows an action; going from class to class needs a ranking."""
        if action in ("next", "previous", "choose"):
            return self.state.ranking.value is not None
        if action == "view":
            return self.size.width < WIDE
        return super().allows(action)

    def action_next(self) -> None:
        """Go to the next class of the ranking."""
        self._step(1)

    def action_previous(self) -> None:
        """Go to the class before."""
        self._step(-1)

    def action_choose(self) -> None:
        """Choose a class by name."""
        answer = self.state.ranking.value
        assert answer is not None
        rows = answer.report.ranking.rows
        self.choose(
            f"Which {answer.report.noun}?",
            [row.group for row in rows],
            lambda index: self._go_to(rows[index].index),
        )

    def action_view(self) -> None:
        """Turn from the images to the effects on target classes, and back."""
        self._shows_classes = not self._shows_classes
        self.show()
        self.query_one("#samples" if self._shows_classes else "#moved").focus()

    def action_command(self) -> None:
        """Copy the command that shows the same."""
        state, detail = self.state, self.state.group_detail.value
        if detail is not None and state.info is not None:
            group = state.info.source.groups[detail.group]
            self.operations.copy_command(state.question.command(state.root, "show", source=group))

    @on(ImageGrid.Opened)
    def _open_image(self, message: ImageGrid.Opened) -> None:
        detail, tiles = self._drawn_detail, message.tiles
        if detail is None or tiles[message.index].target is None:
            return
        effects, examples = detail.effects, [tile.index for tile in tiles]
        groups = [detail.group] * len(tiles)
        series = ImageSeries(effects.snapshot, effects.question, examples, groups, "", "that it influences")
        grid = self.query_one("#moved", ImageGrid)
        self.open_image(series, message.index, lambda index: grid.select(tiles[index]))

    def _step(self, by: int) -> None:
        answer = self.state.ranking.value
        if answer is None:
            return
        order = [row.index for row in answer.report.ranking.rows]
        index = order.index(self.state.group) if self.state.group in order else 0
        self._go_to(order[(index + by) % len(order)])

    def _go_to(self, group: int) -> None:
        self.state.group = group
        self.changed()

    def _empty_reason(self) -> str:
        """Return why no class can be shown; empty if one can."""
        state = self.state
        if state.ranking.value is None:
            return state.ranking.error or state.sweep.error or "reading the models..."
        if state.effects.value is None:
            return state.effects.error or "estimating what each class does to each image..."
        return ""

    def _show_heading(self) -> None:
        state, style = self.state, self.state.style
        ranking, info, detail = state.ranking.value, state.info, self._detail()
        group = detail.group if detail is not None else state.group
        if ranking is None or info is None:
            return
        row = next((row for row in ranking.report.ranking.rows if row.index == group), None)
        if row is None:
            return
        lines = [group_heading(ranking.report, row, info.source.sizes[row.index], style, self.size.width - 2)]
        if detail is None:
            queries = (state.effects, state.ranking, state.group_detail)
            reason = next((query.error for query in queries if query.error), "working it out...")
            lines.append(Text.assemble((plain(reason, style.ascii), style.warning)))
        errors = (detail.samples_error if detail is not None else "", *state.image_errors.values())
        error = next(filter(None, errors), "")
        if error:
            lines.append(Text.assemble((plain(error, style.ascii), style.warning)))
        text = Text("\n").join(lines)
        if text != self._heading:
            self._heading = text
            self.query_one("#heading", Static).update(text)

    def _show_detail(self) -> None:
        detail, style = self._detail(), self.state.style
        moved, samples = self.query_one("#moved", ImageGrid), self.query_one("#samples", ImageGrid)
        side = self.query_one("#class-detail").size
        drawn = (detail, style, self.size, side)
        if self._drawn == drawn:
            if self._image_changes != self.state.images.changes:
                self._image_changes = self.state.images.changes
                moved.redraw()
                samples.redraw()
                self.request_images()  # those of the next page, once those on the screen are there
            return
        before, self._drawn_detail, self._drawn = self._drawn_detail, detail, drawn
        if detail is None:
            for grid in (moved, samples):
                grid.show((), style, follow=False)
            self.query_one("#class-effects", Static).update("")
            return
        follow = before is not None and before.group == detail.group
        snapshot = detail.effects.snapshot
        captions = 2 if self.size.height >= _TALL else 1
        classes = snapshot.target_info.classes
        images = example_effect_rows(detail.moved, snapshot.target, classes, style, captions=captions)
        moved.show(images, style, captions=captions, follow=follow)
        samples.show((sample_row(detail.samples, style),), style, captions=0, follow=follow)
        room = max(side.height - _SAMPLE_ROWS, side.height // 2)
        lines = class_effect_lines(detail.moved, style, max(side.width - 3, 20), room)
        self.query_one("#class-effects", Static).update(Text("\n").join(lines))

    def _detail(self) -> GroupDetail | None:
        """Return the latest detail of a group, if it answers the current question.

        While that of the next group is computed, which takes milliseconds, it is of the one before: as is all of the
        screen.
        """
        detail, state = self.state.group_detail.value, self.state
        if detail is None or state.ranking.is_stale or detail.effects.question != state.question:
            return None
        return detail if detail.group == state.group or detail.effects.examples is not None else None
