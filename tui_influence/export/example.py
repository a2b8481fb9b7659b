"""One test example as a JSON document: what models predict for it, and which groups drive it."""

from collections.abc import Sequence
from typing import Any

from tui_influence.analysis.names import label_name
from tui_influence.analysis.types import ExampleReport
from tui_influence.export.json import rank_document
from tui_influence.render.numbers import finite


def example_document(
    report: ExampleReport, classes: Sequence[str], shape: Sequence[int] | None, problem: str
) -> dict[str, Any]:
    """Return an example as JSON values.

    Args:
        report: the example.
        classes: names of the target's classes.
        shape: of its image, (side, side, C); None without an image.
        problem: why there is no image; empty if there is one.
    """
    overall = report.overall
    return {
        "example": report.example,
        "name": report.name,
        "label": classes[report.label],
        "split": report.split,
        "predicted": [{"label": label_name(classes, label), "share": share} for label, share in overall.votes],
        "accuracy": finite(overall.accuracy),
        "probability": finite(overall.probability),
        "margin": finite(overall.margin),
        "image": None if shape is None else list(shape),
        "image_problem": problem,
        "ranking": rank_document(report.drivers.report),
    }
