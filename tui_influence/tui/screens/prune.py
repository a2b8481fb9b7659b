"""What a user chooses and asks for in the Prune mode: keys that become messages, some after a short question.

Nothing is changed here: the app's handlers own the state, and carry out what is asked.

Mode 4, Prune: which classes are left out, what retraining without them gained, and what that cost.

A pruning that is not there yet is a proposal: what would be retrained, how many models, how long. One that is there
is a run of its own, shown as its arms fill in. This screen holds what is looked at; `prune_asking` asks for the rest.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import Static

from tui_influence.errors import ConfigError
from tui_influence.pruning.options import ClassList, PruningRequest, parse_drop_counts
from tui_influence.render.format import plain
from tui_influence.render.style import NARROW
from tui_influence.roles import BASELINES, ArmKind
from tui_influence.runs.heartbeat import State
from tui_influence.text import pluralize
from tui_influence.tui.actions import bindings
from tui_influence.tui.keymap import keys_of
from tui_influence.tui.screens.base import AskingScreen
from tui_influence.tui.screens.dialogs import FieldScreen
from tui_influence.tui.state import RunState
from tui_influence.tui.widgets.incremental_text import IncrementalText
from tui_influence.tui.widgets.input import NAME, NUMBERS
from tui_influence.tui.widgets.pruning_standing import proposal_lines, pruning_standing
from tui_influence.tui.widgets.table import ArmTable, Table

if TYPE_CHECKING:
    from tui_influence.pruning.curve import Quantity
    from tui_influence.pruning.types import (
        ArmResult,
    )
    from tui_influence.render.gains import GainSheet


_CHOOSING = ("numbers", "list", "seeds", "baselines", "time", "train")
_SEEDS = (3, 5, 10, 20, 50)


class PruneAsking(AskingScreen):
    """Asks for what is to be retrained, and for what is to be done with it."""

    class ChoiceMade(Message):
        """Something else is to be retrained: these fields of the choice change, whatever has been chosen meanwhile."""

        def __init__(self, **changes: Any) -> None:
            self.changes = changes
            super().__init__()

    class NameChosen(Message):
        """Another pruning is to be looked at, or begun."""

        def __init__(self, name: str) -> None:
            self.name = name
            super().__init__()

    class TimeAsked(Message):
        """What is proposed is to be timed."""

    class TrainAsked(Message):
        """What is proposed is to be trained."""

    class StopAsked(Message):
        """The pruning is to be stopped."""

    class ResumeAsked(Message):
        """The pruning is to go on."""

    class ExportAsked(Message):
        """The arms are to be written to a file."""

    class CommandAsked(Message):
        """The command line that does the same is to be copied."""

    @property
    def _is_measured(self) -> bool:
        """Whether what is shown was measured."""
        pruning = self.state.pruning
        return pruning.measured is not None and not pruning.proposes and not self.nothing()

    def nothing(self) -> str:
        """Return why there is nothing to show; empty if there is something."""
        state = self.state
        overview = state.overview
        if overview is None or overview.info is None:
            return state.problem or "reading the run..."
        if overview.info.arms:
            return "This is a pruning, not a sweep: open its sweep's directory to see what it gained."
        if state.pruning.names is None:
            return state.pruning.problem or "looking for prunings..."
        return ""

    def allows(self, action: str) -> bool:
        """Choosing needs a ranking, and a pruning that is not at work; the rest needs something measured."""
        pruning = self.state.pruning
        if self.nothing():
            return False
        if action in _CHOOSING and (pruning.is_active or pruning.preparing):
            return False
        if action in ("time", "train"):
            current = pruning.outlined == pruning.proposal(self.state.question)
            return pruning.proposes and pruning.outline is not None and current and not pruning.refused
        if action == "stop":
            return pruning.is_active
        if action == "resume":
            overview = pruning.overview
            if not pruning.exists or overview is None or pruning.is_active or pruning.preparing:
                return False
            return overview.state is not State.DONE or bool(overview.left)
        if action == "export":
            return self._is_measured
        return super().allows(action)

    def action_numbers(self) -> None:
        """Choose how many groups are dropped."""
        outline, request = self.state.pruning.outline, self.state.pruning.request
        ks = request.drop_counts or (
            sorted({arm.k for arm in outline.pruning.arms if arm.kind == "lowest"}) if outline else ()
        )

        def given(text: str | None) -> None:
            if text is None:
                return
            try:
                chosen = parse_drop_counts(text) if text else ()
            except ConfigError as error:
                self.notify(str(error), severity="error", markup=False)
            else:
                self.post_message(self.ChoiceMade(drop_counts=tuple(sorted(set(chosen)))))

        title = "Drop how many classes?"
        note = "For each number: so many of lowest influence, at random, and of highest influence."
        self.app.push_screen(
            FieldScreen(title, ",".join(map(str, ks)), note, help=NUMBERS, verb="take", empty=True), given
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
        names = [f"drop the {many}", f"keep only the {many}", "no list of my own"]
        name = f"{len(marked):,} marked"
        lists = [(ClassList(kind, tuple(marked), name),) for kind in (ArmKind.DROP, ArmKind.KEEP)]

        def chosen(place: int) -> None:
            self.post_message(self.ChoiceMade(lists=[*lists, ()][place]))

        self.choose("An arm of the marked classes?", names, chosen)

    def action_seeds(self) -> None:
        """Choose how often each arm is retrained."""
        usual = "as many as an interval of +-1 point takes: 5, up to 20"
        names = [usual, *(f"{seeds} of each arm" for seeds in _SEEDS)]
        values = (None, *_SEEDS)
        self.choose(
            "How many retrainings?", names, lambda place: self.post_message(self.ChoiceMade(seeds=values[place]))
        )

    def action_baselines(self) -> None:
        """Compare with baselines, or not; what a pruning has, it keeps."""
        pruning = self.state.pruning
        baselines = BASELINES if pruning.exists else ()
        self.post_message(self.ChoiceMade(baselines=None if pruning.request.baselines is not None else baselines))

    def action_time(self) -> None:
        """Time a few training steps."""
        self.post_message(self.TimeAsked())

    def action_train(self) -> None:
        """Ask for what is proposed to be trained."""
        self.post_message(self.TrainAsked())

    def action_stop(self) -> None:
        """Ask for the pruning to stop."""
        self.post_message(self.StopAsked())

    def action_resume(self) -> None:
        """Ask for the pruning to go on."""
        self.post_message(self.ResumeAsked())

    def action_export(self) -> None:
        """Ask for the file."""
        self.post_message(self.ExportAsked())

    def action_command(self) -> None:
        """Ask for the command to be copied."""
        self.post_message(self.CommandAsked())

    def action_name(self) -> None:
        """Choose a pruning, or begin another."""
        names = list(self.state.pruning.names or ())
        if not names:
            self._begin_another()
            return
        self.choose(
            "Which pruning?",
            [*names, "another one..."],
            lambda place: self._open(names[place]) if place < len(names) else self._begin_another(),
        )

    def _begin_another(self) -> None:
        taken = set(self.state.pruning.names or ())
        proposed = next(name for number in range(2, len(taken) + 3) if (name := f"pruning-{number}") not in taken)

        def given(name: str | None) -> None:
            if name is not None:
                self._open(name)

        note = "Letters, digits, dots, underscores and hyphens."
        self.app.push_screen(FieldScreen("Name of the pruning?", proposed, note, help=NAME, verb="take"), given)

    def _open(self, name: str) -> None:
        self.post_message(self.NameChosen(name))


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
            yield IncrementalText(id="proposed")
        yield IncrementalText(id="pruning-standing")
        with Horizontal(id="pruned"):
            with Vertical(id="arms"):
                yield ArmTable(self.state.style)
                yield IncrementalText(id="arm")
            with VerticalScroll(id="pruned-beside", can_focus=False):
                yield IncrementalText(id="curve")
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
            self.query_one("#no-pruning", Static).update(plain(reason, state.style.ascii))
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
        if self.state.pruning.request.chooses_arms:
            self.post_message(self.ChoiceMade(**vars(PruningRequest())))
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
            from tui_influence.render.pruning import predicted_gains, recommended  # loads numpy

            planned = {arm.k for arm in outline.pruning.arms if arm.kind == "lowest"}
            forecasts = [found for found in outline.pruning.forecast if found.k in planned]
            if planned:
                lines += [Text(), recommended(outline.recommendation, state.style, "predicted")]
            if forecasts:
                lines += predicted_gains(forecasts, self._quantity, state.style)
        self.query_one("#proposed", IncrementalText).show(lines)

    def _show_measured(self) -> None:
        state, pruning = self.state, self.state.pruning
        width, style = self.size.width - 2, state.style
        wide = self.size.width >= _WIDE
        lines = pruning_standing(state, width)
        measured = pruning.measured
        if pruning.unmeasured:
            lines.append(Text(plain(pruning.unmeasured, style.ascii), style=style.error))
        if measured is not None:
            from tui_influence.render.pruning import class_heading, ranked_by, verdict

            result = self._result()
            if result is not None:
                lines.append(class_heading(result, style))
            else:
                said = verdict(measured, pruning.name, style)
                if said is not None and self.size.width < NARROW:
                    said.truncate(width, overflow="ellipsis" if not style.ascii else "crop")
                lines += [said] if said is not None else []
                if wide:
                    lines.append(
                        Text(
                            plain(f"ranked by {ranked_by(measured.pruning.ranking)}", style.ascii),
                            style=style.quiet,
                        )
                    )
            if measured.damaged:
                left_out = f"{pluralize(len(measured.damaged), 'damaged record')} left out"
                lines.append(Text(left_out, style=style.warning))
        self.query_one("#pruning-standing", IncrementalText).show(lines)
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
        from tui_influence.render.gains import arm_sheet, class_sheet

        measured, style = self.state.pruning.measured, self.state.style
        made_of = (measured, self._quantity, self._opened, style)
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
        table.show(self._sheet, self._sheet.rows, style, follow=same)
        self._show_detail()

    def _show_detail(self) -> None:
        measured, current = self.state.pruning.measured, self.query_one(ArmTable).current
        if measured is None or current is None or self._sheet is None:
            return
        from tui_influence.render.pruning import arm_detail, class_detail

        width = self.query_one("#arms").size.width - 2
        detailed = (measured, self._opened, current.index, self.state.style, width)
        if detailed == self._detailed:
            return
        self._detailed = detailed
        result, style = self._result(), self.state.style
        if result is None:
            lines = arm_detail(measured, measured.results[current.index], style, max(width, 20))
        else:
            lines = class_detail(result.by_class[current.index], style)
        self.query_one("#arm", IncrementalText).show(lines)

    def _show_beside(self, view: str) -> None:
        measured, style = self.state.pruning.measured, self.state.style
        if measured is None or view == "arms":
            return
        beside = self.query_one("#pruned-beside")
        width, height = beside.content_size.width, beside.content_size.height
        drawn = (measured, view, self._quantity, style, width, height)
        if drawn == self._beside or width < 12:
            return
        self._beside = drawn
        from tui_influence.render.pruning import against_prediction, curve

        lines: list[Text] = []
        prediction = against_prediction(measured, self._quantity, style) if view != "curve" else []
        if view != "prediction":
            lines += curve(measured, self._quantity, style, width, height - len(prediction) - 1)
        if prediction:
            lines += [*([Text()] if lines else []), *prediction]
        self.query_one("#curve", IncrementalText).show(lines)
