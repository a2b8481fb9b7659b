"""The result of a probe, by its kind: what the Probe mode shows of it, and what it exports.

Loads numpy, so it is imported once there is a result.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from tui_influence.analysis.failures import DEFAULT_GROUPS
from tui_influence.analysis.types import DrivenExamples, Failures, Leaks, ProbeResult
from tui_influence.export.failures import failures_csv
from tui_influence.export.leakage import leaks_csv
from tui_influence.export.subpopulations import examples_in_order, subpopulations_csv
from tui_influence.render.failures import failures_view
from tui_influence.render.leakage import leaks_view
from tui_influence.render.probe_views import ProbeView
from tui_influence.text import pluralize
from tui_influence.tui.widgets.part_lines import classes_shown, driven_shown


@dataclass(frozen=True)
class ProbeExport:
    """The CSV file of a probe, as its command writes it.

    Attributes:
        csv: makes the text of the file.
        content: of the file, in words.
        note: on the content.
    """

    csv: Callable[[], str]
    content: str
    note: str


def probe_view(result: ProbeResult) -> ProbeView:
    """Return the view of a probe's result."""
    match result.value:
        case Failures() as failures:
            return failures_view(result, failures)
        case DrivenExamples() as driven:
            return driven_shown(result, driven)
        case Leaks() as leaks:
            return leaks_view(result, leaks)
        case classes:
            return classes_shown(result, classes)


def probe_export(result: ProbeResult) -> ProbeExport:
    """Return the CSV file of a probe's result."""
    question, snapshot = result.question.question, result.reading
    match result.value:
        case Failures() as failures:
            return _failures_export(result, failures)
        case DrivenExamples() as driven:
            return ProbeExport(
                lambda: subpopulations_csv(snapshot, question, [*driven.examples, *driven.not_helped]),
                pluralize(driven.n_examples, "test image"),
                "All test images, also those that it does not help more than their class.",
            )
        case Leaks() as leaks:
            return ProbeExport(
                lambda: leaks_csv(snapshot, question, leaks, None),
                pluralize(len(leaks.helped) + len(leaks.hurt), "pair"),
                "Without the column of copies: `tinfl leaks` also compares pixels, where the dataset is.",
            )
        case classes:
            examples = examples_in_order(classes)
            return ProbeExport(
                lambda: subpopulations_csv(snapshot, question, examples),
                pluralize(len(examples), "test image"),
                "All test images, also those that are not assigned to any source group.",
            )


def _failures_export(result: ProbeResult, failures: Failures) -> ProbeExport:
    few = replace(
        failures,
        examples=tuple(
            replace(failure, harmful_groups=failure.harmful_groups[:DEFAULT_GROUPS]) for failure in failures.examples
        ),
    )
    limit = result.limit
    limited = f"The {limit:,} of lowest margin, as with `--top={limit}`. " if limit else ""
    return ProbeExport(
        lambda: failures_csv(result.reading, result.question.question, few),
        pluralize(len(failures.examples), "failure"),
        f"{limited}All failures, whatever the filter, with at most {DEFAULT_GROUPS} harmful groups each.",
    )
