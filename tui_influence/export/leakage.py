"""Leaks and duplicates as one JSON document, and as tables with one row a pair of images."""

from collections.abc import Sequence
from typing import Any

from tui_influence.analysis.leakage import MAX_PAIRS
from tui_influence.analysis.names import group_noun, groups_are_images, source_class_of
from tui_influence.analysis.probe_types import Duplicates, Leak, Leaks
from tui_influence.analysis.question import Question
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.export.metadata import image_table_facts, json_metadata, table_facts
from tui_influence.export.result_table import Fact, ResultTable
from tui_influence.influence.types import RankedGroup
from tui_influence.render.numbers import finite

_NUMBERS = ("influence", "se", "low", "high", "q", "on_example")
_RANKED = ("influence", "se", "low", "high", "q")
_PAIR_COLUMNS = ("source", "source_class", "example", "name", "label", *_NUMBERS, "duplicate", "distance")
_DUPLICATE_COLUMNS = ("source", "source_class", "example", "name", "label", "kind", "distance", "relative")

INFLUENCE = "on one test example minus that on the other examples of its class"
ON_EXAMPLE = "influence on the example itself, of the same sign in every pair"


def leaks_document(
    snapshot: RunSnapshot,
    question: Question,
    leaks: Leaks | None,
    duplicates: Duplicates | None,
    *,
    duplicates_error: str = "",
    images: Sequence[RankedGroup] | None = None,
    top: int | None = None,
) -> dict[str, Any]:
    """Return leaks and duplicates as JSON values.

    Args:
        snapshot: that they were estimated from.
        question: of the leaks.
        leaks: pairs; None where they were not estimated.
        duplicates: None where pixels were not compared.
        duplicates_error: why pixels were not compared; empty if they were.
        images: the single images of one source class, ranked by influence on all of the question's examples.
        top: limits each list.
    """
    content: dict[str, Any] = {
        **json_metadata(snapshot, question, len(snapshot.outputs)),
        "groups": "image" if groups_are_images(snapshot.info) else group_noun(snapshot.info),
    }
    if leaks is not None:
        kinds = _kinds(snapshot, duplicates)
        content |= {
            "influence": INFLUENCE,
            "on_example": ON_EXAMPLE,
            "n_tested": leaks.n_tested,
            "n_significant_helped": leaks.n_helped,
            "n_significant_hurt": leaks.n_hurt,
            "max_pairs": MAX_PAIRS,
            "n_excluded": leaks.n_excluded,
            "detectable_influence": finite(leaks.detectable_influence),
            "helped": [_pair(snapshot, leak, kinds) for leak in leaks.helped[:top]],
            "hurt": [_pair(snapshot, leak, kinds) for leak in leaks.hurt[:top]],
        }
    if images is not None:
        content["images"] = [_image(row) for row in images[:top]]
    content["duplicates_error"] = duplicates_error
    if duplicates is None:
        return content | {"duplicates": None}
    return content | {
        "n_source_images": duplicates.n_compared,
        "n_examples": duplicates.n_examples,
        "duplicates": [_duplicate(snapshot, duplicates, index) for index in range(len(duplicates.pairs))][:top],
    }


def leaks_table(snapshot: RunSnapshot, question: Question, leaks: Leaks, duplicates: Duplicates | None) -> ResultTable:
    """Return all listed pairs as a table, helped first."""
    kinds = _kinds(snapshot, duplicates)
    rows = [_pair(snapshot, leak, kinds) for leak in (*leaks.helped, *leaks.hurt)]
    more: tuple[Fact, ...] = (
        ("pairs tested", leaks.n_tested),
        ("significant", f"{leaks.n_helped} helped, {leaks.n_hurt} hurt"),
        ("listed", f"at most {MAX_PAIRS} of each sign; significant but excluded: {leaks.n_excluded}"),
        ("influence", f"{INFLUENCE}, with 95% interval; q over all pairs tested"),
        ("on_example", ON_EXAMPLE),
    )
    facts = table_facts(snapshot, question, leaks.models, *more)
    return ResultTable(facts, _PAIR_COLUMNS, [[row[column] for column in _PAIR_COLUMNS] for row in rows])


def duplicates_table(snapshot: RunSnapshot, duplicates: Duplicates) -> ResultTable:
    """Return all duplicates as a table."""
    rows = [_duplicate(snapshot, duplicates, index) for index in range(len(duplicates.pairs))]
    more = (
        ("compared", f"{duplicates.n_compared} source images with {duplicates.n_examples} test images"),
        ("distance", "0 for equal pixels; relative: to that of unrelated images"),
    )
    values = [[row[column] for column in _DUPLICATE_COLUMNS] for row in rows]
    return ResultTable(image_table_facts(snapshot, *more), _DUPLICATE_COLUMNS, values)


def duplicate_kinds(duplicates: Duplicates | None) -> dict[tuple[str, int], tuple[str, float]]:
    """Return kind and distance of each duplicate, by the name of the source image and the number of the test image."""
    if duplicates is None:
        return {}
    return {(duplicates.names[pair.source], pair.target): (pair.kind.value, pair.distance) for pair in duplicates.pairs}


def _kinds(snapshot: RunSnapshot, duplicates: Duplicates | None) -> dict[tuple[str, int], tuple[str, float]] | None:
    return duplicate_kinds(duplicates) if duplicates is not None and groups_are_images(snapshot.info) else None


def _pair(snapshot: RunSnapshot, leak: Leak, kinds: dict[tuple[str, int], tuple[str, float]] | None) -> dict[str, Any]:
    group = snapshot.info.source.groups[leak.group]
    kind, distance = (kinds or {}).get((group, leak.example), ("", None))
    return {
        "source": group,
        "source_class": source_class_of(snapshot.info, group),
        **_example(snapshot, leak.example),
        **{key: finite(getattr(leak, key)) for key in _NUMBERS},
        "duplicate": None if kinds is None else kind or False,
        "distance": distance,
    }


def _image(row: RankedGroup) -> dict[str, Any]:
    return {"name": row.group, **{key: finite(getattr(row, key)) for key in _RANKED}}


def _duplicate(snapshot: RunSnapshot, duplicates: Duplicates, index: int) -> dict[str, Any]:
    pair = duplicates.pairs[index]
    return {
        "source": duplicates.names[pair.source],
        "source_class": duplicates.source_classes[pair.source],
        **_example(snapshot, pair.target),
        "kind": pair.kind.value,
        "distance": finite(pair.distance),
        "relative": finite(pair.relative),
    }


def _example(snapshot: RunSnapshot, example: int) -> dict[str, Any]:
    examples = snapshot.examples
    label = snapshot.target_info.classes[int(examples.labels[example])]
    return {"example": example, "name": examples.names[example], "label": label}
