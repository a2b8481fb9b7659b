"""The part of the app that prunes: its handlers own the state of the prunings, and carry out what the Prune mode asks.

Starting asks first, stating run, cost and command, and does what `tinfl prune` does, by the same functions.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from textual import on

from tui_influence.pruning.types import PruningProposal
from tui_influence.text import printable
from tui_influence.tui import carry_out
from tui_influence.tui.pruning_jobs import PruningJobs, own_paths, request_of
from tui_influence.tui.pruning_state import PruningFinding, PruningPreparing, PruningStarted, Timed
from tui_influence.tui.screens.dialogs import ConfirmScreen
from tui_influence.tui.screens.prune import PruneScreen
from tui_influence.tui.screens.rank import RankScreen
from tui_influence.tui.state import RunState
from tui_influence.tui.sweep_app import SweepApp
from tui_influence.tui.widgets.pruning_standing import models_of, time_of

if TYPE_CHECKING:
    from tui_influence.runs.supervisor import Observer


class PruningApp(SweepApp):
    """What `ExploreApp` does about prunings."""

    _prunings: PruningJobs

    def _show(self) -> None:
        raise NotImplementedError

    def _consider(self) -> None:
        raise NotImplementedError

    async def action_mode(self, mode: str) -> None:
        """Go to a mode."""
        raise NotImplementedError

    def _pruning_found(self, message: PruningFinding) -> None:
        """Go on with what was found out about prunings, after the state has taken it."""
        match message:
            case PruningStarted():
                self._say_pruning_started(message.reason)
            case Timed() if message.reason:
                self.notify(printable(message.reason, 400), severity="error", timeout=15, markup=False)
        self._consider()

    def _say_pruning_started(self, reason: str) -> None:
        if reason:
            self._prunings.list_again()  # it may have got so far as to be there
            self.notify(printable(reason, 400), severity="error", timeout=15, markup=False)
        else:
            self.notify("The retrainings go on in the background; leaving does not stop them.", markup=False)
        self._prunings.look_now()

    @on(RankScreen.PruneAsked)
    async def _prune_marked(self, message: RankScreen.PruneAsked) -> None:
        pruning = self.state.pruning
        if message.marked:
            pruning.mark(message.marked)
        await self.action_mode("prune")

    @on(PruneScreen.ChoiceMade)
    def _choice_made(self, message: PruneScreen.ChoiceMade) -> None:
        self.state.pruning.choose(**message.changes)
        self._show()
        self._consider()

    @on(PruneScreen.NameChosen)
    def _name_chosen(self, message: PruneScreen.NameChosen) -> None:
        from tui_influence.errors import ConfigError
        from tui_influence.pruning.planning import pruning_directory
        from tui_influence.store.paths import Paths

        try:
            pruning_directory(Paths(self.state.root), message.name)
        except ConfigError as error:
            self.notify(str(error), severity="error", timeout=10, markup=False)
            return
        self.state.pruning.open(message.name)
        self._prunings.forget()
        self._show()
        self._consider()

    @on(PruneScreen.TrainAsked)
    def _train(self) -> None:
        state, pruning = self.state, self.state.pruning
        outline, proposal = pruning.outline, pruning.outlined
        if outline is None or proposal is None:
            return
        first, *then = models_of(pruning, outline)
        takes = time_of(state)
        info = state.overview.info if state.overview else None
        assert info is not None
        lines = [
            f"Run: {carry_out.run_name(state)}, pruning {printable(pruning.name, 60)}",
            f"Cost: {first}, {info.location}{f': {takes}' if takes else ''}",
            *(f"      {text}" for text in then),
        ]
        if state.overview is not None and state.overview.is_active:
            lines.append("The sweep is being trained too: each will slow the other down.")

        def begin(observer: "Observer") -> None:
            from tui_influence.pruning.planning import plan_pruning
            from tui_influence.pruning.planning import start_pruning as begin_pruning
            from tui_influence.store.paths import Paths

            _keep_list(listed, proposal)
            paths = Paths(state.root)
            pruning_paths = Paths(paths.prunings / proposal.name)
            begin_pruning(
                plan_pruning(paths, info, pruning_paths, request_of(info, proposal), observer.stage),
                pruning_paths,
                observer,
            )

        def answered(yes: bool | None) -> None:
            if yes:
                self._say_preparing(state, "what is to be retrained")
                carry_out.in_thread(
                    begin,
                    lambda what: self._say_preparing(state, what),
                    lambda reason: self._tell(state, PruningStarted(proposal.name, reason)),
                )

        listed = list_file(proposal)
        command = _command(state, proposal, listed)
        self.push_screen(ConfirmScreen("Retrain?", lines, printable(command)), answered)

    @on(PruneScreen.TimeAsked)
    def _time(self) -> None:
        state, proposal = self.state, self.state.pruning.outlined
        info = state.overview.info if state.overview else None
        if proposal is None or info is None:
            return
        found = []

        def begin(observer: "Observer") -> None:
            from tui_influence.config.loader import config_from_json
            from tui_influence.errors import ConfigError
            from tui_influence.pruning.planning import plan_cost, plan_pruning
            from tui_influence.runs.cost import NOT_TIMED, trains_here
            from tui_influence.store.paths import Paths

            if not trains_here(config_from_json(info.config)):
                raise ConfigError(NOT_TIMED)
            paths = Paths(state.root)
            pruning_paths = Paths(paths.prunings / proposal.name)
            plan = plan_pruning(paths, info, pruning_paths, request_of(info, proposal), observer.stage)
            observer.stage("timing a few training steps", 0, 0)
            found.append(plan_cost(plan))

        self._say_preparing(state, "what is to be timed")
        carry_out.in_thread(
            begin,
            lambda what: self._say_preparing(state, what),
            lambda reason: self._tell(state, Timed(proposal, found[0] if found else None, reason)),
        )

    @on(PruneScreen.StopAsked)
    def _stop_pruning(self) -> None:
        run = self._controlled()
        if run is not None:
            carry_out.stop(self, run, self._prunings.look_now)

    @on(PruneScreen.ResumeAsked)
    def _resume_pruning(self) -> None:
        state, run = self.state, self._controlled()
        name = state.pruning.name
        if run is not None:
            carry_out.resume(
                self,
                run,
                lambda what: self._say_preparing(state, what),
                lambda reason: self._tell(state, PruningStarted(name, reason)),
            )

    @on(PruneScreen.ExportAsked)
    def _export_arms(self) -> None:
        from tui_influence.export.pruning import pruning_csv
        from tui_influence.text import pluralize

        measured = self.state.pruning.measured
        if measured is not None:
            name = (carry_out.run_name(self.state), self.state.pruning.name, "arms")
            note = "All arms as measured so far; a file of that name is replaced."
            what = pluralize(len(measured.results), "arm")
            carry_out.export_csv(self, name, note, what, lambda: pruning_csv(measured))

    @on(PruneScreen.CommandAsked)
    def _copy_pruning_command(self) -> None:
        state = self.state
        proposal = state.pruning.proposal(state.question)
        listed = list_file(proposal)

        def kept() -> None:
            _keep_list(listed, proposal)

        self._closely.submit("list", kept)
        carry_out.copy(self, _command(state, proposal, listed), "the command", self._closely)

    def _controlled(self) -> carry_out.Controlled | None:
        pruning = self.state.pruning
        if pruning.overview is None:
            return None
        return carry_out.Controlled(
            own_paths(self.state).root, pruning.overview, "pruning", printable(pruning.name, 60)
        )

    def _say_preparing(self, state: RunState, what: str) -> None:
        """From any thread: what is being done before models are trained."""
        self._tell(state, PruningPreparing(what))


def list_file(proposal: PruningProposal) -> Path | None:
    """Return the file that the groups chosen by hand are kept in, so that a command can name it; None without any."""
    import hashlib

    from platformdirs import user_state_path

    if not proposal.request.lists:
        return None
    groups = proposal.request.lists[0].groups
    digest = hashlib.blake2b("\n".join(groups).encode(), digest_size=4).hexdigest()
    return user_state_path("tinfl") / "lists" / f"{len(groups)}-classes-{digest}.txt"


def _keep_list(file: Path | None, proposal: PruningProposal) -> None:
    from tui_influence.export.files import write_text_atomically
    from tui_influence.pruning.options import class_list_text
    from tui_influence.store.files import make_directory

    if file is not None:
        make_directory(file.parent)
        write_text_atomically(file, class_list_text(proposal.request.lists[0].groups))


def _command(state: RunState, proposal: PruningProposal, listed: Path | None) -> str:
    return proposal.request.command(state.root, proposal.name, question=proposal.question, list_file=listed)
