"""Failures for programs: one JSON document, and one CSV line for every example and every group that it is blamed on."""

from typing import Any

from tui_influence.analysis.names import (
    label_name,
)
from tui_influence.analysis.question import Question
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.analysis.types import (
    Failure,
    Failures,
    HarmfulGroup,
)
from tui_influence.export.csv import csv_number, csv_text
from tui_influence.export.metadata import csv_comments, json_metadata
from tui_influence.render.numbers import finite
from tui_influence.text import spreadsheet_safe

_NUMBERS = ("influence", "se", "low", "high", "q")
COLUMNS = ("example", "name", "class", "predicted", "right", "margin", "harm_rank", "source", *_NUMBERS)


def failures_csv(reading: RunSnapshot, question: Question, failures: Failures) -> str:
    """Return failures as the text of a CSV file: a line for each group to blame, one without for an example of none."""
    rows = [
        [*_example_cells(reading, found), *cells]
        for found in failures.examples
        for cells in (_blame_cells(reading, found) or [[""] * (2 + len(_NUMBERS))])
    ]
    more = (
        ("failing", f"{failures.n_wrong} by most models, {failures.n_low_margin} more by a low mean margin"),
        ("influence", "on the example, with 95% interval; q over the groups for this example"),
    )
    return csv_text(csv_comments(reading, question, failures.models, *more), COLUMNS, rows)


def failures_document(reading: RunSnapshot, question: Question, failures: Failures) -> dict[str, Any]:
    """Return failures as JSON values."""
    return {
        **json_metadata(reading, question, failures.models),
        "relative": failures.relative,
        "n_examples": failures.n_examples,
        "n_wrong": failures.n_wrong,
        "n_low_margin": failures.n_low_margin,
        "failures": [_document(reading, found) for found in failures.examples],
    }


def _document(reading: RunSnapshot, found: Failure) -> dict[str, Any]:
    classes = reading.target_info.classes
    return {
        "example": found.example,
        "name": reading.examples.names[found.example],
        "label": classes[found.label],
        "predicted": label_name(classes, found.predicted),
        "right": finite(found.right),
        "margin": finite(found.margin),
        "harmful_groups": [
            {
                "source": reading.info.source.groups[one.group],
                **{name: finite(getattr(one, name)) for name in _NUMBERS},
                "significant": one.is_significant,
            }
            for one in found.harmful_groups
        ],
    }


def _example_cells(reading: RunSnapshot, found: Failure) -> list[str]:
    classes = reading.target_info.classes
    names = (reading.examples.names[found.example], classes[found.label], label_name(classes, found.predicted))
    return [
        str(found.example), *(spreadsheet_safe(name) for name in names),
        csv_number(found.right), csv_number(found.margin),
    ]  # fmt: skip


def _blame_cells(reading: RunSnapshot, found: Failure) -> list[list[str]]:
    def cells(place: int, one: HarmfulGroup) -> list[str]:
        name = spreadsheet_safe(reading.info.source.groups[one.group])
        return [str(place), name, *(csv_number(getattr(one, column)) for column in _NUMBERS)]

    return [cells(place, one) for place, one in enumerate(found.harmful_groups, start=1)]
