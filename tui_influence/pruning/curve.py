"""The removal curve as data: a quantity against the number of groups dropped, and the style of each kind of arm.

The terminal plot and the figure are both made from it, so a mark means the same in either. An arm without records is
left out. The colours are Okabe and Ito's (2008), and no two kinds share a shape or a line style: in grey, or to a
reader who sees few colours, the curves can still be distinguished.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tui_influence.analysis.names import PLURAL, group_noun
from tui_influence.pruning.types import ArmResult, Point, PruningResults, Quantity, RemovalCurves
from tui_influence.roles import ArmKind


@dataclass(frozen=True)
class ArmStyle:
    """The style that an arm is drawn in.

    Attributes:
        label: its name in the key.
        mark: in a terminal.
        ascii: likewise, without other characters.
        color: in a figure.
        marker: likewise: matplotlib's code of the same shape.
        dashes: lengths of line and gap in points; none is a solid line.
        filled: whether the marker is.
    """

    label: str
    mark: str
    ascii: str
    color: str
    marker: str
    dashes: tuple[float, ...] = ()
    filled: bool = True


KEEP_EVERYTHING = ArmStyle("keep everything", "■", "#", "#000000", "s")
ARM_STYLES: Mapping[str, ArmStyle] = {
    ArmKind.LOWEST: ArmStyle("lowest", "●", "o", "#0072B2", "o"),
    ArmKind.RANDOM: ArmStyle("random", "◇", "x", "#000000", "D", (4, 2), filled=False),
    ArmKind.HIGHEST: ArmStyle("highest", "▲", "^", "#D55E00", "^", (7, 2, 1.5, 2)),
    ArmKind.LABELS: ArmStyle("label mapping", "▽", "v", "#009E73", "v", (1.5, 1.5), filled=False),
    ArmKind.FEATURES: ArmStyle("feature mapping", "★", "*", "#CC79A7", "*", (5, 1.5, 1.5, 1.5, 1.5, 1.5)),
}
"""By kind, in the order of the key: every kind of arm that makes a curve over k."""


def removal_curves(results: PruningResults, quantity: Quantity) -> RemovalCurves:
    """Return a quantity of all arms against the number of groups dropped: accuracy as a fraction, or margin in nats."""
    points = [(result.arm, _point(result, quantity)) for result in results.results if result.models]
    by_kind = {}
    for kind in ARM_STYLES:
        curve = sorted((point for arm, point in points if arm.kind == kind), key=lambda point: point.k)
        if curve:
            by_kind[ArmKind(kind)] = tuple(curve)
    return RemovalCurves(
        everything=next((point for arm, point in points if arm.kind is ArmKind.ALL), None),
        by_kind=by_kind,
        lists=tuple((arm.label, point) for arm, point in points if arm.kind in (ArmKind.KEEP, ArmKind.DROP)),
    )


def drop_axis_label(results: PruningResults) -> str:
    """Return the label of the axis of k, such as "source classes dropped, of 36"."""
    return f"source {PLURAL[group_noun(results.info)]} dropped, of {len(results.pruning.groups):,}"


def _point(result: ArmResult, quantity: Quantity) -> Point:
    score = result.score(quantity)
    mean = score.mean.within_unit() if quantity == "accuracy" else score.mean
    return Point(result.arm.k, result.models, mean)
