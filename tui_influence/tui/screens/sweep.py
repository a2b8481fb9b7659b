"""Mode 1, Sweep: how a run goes, at a glance; stop and resume."""

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.message import Message

from tui_influence.render.run import model_lines, run_summary
from tui_influence.runs.heartbeat import State
from tui_influence.tui.actions import bindings
from tui_influence.tui.commands import command
from tui_influence.tui.messages import CopyAsked
from tui_influence.tui.screens.base import ModeScreen
from tui_influence.tui.widgets.incremental_text import IncrementalText

_WIDE = 120


class SweepScreen(ModeScreen):
    """Shows the overview of a run and asks for stop and resume."""

    mode = "sweep"
    help = (
        "How the sweep goes. Whatever is shown is read from the run's files: leaving changes nothing, and a sweep that "
        "runs goes on. Time left is an estimate, with the range it may fall in. Reliability is how far a second sweep "
        "would order the classes alike; the curve goes on as a forecast. A model that was given up is tried again by "
        "<sweep.resume>."
    )
    hint = "<app.rank> shows which classes help or hurt.  <app.quit> leaves, the sweep goes on.  <app.help> the keys."
    BINDINGS = bindings("sweep")

    class StopAsked(Message):
        """The run is to be stopped."""

    class ResumeAsked(Message):
        """The run is to go on."""

    def body(self) -> ComposeResult:
        """Lay out how the run stands, and how its models do."""
        with VerticalScroll(id="sweep"):
            yield IncrementalText(id="standing")
            yield IncrementalText(id="models")

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.show_state()

    def show(self) -> None:
        """Draw both parts for the room there is."""
        width, height = self.size.width, self.size.height
        wide = width >= _WIDE
        half = width // 2 - 5 if wide else width - 6  # margins, and room for a scroll bar
        state = self.state
        lines = run_summary(state.overview, state.style, half, error=state.problem, preparing=state.preparing)
        self.query_one("#standing", IncrementalText).show(lines)
        tall = min(max(height - (12 if wide else 10 + len(lines)), 5), 16)
        growth, style = self.state.growth, self.state.style
        if growth is not None:
            asked = self.state.question
            about = ", ".join(part for part in (asked.target, asked.target_class) if part)

            drawn = model_lines(growth, style, min(half, 90), tall, about)
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
            return ended and not finished and not self.state.preparing
        return True

    def action_stop(self) -> None:
        """Ask for the run to stop."""
        self.post_message(self.StopAsked())

    def action_resume(self) -> None:
        """Ask for the run to go on."""
        self.post_message(self.ResumeAsked())

    def action_command(self) -> None:
        """Copy the command that says the same."""
        self.post_message(CopyAsked(command("status", self.state.root), "the command"))
