"""A counterfactual as a JSON document: what is to be retrained for an example, and what the retrainings show."""

from collections.abc import Sequence
from typing import Any

from tui_influence import __version__
from tui_influence.export.pruning import interval_document
from tui_influence.pruning.types import ControlComparison, CounterfactualPreview, CounterfactualResult
from tui_influence.render.numbers import finite
from tui_influence.roles import ArmKind
from tui_influence.store.pruning_plan import Arm
from tui_influence.store.run_info import RunInfo


def plan_document(preview: CounterfactualPreview, sweep: RunInfo) -> dict[str, Any]:
    """Return what is to be retrained for an example as JSON values."""
    question, pruning = preview.question, preview.pruning
    (target,) = pruning.ranking.targets
    return {
        "sweep": pruning.sweep,
        "target": target,
        "example": question.example,
        "label": preview.label,
        "estimator": question.estimator,
        "output": question.output_kind,
        "n_models": pruning.ranking.models,
        "planned": pruning.n_rows,
        "arms": [{**_arm(pruning.groups, arm), "seeds": len(arm.rows)} for arm in pruning.arms],
        "config_hash": sweep.identity,
        "version": __version__,
    }


def counterfactual_document(result: CounterfactualResult) -> dict[str, Any]:
    """Return what the retrainings of a counterfactual show as JSON values."""
    groups = result.pruning.groups
    return {
        "run": result.info.name,
        "example": result.example,
        "label": result.info.targets[0].classes[result.label],
        "complete": result.is_complete,
        "arms": [
            {
                **_arm(groups, arm.arm),
                "n_models": arm.models,
                "n_correct": arm.right,
                "margin": interval_document(arm.margin),
                "over_everything": _comparison(arm.over_all),
                "over_random": _comparison(arm.over_random),
                "flips": None if arm.flips is None else vars(arm.flips),
                "outcome": result.outcome(arm).value if arm.arm.kind is ArmKind.DROP else None,
            }
            for arm in result.arms
        ],
        "config_hash": result.info.identity,
        "version": __version__,
    }


def _arm(groups: Sequence[str], arm: Arm) -> dict[str, Any]:
    """Return the groups that an arm leaves out: names where all of its models leave out the same, else their number."""
    names = [groups[group] for group in arm.rows[0].dropped] if arm.kind is ArmKind.DROP else []
    return {"arm": arm.label, "kind": arm.kind.value, "dropped": names, "n_dropped": arm.k}


def _comparison(against: ControlComparison | None) -> dict[str, Any] | None:
    return None if against is None else {"p": finite(against.p), "margin": interval_document(against.margin)}
