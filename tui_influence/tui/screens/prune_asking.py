"""What a user chooses and asks for in the Prune mode: keys that become messages, some after a short question.

Nothing is changed here: the app's handlers own the state, and carry out what is asked.
"""

from typing import Any

from textual.message import Message

from tui_influence.errors import ConfigError
from tui_influence.pruning.options import numbers
from tui_influence.runs.heartbeat import State
from tui_influence.text import pluralize
from tui_influence.tui.keys import keys_of
from tui_influence.tui.screens.asking import AskingScreen
from tui_influence.tui.screens.dialogs import FieldScreen
from tui_influence.tui.widgets.field import NAME, NUMBERS

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
        outline, choice = self.state.pruning.outline, self.state.pruning.choice
        ks = choice.ks or (sorted({arm.k for arm in outline.pruning.arms if arm.kind == "lowest"}) if outline else ())

        def given(text: str | None) -> None:
            if text is None:
                return
            try:
                chosen = numbers(text) if text else ()
            except ConfigError as error:
                self.notify(str(error), severity="error", markup=False)
            else:
                self.post_message(self.ChoiceMade(ks=tuple(sorted(set(chosen)))))

        title = "Drop how many classes?"
        note = "For each number: so many of lowest influence, at random, and of highest influence."
        self.app.push_screen(
            FieldScreen(title, ",".join(map(str, ks)), note, help=NUMBERS, verb="take", empty=True), given
        )

    def action_list(self) -> None:
        """Choose what is done with the classes that were marked in the ranking."""
        pruning = self.state.pruning
        marked = pruning.marked or pruning.choice.listed
        if not marked:
            text = "No class is marked: mark some in Rank with <rank.mark>, and come back with <rank.prune>."
            self.notify(keys_of(self.app).put_into(text), markup=False)
            return
        many = pluralize(len(marked), "marked class", "marked classes")
        choices = [("drop", marked), ("keep", marked), ("drop", ())]
        names = [f"drop the {many}", f"keep only the {many}", "no list of my own"]

        def chosen(place: int) -> None:
            verb, listed = choices[place]
            self.post_message(self.ChoiceMade(verb=verb, listed=listed))

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
        chosen = None if pruning.choice.baselines is not None else pruning.exists
        self.post_message(self.ChoiceMade(baselines=chosen))

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
