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
from tui_influence.analysis.snapshot import Reading
from tui_influence.analysis.types import (
    ClassParts,
    Driven,
    DrivenBy,
)
from tui_influence.export.csv import csv_text, number
from tui_influence.influence.types import (
    SIGNIFICANCE_LEVEL,
)
from tui_influence.render.ranking import (
    finite,
)
from tui_influence.text import spreadsheet_safe

_NUMBERS = ("influence", "beyond", "se", "low", "high", "q")
BEYOND = "influence on the example less influence on the average of the others of its class"
_UNSAFE = re.compile(r"[^\w.-]+")
_LONGEST = 60
"""Characters of a file's name: in any script they are fewer bytes than a file system takes."""
COLUMNS = ("example", "name", "class", "source", *_NUMBERS)


def driven_csv(reading: Reading, question: Question, examples: Sequence[Driven], *, comments: bool = True) -> str:
    """Return examples, a line each, as the text of a CSV file.

    Args:
        reading: that they were found in.
        question: that was asked.
        examples: in the order of the lines.
        comments: whether to begin with `#` lines that say what it is.
    """
    return csv_text(_comments(reading, question) if comments else [], COLUMNS, (_cells(reading, e) for e in examples))


def in_order(classes: Sequence[ClassParts]) -> list[Driven]:
    """Return the examples of classes, class by class and part by part, those that are not told last of each class."""
    return [
        example
        for found in classes
        for examples in (*(part.members for part in found.parts), found.untold)
        for example in examples
    ]


def image_names(reading: Reading, examples: Iterable[Driven]) -> tuple[list[str], int]:
    """Return the names of the examples that are told, as they are, and how many cannot stand on a line of a list."""
    names = [reading.examples.names[found.example] for found in examples if found.told]
    listed = [name for name in names if name == name.strip() and len(name.splitlines()) == 1]
    return listed, len(names) - len(listed)


def list_names(sources: Sequence[str]) -> list[str]:
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


def source_document(reading: Reading, question: Question, found: DrivenBy, top: int | None) -> dict[str, Any]:
    """Return what a group drives as JSON values, with the first `top` examples."""
    classes = reading.described.classes
    return {
        **_about(reading, question, found.models),
        "source": reading.info.source.groups[found.group],
        "n_examples": found.size,
        "told": sum(1 for example in found.examples if example.told),
        "classes": [
            {"class": classes[label], "told": told, "n_examples": int(found.sizes[label])}
            for label, told in found.told_by_class()
        ],
        "examples": [_example(reading, example) for example in found.examples[:top]],
    }


def classes_document(
    reading: Reading, question: Question, classes: Sequence[ClassParts], top: int | None
) -> dict[str, Any]:
    """Return subpopulations as JSON values, with the first `top` of each class."""
    groups, names = reading.info.source.groups, reading.described.classes
    return {
        **_about(reading, question, max((found.models for found in classes), default=0)),
        "classes": [
            {
                "class": names[found.label],
                "n_examples": found.size,
                "told": found.told,
                "models_needed": found.needed,
                "subpopulations": [
                    {
                        "source": groups[part.group],
                        "size": len(part.members),
                        "examples": [_example(reading, example) for example in part.members],
                    }
                    for part in found.parts[:top]
                ],
            }
            for found in classes
        ],
    }


def _numbered(stem: str, place: int) -> str:
    return f"{stem}.txt" if place == 1 else f"{stem}-{place}.txt"


def _about(reading: Reading, question: Question, models: int) -> dict[str, Any]:
    return {
        "run": reading.info.name,
        "target": reading.described.name,
        "class": question.target_class,
        "split": question.split,
        "estimator": question.estimator,
        "output": question.output_kind,
        "n_models": models,
        "beyond": BEYOND,
        "told": f"q < {SIGNIFICANCE_LEVEL:g}",
        "config_hash": reading.info.identity,
        "version": __version__,
    }


def _example(reading: Reading, found: Driven) -> dict[str, Any]:
    return {
        "example": found.example,
        "name": reading.examples.names[found.example],
        "label": reading.described.classes[found.label],
        **{name: finite(getattr(found, name)) for name in _NUMBERS},
        "told": found.told,
    }


def _cells(reading: Reading, found: Driven) -> list[str]:
    source = reading.info.source.groups[found.group] if found.told and found.group is not None else ""
    names = (reading.examples.names[found.example], reading.described.classes[found.label], source)
    return [
        str(found.example),
        *(spreadsheet_safe(name) for name in names),
        *(number(getattr(found, name)) for name in _NUMBERS),
    ]


def _comments(reading: Reading, question: Question) -> list[tuple[str, str]]:
    return [
        ("run", reading.info.name),
        ("config hash", reading.info.identity),
        ("target", reading.described.name),
        *([("class", question.target_class)] if question.target_class is not None else []),
        ("split", question.split),
        ("estimator", question.estimator),
        ("output", question.output_kind),
        ("design", reading.info.design_label),
        ("models", str(len(reading.outputs))),
        ("beyond", f"{BEYOND}, with se, 95% interval and q"),
        ("source", f"the group that drives the example (q < {SIGNIFICANCE_LEVEL:g}); empty where none can be told"),
        ("written by", f"tinfl {__version__}"),
    ]
