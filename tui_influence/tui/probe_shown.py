"""From what a probe found to what is shown of it. Loads numpy, so it is imported where there is something to show."""

from tui_influence.analysis.types import (
    DrivenExamples,
    Failures,
    Leaks,
    ProbeResult,
)
from tui_influence.render.probe_views import Shown
from tui_influence.tui.widgets.failure_lines import failures_shown
from tui_influence.tui.widgets.leak_lines import leaks_shown
from tui_influence.tui.widgets.part_lines import classes_shown, driven_shown


def shown(found: ProbeResult) -> Shown:
    """Return what there is to show of what a probe found."""
    match found.value:
        case Failures() as failures:
            return failures_shown(found, failures)
        case DrivenExamples() as driven:
            return driven_shown(found, driven)
        case Leaks() as leaks:
            return leaks_shown(found, leaks)
        case classes:
            return classes_shown(found, classes)
