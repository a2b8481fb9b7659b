"""Failures as one JSON document, and as CSV with one line for every example and every group that hurts it."""

from typing import Any

from tui_influence.analysis.names import label_name
from tui_influence.analysis.probe_types import Failure, Failures, HarmfulGroup
from tui_influence.analysis.question import Question
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.export.csv import csv_number, csv_text
from tui_influence.export.metadata import csv_comments, json_metadata
from tui_influence.render.numbers import finite
from tui_influence.text import spreadsheet_safe

_NUMBERS = ("influence", "se", "low", "high", "q")
COLUMNS = ("example", "name", "class", "predicted", "accuracy", "margin", "harm_rank", "group", *_NUMBERS)


def failures_csv(snapshot: RunSnapshot, question: Question, failures: Failures) -> str:
    """Return failures as the text of a CSV file: a line for each harmful group; one without where there is none."""
    rows = [
        [*_example_cells(snapshot, failure), *cells]
        for failure in failures.examples
        for cells in (_harmful_group_cells(snapshot, failure) or [[""] * (2 + len(_NUMBERS))])
    ]
    more = (
        ("failing", f"{failures.n_wrong} by most models, {failures.n_low_margin} more by a low mean margin"),
        ("influence", "on the example, with 95% interval; q over the groups for this example"),
    )
    return csv_text(csv_comments(snapshot, question, failures.models, *more), COLUMNS, rows)


def failures_document(snapshot: RunSnapshot, question: Question, failures: Failures) -> dict[str, Any]:
    """Return failures as JSON values."""
    return {
        **json_metadata(snapshot, question, failures.models),
        "relative": failures.relative,
        "n_examples": failures.n_examples,
        "n_wrong": failures.n_wrong,
        "n_low_margin": failures.n_low_margin,
        "failures": [_document(snapshot, failure) for failure in failures.examples],
    }


def _document(snapshot: RunSnapshot, failure: Failure) -> dict[str, Any]:
    classes = snapshot.target_info.classes
    return {
        "example": failure.example,
        "name": snapshot.examples.names[failure.example],
        "label": classes[failure.label],
        "predicted": label_name(classes, failure.predicted),
        "accuracy": finite(failure.right),
        "margin": finite(failure.margin),
        "harmful_groups": [
            {
                "group": snapshot.info.source.groups[harmful.group],
                **{name: finite(getattr(harmful, name)) for name in _NUMBERS},
                "significant": harmful.is_significant,
            }
            for harmful in failure.harmful_groups
        ],
    }


def _example_cells(snapshot: RunSnapshot, failure: Failure) -> list[str]:
    classes = snapshot.target_info.classes
    names = (snapshot.examples.names[failure.example], classes[failure.label], label_name(classes, failure.predicted))
    return [
        str(failure.example), *(spreadsheet_safe(name) for name in names),
        csv_number(failure.right), csv_number(failure.margin),
    ]  # fmt: skip


def _harmful_group_cells(snapshot: RunSnapshot, failure: Failure) -> list[list[str]]:
    def cells(rank: int, harmful: HarmfulGroup) -> list[str]:
        name = spreadsheet_safe(snapshot.info.source.groups[harmful.group])
        return [str(rank), name, *(csv_number(getattr(harmful, column)) for column in _NUMBERS)]

    return [cells(rank, harmful) for rank, harmful in enumerate(failure.harmful_groups, start=1)]
