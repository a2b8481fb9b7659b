"""What every answer of a probe says of itself to programs: the same keys in JSON, the same comment lines in CSV."""

from typing import Any

from tui_influence import __version__
from tui_influence.analysis.question import Question
from tui_influence.analysis.snapshot import RunSnapshot


def json_metadata(reading: RunSnapshot, question: Question, models: int) -> dict[str, Any]:
    """Return the keys that a JSON document begins with.

    Args:
        reading: of the question's target.
        question: that was asked.
        models: that the answer is estimated from.
    """
    return {
        "run": reading.info.name,
        "target": reading.target_info.name,
        "class": question.target_class,
        "example": question.example,
        "split": _split(question),
        "estimator": question.estimator,
        "output": question.output_kind,
        "design": reading.info.design_label,
        "n_models": models,
        "config_hash": reading.info.identity,
        "version": __version__,
    }


def csv_comments(
    reading: RunSnapshot, question: Question, models: int, *more: tuple[str, str]
) -> list[tuple[str, str]]:
    """Return the comment lines that a CSV file begins with, as `csv_text` takes them.

    Args:
        reading: of the question's target.
        question: that was asked.
        models: that the answer is estimated from.
        more: what the columns of this file mean, and how much of what was found it holds.
    """
    whom = {"class": question.target_class, "example": question.example}
    return [
        *_run(reading),
        *((key, str(value)) for key, value in whom.items() if value is not None),
        ("split", _split(question)),
        ("estimator", question.estimator),
        ("output", question.output_kind),
        ("design", reading.info.design_label),
        ("models", str(models)),
        *more,
        _writer(),
    ]


def csv_image_comments(reading: RunSnapshot, *more: tuple[str, str]) -> list[tuple[str, str]]:
    """Return those of a file that is about the images of a run, whatever its models say; as `comments`."""
    return [*_run(reading), *more, _writer()]


def _split(question: Question) -> str:
    return question.split if question.example is None else "all"


def _run(reading: RunSnapshot) -> list[tuple[str, str]]:
    return [("run", reading.info.name), ("config hash", reading.info.identity), ("target", reading.target_info.name)]


def _writer() -> tuple[str, str]:
    return ("written by", f"tinfl {__version__}")
