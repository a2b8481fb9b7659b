"""Everything a key can do, in one table: bindings, footer, palette and help are made from it.

An action's id is its name in a user's config. The method that does it is called `action_` and the id's last part; the
scope, its first part, says which screen or widget has it (`app`: all modes).
"""

from dataclasses import dataclass

from textual.binding import Binding, BindingType

from tui_influence.influence.estimators import ESTIMATORS

MODES = ("sweep", "rank", "class", "prune", "log", "probe")
"""The modes, in the order of their keys."""
_SCREENS = {
    "app": MODES,
    "table": ("rank", "prune", "probe"),
    "grid": ("class", "probe"),
    "lines": ("log",),
}
"""The screens on which a scope's keys work, where these are not of the scope's own name."""
_FOCUSED = frozenset(("table", "grid", "lines"))
"""Scopes of widgets, whose keys work while one has the focus."""
_ANYWHERE = ("app.theme", "app.palette", "app.explain", "app.help", "app.quit")
"""Actions of the app that are possible without a run, in the list of runs."""
_FIELDS = ("choose", "path")
"""Scopes of screens on which a field always has the keys."""

_NEXT_ESTIMATOR = f"Next estimator: {', '.join(ESTIMATORS)}"


@dataclass(frozen=True)
class Action:
    """One thing a user can do.

    Attributes:
        id: scope and name.
        keys: that do it, unless its user has chosen others; with commas between.
        label: a word for the footer.
        tooltip: a sentence for help and palette.
        show: in the footer.
        call: the action with its argument, where it is not the id's last part.
        changes: it changes the run: not with `--readonly`.
        while_typing: it is possible while a field has the keys.
    """

    id: str
    keys: str
    label: str
    tooltip: str
    show: bool = True
    call: str | None = None
    changes: bool = False
    while_typing: bool = False

    @property
    def scope(self) -> str:
        """The screen or widget that has it."""
        return self.id.split(".")[0]

    @property
    def name(self) -> str:
        """Its name for Textual, with its argument."""
        return self.call or self.id.split(".", 1)[1].replace("-", "_")

    @property
    def places(self) -> frozenset[str]:
        """The screens on which its keys work."""
        without_run = ("picker",) if self.id in _ANYWHERE else ()
        return frozenset((*_SCREENS.get(self.scope, (self.scope,)), *without_run))

    def clashes_with(self, other: "Action") -> bool:
        """Return whether a key that both had would be ambiguous: of two widgets, only one has the focus."""
        alternate = self.scope != other.scope and {self.scope, other.scope} <= _FOCUSED
        return self.id != other.id and not alternate and bool(self.places & other.places)

    @property
    def beside_field(self) -> bool:
        """Return whether its keys must not be ones that type into a field."""
        return self.while_typing or self.scope in _FIELDS


