"""Leaks and copies for programs: one JSON document, and one CSV line a pair of images."""

from collections.abc import Sequence
from typing import Any

from tui_influence.analysis.leakage import (
    MAX_PAIRS,
)
from tui_influence.analysis.names import (
    group_noun,
    groups_are_images,
    source_class_of,
)
from tui_influence.analysis.question import Question
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.analysis.types import (
    Duplicates,
    Leak,
    Leaks,
)
from tui_influence.export.csv import csv_number, csv_text
from tui_influence.export.metadata import csv_comments, csv_image_comments, json_metadata
from tui_influence.influence.types import (
    RankedGroup,
)
from tui_influence.render.numbers import finite
from tui_influence.text import spreadsheet_safe

_NUMBERS = ("influence", "se", "low", "high", "q", "on_example")
_RANKED = ("influence", "se", "low", "high", "q")
_PAIR_COLUMNS = ("source", "source_class", "example", "name", "label", *_NUMBERS, "duplicate", "distance")
_COPY_COLUMNS = ("source", "source_class", "example", "name", "label", "kind", "distance", "relative")

INFLUENCE = "on one test example beyond that on the others of its class"
ON_EXAMPLE = "influence on the example itself, of the same sign in every pair"


def leaks_document(
    reading: RunSnapshot,
    question: Question,
    found: Leaks | None,
    copies: Duplicates | None,
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
        **json_metadata(reading, question, len(reading.outputs)),
        "groups": "image" if groups_are_images(reading.info) else group_noun(reading.info),
    }
    if found is not None:
        kinds = _kinds(reading, copies)
        made |= {
            "influence": INFLUENCE,
            "on_example": ON_EXAMPLE,
            "n_tested": found.n_tested,
            "n_significant_helped": found.n_helped,
            "n_significant_hurt": found.n_hurt,
            "max_pairs": MAX_PAIRS,
            "n_excluded": found.n_excluded,
            "detectable_influence": finite(found.detectable_influence),
            "helped": [_pair(reading, leak, kinds) for leak in found.helped[:top]],
            "hurt": [_pair(reading, leak, kinds) for leak in found.hurt[:top]],
        }
    if images is not None:
        made["images"] = [_image(row) for row in images[:top]]
    made["duplicates_error"] = problem
    if copies is None:
        return made | {"duplicates": None}
    return made | {
        "compared": [copies.n_compared, copies.n_examples],
        "duplicates": [_copy(reading, copies, place) for place in range(len(copies.pairs))][:top],
    }


def leaks_csv(reading: RunSnapshot, question: Question, found: Leaks, copies: Duplicates | None) -> str:
    """Return all pairs that were kept, helped first."""
    kinds = _kinds(reading, copies)
    rows = [_pair(reading, leak, kinds) for leak in (*found.helped, *found.hurt)]
    more = (
        ("pairs tested", str(found.n_tested)),
        ("significant", f"{found.n_helped} helped, {found.n_hurt} hurt"),
        ("listed", f"at most {MAX_PAIRS} of each sign; significant but excluded: {found.n_excluded}"),
        ("influence", f"{INFLUENCE}, with 95% interval; q over all pairs tested"),
        ("on_example", ON_EXAMPLE),
    )
    lines = csv_comments(reading, question, found.models, *more)
    return csv_text(lines, _PAIR_COLUMNS, [_cells(row, _PAIR_COLUMNS) for row in rows])


def duplicates_csv(reading: RunSnapshot, copies: Duplicates) -> str:
    """Return all copies that were found."""
    rows = [_copy(reading, copies, place) for place in range(len(copies.pairs))]
    more = (
        ("compared", f"{copies.n_compared} source images with {copies.n_examples} test images"),
        ("distance", "0 for equal pixels; relative: to that of unrelated images"),
    )
    return csv_text(csv_image_comments(reading, *more), _COPY_COLUMNS, [_cells(row, _COPY_COLUMNS) for row in rows])


def duplicate_kinds(copies: Duplicates | None) -> dict[tuple[str, int], tuple[str, float]]:
    """Return kind and distance of each copy, by the name of the source image and the number of the test image."""
    if copies is None:
        return {}
    return {(copies.names[copy.source], copy.target): (copy.kind.value, copy.distance) for copy in copies.pairs}


def _kinds(reading: RunSnapshot, copies: Duplicates | None) -> dict[tuple[str, int], tuple[str, float]] | None:
    return duplicate_kinds(copies) if copies is not None and groups_are_images(reading.info) else None


def _pair(reading: RunSnapshot, leak: Leak, kinds: dict[tuple[str, int], tuple[str, float]] | None) -> dict[str, Any]:
    group = reading.info.source.groups[leak.group]
    kind, distance = (kinds or {}).get((group, leak.example), ("", None))
    return {
        "source": group,
        "source_class": source_class_of(reading.info, group),
        **_example(reading, leak.example),
        **{key: finite(getattr(leak, key)) for key in _NUMBERS},
        "duplicate": None if kinds is None else kind or False,
        "distance": distance,
    }


def _image(row: RankedGroup) -> dict[str, Any]:
    return {"name": row.group, **{key: finite(getattr(row, key)) for key in _RANKED}}


def _copy(reading: RunSnapshot, copies: Duplicates, place: int) -> dict[str, Any]:
    copy = copies.pairs[place]
    return {
        "source": copies.names[copy.source],
        "source_class": copies.source_classes[copy.source],
        **_example(reading, copy.target),
        "kind": copy.kind.value,
        "distance": finite(copy.distance),
        "relative": finite(copy.relative),
    }


def _example(reading: RunSnapshot, example: int) -> dict[str, Any]:
    examples = reading.examples
    label = reading.target_info.classes[int(examples.labels[example])]
    return {"example": example, "name": examples.names[example], "label": label}


def _cells(row: dict[str, Any], columns: tuple[str, ...]) -> list[str]:
    return [_cell(row[column]) for column in columns]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "no" if not value else "yes"
    if isinstance(value, float):
        return csv_number(value)
    return str(value) if isinstance(value, int) else spreadsheet_safe(str(value))
