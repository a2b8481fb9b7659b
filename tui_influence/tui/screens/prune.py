"""Mode 4, Prune: which classes to drop, what retraining without them gained, and what it costs.

A pruning that does not exist yet is a proposal: what would be retrained, how many models, how long. One that exists
is a run of its own, shown as its arms fill in.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Static

from tui_influence.errors import ConfigError
from tui_influence.pruning.forecast_limits import forecast_limit
from tui_influence.pruning.options import PruningRequest, parse_drop_counts
from tui_influence.pruning.types import ArmResult, Quantity
from tui_influence.render.format import plain
from tui_influence.render.gains import (
    GainTable,
    arm_detail,
    arm_gains,
    class_detail,
    class_gains,
    class_heading,
    forecast_and_measured,
    forecast_gains,
)
from tui_influence.render.pruning import curve_lines, ranked_by, recommendation_line, results_verdict, same_training
from tui_influence.render.pruning_plan import choice_lines, cost_lines
from tui_influence.render.run import preparing_lines, retraining_line, retraining_problems
from tui_influence.render.style import NARROW
from tui_influence.roles import BASELINES, ArmKind
from tui_influence.runs.heartbeat import State
from tui_influence.store.paths import Paths
from tui_influence.text import pluralize
from tui_influence.tui.actions import bindings
from tui_influence.tui.background import attempt
from tui_influence.tui.keymap import keys_of
from tui_influence.tui.operations import RunOperations, plan_summary
from tui_influence.tui.screens.base import WIDE, QueryScreen, SizeReporter
from tui_influence.tui.screens.dialogs import FieldScreen
from tui_influence.tui.state import AnyQuery, RunHandle, RunState, marked_classes
from tui_influence.tui.widgets.incremental_text import IncrementalText
from tui_influence.tui.widgets.input import NAME, NUMBERS
from tui_influence.tui.widgets.table import ArmTable, Table

_CHOOSING = ("numbers", "list", "seeds", "baselines", "time", "train")
_CHOICES = {
    "drop": "prune.numbers",
    "list": "prune.list",
    "seeds": "prune.seeds",
    "baselines": "prune.baselines",
}
"""Actions that change a choice."""
_SEEDS = (3, 5, 10, 20, 50)


_VIEWS = ("arms", "curve", "forecast")


class ChartPanel(SizeReporter, VerticalScroll):
    """The panel of the charts, which fill its height: what the summary above it takes changes that."""


class PruneScreen(QueryScreen):
    """Shows a pruning, or proposes one."""

    mode = "prune"
    AUTO_FOCUS = "ArmTable"
    help = (
        "What leaving classes out gains. Arms are retrained from scratch, without the classes of lowest influence, "
        "as many at random, those of highest influence, or the ones marked in Rank, and each is compared with keeping "
        "everything, on the half of the test images that had no part in the ranking. Gains have 95% intervals over "
        "retrainings. Baselines drop what a single model trained on everything makes least use of: they show what "
        "thousands of models buy. Another network, transfer, resolution or length of training is for `tinfl prune`."
    )
    hints = (
        "<prune.numbers>, <prune.list>, <prune.seeds>, <prune.baselines> choose.",
        "<prune.train> trains.",
        "<prune.stop> stops.",
        "<prune.view> turns the view.",
        "<prune.output> changes the unit.",
        "<prune.name> another pruning.",
        "<app.help> help.",
    )
    BINDINGS = bindings("prune")

    def __init__(self, state: RunState, operations: RunOperations) -> None:
        super().__init__(state, operations)
        self._quantity: Quantity = "accuracy"
        self._view = 0
        self._opened_arm: int | None = None
        self._table_model: GainTable | None = None
        self._table_sources: tuple[object, ...] = ()
        self._detail_sources: tuple[object, ...] = ()
        self._chart_sources: tuple[object, ...] = ()

    @property
    def retraining(self) -> RunHandle | None:
        """The pruning, if it exists."""
        return self.state.pruning.run if self.state.pruning.exists else None

    def queries(self) -> Iterable[AnyQuery]:
        """Ask for the prunings, for the arms of the one that is shown, and for the plan of what is proposed."""
        pruning, overview = self.state.pruning, self.state.overview
        if overview is None or overview.info is None or overview.info.arms:
            return
        yield pruning.names
        if pruning.exists:
            yield pruning.arms
        if pruning.is_proposed and overview.finished:
            yield pruning.plan

    def on_screen_resume(self) -> None:
        """List the prunings again: there may be others than before."""
        self.state.pruning.names.throttle.invalidate()
        super().on_screen_resume()

    def body(self) -> ComposeResult:
        """Lay out the summary, the table with its detail, and the charts; or the proposal."""
        with VerticalScroll(id="proposal"):
            yield IncrementalText(id="proposal-text")
        yield IncrementalText(id="pruning-summary")
        with Horizontal(id="pruned"):
            with Vertical(id="arms"):
                yield ArmTable(self.state.style)
                yield IncrementalText(id="arm")
            with ChartPanel(id="prune-charts", can_focus=False):
                yield IncrementalText(id="curve")
        yield Static(id="no-pruning", classes="calm", markup=False)

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.call_after_refresh(self.show)

    @on(ChartPanel.Sized)
    def _show_resized(self) -> None:
        self.show()

    def show(self) -> None:
        """Show the proposal, or the results, or why there is neither."""
        state, pruning = self.state, self.state.pruning
        reason = self._empty_reason()
        proposing = not reason and pruning.is_proposed
        measured = not reason and not proposing
        self.query_one("#no-pruning").display = bool(reason)
        self.query_one("#proposal").display = proposing
        self.query_one("#pruning-summary").display = measured
        self.query_one("#pruned").display = measured
        self.focus_on("#proposal" if proposing else "ArmTable")
        if reason:
            self.query_one("#no-pruning", Static).update(plain(reason, state.style.ascii))
        elif proposing:
            self._show_proposal()
        else:
            self._show_results()
        self.offer("numbers", "list", "train", "stop", "resume", "output", "view", "name")

    def _empty_reason(self) -> str:
        """Return why there is nothing to show; empty if there is something."""
        state = self.state
        if state.info is None:
            return state.sweep.error or "reading the run..."
        if state.info.arms:
            return "This is a pruning, not a sweep: open its sweep's directory to see what it gained."
        if state.pruning.names.value is None:
            return state.pruning.names.error or "looking for prunings..."
        return ""

    def back(self) -> bool:
        """Leave the target classes of an arm, then what was chosen."""
        if self._opened_arm is not None:
            opened, self._opened_arm = self._opened_arm, None
            self.show()
            self.query_one(ArmTable).select(opened)
            return True
        if self.state.pruning.request.chooses_arms:
            self.state.request_arms(PruningRequest())
            self.changed()
            return True
        return False

    def allows(self, action: str) -> bool:
        """Return whether the state allows an action.

        Choosing needs a ranking, and a pruning that is not active; the rest needs results.
        """
        pruning = self.state.pruning
        if self._empty_reason():
            return False
        is_preparing = pruning.run.root in self.state.preparing
        if action in _CHOOSING and (pruning.run.is_active or is_preparing):
            return False
        if action in ("time", "train"):
            plan = pruning.plan
            return pruning.is_proposed and plan.value is not None and not plan.is_stale and not plan.error
        if action == "stop":
            return pruning.run.is_active
        if action == "resume":
            overview = pruning.run.overview
            if not pruning.exists or overview is None or pruning.run.is_active or is_preparing:
                return False
            return overview.state is not State.DONE or bool(overview.left)
        if action == "export":
            return self._has_results
        if action == "view":
            return self._has_results and self.size.width < WIDE  # wider, all of it is shown
        if action == "output":
            return self._has_results or pruning.is_proposed
        return super().allows(action)

    def action_output(self) -> None:
        """Show gains in the other quantity."""
        self._quantity = "margin" if self._quantity == "accuracy" else "accuracy"
        self.show()

    def action_view(self) -> None:
        """Turn to the next view."""
        self._view = (self._view + 1) % len(_VIEWS)
        self.show()

    def action_numbers(self) -> None:
        """Choose how many groups are dropped."""
        plan, request = self.state.pruning.plan.value, self.state.pruning.request
        ks = request.drop_counts or (
            sorted({arm.k for arm in plan.pruning.arms if arm.kind == "lowest"}) if plan else ()
        )

        def choose(text: str | None) -> None:
            if text is None:
                return
            try:
                chosen = parse_drop_counts(text) if text else ()
            except ConfigError as error:
                self.notify(str(error), severity="error", markup=False)
            else:
                self._choose(drop_counts=tuple(sorted(set(chosen))))

        title = "Drop how many classes?"
        note = "For each number: so many of lowest influence, at random, and of highest influence."
        self.app.push_screen(
            FieldScreen(title, ",".join(map(str, ks)), note, help=NUMBERS, verb="take", empty=True), choose
        )

    def action_list(self) -> None:
        """Choose what is done with the classes that were marked in the ranking."""
        pruning = self.state.pruning
        marked = pruning.marked or (pruning.request.lists[0].groups if pruning.request.lists else ())
        if not marked:
            text = "No class is marked: mark some in Rank with <rank.mark>, and come back with <rank.prune>."
            self.notify(keys_of(self.app).put_into(text), markup=False)
            return
        many = pluralize(len(marked), "marked class", "marked classes")
        lists = [(marked_classes(kind, marked),) for kind in (ArmKind.DROP, ArmKind.KEEP)]
        names = [f"drop the {many}", f"keep only the {many}", "no list"]

        def act(index: int) -> None:
            self._choose(lists=[*lists, ()][index])

        self.choose("An arm of the marked classes?", names, act)

    def action_seeds(self) -> None:
        """Choose how often each arm is retrained."""
        usual = "5 to 20, until the gain's interval is +-1 point"
        names = [usual, *(f"{seeds} of each arm" for seeds in _SEEDS)]
        values = (None, *_SEEDS)
        self.choose("How many retrainings?", names, lambda index: self._choose(seeds=values[index]))

    def action_baselines(self) -> None:
        """Compare with baselines, or not; what a pruning has, it keeps."""
        pruning = self.state.pruning
        baselines = BASELINES if pruning.exists else ()
        self._choose(baselines=None if pruning.request.baselines is not None else baselines)

    def action_time(self) -> None:
        """Time a few training steps."""
        self.operations.time_pruning()

    def action_train(self) -> None:
        """Start the retrainings that are proposed, after asking."""
        self.operations.start_pruning()

    def action_stop(self) -> None:
        """Stop the pruning, after asking."""
        self.operations.stop(self.state.pruning.run)

    def action_resume(self) -> None:
        """Continue the pruning, after asking."""
        self.operations.resume(self.state.pruning.run)

    def action_export(self) -> None:
        """Write the arms to a file."""
        self.operations.export_arms()

    def action_command(self) -> None:
        """Copy the command that retrains the same."""
        self.operations.copy_pruning_command()

    def action_name(self) -> None:
        """Choose a pruning, or begin another."""
        names = list(self.state.pruning.names.value or ())
        if not names:
            self._begin_another()
            return
        self.choose(
            "Which pruning?",
            [*names, "another one..."],
            lambda index: self._open(names[index]) if index < len(names) else self._begin_another(),
        )

    def _begin_another(self) -> None:
        names = set(self.state.pruning.names.value or ())
        proposed = next(name for number in range(2, len(names) + 3) if (name := f"pruning-{number}") not in names)

        def open_named(name: str | None) -> None:
            if name is not None:
                self._open(name)

        note = "Letters, digits, dots, underscores and hyphens."
        self.app.push_screen(FieldScreen("Name of the pruning?", proposed, note, help=NAME, verb="take"), open_named)

    def _open(self, name: str) -> None:
        """Go to a pruning, or to one that does not exist yet."""
        from tui_influence.pruning.planning import pruning_directory  # here, because it loads numpy and pydantic

        _, error = attempt(lambda: pruning_directory(Paths(self.state.root), name))
        if error:
            self.notify(error, severity="error", timeout=10, markup=False)
            return
        self.state.pruning.open(name)
        self._opened_arm = None
        self.changed()

    def _choose(self, **changes: Any) -> None:
        """Change some fields of what is chosen to be retrained."""
        self.state.request_arms(replace(self.state.pruning.request, **changes))
        self.changed()

    @on(Table.Chosen)
    async def _open_row(self, message: Table.Chosen) -> None:
        result = self._result()
        if self._opened_arm is None:
            if message.index in self.query_one(ArmTable).openable:
                self._opened_arm = message.index
                self.show()
            return
        if result is not None:
            gain = result.by_class[message.index]
            self.ask(replace(self.state.question, target=gain.target, target_class=gain.name))
            await self.app.run_action("app.mode('rank')")

    @on(Table.CursorMoved)
    def _follow_cursor(self) -> None:
        self._show_detail()
        self.refresh_bindings()  # not every row can be opened

    @property
    def _has_results(self) -> bool:
        """True if there are results to show."""
        pruning = self.state.pruning
        return pruning.arms.value is not None and not pruning.is_proposed and not self._empty_reason()

    def _result(self) -> ArmResult | None:
        """The arm whose target classes are shown."""
        measured = self.state.pruning.arms.value
        if measured is None or self._opened_arm is None or self._opened_arm >= len(measured.results):
            return None
        return measured.results[self._opened_arm]

    def _show_proposal(self) -> None:
        state = self.state
        lines = self._proposal_lines(self.size.width - 4)
        plan = state.pruning.plan
        preview = plan.value
        if preview is not None and not plan.error:
            planned = {arm.k for arm in preview.pruning.arms if arm.kind == "lowest"}
            forecasts = [forecast for forecast in preview.pruning.forecast if forecast.k in planned]
            if planned:
                lines += [Text(), recommendation_line(preview.recommendation, state.style, "forecast")]
            if forecasts:
                lines += forecast_gains(forecasts, self._quantity, state.style)
                lines.append(Text(forecast_limit(preview.pruning), style=state.style.quiet))
        self.query_one("#proposal-text", IncrementalText).show(lines)

    def _proposal_lines(self, width: int) -> list[Text]:
        """Return what is chosen, each with the key that changes it, and what that takes: models and time.

        Without a plan, what a pruning would take over is not known: then only the reason is shown.
        """
        state, pruning, style, keys = self.state, self.state.pruning, self.state.style, keys_of(self.app)
        title = f"more retrainings for {pruning.name}" if pruning.exists else f"{pruning.name}: a new pruning"
        lines = [
            Text(plain(title, style.ascii)[:width], style="bold"),
            *(self._state_lines(width) if pruning.exists else ()),
            *preparing_lines("" if pruning.exists else state.preparing.get(pruning.run.root, ""), style),
        ]
        if state.overview is not None and not state.overview.finished:
            reason = "no model has been recorded yet: there is nothing to rank by"
            return [*lines, Text(), Text(reason, style=style.quiet)]
        if pruning.plan.error:
            return [*lines, Text(), Text(plain(pruning.plan.error, style.ascii), style=style.error)]
        if pruning.plan.value is None:
            return [*lines, Text(), Text("planning the retrainings...", style=style.quiet)]
        plan = plan_summary(state)
        keys_of_choices = {label: keys.first(action) for label, action in _CHOICES.items()}
        choices = choice_lines(plan, keys_of_choices, style, width)
        return [*lines, *choices, Text(), *cost_lines(plan, keys.first("prune.time"), style)]

    def _state_lines(self, width: int) -> list[Text]:
        """Return the state of the pruning that is open."""
        pruning, style = self.state.pruning, self.state.style
        run = pruning.run
        name = Text(plain(pruning.name, style.ascii)[:30], style="bold")
        if run.overview is None:
            return [Text.assemble(name, (f"  {run.error or 'reading the pruning...'}", style.quiet))]
        lines = [
            retraining_line(run.overview, style, width, name),
            *preparing_lines(self.state.preparing.get(run.root, ""), style),
        ]
        if run.error:
            lines.append(Text(f"cannot be read any more: {plain(run.error, style.ascii)}", style=style.error))
        return [*lines, *retraining_problems(run.overview, style)]

    def _show_results(self) -> None:
        state, pruning = self.state, self.state.pruning
        width, style = self.size.width - 2, state.style
        wide = self.size.width >= WIDE
        lines = self._state_lines(width)
        measured = pruning.arms.value
        if pruning.arms.error:
            lines.append(Text(plain(pruning.arms.error, style.ascii), style=style.error))
        if measured is not None:
            from tui_influence.pruning.recommendation import measured_best  # here, because it loads numpy

            result = self._result()
            if result is not None:
                lines.append(class_heading(result, style))
            else:
                sentence = results_verdict(measured, measured_best(measured), pruning.name, style)
                if sentence is not None and self.size.width < NARROW:
                    sentence.truncate(width, overflow="ellipsis" if not style.ascii else "crop")
                lines += [sentence] if sentence is not None else []
                if wide:
                    ranked = f"ranked by {ranked_by(measured.pruning.ranking)}"
                    facts = [plain(ranked, style.ascii), *same_training(measured.info.config)]
                    lines += [Text(fact, style=style.quiet) for fact in facts]
            if measured.damaged:
                left_out = f"{pluralize(len(measured.damaged), 'damaged record')} left out"
                lines.append(Text(left_out, style=style.warning))
        self.query_one("#pruning-summary", IncrementalText).show(lines)
        view = "both" if wide else _VIEWS[self._view]
        self.query_one("#arms").display = measured is not None and view in ("both", "arms")
        self.query_one("#prune-charts").display = measured is not None and view != "arms"
        if measured is not None:
            self._show_table()
            self.call_after_refresh(self._show_sized, view)  # only then what was hidden knows its size

    def _show_sized(self, view: str) -> None:
        self._show_detail()
        self._show_charts(view)

    def _show_table(self) -> None:
        measured, style = self.state.pruning.arms.value, self.state.style
        sources = (measured, self._quantity, self._opened_arm, style)
        if measured is None or sources == self._table_sources:
            return
        same = self._table_sources[2:3] == sources[2:3] and bool(self._table_sources)
        self._table_sources = sources
        result = self._result()
        self._table_model = (
            arm_gains(measured, self._quantity) if result is None else class_gains(measured, result, self._quantity)
        )
        table = self.query_one(ArmTable)
        table.openable = frozenset(
            row.index for row in self._table_model.rows if result is not None or measured.results[row.index].by_class
        )
        table.styles.max_height = len(self._table_model.rows) + 1  # the detail of the line is right below
        table.show(self._table_model, self._table_model.rows, style, follow=same)
        self._show_detail()

    def _show_detail(self) -> None:
        measured, current = self.state.pruning.arms.value, self.query_one(ArmTable).current
        if measured is None or current is None or self._table_model is None:
            return
        width = self.query_one("#arms").size.width - 2
        sources = (measured, self._opened_arm, current.index, self.state.style, width)
        if sources == self._detail_sources:
            return
        self._detail_sources = sources
        result, style = self._result(), self.state.style
        if result is None:
            lines = arm_detail(measured, measured.results[current.index], style, max(width, 20))
        else:
            lines = class_detail(result.by_class[current.index], style)
        self.query_one("#arm", IncrementalText).show(lines)

    def _show_charts(self, view: str) -> None:
        measured, style = self.state.pruning.arms.value, self.state.style
        if measured is None or view == "arms":
            return
        beside = self.query_one("#prune-charts")
        width, height = beside.content_size.width, beside.content_size.height
        sources = (measured, view, self._quantity, style, width, height)
        if sources == self._chart_sources or width < 12:
            return
        self._chart_sources = sources
        lines: list[Text] = []
        forecast = forecast_and_measured(measured, self._quantity, style) if view != "curve" else []
        if view != "forecast":
            n_forecast = sum(len(line.wrap(self.app.console, width)) for line in forecast)
            lines += curve_lines(measured, self._quantity, style, width, height - n_forecast - 1)
        if forecast:
            lines += [*([Text()] if lines else []), *forecast]
        self.query_one("#curve", IncrementalText).show(lines)