ACTIONS = (
    Action("app.sweep", "1", "Sweep", "Progress of the sweep: time left, failures, reliability", False,
           call="mode('sweep')"),
    Action("app.rank", "2", "Rank", "Source classes that help or hurt, with intervals", False, call="mode('rank')"),
    Action("app.class", "3", "Class", "One source class, the images it influences most", False, call="mode('class')"),
    Action("app.prune", "4", "Prune", "What leaving classes out gains", False, call="mode('prune')"),
    Action("app.log", "5", "Log", "What happened to the run, line by line", False, call="mode('log')"),
    Action("app.probe", "6", "Probe", "What fails and why, subpopulations, leaks", False, call="mode('probe')"),
    Action("app.back", "escape", "Back", "Close what is open; from a run of a folder, back to the list", False,
           while_typing=True),
    Action("app.theme", "ctrl+t", "Dark/light", "Change between dark and light", False, while_typing=True),
    Action("app.palette", "ctrl+p", "Palette", "Every action that is possible now, by name", False,
           call="command_palette", while_typing=True),
    Action("app.explain", "f1", "Explain", "Help for the focused part of the screen; also while typing", False,
           while_typing=True),
    Action("sweep.stop", "S", "Stop", "Stop after the current models; again: at once (asks first)",
           changes=True),
    Action("sweep.resume", "R", "Resume", "Resume a stopped, failed or lost run (asks first)",
           changes=True),
    Action("sweep.command", "Y", "Copy command", "Copy the command line that shows this"),
    Action("rank.filter", "slash", "Filter", "Filter as you type: part of a name, >0.1, |x|>0.2, q<0.05"),
    Action("rank.sort", "s", "Sort", "Next order of the lines: most helpful, lowest q, by name, ..."),
    Action("rank.mark", "space", "Mark", "Mark or unmark this line", False),
    Action("rank.unmark", "u", "Unmark all", "Take all marks away", False),
    Action("rank.target", "t", "Target", "Choose the target that is influenced"),
    Action("rank.target-class", "c", "Class", "Choose one class of the target, or all of them"),
    Action("rank.compare", "v", "Compare", "Compare with another target or class, side by side"),
    Action("rank.estimator", "m", "Estimator", _NEXT_ESTIMATOR, False),
    Action("rank.output", "o", "Output", "Next output: margin, probability, correct", False),
    Action("rank.prune", "p", "Prune", "Retrain without the marked classes, and compare: to Prune", False),
    Action("rank.export", "e", "CSV", "Export as CSV, the same bytes as `tinfl rank --csv`", False),
    Action("rank.copy", "y", "Copy", "Copy the marked lines, or this one, as CSV", False),
    Action("rank.command", "Y", "Command", "Copy the command line that makes this ranking", False),
    Action("class.next", "n", "Next", "Next class of the ranking"),
    Action("class.previous", "N", "Previous", "Class before in the ranking", False),
    Action("class.choose", "g", "Go to", "Choose a class by name"),
    Action("class.view", "v", "View", "Turn from the images to the target classes, and back"),
    Action("class.target", "t", "Target", "Choose the target that is influenced", False),
    Action("class.target-class", "c", "Only", "Show images of one class of the target, or of all"),
    Action("class.estimator", "m", "Estimator", _NEXT_ESTIMATOR, False),
    Action("class.output", "o", "Output", "Next output: margin, probability, correct", False),
    Action("class.command", "Y", "Command", "Copy the command line that shows this class", False),
    Action("image.close", "escape,q", "Back", "Go back to where the image was opened"),
    Action("image.next", "right,n", "Next", "Next image of those it was opened from"),
    Action("image.previous", "left,N", "Previous", "Image before"),
    Action("image.verify", "v", "Verify", "Retrain without the harmful groups to check (asks first)",
           changes=True),
    Action("image.large", "O", "Own graphics", "Show the image in terminal graphics until a key is pressed"),
    Action("image.command", "Y", "Command", "Copy the command line that shows this image"),
    Action("prune.numbers", "d", "Drop", "Choose how many classes to drop"),
    Action("prune.list", "l", "List", "Drop the marked classes, or keep only them"),
    Action("prune.seeds", "s", "Seeds", "How often each arm is retrained", False),
    Action("prune.baselines", "b", "Baselines", "Compare with rankings by one model, or not", False),
    Action("prune.time", "t", "Time", "Time a few training steps of what is chosen", False),
    Action("prune.train", "T", "Train", "Retrain what is chosen in the background (asks first)", changes=True),
    Action("prune.stop", "S", "Stop", "Stop the retrainings after those in training (asks first)", changes=True),
    Action("prune.resume", "R", "Resume", "Resume retrainings that ended early (asks first)", changes=True),
    Action("prune.output", "o", "Output", "Gains in accuracy, or in margin"),
    Action("prune.view", "v", "View", "Next view: arms, curve, forecast against measured"),
    Action("prune.name", "n", "Name", "Choose a pruning of this run, or begin another"),
    Action("prune.export", "e", "CSV", "Export the arms as CSV, as `tinfl prune --csv`", False),
    Action("prune.command", "Y", "Command", "Copy the command line that does the same", False),
    Action("log.follow", "f", "Follow", "Stay at the end as lines come, or stop doing so"),
    Action("log.search", "slash", "Search", "Search as you type"),
    Action("log.next", "n", "Next", "Next line that was searched for"),
    Action("log.previous", "N", "Previous", "Line before that was searched for", False),
    Action("log.level", "l", "Level", "Show all lines, warnings and errors, or errors alone"),
    Action("log.command", "Y", "Command", "Copy the command line that shows this log", False),
    Action("probe.view", "v", "View", "Next view: failures, subpopulations, leaks"),
    Action("probe.filter", "slash", "Filter", "Filter as you type: part of a name, <-0.1, q<0.05"),
    Action("probe.sort", "s", "Sort", "Next order of the lines"),
    Action("probe.target", "t", "Target", "Choose the target that is probed", False),
    Action("probe.target-class", "c", "Class", "Choose one class of the target, or all of them"),
    Action("probe.driver", "d", "Driver", "Choose a source class: which images it drives"),
    Action("probe.estimator", "m", "Estimator", _NEXT_ESTIMATOR, False),
    Action("probe.output", "o", "Output", "Next output: margin, probability, correct", False),
    Action("probe.export", "e", "CSV", "Export as CSV, the same bytes as the command's --csv"),
    Action("probe.command", "Y", "Command", "Copy the command line that finds the same", False),
    Action("app.help", "question_mark", "Help", "Help for the focused part of the screen, and all keys"),
    Action("app.quit", "q", "Quit", "Leave; a sweep goes on in the background"),
    Action("table.choose", "enter", "Open", "Look at this line closely"),
    Action("table.up", "up,k", "Up", "The line above", False, call="move(-1)"),
    Action("table.down", "down,j", "Down", "The line below", False, call="move(1)"),
    Action("table.page-up", "pageup", "Page up", "A screenful up", False, call="page(-1)"),
    Action("table.page-down", "pagedown", "Page down", "A screenful down", False, call="page(1)"),
    Action("table.first", "home,g", "First", "The first line", False, call="edge(0)"),
    Action("table.last", "end,G", "Last", "The last line", False, call="edge(1)"),
    Action("grid.left", "left,h", "Left", "The image before", False, call="step(-1)"),
    Action("grid.right", "right,l", "Right", "The next image", False, call="step(1)"),
    Action("grid.up", "up,k", "Up", "The row above", False, call="rows(-1)"),
    Action("grid.down", "down,j", "Down", "The row below", False, call="rows(1)"),
    Action("grid.first", "home", "First", "The first image of the row", False, call="edge(0)"),
    Action("grid.last", "end", "Last", "The last image of the row", False, call="edge(1)"),
    Action("grid.open", "enter", "Open", "Open the image large"),
    Action("grid.larger", "plus,equals_sign", "Larger", "Larger images", False, call="size(1)"),
    Action("grid.smaller", "minus", "Smaller", "Smaller images", False, call="size(-1)"),
    Action("lines.up", "up,k", "Up", "A line up, which ends following", False, call="scroll_up"),
    Action("lines.down", "down,j", "Down", "A line down", False, call="scroll_down"),
    Action("lines.page-up", "pageup", "Page up", "A screenful up", False),
    Action("lines.page-down", "pagedown", "Page down", "A screenful down", False),
    Action("lines.first", "home,g", "First", "The first line", False, call="scroll_home"),
    Action("lines.last", "end,G", "Last", "The last line", False, call="scroll_end"),
    Action("picker.open", "enter", "Open", "Open this run", call="pick"),
    Action("picker.again", "r", "Look again", "Look at the folder again"),
    Action("choose.down", "down", "Down", "The name below", False, call="list(1)"),
    Action("choose.up", "up", "Up", "The name above", False, call="list(-1)"),
    Action("choose.back", "escape", "Back", "Choose nothing", call="dismiss(None)"),
    Action("path.back", "escape", "Back", "Leave everything as it is", call="dismiss(None)"),
    Action("confirm.yes", "y", "Yes", "Do it", call="dismiss(True)"),
    Action("confirm.no", "n,escape,q,enter", "No", "Leave everything as it is", call="dismiss(False)"),
    Action("help.close", "escape,q,question_mark,f1,enter", "Close", "Close the help", call="dismiss"),
)  # fmt: skip
BY_ID = {action.id: action for action in ACTIONS}


def bindings(scope: str) -> list[BindingType]:
    """Return the bindings of a scope, in the order of the table.

    They have priority: such a key is done before the next one is looked at, so that what is typed ahead goes where it
    was meant. Screens with fields say in `check_action` that nothing else is possible while one has the keys.
    """
    return [
        Binding(
            action.keys,
            action.name,
            action.label,
            show=action.show,
            tooltip=action.tooltip,
            id=action.id,
            priority=True,
        )
        for action in ACTIONS
        if action.scope == scope
    ]


def actions_of(scope: str) -> list[Action]:
    """Return what can be done in a scope: its own actions, then those of the app that are possible there."""
    return [
        *(action for action in ACTIONS if action.scope == scope),
        *(action for action in ACTIONS if action.scope == "app" and scope in action.places),
    ]


def names_of(scope: str) -> frozenset[str]:
    """Return the names of the actions of a scope, without arguments."""
    return frozenset(action.name.partition("(")[0] for action in ACTIONS if action.scope == scope)


WHILE_TYPING = frozenset(action.name for action in ACTIONS if action.while_typing)
"""Names of the actions that are possible while a field has the keys."""
CHANGING = frozenset(action.name for action in ACTIONS if action.changes)
"""Names of the actions that change a run."""
