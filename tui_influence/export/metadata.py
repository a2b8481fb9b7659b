"""Descriptions of a result for programs: the same keys in every JSON document, the same comments in every CSV file."""

from typing import Any

from tui_influence import __version__
from tui_influence.analysis.question import Question
from tui_influence.analysis.snapshot import RunSnapshot


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


def csv_comments(
    snapshot: RunSnapshot, question: Question, models: int, *more: tuple[str, str]
) -> list[tuple[str, str]]:
    """Return the comment lines that a CSV file begins with, as `csv_text` takes them.

    Args:
        snapshot: of the question's target.
        question: of the result.
        models: number of models behind the result.
        more: the meaning of the file's columns, and how many results it lists.
    """
    subject = {"class": question.target_class, "example": question.example}
    return [
        *_run(snapshot),
        *((key, str(value)) for key, value in subject.items() if value is not None),
        ("split", _split(question)),
        ("estimator", question.estimator),
        ("output", question.output_kind),
        ("design", snapshot.info.design_label),
        ("models", str(models)),
        *more,
        _writer(),
    ]


def csv_image_comments(snapshot: RunSnapshot, *more: tuple[str, str]) -> list[tuple[str, str]]:
    """Return the comment lines of a file about the images of a run, without its models; as `csv_comments`."""
    return [*_run(snapshot), *more, _writer()]


def _split(question: Question) -> str:
    return question.split if question.example is None else "all"


def _run(snapshot: RunSnapshot) -> list[tuple[str, str]]:
    return [("run", snapshot.info.name), ("identity", snapshot.info.identity), ("target", snapshot.target_info.name)]


def _writer() -> tuple[str, str]:
    return ("written by", f"tinfl {__version__}")
