"""The part of the app that verifies: from an image, retrains without what is to blame for it, and follows that.

Starting asks first, stating run, cost and command, and does what `tinfl failures --verify` does, by the same functions.
"""

from typing import TYPE_CHECKING

from textual import on

from tui_influence.analysis.question import Question
from tui_influence.pruning.options import (
    kept_at,
    verify_command,
)
from tui_influence.pruning.types import CounterfactualPreview
from tui_influence.runs.heartbeat import State
from tui_influence.store.paths import Paths
from tui_influence.text import printable
from tui_influence.tui import carry_out
from tui_influence.tui.keymap import keys_of
from tui_influence.tui.pruning_app import PruningApp
from tui_influence.tui.screens.dialogs import ConfirmScreen
from tui_influence.tui.screens.image import ImageScreen
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
        own = kept_at(Paths(state.root), message.reading.target, example)
        state.verifying.open(own)
        self._verifying.watch(state, own, example)

    @on(ImageScreen.Closed)
    def _leave_verification(self) -> None:
        if not any(isinstance(screen, ImageScreen) for screen in self.screen_stack):  # another may be open by now
            self.state.verifying.open(None)
            self._verifying.rest()

    @on(ImageScreen.VerifyAsked)
    def _verify(self, message: ImageScreen.VerifyAsked) -> None:
        own = self.state.verifying.own
        if own is None or own in self.state.verifying.preparing:
            return
        if self.state.verifying.exists:
            self._go_on_verifying(own, message.question)
        else:
            self._work_out(own, message.reading, message.question)

    def _go_on_verifying(self, own: Paths, question: Question) -> None:
        """Of a verification that is there: resume it, or say how it stands."""
        state, overview = self.state, self.state.verifying.overview
        assert overview is not None
        if overview.is_active:
            name = own.root.name
            text = (
                f"It is at work. To stop it: <image.close>, Prune (<app.prune>), {name} (<prune.name>), <prune.stop>."
            )
            self.notify(keys_of(self).put_into(text), markup=False)
        elif overview.state is State.DONE and not overview.left:
            command = verify_command(question, state.root, seeds=20)
            text = f"It has been verified: see beside the image. This retrains more: {command}"
            self.notify(printable(text, 400), timeout=15, markup=False)
        else:
            run = carry_out.Controlled(own.root, overview, "verification", printable(own.root.name))
            carry_out.resume(
                self,
                run,
                lambda what: self._tell(state, VerificationPreparing(own, what)),
                lambda reason: self._tell(state, VerificationStarted(own, reason)),
            )

    def _work_out(self, own: Paths, reading: "RunSnapshot", question: Question) -> None:
        """Find what would be retrained, in a thread of its own: it takes a ranking."""
        state = self.state
        state.verifying.preparing[own] = "what is to blame"
        self._show()
        found: list[CounterfactualPreview] = []

        def work(observer: "Observer") -> None:
            found.append(propose(reading, question, state.overview))

        carry_out.in_thread(
            work,
            lambda what: self._tell(state, VerificationPreparing(own, what)),
            lambda reason: self._tell(state, VerificationProposed(own, found[0] if found else None, reason)),
        )

    def _proposed(self, message: VerificationProposed) -> None:
        state, own, proposed = self.state, message.own, message.proposed
        if own != state.verifying.own:
            return  # another image has been gone to meanwhile
        if proposed is None:
            self.notify(printable(message.reason, 400), timeout=10, markup=False)
            return
        from tui_influence.tui.widgets.verification_lines import proposed_lines  # here, because it loads numpy

        def begin(observer: "Observer") -> None:
            from tui_influence.pruning.planning import begin as begin_pruning
            from tui_influence.pruning.planning import planned

            info = state.overview.info if state.overview else None
            assert info is not None
            plan = planned(Paths(state.root), info, own, proposed.wanted.wanted, observer.stage)
            begin_pruning(plan, own, observer)

        def answered(yes: bool | None) -> None:
            if yes:
                state.verifying.preparing[own] = "what is to be retrained"
                self._show()
                carry_out.in_thread(
                    begin,
                    lambda what: self._tell(state, VerificationPreparing(own, what)),
                    lambda reason: self._tell(state, VerificationStarted(own, reason)),
                )

        command = printable(verify_command(proposed.question, state.root))
        self.push_screen(ConfirmScreen("Retrain without these?", proposed_lines(proposed, state), command), answered)

    def _say_verifying(self, reason: str) -> None:
        if reason:
            self.notify(printable(reason, 400), severity="error", timeout=15, markup=False)
        else:
            self.notify("The retrainings go on in the background; leaving does not stop them.", markup=False)
        self._verifying.look_now()
