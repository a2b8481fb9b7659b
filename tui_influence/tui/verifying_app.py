"""The part of the app that verifies: from an image, retrains without what is to blame for it, and follows that.

Starting asks first, stating run, cost and command, and does what `tinfl failures --verify` does, by the same functions.
"""

from typing import TYPE_CHECKING

from textual import on

from tui_influence.analysis.question import Question
from tui_influence.pruning.options import (
    counterfactual_command,
    counterfactual_paths,
)
from tui_influence.pruning.types import CounterfactualPreview
from tui_influence.render.counterfactual import counterfactual_plan, plan_size
from tui_influence.runs.heartbeat import State
from tui_influence.store.paths import Paths
from tui_influence.text import format_duration, printable
from tui_influence.tui import carry_out
from tui_influence.tui.keymap import keys_of
from tui_influence.tui.pruning_app import PruningApp
from tui_influence.tui.screens.dialogs import ConfirmScreen
from tui_influence.tui.screens.image import ImageScreen
from tui_influence.tui.state import RunState
from tui_influence.tui.verifying_jobs import VerifyingJobs, propose
from tui_influence.tui.verifying_state import (
    VerificationPreparing,
    VerificationProposed,
    VerificationStarted,
    VerifyingFinding,
)

if TYPE_CHECKING:
    from tui_influence.analysis.snapshot import RunSnapshot
    from tui_influence.runs.supervisor import Observer


class VerifyingApp(PruningApp):
    """What `ExploreApp` does about verifications, which are prunings of a kind."""

    _verifying: VerifyingJobs

    def _verifying_found(self, message: VerifyingFinding) -> None:
        """Go on with what was found out about a verification, after the state has taken it."""
        match message:
            case VerificationProposed():
                self._proposed(message)
            case VerificationStarted():
                self._say_verifying(message.reason)

    @on(ImageScreen.LookAsked)
    def _follow_verification(self, message: ImageScreen.LookAsked) -> None:
        state, example = self.state, message.asked.example
        pruning_paths = counterfactual_paths(Paths(state.root), message.reading.target, example)
        state.verifying.open(pruning_paths)
        self._verifying.watch(state, pruning_paths, example)

    @on(ImageScreen.Closed)
    def _leave_verification(self) -> None:
        if not any(isinstance(screen, ImageScreen) for screen in self.screen_stack):  # another may be open by now
            self.state.verifying.open(None)
            self._verifying.rest()

    @on(ImageScreen.VerifyAsked)
    def _verify(self, message: ImageScreen.VerifyAsked) -> None:
        pruning_paths = self.state.verifying.pruning_paths
        if pruning_paths is None or pruning_paths in self.state.verifying.preparing:
            return
        if self.state.verifying.exists:
            self._go_on_verifying(pruning_paths, message.question)
        else:
            self._work_out(pruning_paths, message.reading, message.question)

    def _go_on_verifying(self, pruning_paths: Paths, question: Question) -> None:
        """Of a verification that is there: resume it, or say how it stands."""
        state, overview = self.state, self.state.verifying.overview
        assert overview is not None
        if overview.is_active:
            name = pruning_paths.root.name
            text = (
                f"It is at work. To stop it: <image.close>, Prune (<app.prune>), {name} (<prune.name>), <prune.stop>."
            )
            self.notify(keys_of(self).put_into(text), markup=False)
        elif overview.state is State.DONE and not overview.left:
            command = counterfactual_command(question, state.root, seeds=20)
            text = f"It has been verified: see beside the image. This retrains more: {command}"
            self.notify(printable(text, 400), timeout=15, markup=False)
        else:
            run = carry_out.Controlled(pruning_paths.root, overview, "verification", printable(pruning_paths.root.name))
            carry_out.resume(
                self,
                run,
                lambda what: self._tell(state, VerificationPreparing(pruning_paths, what)),
                lambda reason: self._tell(state, VerificationStarted(pruning_paths, reason)),
            )

    def _work_out(self, pruning_paths: Paths, reading: "RunSnapshot", question: Question) -> None:
        """Find what would be retrained, in a thread of its own: it takes a ranking."""
        state = self.state
        state.verifying.preparing[pruning_paths] = "what is to blame"
        self._show()
        found: list[CounterfactualPreview] = []

        def work(observer: "Observer") -> None:
            found.append(propose(reading, question, state.overview))

        carry_out.in_thread(
            work,
            lambda what: self._tell(state, VerificationPreparing(pruning_paths, what)),
            lambda reason: self._tell(state, VerificationProposed(pruning_paths, found[0] if found else None, reason)),
        )

    def _proposed(self, message: VerificationProposed) -> None:
        state, pruning_paths, proposed = self.state, message.pruning_paths, message.proposed
        if pruning_paths != state.verifying.pruning_paths:
            return  # another image has been gone to meanwhile
        if proposed is None:
            self.notify(printable(message.reason, 400), timeout=10, markup=False)
            return

        def begin(observer: "Observer") -> None:
            from tui_influence.pruning.planning import plan_pruning
            from tui_influence.pruning.planning import start_pruning as begin_pruning

            info = state.overview.info if state.overview else None
            assert info is not None
            plan = plan_pruning(Paths(state.root), info, pruning_paths, proposed.plan.request, observer.stage)
            begin_pruning(plan, pruning_paths, observer)

        def answered(yes: bool | None) -> None:
            if yes:
                state.verifying.preparing[pruning_paths] = "what is to be retrained"
                self._show()
                carry_out.in_thread(
                    begin,
                    lambda what: self._tell(state, VerificationPreparing(pruning_paths, what)),
                    lambda reason: self._tell(state, VerificationStarted(pruning_paths, reason)),
                )

        command = printable(counterfactual_command(proposed.question, state.root))
        self.push_screen(ConfirmScreen("Retrain without these?", _confirmation(proposed, state), command), answered)

    def _say_verifying(self, reason: str) -> None:
        if reason:
            self.notify(printable(reason, 400), severity="error", timeout=15, markup=False)
        else:
            self.notify("The retrainings go on in the background; leaving does not stop them.", markup=False)
        self._verifying.look_now()


def _confirmation(preview: CounterfactualPreview, state: RunState) -> list[str]:
    """Return what is to be retrained, and what it costs."""
    info, report = state.overview.info if state.overview else None, state.image.found if state.image else None
    assert info is not None
    is_correct = report is not None and report.example == preview.question.example and report.overall.accuracy > 0.5
    first, *lines = counterfactual_plan(preview, state.style, is_correct=is_correct)
    seconds = preview.seconds
    time = f": about {format_duration(seconds)}, at the sweep's rate" if seconds is not None else ""
    return [
        f"Run: {carry_out.run_name(state)}, {first}",
        *lines,
        f"Cost: {plan_size(preview.pruning)}, {info.location}{time}",
        *(
            ["The sweep is being trained too: each will slow the other down."]
            if state.overview is not None and state.overview.is_active
            else []
        ),
    ]
