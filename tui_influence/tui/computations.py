"""The computations behind the queries about the sweep. Loads numpy: imported by the thread that computes."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from textual.strip import Strip

from tui_influence.analysis import class_effects
from tui_influence.analysis.examples import explain_example
from tui_influence.analysis.probe_types import ProbeKind, ProbeQuestion, ProbeResult
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import rank
from tui_influence.analysis.reliability_curve import reliability_curve
from tui_influence.analysis.snapshot import RunSnapshot, read_snapshot
from tui_influence.analysis.types import ExampleQuestion, ExampleReport
from tui_influence.images.text_image import Ink, draw_image
from tui_influence.store.examples import read_source_thumbnails, read_thumbnails
from tui_influence.store.paths import Paths
from tui_influence.tui.background import attempt
from tui_influence.tui.image_cache import ImageKey, ImageStrips
from tui_influence.tui.probes import PROBES
from tui_influence.tui.state import GroupDetail, GroupQuestion, QueryInput

T = TypeVar("T")

MAX_EXAMPLES = 60
"""Examples of those that a group helps, and of those it hurts, most: pages of them."""


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
    return explain_example(question.snapshot, question.question, question.example, question.group)


def _probe(inputs: QueryInput, question: ProbeQuestion) -> ProbeResult:
    compute = PROBES[question.kind].compute
    return _of_snapshot(lambda snapshot, _: compute(question, snapshot), inputs, question.question)


COMPUTE: dict[str, Callable[[QueryInput, Any], Any]] = {
    "ranking": partial(_of_snapshot, rank),
    "comparison": partial(_of_snapshot, rank),
    "reliability": partial(_of_snapshot, reliability_curve),
    "effects": partial(_of_snapshot, class_effects.estimate_effects),
    **dict.fromkeys(ProbeKind, _probe),
    "group": _group,
    "example": _example,
}


def draw_images(
    root: Path, keys: Sequence[ImageKey]
) -> tuple[dict[ImageKey, ImageStrips | None], dict[int | None, str]]:
    """Draw images of a run.

    Returns:
        each image, None for one that cannot be drawn; and for each target (None: the source) the reason, if there is
        such an image.
    """
    paths = Paths(root)
    thumbnails: dict[int | None, NDArray[np.uint8] | None] = {}
    images: dict[ImageKey, ImageStrips | None] = {}
    errors: dict[int | None, str] = {}
    for key in keys:
        if key.target not in thumbnails:
            thumbnails[key.target], errors[key.target] = attempt(partial(_thumbnails, paths, key.target))
        stored = thumbnails[key.target]
        if stored is not None and 0 <= key.index < len(stored):
            images[key] = _draw(stored[key.index], key)
        else:
            images[key] = None
            if not errors[key.target]:
                errors[key.target] = "the run stores fewer images than test examples; was it copied completely?"
    return images, errors


def _draw(image: NDArray[np.uint8], key: ImageKey) -> ImageStrips:
    style, side = key.style, image.shape[1]
    columns = key.columns if key.columns < side else key.columns // side * side
    ink = Ink.BLOCKS_256 if style.few_colours else Ink.BLOCKS
    if style.ascii or not style.coloured:
        ink = Ink.ASCII if style.ascii else Ink.SHADES
    return tuple(Strip(row, columns) for row in draw_image(image, columns, ink, dark=style.dark))


def _thumbnails(paths: Paths, target: int | None) -> NDArray[np.uint8]:
    return read_source_thumbnails(paths)[0] if target is None else read_thumbnails(paths.target(target))
