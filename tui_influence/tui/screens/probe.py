"""Mode 6, Probe: what models get wrong and what is to blame, what drives which images of a class, and leaks.

What is found is the core's business: this screen holds a view and shows what was found for the run's question; while
another one is being worked out the old answer stays, and the line above says so.
"""

import shlex
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static

from tui_influence.analysis.types import ProbeKind
from tui_influence.render.format import plain
from tui_influence.text import pluralize
from tui_influence.tui.actions import bindings
from tui_influence.tui.messages import CopyAsked
from tui_influence.tui.screens.base import AskingScreen
from tui_influence.tui.state import RunState
from tui_influence.tui.widgets.headers import probe_heading
from tui_influence.tui.widgets.image_grid import ImageGrid
from tui_influence.tui.widgets.incremental_text import IncrementalText
from tui_influence.tui.widgets.input import PROBE_FILTER, Field
from tui_influence.tui.widgets.probe_detail import ProbeDetail
from tui_influence.tui.widgets.table import ProbeTable, Table

if TYPE_CHECKING:
    from tui_influence.analysis.types import ProbeResult
    from tui_influence.render.probe_views import ImageRowsView, ProbeView, TableView


class ProbeScreen(AskingScreen):
    """Shows one of three probes."""

    mode = "probe"
    AUTO_FOCUS = "ProbeTable"
    help = (
        "Probes of a run. Failures are test images that most models get wrong, with the source classes that hurt each "
        "most. Subpopulations tell the images of a target class apart by the source class that drives each beyond its "
        "class. Leaks are pairs of one source image and one test image; they take a run over single images. "
        "<probe.view> turns from one to the next, <probe.target-class> chooses a class of the target, <probe.driver> "
        "one of the source."
    )
    hint = (
        "<probe.view> turns the view.  <probe.target-class> chooses a class, <probe.driver> what one source class "
        "drives.  <table.choose> opens.  <app.help> help."
    )
    BINDINGS = bindings("probe")

    class ViewTurned(Message):
        """The next view is looked at."""

    class DriverChosen(Message):
        """A source group is chosen whose images are looked at, by its column in the masks; None for none."""

        def __init__(self, group: int | None) -> None:
            self.group = group
            super().__init__()

    class ExportAsked(Message):
        """What was found is to be written to a file."""

    def __init__(self, state: RunState) -> None:
        super().__init__(state)
        self._filter = ""
        self._order = 0
        self._found: ProbeResult | None = None
        self._view: ProbeView | None = None
        self._table: TableView | None = None
        self._images: ImageRowsView | None = None
        self._drawn: tuple[object, ...] = ()
        self._detailed: tuple[object, ...] = ()
        self._part = ""
        self._pictures = 0

    def body(self) -> ComposeResult:
        """Lay out heading, filter, table or images, and what is beside them."""
        album, style = self.state.album, self.state.style
        yield IncrementalText(id="probe-heading")
        field = Field(PROBE_FILTER, placeholder="part of a name, <-0.1, q<0.05, margin<-2, right<0.1", id="filter")
        field.display = False
        yield field
        with Horizontal(id="probed"):
            yield ProbeTable(style)
            yield ImageGrid(album, style, id="parts")
            yield ProbeDetail(album, id="probe-beside")
        yield Static(id="no-probe", classes="calm", markup=False)

    def on_mount(self) -> None:
        """Filter while a key is still being handled: one paint shows both."""
        self.watch(self.query_one("#filter", Input), "value", self._filtered, init=False)

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.call_after_refresh(self.show)

    def show(self) -> None:
        """Show what was found, or why nothing was."""
        self._find_view()
        view, style = self._view, self.state.style
        reason = self._nothing()
        empty = self.query_one("#no-probe", Static)
        empty.display = bool(reason)
        probed = self.query_one("#probed")
        if probed.display is bool(reason):
            probed.display = not reason
            self.call_after_refresh(self.show)  # only then its parts know their sizes
        if reason:
            empty.update(plain(reason, style.ascii))
        elif view is not None:
            self._show_body(view)
        self._show_heading()
        self.offer("filter", "sort", "target_class", "driver", "estimator", "export")

    def back(self) -> bool:
        """Leave the filter, then one source class, then one class of the target."""
        field = self.query_one("#filter", Input)
        if field.display:
            field.value = ""
            field.display = False
            self.query_one(ProbeTable).focus()
            return True
        probe, asked = self.state.probe, self.state.question
        if probe.view is ProbeKind.PARTS and probe.source is not None:
            self.post_message(self.DriverChosen(None))
            return True
        if probe.view is ProbeKind.PARTS and asked.target_class is not None:
            self.ask(asked.compared_with(None, None))
            return True
        return False

    def allows(self, action: str) -> bool:
        """What needs something found only where it is, and what a view does not heed not there."""
        view = self.state.probe.view
        if action in ("filter", "sort"):
            return self._table is not None and not self._nothing()
        if action == "export":
            return self._view is not None and not self._nothing()
        if action == "estimator" and view is ProbeKind.LEAKS:
            return False
        if action in ("driver", "command"):
            return self.state.overview is not None and self.state.overview.info is not None
        return super().allows(action)

    def action_view(self) -> None:
        """Turn to the next view."""
        self.post_message(self.ViewTurned())

    def action_driver(self) -> None:
        """Choose a source group whose images are looked at, or none."""
        groups = self.info().source.groups
        none = ["none: the classes of the target"] if self.state.probe.source is not None else []
        self.choose(
            "What does which of the source drive?",
            [*none, *groups],
            lambda place: self.post_message(self.DriverChosen(place - len(none) if place >= len(none) else None)),
        )

    def action_filter(self) -> None:
        """Type a filter."""
        field = self.query_one("#filter", Input)
        field.display = True
        self.set_focus(field)  # now, not later: the next key is meant for it

    def action_sort(self) -> None:
        """Take the next order."""
        self._order += 1
        self._show_rows(follow=False)
        self._show_heading()

    def action_export(self) -> None:
        """Ask for the file."""
        self.post_message(self.ExportAsked())

    def action_command(self) -> None:
        """Copy the command that finds the same."""
        probe = self.state.probe
        asked = probe.asked(self.state.question)
        source = None if asked.source is None else self.info().source.groups[asked.source]
        verb, *words = asked.question.arguments(self.state.root, asked.kind, source=source)
        limit = probe.found.limit if probe.found is not None else None
        top = [f"--top={limit}"] if limit else []
        self.post_message(CopyAsked(shlex.join(["tinfl", verb, *top, *words]), "the command"))

    @property
    def has_view(self) -> bool:
        """Whether a result is on the screen."""
        return self._view is not None

    @on(Table.Chosen)
    def _chosen(self, message: Table.Chosen) -> None:
        view, sheet = self._view, self._table
        if view is None or sheet is None:
            return
        table = self.query_one(ProbeTable)
        row = sheet.row(message.index)
        if row is None:
            return
        if row.example is None:
            self.ask(self.state.question.compared_with(None, row.group))
            return
        indices = [one.index for one in sheet.select(self._filter, self._order % len(sheet.orders))]
        if message.index in indices:
            series = view.series(indices)
            self.open_image(series, indices.index(message.index), lambda place: table.select(indices[place]))

    @on(ImageGrid.Opened)
    def _opened(self, message: ImageGrid.Opened) -> None:
        if self._view is not None:
            grid, tiles = self.query_one("#parts", ImageGrid), message.tiles
            series = self._view.series([tile.index for tile in tiles])
            self.open_image(series, message.place, lambda place: grid.select(tiles[place]))

    @on(Table.CursorMoved)
    @on(ImageGrid.Turned)
    def _cursor_moved(self) -> None:
        self._show_beside()

    @on(Input.Submitted, "#filter")
    def _filter_kept(self) -> None:
        self.query_one("#filter").display = bool(self._filter.strip())
        self.query_one(ProbeTable).focus()

    def _filtered(self, value: str) -> None:
        self._filter = value
        self._show_rows(follow=True)
        self._show_heading()

    def _nothing(self) -> str:
        """Why there is nothing to show; empty if there is something."""
        state = self.state
        if state.overview is None or state.overview.info is None:
            return state.problem or "reading the run..."
        if self._view is None:
            return state.probe.problem or "reading the models..."
        return self._view.empty

    def _find_view(self) -> None:
        """Take what was found; of how it was looked at, a table keeps filter and order for another question."""
        found = self.state.probe.found
        if found is self._found:
            return
        before, self._found = self._found, found
        sheet = self._table
        self._view = self._table = self._images = None
        if found is not None:
            from tui_influence.tui.probe_results import probe_view  # here, because it loads numpy

            self._view = probe_view(found)
            self._table, self._images = self._view.table, self._view.images
        table = sheet is not None and self._table is not None and sheet.noun == self._table.noun
        if before is not None and not table and (found is None or before.question != found.question):
            self._order = 0
            self._drawn = ()
            self.query_one("#filter", Input).value = ""
            self.query_one("#filter").display = False

    def _show_body(self, view: "ProbeView") -> None:
        sheet = self._table
        table, grid = self.query_one(ProbeTable), self.query_one("#parts", ImageGrid)
        table.display, grid.display = sheet is not None, sheet is None
        self.query_one("#probed").set_class(self.state.probe.view is ProbeKind.LEAKS, "-pairs")
        if not isinstance(self.focused, Input) or sheet is None:
            self.focus_on("ProbeTable" if sheet is not None else "#parts")
        drawn = (view, self.state.style)
        if self._drawn != drawn:
            follow, self._drawn = bool(self._drawn), drawn
            if self._images is not None:
                grid.show(self._images.rows(self.state.style), self.state.style, captions=1, follow=follow)
            self._show_rows(follow=follow)
        if self._pictures != self.state.album.changes:
            self._pictures = self.state.album.changes
            grid.redraw()
            self.query_one(ProbeDetail).redraw()
            self.ask_for_pictures()
        self._show_beside()

    def _show_rows(self, *, follow: bool) -> None:
        sheet = self._table
        if sheet is None:
            return
        order = self._order % len(sheet.orders)
        rows = sheet.select(self._filter, order)
        self.query_one(ProbeTable).show(sheet, rows, self.state.style, follow=follow)
        many = f"{len(rows):,} of {pluralize(len(sheet.rows), sheet.noun, sheet.nouns)}, " if self._filter else ""
        self._part = f"{many}{list(sheet.orders)[order]}"

    def _show_heading(self) -> None:
        view, width = self._view, self.size.width - 2
        summary = view.summary(self.state.style) if view is not None else ""
        part = self._part if self._table is not None and not self._nothing() else ""
        self.query_one("#probe-heading", IncrementalText).show(probe_heading(self.state, summary, part, width))

    def _show_beside(self) -> None:
        """Show what is beside the table, or the images, about what the cursor is on."""
        beside, style, found, sheet = self.query_one(ProbeDetail), self.state.style, self._found, self._table
        width, height = beside.room
        if found is None or self._view is None or not width:
            return
        place, tile = self.query_one(ProbeTable).current_place, self.query_one("#parts", ImageGrid).current
        detailed = (self._view, place if sheet is not None else tile, style, beside.room)
        if self._detailed == detailed:
            return
        self._detailed = detailed
        row, lines = None, []
        if sheet is not None and place is not None:
            row, lines = sheet.rows[place], sheet.detail(place, width, style)
        elif self._images is not None:
            lines = self._images.detail(None if tile is None else tile.index, width, height, style)
        example, sample = (row.example, row.sample) if row is not None else (None, None)
        beside.show(found.reading.target, example, sample, lines, style)
