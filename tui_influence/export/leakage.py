"""Leaks and copies for programs: one JSON document, and one CSV line a pair of images."""

from collections.abc import Sequence
from typing import Any

from tui_influence.analysis.leakage import (
    KEPT,
    class_of,
    is_of_images,
)
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import noun_of
from tui_influence.analysis.snapshot import Reading
from tui_influence.analysis.types import (
    Copies,
    Leak,
    Leaks,
)
from tui_influence.export.csv import csv_text, number
from tui_influence.export.metadata import about, comments, comments_on_images
from tui_influence.influence.types import (
    RankedGroup,
)
from tui_influence.render.ranking import finite
from tui_influence.text import spreadsheet_safe

_NUMBERS = ("influence", "se", "low", "high", "q", "on_example")
_RANKED = ("influence", "se", "low", "high", "q")
_PAIR_COLUMNS = ("source", "source_class", "example", "name", "label", *_NUMBERS, "copy", "distance")
_COPY_COLUMNS = ("source", "source_class", "example", "name", "label", "kind", "distance", "relative")

INFLUENCE = "on one test example beyond that on the others of its class"
ON_EXAMPLE = "influence on the example itself, of the same sign in every pair"


def document(
    reading: Reading,
    question: Question,
    found: Leaks | None,
    copies: Copies | None,
    *,
    problem: str = "",
    images: Sequence[RankedGroup] | None = None,
    top: int | None = None,
) -> dict[str, Any]:
    """Return what was found as JSON values.

    Args:
        reading: that it was found in.
        question: that was asked.
        found: pairs; None where they were not looked for.
        copies: likewise.
        problem: why copies were not looked for; empty if they were.
        images: the single images of one source class, ranked by influence on all of the question's examples.
        top: limits each list.
    """
    made: dict[str, Any] = {
        **about(reading, question, len(reading.outputs)),
        "groups": "image" if is_of_images(reading.info) else noun_of(reading.info),
    }
    if found is not None:
        kinds = _kinds(reading, copies)
        made |= {
            "influence": INFLUENCE,
            "on_example": ON_EXAMPLE,
            "tested": found.tested,
            "helped_beyond_chance": found.n_helped,
            "hurt_beyond_chance": found.n_hurt,
            "kept": KEPT,
            "left_out": found.left_out,
            "smallest_found": finite(found.smallest),
            "helped": [_pair(reading, leak, kinds) for leak in found.helped[:top]],
            "hurt": [_pair(reading, leak, kinds) for leak in found.hurt[:top]],
        }
    if images is not None:
        made["images"] = [_image(row) for row in images[:top]]
    made["copies_problem"] = problem
    if copies is None:
        return made | {"copies": None}
    return made | {
        "compared": [copies.compared, copies.examples],
        "copies": [_copy(reading, copies, place) for place in range(len(copies.found))][:top],
    }


def leaks_csv(reading: Reading, question: Question, found: Leaks, copies: Copies | None) -> str:
    """Return all pairs that were kept, helped first."""
    kinds = _kinds(reading, copies)
    rows = [_pair(reading, leak, kinds) for leak in (*found.helped, *found.hurt)]
    more = (
        ("pairs tested", str(found.tested)),
        ("beyond chance", f"{found.n_helped} helped, {found.n_hurt} hurt"),
        ("kept", f"at most {KEPT} of each sign; beyond chance and left out: {found.left_out}"),
        ("influence", f"{INFLUENCE}, with 95% interval; q over all pairs tested"),
        ("on_example", ON_EXAMPLE),
    )
    lines = comments(reading, question, found.models, *more)
    return csv_text(lines, _PAIR_COLUMNS, [_cells(row, _PAIR_COLUMNS) for row in rows])


def copies_csv(reading: Reading, copies: Copies) -> str:
    """Return all copies that were found."""
    rows = [_copy(reading, copies, place) for place in range(len(copies.found))]
    more = (
        ("compared", f"{copies.compared} source images with {copies.examples} test images"),
        ("distance", "0 for equal pixels; relative: to that of unrelated images"),
    )
    return csv_text(comments_on_images(reading, *more), _COPY_COLUMNS, [_cells(row, _COPY_COLUMNS) for row in rows])


def kinds_of(copies: Copies | None) -> dict[tuple[str, int], tuple[str, float]]:
    """Return kind and distance of each copy, by the name of the source image and the number of the test image."""
    if copies is None:
        return {}
    return {(copies.names[copy.source], copy.target): (copy.kind.value, copy.distance) for copy in copies.found}


def _kinds(reading: Reading, copies: Copies | None) -> dict[tuple[str, int], tuple[str, float]] | None:
    return kinds_of(copies) if copies is not None and is_of_images(reading.info) else None


def _pair(reading: Reading, leak: Leak, kinds: dict[tuple[str, int], tuple[str, float]] | None) -> dict[str, Any]:
    group = reading.info.source.groups[leak.group]
    kind, distance = (kinds or {}).get((group, leak.example), ("", None))
    return {
        "source": group,
        "source_class": class_of(reading.info, group),
        **_example(reading, leak.example),
        **{key: finite(getattr(leak, key)) for key in _NUMBERS},
        "copy": None if kinds is None else kind or False,
        "distance": distance,
    }


def _image(row: RankedGroup) -> dict[str, Any]:
    return {"name": row.group, **{key: finite(getattr(row, key)) for key in _RANKED}}


def _copy(reading: Reading, copies: Copies, place: int) -> dict[str, Any]:
    copy = copies.found[place]
    return {
        "source": copies.names[copy.source],
        "source_class": copies.source_classes[copy.source],
        **_example(reading, copy.target),
        "kind": copy.kind.value,
        "distance": finite(copy.distance),
        "relative": finite(copy.relative),
    }


def _example(reading: Reading, example: int) -> dict[str, Any]:
    examples = reading.examples
    label = reading.described.classes[int(examples.labels[example])]
    return {"example": example, "name": examples.names[example], "label": label}


def _cells(row: dict[str, Any], columns: tuple[str, ...]) -> list[str]:
    return [_cell(row[column]) for column in columns]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "no" if not value else "yes"
    if isinstance(value, float):
        return number(value)
    return str(value) if isinstance(value, int) else spreadsheet_safe(str(value))
