"""Values of several keys that do not fit each other, in a config that is valid or not yet."""

from collections.abc import Sequence


def is_balance_possible(kind: object, alpha: float) -> bool:
    """Whether a kind of design can keep a fraction: a mask and its complement keep half each."""
    return kind != "balanced" or alpha == 0.5


def are_repeats_possible(heldout: int, repeats: int) -> bool:
    """Whether so many held-out models are enough for a mask to have that many; a single one is a mask anyway."""
    return heldout < 2 or repeats <= heldout


def growth_problem(models: object, until: object, max_models: object, groups: object) -> tuple[str, str] | None:
    """Return the key of `[design]` that does not fit the others, and what it must be, as a predicate; None if all fit.

    Args:
        models: of `[design]`.
        until: likewise; None where it is not set.
        max_models: likewise.
        groups: of `[source]`.
    """
    if until is None:
        return None if max_models is None else ("max_models", "must be left out without until, which it limits")
    if groups == "example":
        return "until", "must be left out where single images are the groups: no number of models orders them reliably"
    if max_models is None:
        return "until", "needs max_models, the most models to train for it"
    if isinstance(models, int) and isinstance(max_models, int) and max_models <= models:
        return "max_models", f"must be more than models, {models}, the least number"
    return None


def stored_side_problem(stored_side: object, resolution: object, resolutions: object) -> tuple[str, str] | None:
    """Return the key that does not fit the others, and what it must be, as a predicate; None if all fit.

    Args:
        stored_side: of `[model]`; None where it is not set.
        resolution: likewise.
        resolutions: of `[train]`, likewise.
    """
    if resolution is None and stored_side is not None:
        return "model.stored_side", "needs model.resolution, the side of the images in transfers and tests"
    if resolution is None and resolutions is not None:
        return "train.resolutions", "needs model.resolution, the side of the images in transfers and tests"
    sides = [resolution, *(resolutions if isinstance(resolutions, list) else [])]
    largest = max((side for side in sides if isinstance(side, int)), default=0)
    stored = resolution if stored_side is None else stored_side
    if isinstance(stored, int) and stored < largest:
        if stored_side is None:
            return "model.stored_side", f"must be set, to {largest} or more: train.resolutions goes beyond resolution"
        return "model.stored_side", f"must be at least {largest}, the largest resolution"
    return None


def repeated_names(names: Sequence[str]) -> list[int]:
    """Return the indices of repeated names; case does not distinguish names, as in some file systems."""
    folded = [name.casefold() for name in names]
    return [index for index, name in enumerate(folded) if name in folded[:index]]
