"""One source class, or another group, as a JSON document: its influence, and its effects on classes and examples."""

from collections.abc import Sequence
from typing import Any

from tui_influence.analysis.names import label_name
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.analysis.types import ExampleEffect, GroupEffects, RankReport
from tui_influence.export.json import rank_document, row_document
from tui_influence.influence.types import RankedGroup
from tui_influence.render.numbers import finite


def source_class_document(
    snapshot: RunSnapshot,
    report: RankReport,
    row: RankedGroup,
    effects: GroupEffects,
    samples: Sequence[int] | None,
    problem: str,
) -> dict[str, Any]:
    """Return a source class as JSON values.

    Args:
        snapshot: the run.
        report: the ranking.
        row: the group's row of it.
        effects: of the group.
        samples: the shape of its images, (s, side, side, C); None without them.
        problem: why there are no images; empty if there are.
    """
    return {
        "group": row.group,
        "n_images": snapshot.info.source.sizes[row.index],
        "samples": None if samples is None else list(samples),
        "image_problem": problem,
        "influence": row_document(row),
        "ranking": rank_document(report, top=0),
        "n_examples": effects.n_examples,
        "n_significant_helped": effects.n_helped,
        "n_significant_hurt": effects.n_hurt,
        "classes": [row_document(row) for row in effects.classes],
        "helped": [_effect(snapshot, example) for example in effects.helped],
        "hurt": [_effect(snapshot, example) for example in effects.hurt],
    }


def _effect(snapshot: RunSnapshot, effect: ExampleEffect) -> dict[str, Any]:
    classes = snapshot.target_info.classes
    return {
        "example": effect.example,
        "name": snapshot.examples.names[effect.example],
        "label": classes[effect.label],
        "predicted": label_name(classes, effect.predicted),
        **{key: finite(getattr(effect, key)) for key in ("influence", "se", "low", "high", "q")},
    }
