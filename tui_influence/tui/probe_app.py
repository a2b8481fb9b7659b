"""The part of the app that probes: its handlers own what is looked at in the Probe mode, and export it."""

from textual import on

from tui_influence.analysis.types import ProbeKind
from tui_influence.tui import carry_out
from tui_influence.tui.pruning_app import PruningApp
from tui_influence.tui.ranking_jobs import Jobs
from tui_influence.tui.screens.probe import ProbeScreen


class ProbingApp(PruningApp):
    """What `ExploreApp` does about probes."""

    _jobs: Jobs

    @on(ProbeScreen.ViewTurned)
    def _view_turned(self) -> None:
        views = tuple(ProbeKind)  # the next of what is looked at by now: keys may come faster than they are answered
        self.state.probe.view = views[(views.index(self.state.probe.view) + 1) % len(views)]
        self._show()
        self._consider()

    @on(ProbeScreen.DriverChosen)
    def _driver_chosen(self, message: ProbeScreen.DriverChosen) -> None:
        probe = self.state.probe
        probe.view, probe.source = ProbeKind.PARTS, message.group
        probe.problems.pop(ProbeKind.PARTS, None)
        self._jobs.probing[ProbeKind.PARTS].forget()
        self._show()
        self._consider()

    @on(ProbeScreen.ExportAsked)
    def _export_probe(self) -> None:
        probe, screen = self.state.probe, self.screen
        if not isinstance(screen, ProbeScreen) or not screen.has_view or probe.found is None:
            return
        from tui_influence.tui.probe_results import probe_export  # here, because it loads numpy

        export = probe_export(probe.found)
        asked, info = probe.found.question, probe.found.reading.info
        whom = [probe.found.reading.target_info.name, asked.question.target_class]
        source = [info.source.groups[asked.source]] if asked.source is not None else []
        name = [info.name, *(part for part in whom if part is not None), asked.kind, *source]
        note = f"{export.note} A file of that name is replaced."
        carry_out.export_csv(self, name, note, export.content, export.csv)
