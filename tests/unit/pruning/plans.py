"""A pruning without arms, of groups whose influence is their number."""

from tui_influence.store.pruning_plan import ArmRanking, Pruning, Stages


def bare(groups: int = 12, seed: int = 0) -> Pruning:
    influence = tuple(float(number) for number in range(groups))
    used = ArmRanking(
        {"digits": 1.0}, "difference", "margin", "fixed alpha=0.5", 40, False, influence, influence, influence
    )
    names = tuple(f"class {number}" for number in range(groups))
    return Pruning("small", "cafe", seed, names, used, (), (), Stages(1), (14, 1))
