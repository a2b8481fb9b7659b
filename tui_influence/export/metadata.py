"""Descriptions of a result for programs: the same keys in every JSON document, the same facts about every table."""

from typing import Any

from tui_influence import __version__
from tui_influence.analysis.question import Question
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.export.result_table import Fact


def json_metadata(snapshot: RunSnapshot, question: Question, models: int) -> dict[str, Any]:
    """Return the keys that a JSON document begins with.

    Args:
        snapshot: of the question's target.
        question: of the result.
        models: number of models behind the result.
    """
    return {
        "run": snapshot.info.name,
        "target": snapshot.target_info.name,
        "class": question.target_class,
        "example": question.example,
        "split": _split(question),
        "estimator": question.estimator,
        "output": question.output_kind,
        "design": snapshot.info.design_label,
        "n_models": models,
        "config_hash": snapshot.info.identity,
        "version": __version__,
    }


def table_facts(snapshot: RunSnapshot, question: Question, models: int, *more: Fact) -> tuple[Fact, ...]:
    """Return the facts about a table.

    Args:
        snapshot: of the question's target.
        question: of the result.
        models: number of models behind the result.
        more: the meaning of the table's columns, and how many results it lists.
    """
    subject: dict[str, str | int | None] = {"class": question.target_class, "example": question.example}
    return (
        *_run(snapshot),
        *((key, value) for key, value in subject.items() if value is not None),
        ("split", _split(question)),
        ("estimator", question.estimator),
        ("output", question.output_kind),
        ("design", snapshot.info.design_label),
        ("models", models),
        *more,
        _writer(),
    )


def image_table_facts(snapshot: RunSnapshot, *more: Fact) -> tuple[Fact, ...]:
    """Return the facts about a table of the images of a run, without its models; as `table_facts`."""
    return (*_run(snapshot), *more, _writer())


def _split(question: Question) -> str:
    return question.split if question.example is None else "all"


def _run(snapshot: RunSnapshot) -> list[Fact]:
    return [("run", snapshot.info.name), ("identity", snapshot.info.identity), ("target", snapshot.target_info.name)]


def _writer() -> Fact:
    return ("written by", f"tinfl {__version__}")
