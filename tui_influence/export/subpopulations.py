"""Subpopulations as one JSON document, as a table with one row an example, and as lists of image names.

The table names a group only where it drives the example significantly; where that is empty, the numbers are
those of the group that comes nearest, or empty too where no group helps the example more than its class.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

from tui_influence.analysis.probe_types import ClassSubpopulations, DrivenExample, DrivenExamples
from tui_influence.analysis.question import Question
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.export.metadata import json_metadata, table_facts
from tui_influence.export.result_table import Fact, ResultTable, Value
from tui_influence.influence.types import SIGNIFICANCE_LEVEL
from tui_influence.render.numbers import finite

_NUMBERS = ("influence", "class_relative_influence", "se", "low", "high", "q")
CLASS_RELATIVE = "influence on the example minus the mean influence on the other examples of its class"
_UNSAFE = re.compile(r"[^\w.-]+")
_LONGEST = 60
"""Characters of a file's name: in any script they are fewer bytes than a file system takes."""
COLUMNS = ("example", "name", "class", "group", *_NUMBERS)


def driven_table(snapshot: RunSnapshot, question: Question, examples: Sequence[DrivenExample]) -> ResultTable:
    """Return examples as a table, a row each.

    Args:
        snapshot: that they were estimated from.
        question: of the result.
        examples: in the order of the rows.
    """
    rows = [_values(snapshot, example) for example in examples]
    return ResultTable(_facts(snapshot, question), COLUMNS, rows)


def examples_in_order(classes: Sequence[ClassSubpopulations]) -> list[DrivenExample]:
    """Return the examples of classes, class by class and subpopulation by subpopulation, the unassigned ones last."""
    return [
        example
        for subpopulations in classes
        for examples in (*(part.members for part in subpopulations.subpopulations), subpopulations.unassigned)
        for example in examples
    ]


def image_names(snapshot: RunSnapshot, examples: Iterable[DrivenExample]) -> tuple[list[str], int]:
    """Return the names of the significant examples, and the number of names that a list of lines cannot hold."""
    names = [snapshot.examples.names[example.example] for example in examples if example.is_significant]
    listed = [name for name in names if name == name.strip() and len(name.splitlines()) == 1]
    return listed, len(names) - len(listed)


def list_file_names(sources: Sequence[str]) -> list[str]:
    """Return a file name for the list of each source group: safe, like its name, and no two alike in any file system.

    Args:
        sources: names of the groups.
    """
    taken: set[str] = set()
    files = []
    for source in sources:
        stem = _UNSAFE.sub("_", source).strip("._-")[:_LONGEST] or "group"
        number = next(n for n in count(1) if _numbered(stem, n).casefold() not in taken)
        files.append(_numbered(stem, number))
        taken.add(files[-1].casefold())
    return files


def source_document(
    snapshot: RunSnapshot, question: Question, driven: DrivenExamples, top: int | None
) -> dict[str, Any]:
    """Return the examples that a group drives as JSON values, the first `top` of them."""
    classes = snapshot.target_info.classes
    return {
        **_metadata(snapshot, question, driven.models),
        "group": snapshot.info.source.groups[driven.group],
        "n_examples": driven.n_examples,
        "n_significant": sum(1 for example in driven.examples if example.is_significant),
        "classes": [
            {"class": classes[label], "n_significant": n_significant, "n_examples": int(driven.class_sizes[label])}
            for label, n_significant in driven.significant_by_class()
        ],
        "examples": [_example(snapshot, example) for example in driven.examples[:top]],
    }


def classes_document(
    snapshot: RunSnapshot, question: Question, classes: Sequence[ClassSubpopulations], top: int | None
) -> dict[str, Any]:
    """Return subpopulations as JSON values, with the first `top` of each class."""
    groups, names = snapshot.info.source.groups, snapshot.target_info.classes
    return {
        **_metadata(snapshot, question, max((result.models for result in classes), default=0)),
        "classes": [
            {
                "class": names[class_subpopulations.label],
                "n_examples": class_subpopulations.n_examples,
                "n_assigned": class_subpopulations.n_assigned,
                "models_needed": class_subpopulations.models_needed,
                "subpopulations": [
                    {
                        "group": groups[part.group],
                        "n_examples": len(part.members),
                        "examples": [_example(snapshot, example) for example in part.members],
                    }
                    for part in class_subpopulations.subpopulations[:top]
                ],
            }
            for class_subpopulations in classes
        ],
    }


def _numbered(stem: str, number: int) -> str:
    return f"{stem}.txt" if number == 1 else f"{stem}-{number}.txt"


def _metadata(snapshot: RunSnapshot, question: Question, models: int) -> dict[str, Any]:
    return {
        **json_metadata(snapshot, question, models),
        "class_relative_influence": CLASS_RELATIVE,
        "significant": f"q < {SIGNIFICANCE_LEVEL:g}",
    }


def _example(snapshot: RunSnapshot, driven: DrivenExample) -> dict[str, Any]:
    return {
        "example": driven.example,
        "name": snapshot.examples.names[driven.example],
        "label": snapshot.target_info.classes[driven.label],
        **{name: finite(getattr(driven, name)) for name in _NUMBERS},
        "significant": driven.is_significant,
    }


def _values(snapshot: RunSnapshot, driven: DrivenExample) -> list[Value]:
    source = snapshot.info.source.groups[driven.group] if driven.is_significant and driven.group is not None else None
    names = (snapshot.examples.names[driven.example], snapshot.target_info.classes[driven.label], source)
    return [driven.example, *names, *(getattr(driven, name) for name in _NUMBERS)]


def _facts(snapshot: RunSnapshot, question: Question) -> tuple[Fact, ...]:
    meanings = (
        ("class_relative_influence", f"{CLASS_RELATIVE}, with se, 95% interval and q"),
        ("group", f"the one that drives the example (q < {SIGNIFICANCE_LEVEL:g}); empty where none is significant"),
    )
    return table_facts(snapshot, question, len(snapshot.outputs), *meanings)
