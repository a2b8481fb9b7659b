"""Mode 6, Probe: failures and their harmful groups, subpopulations, and leaks.

While another question is being answered, the earlier answer stays, and the line above says so.
"""

import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input, Static

from tui_influence.analysis.probe_types import ProbeKind
from tui_influence.render.format import plain
from tui_influence.text import pluralize
from tui_influence.tui.actions import bindings
from tui_influence.tui.operations import RunOperations
from tui_influence.tui.screens.base import QueryScreen
from tui_influence.tui.state import PROBE_TRAITS, AnyQuery, RunState
from tui_influence.tui.widgets.headers import probe_heading
from tui_influence.tui.widgets.image_grid import ImageGrid
from tui_influence.tui.widgets.incremental_text import IncrementalText
from tui_influence.tui.widgets.input import PROBE_FILTER, Field
from tui_influence.tui.widgets.probe_detail import ProbeDetail
from tui_influence.tui.widgets.table import ProbeTable, Table

if TYPE_CHECKING:
    from tui_influence.analysis.probe_types import ProbeResult
    from tui_influence.render.probe_views import ImageRowsView, ProbeView, TableView
    from tui_influence.tui.probes import Probe


class ProbeScreen(QueryScreen):
    """Shows one of three probes."""

    mode = "probe"
    AUTO_FOCUS = "ProbeTable"
    help = (
        "Probes of a run. Failures are test images that most models get wrong, with the source classes that hurt each "
        "most. Subpopulations tell the images of a target class apart by the source class that helps each more than "
        "its class. Leaks are pairs of one source image and one test image; they take a run over single images. "
        "<probe.view> turns from one to the next, <probe.target-class> chooses a class of the target, <probe.driver> "
        "one of the source."
    )
    hints = (
        "<probe.view> turns the view.",
        "<probe.target-class> chooses a class, <probe.driver> a source class.",
        "<table.choose> opens.",
        "<app.help> help.",
    )
    BINDINGS = bindings("probe")

    def __init__(self, state: RunState, operations: RunOperations) -> None:
        super().__init__(state, operations)
        self._filter = ""
        self._order = 0
        self._result: ProbeResult | None = None
        self._probe: Probe | None = None
        self._view: ProbeView | None = None
        self._table: TableView | None = None
        self._images: ImageRowsView | None = None
        self._drawn: tuple[object, ...] = ()
        self._detail_sources: tuple[object, ...] = ()
        self._part = ""
        self._image_changes = 0

    def queries(self) -> Iterable[AnyQuery]:
        """Ask for the probe of the kind that is shown."""
        return (self.state.probe.query,)

    def body(self) -> ComposeResult:
        """Lay out heading, filter, table or images, and what is beside them."""
        images, style = self.state.images, self.state.style
        yield IncrementalText(id="probe-heading")
        field = Field(PROBE_FILTER, placeholder="part of a name, <-0.1, q<0.05, margin<-2, right<0.1", id="filter")
        field.display = False
        yield field
        with Horizontal(id="probed"):
            yield ProbeTable(style)
            yield ImageGrid(images, style, id="subpopulations")
            yield ProbeDetail(images, id="probe-detail")
        yield Static(id="no-probe", classes="calm", markup=False)

    def on_mount(self) -> None:
        """Filter while a key is still being handled: one paint shows both."""
        self.watch(self.query_one("#filter", Input), "value", self._apply_filter, init=False)

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.call_after_refresh(self.show)

    def show(self) -> None:
        """Show the result, or why there is none."""
        self._update_view()
        view, style = self._view, self.state.style
        reason = self._empty_reason()
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
        probe, question = self.state.probe, self.state.question
        if probe.kind is ProbeKind.SUBPOPULATIONS and probe.source is not None:
            self._choose_source(None)
            return True
        if probe.kind is ProbeKind.SUBPOPULATIONS and question.target_class is not None:
            self.ask(question.compared_with(None, None))
            return True
        return False

    def allows(self, action: str) -> bool:
        """Return whether the state allows an action; some need a result, and a kind of probe may not use some."""
        kind = self.state.probe.kind
        if action in ("filter", "sort"):
            return self._table is not None and not self._empty_reason()
        if action == "export":
            return self._view is not None and not self._empty_reason()
        if action == "estimator" and not PROBE_TRAITS[kind].uses_estimator:
            return False
        if action in ("driver", "command"):
            return self.state.info is not None
        return super().allows(action)

    def action_view(self) -> None:
        """Turn to the next view."""
        self.state.probe.turn()
        self.changed()

    def estimator_in_use(self) -> str:
        """Return the name of the estimator of single examples."""
        return self.state.question.about_examples().estimator

    def action_driver(self) -> None:
        """Choose a source group to show the images that it drives, or none."""
        groups = self.info().source.groups
        none = ["none: the classes of the target"] if self.state.probe.source is not None else []
        self.choose(
            "Images driven by which source class?",
            [*none, *groups],
            lambda index: self._choose_source(index - len(none) if index >= len(none) else None),
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
        """Write what is shown to a file."""
        result = self.state.probe.query.value
        if self._probe is None or result is None:
            return
        probe, info = result.question, result.snapshot.info
        source = info.source.groups[probe.source] if probe.source is not None else None
        parts = (info.name, result.snapshot.target_info.name, probe.question.target_class, probe.kind, source)
        export = self._probe.export(result)
        note = f"{export.note} A file of that name is replaced."
        self.operations.export_csv([part for part in parts if part is not None], note, export.content, export.table)

    def action_command(self) -> None:
        """Copy the command that finds the same."""
        query = self.state.probe.query
        probe, limit = query.question, query.value.limit if query.value is not None else None
        source = None if probe.source is None else self.info().source.groups[probe.source]
        verb, *words = probe.question.arguments(self.state.root, probe.kind, source=source)
        top = [f"--top={limit}"] if limit else []
        self.operations.copy_command(shlex.join(["tinfl", verb, *top, *words]))

    def _choose_source(self, group: int | None) -> None:
        """Show what a source group drives, or the classes of the target."""
        probe = self.state.probe
        probe.kind, probe.source = ProbeKind.SUBPOPULATIONS, group
        self.changed()

    @on(Table.Chosen)
    def _open_row(self, message: Table.Chosen) -> None:
        view, model = self._view, self._table
        if view is None or model is None:
            return
        table = self.query_one(ProbeTable)
        row = model.row(message.index)
        if row is None:
            return
        if row.example is None:
            self.ask(self.state.question.compared_with(None, row.group))
            return
        indices = [row.index for row in model.select(self._filter, self._order % len(model.orders))]
        if message.index in indices:
            series = view.series(indices)
            self.open_image(series, indices.index(message.index), lambda index: table.select(indices[index]))

    @on(ImageGrid.Opened)
    def _open_image(self, message: ImageGrid.Opened) -> None:
        if self._view is not None:
            grid, tiles = self.query_one("#subpopulations", ImageGrid), message.tiles
            series = self._view.series([tile.index for tile in tiles])
            self.open_image(series, message.index, lambda index: grid.select(tiles[index]))

    @on(Table.CursorMoved)
    @on(ImageGrid.Turned)
    def _follow_cursor(self) -> None:
        self._show_detail()

    @on(Input.Submitted, "#filter")
    def _leave_field(self) -> None:
        self.query_one("#filter").display = bool(self._filter.strip())
        self.query_one(ProbeTable).focus()

    def _apply_filter(self, value: str) -> None:
        self._filter = value
        self._show_rows(follow=True)
        self._show_heading()

    def _empty_reason(self) -> str:
        """Return why there is nothing to show; empty if there is something."""
        state = self.state
        if state.info is None:
            return state.sweep.error or "reading the run..."
        if self._view is None:
            return state.probe.query.error or "reading the models..."
        return self._view.empty

    def _update_view(self) -> None:
        """Update the view of the result; a table of the same kind keeps its filter and order."""
        result = self.state.probe.query.value
        if result is self._result:
            return
        before, self._result = self._result, result
        model_before = self._table
        self._probe = self._view = self._table = self._images = None
        if result is not None:
            from tui_influence.tui.probes import PROBES  # here, because it loads numpy

            self._probe = PROBES[result.question.kind]
            self._view = self._probe.view(result)
            self._table, self._images = self._view.table, self._view.images
        keeps_order = model_before is not None and self._table is not None and model_before.noun == self._table.noun
        if before is not None and not keeps_order and (result is None or before.question != result.question):
            self._order = 0
            self._drawn = ()
            self.query_one("#filter", Input).value = ""
            self.query_one("#filter").display = False

    def _show_body(self, view: "ProbeView") -> None:
        model = self._table
        table, grid = self.query_one(ProbeTable), self.query_one("#subpopulations", ImageGrid)
        table.display, grid.display = model is not None, model is None
        self.query_one("#probed").set_class(self.state.probe.kind is ProbeKind.LEAKS, "-pairs")
        if not isinstance(self.focused, Input) or model is None:
            self.focus_on("ProbeTable" if model is not None else "#subpopulations")
        drawn = (view, self.state.style)
        if self._drawn != drawn:
            follow, self._drawn = bool(self._drawn), drawn
            if self._images is not None:
                grid.show(self._images.rows(self.state.style), self.state.style, captions=1, follow=follow)
            self._show_rows(follow=follow)
        if self._image_changes != self.state.images.changes:
            self._image_changes = self.state.images.changes
            grid.redraw()
            self.query_one(ProbeDetail).redraw()
            self.request_images()
        self._show_detail()

    def _show_rows(self, *, follow: bool) -> None:
        model = self._table
        if model is None:
            return
        order = self._order % len(model.orders)
        rows = model.select(self._filter, order)
        self.query_one(ProbeTable).show(model, rows, self.state.style, follow=follow)
        many = f"{len(rows):,} of {pluralize(len(model.rows), model.noun, model.nouns)}, " if self._filter else ""
        self._part = f"{many}{list(model.orders)[order]}"

    def _show_heading(self) -> None:
        view, width = self._view, self.size.width - 2
        summary = view.summary(self.state.style) if view is not None else ""
        part = self._part if self._table is not None and not self._empty_reason() else ""
        self.query_one("#probe-heading", IncrementalText).show(probe_heading(self.state, summary, part, width))

    def _show_detail(self) -> None:
        """Show what is beside the table, or the images, about what the cursor is on."""
        detail, style, result, model = self.query_one(ProbeDetail), self.state.style, self._result, self._table
        width, height = detail.room
        if result is None or self._view is None or not width:
            return
        index, tile = self.query_one(ProbeTable).current_index, self.query_one("#subpopulations", ImageGrid).current
        sources = (self._view, index if model is not None else tile, style, detail.room)
        if self._detail_sources == sources:
            return
        self._detail_sources = sources
        row, lines = None, []
        if model is not None and index is not None:
            row, lines = model.rows[index], model.detail(index, width, style)
        elif self._images is not None:
            lines = self._images.detail(None if tile is None else tile.index, width, height, style)
        example, sample = (row.example, row.sample) if row is not None else (None, None)
        detail.show(result.snapshot.target, example, sample, lines, style)
