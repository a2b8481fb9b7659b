"""Mode 4, Prune: which classes are left out, what retraining without them gained, and what that cost.

A pruning that is not there yet is a proposal: what would be retrained, how many models, how long. One that is there
is a run of its own, shown as its arms fill in. This screen holds what is looked at; `prune_asking` asks for the rest.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Static

from tui_influence.pruning.options import Choice
from tui_influence.render.format import plain
from tui_influence.text import pluralize
from tui_influence.tui.actions import bindings
from tui_influence.tui.keys import keys_of
from tui_influence.tui.screens.prune_asking import PruneAsking
from tui_influence.tui.state import RunState
from tui_influence.tui.widgets.arm_table import ArmTable
from tui_influence.tui.widgets.facts import NARROW
from tui_influence.tui.widgets.pruning_standing import proposal_lines, pruning_standing
from tui_influence.tui.widgets.steady_lines import SteadyLines
from tui_influence.tui.widgets.table import Table

if TYPE_CHECKING:
    from tui_influence.pruning.curve import Quantity
    from tui_influence.pruning.types import (
        ArmResult,
    )
    from tui_influence.tui.widgets.gain_lines import GainSheet

_WIDE = 120
_VIEWS = ("arms", "curve", "prediction")


class PruneScreen(PruneAsking):
    """Shows a pruning, or proposes one."""

    mode = "prune"
    AUTO_FOCUS = "ArmTable"
    help = (
        "What leaving classes out gains. Arms are retrained from scratch, without the classes of lowest influence, "
        "as many at random, those of highest influence, or the ones marked in Rank, and each is compared with keeping "
        "everything, on the half of the test images that had no part in the ranking. Gains have 95% intervals over "
        "retrainings. Baselines drop what a single model trained on everything finds no use for: they show what "
        "thousands of models buy. Another network, transfer or number of epochs is for `tinfl prune`."
    )
    hint = (
        "<prune.numbers>, <prune.list>, <prune.seeds>, <prune.baselines> choose, <prune.train> trains.  "
        "<prune.view> turns the view, <prune.output> the unit, <prune.name> the pruning.  <app.help> help."
    )
    BINDINGS = bindings("prune")

    def __init__(self, state: RunState) -> None:
        super().__init__(state)
        self._quantity: Quantity = "accuracy"
        self._view = 0
        self._opened: int | None = None
        self._sheet: GainSheet | None = None
        self._made_of: tuple[object, ...] = ()
        self._detailed: tuple[object, ...] = ()
        self._beside: tuple[object, ...] = ()

    def body(self) -> ComposeResult:
        """Lay out how it stands, the table with its detail, and the curve; or what is proposed."""
        with VerticalScroll(id="proposal"):
            yield SteadyLines(id="proposed")
        yield SteadyLines(id="pruning-standing")
        with Horizontal(id="pruned"):
            with Vertical(id="arms"):
                yield ArmTable(self.state.look)
                yield SteadyLines(id="arm")
            with VerticalScroll(id="pruned-beside", can_focus=False):
                yield SteadyLines(id="curve")
        yield Static(id="no-pruning", classes="calm", markup=False)

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.call_after_refresh(self.show)

    def show(self) -> None:
        """Show what is proposed, or what was measured, or why there is neither."""
        state, pruning = self.state, self.state.pruning
        reason = self.nothing()
        proposing = not reason and pruning.proposes
        measured = not reason and not proposing
        self.query_one("#no-pruning").display = bool(reason)
        self.query_one("#proposal").display = proposing
        self.query_one("#pruning-standing").display = measured
        self.query_one("#pruned").display = measured
        self.focus_on("#proposal" if proposing else "ArmTable")
        if reason:
            self.query_one("#no-pruning", Static).update(plain(reason, state.look.ascii))
        elif proposing:
            self._show_proposal()
        else:
            self._show_measured()
        self.offer("numbers", "list", "train", "stop", "resume", "output", "view", "name")

    def back(self) -> bool:
        """Leave the target classes of an arm, then what was chosen."""
        if self._opened is not None:
            opened, self._opened = self._opened, None
            self.show()
            self.query_one(ArmTable).select(opened)
            return True
        if not self.state.pruning.choice.is_empty:
            self.post_message(self.ChoiceMade(**vars(Choice())))
            return True
        return False

    def allows(self, action: str) -> bool:
        """What turns what is shown needs something shown; the rest is asked."""
        pruning = self.state.pruning
        if action == "view":
            return self._is_measured and self.size.width < _WIDE  # wider, all of it is shown
        if action == "output":
            return self._is_measured or (pruning.proposes and not self.nothing())
        return super().allows(action)

    def action_output(self) -> None:
        """Show gains in the other quantity."""
        self._quantity = "margin" if self._quantity == "accuracy" else "accuracy"
        self.show()

    def action_view(self) -> None:
        """Turn to the next view."""
        self._view = (self._view + 1) % len(_VIEWS)
        self.show()

    @on(PruneAsking.NameChosen)
    def _named(self) -> None:
        self._opened = None

    @on(Table.Chosen)
    async def _chosen(self, message: Table.Chosen) -> None:
        result = self._result()
        if self._opened is None:
            measured = self.state.pruning.measured
            if measured is not None and measured.results[message.index].by_class:
                self._opened = message.index
                self.show()
            return
        if result is not None:
            gain = result.by_class[message.index]
            self.ask(replace(self.state.question, target=gain.target, target_class=gain.name))
            await self.app.run_action("app.mode('rank')")

    @on(Table.CursorMoved)
    def _moved(self) -> None:
        self._show_detail()

    def _result(self) -> "ArmResult | None":
        """The arm whose target classes are shown."""
        measured = self.state.pruning.measured
        if measured is None or self._opened is None or self._opened >= len(measured.results):
            return None
        return measured.results[self._opened]

    def _show_proposal(self) -> None:
        state = self.state
        width = self.size.width - 4
        lines = proposal_lines(state, keys_of(self.app), width)
        outline = state.pruning.outline
        if outline is not None and not state.pruning.refused:
            from tui_influence.tui.widgets.pruning_lines import predicted_gains, recommended  # loads numpy

            planned = {arm.k for arm in outline.pruning.arms if arm.kind == "lowest"}
            forecasts = [found for found in outline.pruning.forecast if found.k in planned]
            if planned:
                lines += [Text(), recommended(outline.best, state.look, "predicted")]
            if forecasts:
                lines += predicted_gains(forecasts, self._quantity, state.look)
        self.query_one("#proposed", SteadyLines).show(lines)

    def _show_measured(self) -> None:
        state, pruning = self.state, self.state.pruning
        width, look = self.size.width - 2, state.look
        wide = self.size.width >= _WIDE
        lines = pruning_standing(state, width)
        measured = pruning.measured
        if pruning.unmeasured:
            lines.append(Text(plain(pruning.unmeasured, look.ascii), style=look.error))
        if measured is not None:
            from tui_influence.tui.widgets.pruning_lines import class_heading, ranked_by, verdict

            result = self._result()
            if result is not None:
                lines.append(class_heading(result, look))
            else:
                said = verdict(measured, pruning.name, look)
                if said is not None and self.size.width < NARROW:
                    said.truncate(width, overflow="ellipsis" if not look.ascii else "crop")
                lines += [said] if said is not None else []
                if wide:
                    lines.append(
                        Text(
                            plain(f"ranked by {ranked_by(measured.pruning.ranking)}", look.ascii),
                            style=look.quiet,
                        )
                    )
            if measured.damaged:
                left_out = f"{pluralize(len(measured.damaged), 'damaged record')} left out"
                lines.append(Text(left_out, style=look.warning))
        self.query_one("#pruning-standing", SteadyLines).show(lines)
        view = "both" if wide else _VIEWS[self._view]
        self.query_one("#arms").display = measured is not None and view in ("both", "arms")
        self.query_one("#pruned-beside").display = measured is not None and view != "arms"
        if measured is not None:
            self._show_table()
            self.call_after_refresh(self._show_sized, view)  # only then what was hidden knows its size

    def _show_sized(self, view: str) -> None:
        self._show_detail()
        self._show_beside(view)

    def _show_table(self) -> None:
        from tui_influence.tui.widgets.gain_lines import arm_sheet, class_sheet

        measured, look = self.state.pruning.measured, self.state.look
        made_of = (measured, self._quantity, self._opened, look)
        if measured is None or made_of == self._made_of:
            return
        same = self._made_of[2:3] == made_of[2:3] and bool(self._made_of)
        self._made_of = made_of
        result = self._result()
        self._sheet = (
            arm_sheet(measured, self._quantity) if result is None else class_sheet(measured, result, self._quantity)
        )
        table = self.query_one(ArmTable)
        table.styles.max_height = len(self._sheet.rows) + 1  # what is said of the line stands right below
        table.show(self._sheet, self._sheet.rows, look, follow=same)
        self._show_detail()

    def _show_detail(self) -> None:
        measured, current = self.state.pruning.measured, self.query_one(ArmTable).current
        if measured is None or current is None or self._sheet is None:
            return
        from tui_influence.tui.widgets.pruning_lines import arm_detail, class_detail

        width = self.query_one("#arms").size.width - 2
        detailed = (measured, self._opened, current.index, self.state.look, width)
        if detailed == self._detailed:
            return
        self._detailed = detailed
        result, look = self._result(), self.state.look
        if result is None:
            lines = arm_detail(measured, measured.results[current.index], look, max(width, 20))
        else:
            lines = class_detail(result.by_class[current.index], look)
        self.query_one("#arm", SteadyLines).show(lines)

    def _show_beside(self, view: str) -> None:
        measured, look = self.state.pruning.measured, self.state.look
        if measured is None or view == "arms":
            return
        beside = self.query_one("#pruned-beside")
        width, height = beside.content_size.width, beside.content_size.height
        drawn = (measured, view, self._quantity, look, width, height)
        if drawn == self._beside or width < 12:
            return
        self._beside = drawn
        from tui_influence.tui.widgets.pruning_lines import against_prediction, curve

        lines: list[Text] = []
        prediction = against_prediction(measured, self._quantity, look) if view != "curve" else []
        if view != "prediction":
            lines += curve(measured, self._quantity, look, width, height - len(prediction) - 1)
        if prediction:
            lines += [*([Text()] if lines else []), *prediction]
        self.query_one("#curve", SteadyLines).show(lines)
