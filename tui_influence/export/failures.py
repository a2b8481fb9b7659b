"""Failures as one JSON document, and as a table with a row for every example and every group that hurts it."""

from typing import Any

from tui_influence.analysis.names import label_name
from tui_influence.analysis.probe_types import Failure, Failures, HarmfulGroup
from tui_influence.analysis.question import Question
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.export.metadata import json_metadata, table_facts
from tui_influence.export.result_table import ResultTable, Value
from tui_influence.render.numbers import finite

_NUMBERS = ("influence", "se", "low", "high", "q")
COLUMNS = ("example", "name", "class", "predicted", "accuracy", "margin", "harm_rank", "group", *_NUMBERS)


def failures_table(snapshot: RunSnapshot, question: Question, failures: Failures) -> ResultTable:
    """Return failures as a table: a row for each harmful group; one without where there is none."""
    rows = [
        [*_example_values(snapshot, failure), *values]
        for failure in failures.examples
        for values in (_harmful_group_values(snapshot, failure) or [[None] * (2 + len(_NUMBERS))])
    ]
    more = (
        ("failing", f"{failures.n_wrong} by most models, {failures.n_low_margin} more by a low mean margin"),
        ("influence", "on the example, with 95% interval; q over the groups for this example"),
    )
    return ResultTable(table_facts(snapshot, question, failures.models, *more), COLUMNS, rows)


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


def _example_values(snapshot: RunSnapshot, failure: Failure) -> list[Value]:
    classes = snapshot.target_info.classes
    return [
        failure.example,
        snapshot.examples.names[failure.example],
        classes[failure.label],
        label_name(classes, failure.predicted),
        failure.right,
        failure.margin,
    ]


def _harmful_group_values(snapshot: RunSnapshot, failure: Failure) -> list[list[Value]]:
    def values(rank: int, harmful: HarmfulGroup) -> list[Value]:
        name = snapshot.info.source.groups[harmful.group]
        return [rank, name, *(getattr(harmful, column) for column in _NUMBERS)]

    return [values(rank, harmful) for rank, harmful in enumerate(failure.harmful_groups, start=1)]
