"""The computations behind the queries about the sweep. Loads numpy: imported by the thread that computes."""

import shlex
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import numpy as np

from tui_influence.analysis import class_effects
from tui_influence.analysis.class_effects import MAX_VALUES
from tui_influence.analysis.examples import explain_example
from tui_influence.analysis.failures import find_failures
from tui_influence.analysis.leakage import find_leaks
from tui_influence.analysis.names import groups_are_images
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import data_warnings, rank
from tui_influence.analysis.reliability_curve import reliability_curve
from tui_influence.analysis.snapshot import RunSnapshot, read_snapshot
from tui_influence.analysis.subpopulations import driven_examples, find_subpopulations
from tui_influence.analysis.types import ExampleQuestion, ExampleReport, Leaks, ProbeKind, ProbeQuestion, ProbeResult
from tui_influence.errors import ConfigError
from tui_influence.store.examples import read_source_thumbnails
from tui_influence.store.paths import Paths
from tui_influence.text import printable
from tui_influence.tui.background import attempt
from tui_influence.tui.queries import QueryInput
from tui_influence.tui.state import GroupDetail, GroupQuestion

T = TypeVar("T")

MAX_EXAMPLES = 60
"""Examples of those that a group helps, and of those it hurts, most: pages of them."""
MAX_HARMFUL_GROUPS = 8
"""Harmful groups of a failure; a CSV has as many as the command's."""


def _of_snapshot(compute: Callable[[RunSnapshot, Question], T], inputs: QueryInput, question: Question) -> T:
    """Compute from a snapshot of the models that are recorded now; queries of one target share it."""
    # Taken out, so that the snapshot of before is gone before the next one is read.
    snapshot = read_snapshot(
        Paths(inputs.root), inputs.info, question.target, inputs.snapshots.pop(question.target, None)
    )
    inputs.snapshots[question.target] = snapshot
    value = compute(snapshot, question)
    snapshot.outputs.release()
    return value


def _group(inputs: QueryInput, question: GroupQuestion) -> GroupDetail:
    effects, group = question.effects, question.group
    thumbnails, error = attempt(partial(read_source_thumbnails, Paths(inputs.root)))
    indices = np.flatnonzero(thumbnails[1] == group) if thumbnails is not None else ()
    return GroupDetail(
        effects, group, effects.of_group(group, MAX_EXAMPLES), tuple(int(index) for index in indices), error
    )


def _example(inputs: QueryInput, question: ExampleQuestion) -> ExampleReport:
    return explain_example(question.reading, question.question, question.example, question.group)


def _probe(inputs: QueryInput, question: ProbeQuestion) -> ProbeResult:
    return _of_snapshot(partial(_probe_snapshot, question), inputs, question.question)


def _probe_snapshot(probe: ProbeQuestion, snapshot: RunSnapshot, question: Question) -> ProbeResult:
    notes = data_warnings(snapshot)
    if probe.kind is ProbeKind.FAILURES:
        limit = max(MAX_VALUES // max(len(snapshot.info.source.groups), 1), 1)
        result = find_failures(snapshot, question, top=limit, n_groups=MAX_HARMFUL_GROUPS)
        return ProbeResult(probe, snapshot, result, notes, limit if len(result.examples) < result.n_wrong else None)
    if probe.kind is ProbeKind.PARTS and probe.source is not None:
        return ProbeResult(probe, snapshot, driven_examples(snapshot, question, probe.source), notes)
    if probe.kind is ProbeKind.PARTS:
        return ProbeResult(probe, snapshot, find_subpopulations(snapshot, question), notes)
    return _leaks(probe, snapshot, question, notes)


def _leaks(probe: ProbeQuestion, snapshot: RunSnapshot, question: Question, notes: tuple[str, ...]) -> ProbeResult:
    if not groups_are_images(snapshot.info):
        results = shlex.quote(str(snapshot.paths.root))
        raise ConfigError(
            "Leaks are pairs of one source image and one test image. That takes a run whose groups are single images: "
            f"`tinfl leaks {printable(results)} --init images.toml` writes the config of one, for the classes that "
            "matter. Copies of test images are found in any run, by their pixels: "
            f"`tinfl leaks {printable(results)} --duplicates`"
        )
    result = find_leaks(snapshot, question)
    thumbnails, error = attempt(partial(read_source_thumbnails, snapshot.paths))
    samples = _samples_of_leaks(thumbnails[1], result) if thumbnails is not None else {}
    return ProbeResult(probe, snapshot, result, notes, samples=samples, samples_error=error)


def _samples_of_leaks(groups: "np.ndarray[Any, Any]", result: Leaks) -> dict[int, int]:
    """Return the position of each leaking group's first image among the stored images of the source."""
    leaking = {leak.group for leak in (*result.helped, *result.hurt)}
    return {int(group): index for index, group in reversed([*enumerate(groups)]) if int(group) in leaking}


COMPUTE: dict[str, Callable[[QueryInput, Any], Any]] = {
    "ranking": partial(_of_snapshot, rank),
    "comparison": partial(_of_snapshot, rank),
    "reliability": partial(_of_snapshot, reliability_curve),
    "effects": partial(_of_snapshot, class_effects.estimate_effects),
    **dict.fromkeys(ProbeKind, _probe),
    "group": _group,
    "example": _example,
}
