"""The score of a ranking from a file as lines of text: LDS, agreement with the run's ranking, and measured gains."""

from collections.abc import Sequence
from math import isfinite

from rich.text import Text

from tui_influence.influence.types import MIN_HELDOUT_MASKS
from tui_influence.pruning.types import LowestArm, Quantity, RankingScore
from tui_influence.render.format import plain, small_table
from tui_influence.render.gains import UNITS, gain_text
from tui_influence.render.numbers import with_interval
from tui_influence.render.ranking import circumstances, missing_ceiling, scope, short_name, trust
from tui_influence.render.ranking_table import packed
from tui_influence.render.style import Style
from tui_influence.roles import ArmKind
from tui_influence.text import pluralize

_LABEL = 18
"""Cells of a label."""
_PRUNING = 24
"""Cells of the name of a pruning."""


def score_lines(score: RankingScore, style: Style, width: int) -> list[Text]:
    """Return the score of a ranking.

    Args:
        score: it, with the run's own ranking.
        style: colours and signs.
        width: of the lines that can be broken.
    """
    report = score.report
    title = f"Score of {short_name(score.file)} for {scope(report)}"
    unknown = f", {score.n_unknown:,} of them of unknown influence" if score.n_unknown else ""
    return [
        style.line(title, "bold"),
        *packed(circumstances(report), style, width),
        Text(),
        _fact("ranking", f"{score.n_groups:,} {report.nouns}{unknown}", style),
        _fact("LDS", _lds(score), style),
        _fact("rank correlation", _agreement(score), style),
        _fact("the run's ranking", trust(report), style),
        Text(),
        *_gains(score, style),
    ]


def _fact(label: str, text: str, style: Style) -> Text:
    return style.fact(label, plain(text, style.ascii), label_cells=_LABEL)


def _lds(score: RankingScore) -> str:
    reference, ceiling = score.report.ranking.lds, score.report.ranking.lds_ceiling
    compared = ""
    if reference is not None and isfinite(reference.value):
        compared = f"; the run's ranking has {with_interval(reference.value, reference.low, reference.high)}"
    if ceiling is not None:
        compared += f"; the ceiling is {with_interval(ceiling.value, ceiling.low, ceiling.high)}"
    elif score.lds is not None:
        compared += f"; the ceiling {missing_ceiling(score.lds)}"
    if score.lds is not None:
        value = with_interval(score.lds.value, score.lds.low, score.lds.high)
        size = score.lds_of_size
        if size is not None and isfinite(size.value):
            compared += f"; the number of {score.report.nouns} alone has {size.value:.2f}"
        return f"{value} over {pluralize(score.lds.n, 'held-out model')}{compared}"
    if not score.has_influences:
        return f"none: the file has an order and no influences{compared}"
    if reference is None and score.n_heldout < MIN_HELDOUT_MASKS:
        return f"none: it takes held-out models of {MIN_HELDOUT_MASKS} masks; the run has {score.n_heldout} models"
    return f"none: the influences do not vary{compared}"


def _agreement(score: RankingScore) -> str:
    nouns = score.report.nouns
    if not isfinite(score.correlation):
        return f"unknown: too few {nouns} have an influence in both rankings, or all have the same"
    return f"{score.correlation:z.2f} with the run's ranking, over {score.n_compared:,} {nouns}"


def _gains(score: RankingScore, style: Style) -> list[Text]:
    if not score.arms:
        other = f" ({pluralize(score.n_other_prunings, 'pruning')} on other targets)" if score.n_other_prunings else ""
        return [style.line(f"No gains to compare with: no pruning of this target{other}; `tinfl prune` makes one.")]
    quantities: tuple[Quantity, ...] = ("accuracy", "margin")
    nouns = score.report.nouns
    lines = [line for quantity in quantities for line in [*_gain_table(score.arms, quantity, style), Text()]]
    name = short_name(score.file)
    sentences = [
        f"shared: how many of the dropped {nouns} are among as many lowest of {name}, too; chance: the number to "
        "expect of a random ranking.",
        "gain: on the evaluate half of the whole target, with 95% interval; it is a gain of this ranking as far as the "
        f"dropped {nouns} are shared.",
    ]
    return [*lines, *(style.line(sentence, style.quiet) for sentence in sentences)]


def _gain_table(arms: Sequence[LowestArm], quantity: Quantity, style: Style) -> list[Text]:
    header = ["pruning", "shared", "chance", "over everything", "over random"]
    rows = [
        [
            Text(style.cut(arm.pruning, _PRUNING)),
            Text(f"{arm.n_shared} of {arm.k}"),
            Text(f"{arm.n_shared_by_chance:.1f}", style.quiet),
            gain_text(arm.scores[quantity].gain, quantity, style),
            gain_text(arm.scores[quantity].over.get(ArmKind.RANDOM), quantity, style),
        ]
        for arm in arms
    ]
    title = f"gain of dropping the lowest of the pruning's ranking, {UNITS[quantity]} of {quantity}"
    return [Text(title, "bold"), *small_table([Text(cell, style.quiet) for cell in header], rows, left=1)]
