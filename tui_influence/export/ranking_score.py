"""The score of a ranking from a file as one JSON document."""

from typing import Any

from tui_influence.export.json import lds_document, rank_document
from tui_influence.export.pruning import interval_document
from tui_influence.pruning.types import Interval, LowestArm, RankingScore, Score
from tui_influence.render.numbers import finite
from tui_influence.roles import ArmKind


def score_document(score: RankingScore) -> dict[str, Any]:
    """Return the score of a ranking as JSON values; the keys of the run are those of its own ranking."""
    return {
        "file": score.file,
        "n_groups": score.n_groups,
        "n_unknown": score.n_unknown,
        "has_influences": score.has_influences,
        "n_heldout": score.n_heldout,
        "lds": lds_document(score.lds),
        "rank_correlation": finite(score.correlation),
        "n_compared": score.n_compared,
        "arms": [_arm(arm) for arm in score.arms],
        "n_other_prunings": score.n_other_prunings,
        "ranking": rank_document(score.report, top=0),
    }


def _arm(arm: LowestArm) -> dict[str, Any]:
    return {
        "pruning": arm.pruning,
        "n_dropped": arm.k,
        "n_shared": arm.n_shared,
        "n_shared_by_chance": finite(arm.n_shared_by_chance),
        "n_models": arm.models,
        **{quantity: _score(score) for quantity, score in arm.scores.items()},
    }


def _score(score: Score) -> dict[str, Any]:
    over: Interval | None = score.over.get(ArmKind.RANDOM)
    return {
        "mean": interval_document(score.mean),
        "gain": interval_document(score.gain),
        "gain_over_random": None if over is None else interval_document(over),
    }
