"""Mode 1, Sweep: how a run goes, at a glance; stop and resume."""

from collections.abc import Iterable

from textual.app import ComposeResult
from textual.containers import VerticalScroll

from tui_influence.influence.estimators import reliability_meanings
from tui_influence.render.run import model_lines, run_summary, summary_states_forecast
from tui_influence.runs.heartbeat import State
from tui_influence.tui.actions import bindings
from tui_influence.tui.operations import run_command
from tui_influence.tui.screens.base import WIDE, ModeScreen
from tui_influence.tui.state import AnyQuery
from tui_influence.tui.widgets.incremental_text import IncrementalText


class SweepScreen(ModeScreen):
    """Shows the overview of a run and asks for stop and resume."""

    mode = "sweep"
    help = (
        "The sweep. Its progress is read from the run's files: leaving changes nothing, and a sweep that runs goes on. "
        "Time left is an estimate, with the range it may fall in. Reliability is "
        f"{reliability_meanings()}. Its curve goes on as a forecast. "
        "A model that was given up is tried again by <sweep.resume>."
    )
    BINDINGS = bindings("sweep")

    def hints_now(self) -> Iterable[str]:
        """Return the hints; that a sweep goes on is said of one that is active."""
        yield "<app.rank> shows which classes help or hurt."
        yield "<app.quit> leaves, the sweep goes on." if self.state.sweep.is_active else "<app.quit> leaves."
        yield "<app.help> the keys."

    def queries(self) -> Iterable[AnyQuery]:
        """Ask how the reliability grew, and for the ranking, which may have significant groups without it."""
        return (self.state.reliability, self.state.ranking)

    def body(self) -> ComposeResult:
        """Lay out the summary of the run, and of its models."""
        with VerticalScroll(id="sweep"):
            yield IncrementalText(id="run-summary")
            yield IncrementalText(id="models")

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.show_state()

    def show(self) -> None:
        """Draw both parts for the room there is."""
        width, height = self.size.width, self.size.height
        wide = width >= WIDE
        half = width // 2 - 5 if wide else width - 6  # margins, and room for a scroll bar
        state = self.state
        lines = run_summary(
            state.overview, state.style, half, error=state.sweep.error, preparing=state.preparing.get(state.root, "")
        )
        self.query_one("#run-summary", IncrementalText).show(lines)
        tall = min(max(height - (12 if wide else 10 + len(lines)), 5), 16)
        reliability, style = self.state.reliability, self.state.style
        growth = reliability.value
        if growth is not None and not reliability.is_stale:
            question = self.state.question
            about = ", ".join(part for part in (question.target, question.target_class) if part)

            ranking = state.ranking.value if not state.ranking.is_stale else None
            significant = None if ranking is None else not ranking.report.is_noise()
            is_stated = not question.target_class and summary_states_forecast(state.overview, question.target)
            drawn = model_lines(
                growth,
                style,
                min(half, 90),
                tall,
                about,
                any_significant=significant,
                with_forecast=not is_stated,
            )
            for line in drawn:
                line.no_wrap, line.overflow = True, "crop" if style.ascii else "ellipsis"
            self.query_one("#models", IncrementalText).show(drawn)
        self.offer("stop", "resume")

    def allows(self, action: str) -> bool:
        """Stop what runs, resume what does not."""
        overview = self.state.overview
        if action == "stop":
            return overview is not None and overview.is_active
        if action == "resume":
            ended = overview is not None and overview.info is not None and not overview.is_active
            finished = overview is not None and overview.state is State.DONE and not overview.left
            return ended and not finished and self.state.root not in self.state.preparing
        return True

    def action_stop(self) -> None:
        """Stop the run, after asking."""
        self.operations.stop(self.state.sweep)

    def action_resume(self) -> None:
        """Continue the run, after asking."""
        self.operations.resume(self.state.sweep)

    def action_command(self) -> None:
        """Copy the command that says the same."""
        self.operations.copy_command(run_command("status", self.state.root))
