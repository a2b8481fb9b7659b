"""The kinds of probe: how each is computed, shown and exported. A kind is one entry in `PROBES`.

Loads numpy, so it is imported when a probe is computed, or has a result.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from tui_influence.analysis.class_effects import MAX_VALUES
from tui_influence.analysis.failures import DEFAULT_GROUPS, find_failures
from tui_influence.analysis.leakage import find_leaks
from tui_influence.analysis.names import groups_are_images
from tui_influence.analysis.probe_types import DrivenExamples, Failures, Leaks, ProbeKind, ProbeQuestion, ProbeResult
from tui_influence.analysis.ranking import data_warnings
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.analysis.subpopulations import driven_examples, find_subpopulations
from tui_influence.errors import ConfigError
from tui_influence.export.failures import failures_table
from tui_influence.export.leakage import leaks_table
from tui_influence.export.result_table import ResultTable
from tui_influence.export.subpopulations import driven_table, examples_in_order
from tui_influence.render.failures import failures_view
from tui_influence.render.leakage import leaks_view
from tui_influence.render.probe_views import ProbeView
from tui_influence.render.subpopulations import driven_view, subpopulations_view
from tui_influence.store.examples import read_source_thumbnails
from tui_influence.text import pluralize, printable, quote_path
from tui_influence.tui.background import attempt

MAX_HARMFUL_GROUPS = 8
"""Harmful groups of a failure that are shown; a CSV has as many as the command's."""


@dataclass(frozen=True)
class ProbeExport:
    """The CSV file of a probe, as its command writes it.

    Attributes:
        table: makes the table of the file.
        content: of the file, in words.
        note: on the content.
    """

    table: Callable[[], ResultTable]
    content: str
    note: str


@dataclass(frozen=True)
class Probe:
    """A kind of probe.

    Attributes:
        compute: computes it from a snapshot.
        view: returns what is shown of a result.
        export: returns the CSV file of a result.
    """

    compute: Callable[[ProbeQuestion, RunSnapshot], ProbeResult]
    view: Callable[[ProbeResult], ProbeView]
    export: Callable[[ProbeResult], ProbeExport]


def _compute_failures(probe: ProbeQuestion, snapshot: RunSnapshot) -> ProbeResult:
    limit = max(MAX_VALUES // max(len(snapshot.info.source.groups), 1), 1)
    failures = find_failures(snapshot, probe.question, top=limit, n_groups=MAX_HARMFUL_GROUPS)
    is_cut = len(failures.examples) < failures.n_wrong
    return ProbeResult(probe, snapshot, failures, data_warnings(snapshot), limit if is_cut else None)


def _view_failures(result: ProbeResult) -> ProbeView:
    assert isinstance(result.value, Failures)
    return failures_view(result, result.value)


def _export_failures(result: ProbeResult) -> ProbeExport:
    failures, limit = result.value, result.limit
    assert isinstance(failures, Failures)
    examples = tuple(
        replace(failure, harmful_groups=failure.harmful_groups[:DEFAULT_GROUPS]) for failure in failures.examples
    )
    limited = f"The {limit:,} of lowest margin, as with `--top={limit}`. " if limit else ""
    return ProbeExport(
        partial(failures_table, result.snapshot, result.question.question, replace(failures, examples=examples)),
        pluralize(len(examples), "failure"),
        f"{limited}All failures, whatever the filter, with at most {DEFAULT_GROUPS} harmful groups each.",
    )


def _compute_subpopulations(probe: ProbeQuestion, snapshot: RunSnapshot) -> ProbeResult:
    if probe.source is not None:
        driven = driven_examples(snapshot, probe.question, probe.source)
        return ProbeResult(probe, snapshot, driven, data_warnings(snapshot))
    return ProbeResult(probe, snapshot, find_subpopulations(snapshot, probe.question), data_warnings(snapshot))


def _view_subpopulations(result: ProbeResult) -> ProbeView:
    if isinstance(result.value, DrivenExamples):
        return driven_view(result, result.value)
    assert isinstance(result.value, tuple)
    return subpopulations_view(result, result.value)


def _export_subpopulations(result: ProbeResult) -> ProbeExport:
    value = result.value
    if isinstance(value, DrivenExamples):
        examples, n_examples = [*value.examples, *value.not_helped], value.n_examples
        note = "All test images, also those that it does not help more than their class."
    else:
        assert isinstance(value, tuple)
        examples = [*examples_in_order(value)]
        n_examples = len(examples)
        note = "All test images, also those that are not assigned to any source group."
    table = partial(driven_table, result.snapshot, result.question.question, examples)
    return ProbeExport(table, pluralize(n_examples, "test image"), note)


def _compute_leaks(probe: ProbeQuestion, snapshot: RunSnapshot) -> ProbeResult:
    if not groups_are_images(snapshot.info):
        results = quote_path(snapshot.paths.root)
        raise ConfigError(
            "Leaks are pairs of one source image and one test image. That takes a run whose groups are single images: "
            f"`tinfl leaks {printable(results)} --init images.toml` writes the config of one, for the classes that "
            "matter. Copies of test images are found in any run, by their pixels: "
            f"`tinfl leaks {printable(results)} --duplicates`"
        )
    leaks = find_leaks(snapshot, probe.question)
    leaking = {leak.group for leak in (*leaks.helped, *leaks.hurt)}
    thumbnails, error = attempt(partial(read_source_thumbnails, snapshot.paths))
    groups = enumerate(thumbnails[1]) if thumbnails is not None else ()
    samples = {int(group): index for index, group in reversed([*groups]) if int(group) in leaking}
    return ProbeResult(probe, snapshot, leaks, data_warnings(snapshot), samples=samples, samples_error=error)


def _view_leaks(result: ProbeResult) -> ProbeView:
    assert isinstance(result.value, Leaks)
    return leaks_view(result, result.value)


def _export_leaks(result: ProbeResult) -> ProbeExport:
    leaks = result.value
    assert isinstance(leaks, Leaks)
    return ProbeExport(
        partial(leaks_table, result.snapshot, result.question.question, leaks, None),
        pluralize(len(leaks.helped) + len(leaks.hurt), "pair"),
        "Without the column of copies: `tinfl leaks` also compares pixels, where the dataset is.",
    )


PROBES = {
    ProbeKind.FAILURES: Probe(_compute_failures, _view_failures, _export_failures),
    ProbeKind.SUBPOPULATIONS: Probe(_compute_subpopulations, _view_subpopulations, _export_subpopulations),
    ProbeKind.LEAKS: Probe(_compute_leaks, _view_leaks, _export_leaks),
}
"""Every kind of probe, in the order of the Probe mode."""
