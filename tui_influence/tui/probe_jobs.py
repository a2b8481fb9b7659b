"""What the Probe mode asks of the core, off the event loop: failures, subpopulations, leaks, each from one reading.

Loads numpy, so it is imported where a probe is made.
"""

import shlex

from tui_influence.analysis.class_effects import MAX_VALUES
from tui_influence.analysis.failures import find_failures
from tui_influence.analysis.leakage import (
    find_leaks,
)
from tui_influence.analysis.names import (
    groups_are_images,
)
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import data_warnings
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.analysis.subpopulations import driven_examples, find_subpopulations
from tui_influence.analysis.types import (
    Leaks,
    ProbeKind,
    ProbeQuestion,
    ProbeResult,
)
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.store.examples import read_source_thumbnails
from tui_influence.text import printable

BLAMED = 8
"""Groups that are shown of those to blame for one image; a CSV has as many of them as the command's."""


def probe(asked: ProbeQuestion, reading: RunSnapshot, question: Question) -> ProbeResult:
    """Make a probe.

    Args:
        asked: which.
        reading: of the question's target.
        question: that of `asked`.

    Raises:
        ConfigError: the question does not fit the run.
        ResultsError: too few models have been recorded, or stored outputs are NaN or infinite.
    """
    notes = data_warnings(reading)
    if asked.kind is ProbeKind.FAILURES:
        limit = max(MAX_VALUES // max(len(reading.info.source.groups), 1), 1)
        found = find_failures(reading, question, top=limit, n_groups=BLAMED)
        return ProbeResult(asked, reading, found, notes, limit if len(found.examples) < found.n_wrong else None)
    if asked.kind is ProbeKind.PARTS and asked.source is not None:
        return ProbeResult(asked, reading, driven_examples(reading, question, asked.source), notes)
    if asked.kind is ProbeKind.PARTS:
        return ProbeResult(asked, reading, find_subpopulations(reading, question), notes)
    return _leaks(asked, reading, question, notes)


def _leaks(asked: ProbeQuestion, reading: RunSnapshot, question: Question, notes: tuple[str, ...]) -> ProbeResult:
    if not groups_are_images(reading.info):
        results = shlex.quote(str(reading.paths.root))
        raise ConfigError(
            "Leaks are pairs of one source image and one test image. That takes a run whose groups are single images: "
            f"`tinfl leaks {printable(results)} --init images.toml` writes the config of one, for the classes that "
            "matter. Copies of test images are found in any run, by their pixels: "
            f"`tinfl leaks {printable(results)} --duplicates`"
        )
    found = find_leaks(reading, question)
    samples, reason = _samples(reading, found)
    return ProbeResult(asked, reading, found, notes, samples=samples, samples_error=reason)


def _samples(reading: RunSnapshot, found: Leaks) -> tuple[dict[int, int], str]:
    """Positions of the source images of pairs among those that are kept, and why there are none, if so."""
    try:
        _, groups = read_source_thumbnails(reading.paths)
    except ResultsError as error:
        return {}, str(error)
    wanted = {leak.group for leak in (*found.helped, *found.hurt)}
    return {int(group): place for place, group in reversed([*enumerate(groups)]) if int(group) in wanted}, ""
