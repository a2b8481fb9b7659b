"""Subpopulations for programs: one JSON document, one CSV line an example, and lists of image names.

A group is named in a CSV's `source` only where it is told to drive the example; where that is empty, the numbers are
those of the group that comes nearest, or empty too where no group helps the example beyond its class.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

from tui_influence import __version__
from tui_influence.analysis.question import Question
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.analysis.types import (
    ClassSubpopulations,
    DrivenExample,
    DrivenExamples,
)
from tui_influence.export.csv import csv_number, csv_text
from tui_influence.influence.types import (
    SIGNIFICANCE_LEVEL,
)
from tui_influence.render.numbers import finite
from tui_influence.text import spreadsheet_safe

_NUMBERS = ("influence", "class_relative_influence", "se", "low", "high", "q")
CLASS_RELATIVE = "influence on the example less influence on the average of the others of its class"
_UNSAFE = re.compile(r"[^\w.-]+")
_LONGEST = 60
"""Characters of a file's name: in any script they are fewer bytes than a file system takes."""
COLUMNS = ("example", "name", "class", "source", *_NUMBERS)


def subpopulations_csv(
    reading: RunSnapshot, question: Question, examples: Sequence[DrivenExample], *, comments: bool = True
) -> str:
    """Return examples, a line each, as the text of a CSV file.

    Args:
        reading: that they were found in.
        question: that was asked.
        examples: in the order of the lines.
        comments: whether to begin with `#` lines that say what it is.
    """
    return csv_text(_comments(reading, question) if comments else [], COLUMNS, (_cells(reading, e) for e in examples))


def examples_in_order(classes: Sequence[ClassSubpopulations]) -> list[DrivenExample]:
    """Return the examples of classes, class by class and part by part, those that are not told last of each class."""
    return [
        example
        for found in classes
        for examples in (*(part.members for part in found.subpopulations), found.unassigned)
        for example in examples
    ]


def image_names(reading: RunSnapshot, examples: Iterable[DrivenExample]) -> tuple[list[str], int]:
    """Return the names of the examples that are told, as they are, and how many cannot stand on a line of a list."""
    names = [reading.examples.names[found.example] for found in examples if found.is_significant]
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
        place = next(n for n in count(1) if _numbered(stem, n).casefold() not in taken)
        files.append(_numbered(stem, place))
        taken.add(files[-1].casefold())
    return files


def source_document(reading: RunSnapshot, question: Question, found: DrivenExamples, top: int | None) -> dict[str, Any]:
    """Return what a group drives as JSON values, with the first `top` examples."""
    classes = reading.target_info.classes
    return {
        **_about(reading, question, found.models),
        "source": reading.info.source.groups[found.group],
        "n_examples": found.n_examples,
        "n_significant": sum(1 for example in found.examples if example.is_significant),
        "classes": [
            {"class": classes[label], "n_significant": told, "n_examples": int(found.class_sizes[label])}
            for label, told in found.significant_by_class()
        ],
        "examples": [_example(reading, example) for example in found.examples[:top]],
    }


def classes_document(
    reading: RunSnapshot, question: Question, classes: Sequence[ClassSubpopulations], top: int | None
) -> dict[str, Any]:
    """Return subpopulations as JSON values, with the first `top` of each class."""
    groups, names = reading.info.source.groups, reading.target_info.classes
    return {
        **_about(reading, question, max((found.models for found in classes), default=0)),
        "classes": [
            {
                "class": names[found.label],
                "n_examples": found.n_examples,
                "n_assigned": found.n_assigned,
                "models_needed": found.models_needed,
                "subpopulations": [
                    {
                        "source": groups[part.group],
                        "size": len(part.members),
                        "examples": [_example(reading, example) for example in part.members],
                    }
                    for part in found.subpopulations[:top]
                ],
            }
            for found in classes
        ],
    }


def _numbered(stem: str, place: int) -> str:
    return f"{stem}.txt" if place == 1 else f"{stem}-{place}.txt"


def _about(reading: RunSnapshot, question: Question, models: int) -> dict[str, Any]:
    return {
        "run": reading.info.name,
        "target": reading.target_info.name,
        "class": question.target_class,
        "split": question.split,
        "estimator": question.estimator,
        "output": question.output_kind,
        "n_models": models,
        "class_relative_influence": CLASS_RELATIVE,
        "significant": f"q < {SIGNIFICANCE_LEVEL:g}",
        "config_hash": reading.info.identity,
        "version": __version__,
    }


def _example(reading: RunSnapshot, found: DrivenExample) -> dict[str, Any]:
    return {
        "example": found.example,
        "name": reading.examples.names[found.example],
        "label": reading.target_info.classes[found.label],
        **{name: finite(getattr(found, name)) for name in _NUMBERS},
        "significant": found.is_significant,
    }


def _cells(reading: RunSnapshot, found: DrivenExample) -> list[str]:
    source = reading.info.source.groups[found.group] if found.is_significant and found.group is not None else ""
    names = (reading.examples.names[found.example], reading.target_info.classes[found.label], source)
    return [
        str(found.example),
        *(spreadsheet_safe(name) for name in names),
        *(csv_number(getattr(found, name)) for name in _NUMBERS),
    ]


def _comments(reading: RunSnapshot, question: Question) -> list[tuple[str, str]]:
    return [
        ("run", reading.info.name),
        ("config hash", reading.info.identity),
        ("target", reading.target_info.name),
        *([("class", question.target_class)] if question.target_class is not None else []),
        ("split", question.split),
        ("estimator", question.estimator),
        ("output", question.output_kind),
        ("design", reading.info.design_label),
        ("models", str(len(reading.outputs))),
        ("class_relative_influence", f"{CLASS_RELATIVE}, with se, 95% interval and q"),
        ("source", f"the group that drives the example (q < {SIGNIFICANCE_LEVEL:g}); empty where none can be told"),
        ("written by", f"tinfl {__version__}"),
    ]
