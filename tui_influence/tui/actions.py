"""Everything a key can do, in one table: bindings, palette and help are made from it.

An action's id is its name in a user's keymap. The method that does it is called `action_` and the id's last part; the
scope, its first part, says which screen has it (`app`: all of them).
"""

from dataclasses import dataclass

from textual.binding import Binding, BindingType


@dataclass(frozen=True)
class Action:
    """One thing a user can do.

    Attributes:
        id: scope and name.
        keys: that do it, with commas between.
        label: a word for the footer.
        tooltip: a sentence for help and palette.
        show: in the footer.
        shown_key: how the key is written there, where its name is not clear.
        call: the action with its argument, where it is not the id's last part.
        changes: it changes the run: not with `--readonly`.
    """

    id: str
    keys: str
    label: str
    tooltip: str
    show: bool = True
    shown_key: str | None = None
    call: str | None = None
    changes: bool = False

    @property
    def scope(self) -> str:
        """Which screen has it."""
        return self.id.split(".")[0]

    @property
    def name(self) -> str:
        """What Textual calls it, with its argument."""
        return self.call or self.id.split(".", 1)[1].replace("-", "_")

    @property
    def key(self) -> str:
        """The first of its keys, as people write it."""
        return self.shown_key or self.keys.split(",")[0]


ACTIONS = (
    Action("app.sweep", "1", "Sweep", "How the sweep goes: progress, time left, failures, reliability", False,
           call="mode('sweep')"),
    Action("app.rank", "2", "Rank", "Which source classes help or hurt, and how surely", False, call="mode('rank')"),
    Action("app.class", "3", "Class", "One source class and the images it moves", False, call="mode('class')"),
    Action("app.prune", "4", "Prune", "What leaving classes out gains", False, call="mode('prune')"),
    Action("app.log", "5", "Log", "What happened to the run, line by line", False, call="mode('log')"),
    Action("app.back", "escape", "Back", "Close what is open; from a run of a folder, back to the list", False,
           shown_key="esc"),
    Action("app.theme", "ctrl+t", "Dark/light", "Change between dark and light", False),
    Action("sweep.stop", "S", "Stop", "Stop after the models in hand; again: at once (asks first)",
           changes=True),
    Action("sweep.resume", "R", "Resume", "Go on with what stopped, failed or was lost (asks first)",
           changes=True),
    Action("sweep.command", "Y", "Copy command", "Copy the command line that says the same"),
    Action("rank.filter", "slash", "Filter", "Filter as you type: part of a name, >0.1, |x|>0.2, q<0.05",
           shown_key="/"),
    Action("rank.sort", "s", "Sort", "Next order: helpful, harmful, strongest, surest, by name"),
    Action("rank.mark", "space", "Mark", "Mark or unmark this line", shown_key="space"),
    Action("rank.unmark", "u", "Unmark all", "Take all marks away", False),
    Action("rank.target", "t", "Target", "Choose the target that is influenced"),
    Action("rank.target-class", "c", "Class", "Choose one class of the target, or all of them"),
    Action("rank.versus", "v", "Vs", "Compare with another target or class, side by side"),
    Action("rank.estimator", "m", "Method", "Estimate by the other method: difference or ridge", False),
    Action("rank.output", "o", "Output", "Next output: margin, probability, correct", False),
    Action("rank.export", "e", "CSV", "Export as CSV, the same bytes as `tinfl rank --csv`"),
    Action("rank.copy", "y", "Copy", "Copy the marked lines, or this one, as CSV", False),
    Action("rank.command", "Y", "Command", "Copy the command line that makes this ranking", False),
    Action("class.next", "n", "Next", "Next class of the ranking"),
    Action("class.previous", "N", "Previous", "Class before in the ranking", False),
    Action("class.choose", "g", "Go to", "Choose a class by name"),
    Action("class.view", "v", "View", "Turn from the images to the target classes, and back"),
    Action("class.target", "t", "Target", "Choose the target that is influenced", False),
    Action("class.target-class", "c", "Only", "Show images of one class of the target, or of all"),
    Action("class.estimator", "m", "Method", "Estimate by the other method: difference or ridge", False),
    Action("class.output", "o", "Output", "Next output: margin, probability, correct", False),
    Action("class.command", "Y", "Command", "Copy the command line that shows this class", False),
    Action("image.close", "escape,q", "Back", "Go back to the class", shown_key="esc"),
    Action("image.next", "right,n", "Next", "Next image of the class", shown_key="right"),
    Action("image.previous", "left,N", "Previous", "Image before", shown_key="left"),
    Action("image.large", "O", "Own graphics", "Show the image by the terminal's own graphics, until a key"),
    Action("image.command", "Y", "Command", "Copy the command line that shows this image"),
    Action("log.follow", "f", "Follow", "Stay at the end as lines come, or stop doing so"),
    Action("log.search", "slash", "Search", "Search as you type", shown_key="/"),
    Action("log.next", "n", "Next", "Next line that was searched for"),
    Action("log.previous", "N", "Previous", "Line before that was searched for", False),
    Action("log.level", "l", "Level", "Show all lines, warnings and errors, or errors alone"),
    Action("log.command", "Y", "Command", "Copy the command line that shows this log", False),
    Action("app.help", "question_mark", "Help", "What the keys of this screen do", shown_key="?"),
    Action("app.quit", "q", "Quit", "Leave; a sweep goes on in the background"),
)  # fmt: skip


def bindings(scope: str) -> list[BindingType]:
    """Return the bindings of a scope, in the order of the table.

    They have priority: such a key is done before the next one is looked at, so that what is typed ahead goes where it
    was meant. Owners say in `check_action` that nothing is possible while a field has the keys.
    """
    return [
        Binding(
            action.keys,
            action.name,
            action.label,
            show=action.show,
            key_display=action.shown_key,
            tooltip=action.tooltip,
            id=action.id,
            priority=True,
        )
        for action in ACTIONS
        if action.scope == scope
    ]


def actions_of(scope: str) -> list[Action]:
    """Return what can be done in a scope, its own actions first."""
    return [
        *(action for action in ACTIONS if action.scope == scope),
        *(action for action in ACTIONS if action.scope == "app" and scope != "app"),
    ]


def names_of(scope: str) -> frozenset[str]:
    """Return the names of the actions of a scope, without arguments."""
    return frozenset(action.name.partition("(")[0] for action in ACTIONS if action.scope == scope)


CHANGING = frozenset(action.name for action in ACTIONS if action.changes)
"""Names of the actions that change a run."""
