"""Score of a ranking that another program or a person made: how well it does on the models of a run.

Three grades: the LDS of its influences; its rank correlation with the run's own ranking, which is as unsure as that
ranking is; and, for each pruning of the run, how many of the groups whose loss was measured it would have dropped too.
"""

from math import nan

import numpy as np
from numpy.typing import NDArray

from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import rank, select_examples
from tui_influence.analysis.ranking_file import RankingFile
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.errors import ResultsError
from tui_influence.influence.comparison import rank_correlation
from tui_influence.influence.lds import lds
from tui_influence.influence.outputs import OutputMatrix, mean_output, parse_output_kind
from tui_influence.influence.types import LDS
from tui_influence.pruning.options import counterfactual_example
from tui_influence.pruning.planning import pruning_names
from tui_influence.pruning.results import load_pruning
from tui_influence.pruning.types import LowestArm, PruningResults, Quantity, RankingScore
from tui_influence.roles import ArmKind
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo
from tui_influence.text import printable


def score_ranking(snapshot: RunSnapshot, question: Question, ranking: RankingFile) -> RankingScore:
    """Score a ranking.

    Args:
        snapshot: of the run, on the question's target.
        question: the target or class that the ranking is to be good for, and how the run ranks for it.
        ranking: of the run's groups.

    Raises:
        ConfigError: the question does not fit the run.
        ResultsError: the run has no records yet, or unusable ones.
    """
    result = rank(snapshot, question)
    influence = np.full(len(snapshot.info.source.groups), nan)
    for row in result.report.ranking.rows:
        influence[row.index] = row.influence
    correlation, n_compared = rank_correlation(ranking.worth, influence)
    arms, n_other, warnings = _lowest_arms(snapshot.paths, snapshot.info, snapshot.target_info.name, ranking)
    return RankingScore(
        file=ranking.name,
        n_groups=len(ranking.worth),
        n_unknown=ranking.n_unknown,
        has_influences=ranking.influence is not None,
        report=result.report,
        n_heldout=len(snapshot.heldout),
        lds=_lds(snapshot, question, ranking.influence),
        lds_of_size=_lds_of_size(snapshot, question),
        correlation=correlation,
        n_compared=n_compared,
        arms=tuple(arms),
        n_other_prunings=n_other,
        warnings=(*result.warnings, *warnings, *_ignored_columns(ranking)),
    )


def _ignored_columns(ranking: RankingFile) -> list[str]:
    if not ranking.ignored:
        return []
    names = ", ".join(f"`{printable(name, 40)}`" for name in ranking.ignored[:3])
    return [
        f"{ranking.name}: the order of its lines is taken for the ranking, best first, and {names} ignored; a column "
        "of influences is called `influence`"
    ]


def _lds_of_size(snapshot: RunSnapshot, question: Question) -> LDS | None:
    sizes = snapshot.heldout.masks.sum(axis=1)
    if len(np.unique(sizes)) < 2:
        return None
    return _of_influences(snapshot, question, np.ones(len(snapshot.info.source.groups)))


def _lds(snapshot: RunSnapshot, question: Question, influence: NDArray[np.float64] | None) -> LDS | None:
    if influence is None or not len(snapshot.heldout) or len(np.unique(influence[np.isfinite(influence)])) < 2:
        return None
    return _of_influences(snapshot, question, influence)


def _of_influences(snapshot: RunSnapshot, question: Question, influence: NDArray[np.float64]) -> LDS | None:
    heldout, labels = snapshot.heldout, snapshot.examples.labels
    kind = parse_output_kind(question.output_kind)
    outputs = OutputMatrix(heldout.margins, heldout.predicted, labels, kind)
    examples = select_examples(snapshot.target_info, snapshot.examples, question)
    return lds(influence[:, None], heldout.masks, mean_output(outputs, examples), seed=snapshot.info.seed)


def _lowest_arms(
    paths: Paths, info: RunInfo, target: str, ranking: RankingFile
) -> tuple[list[LowestArm], int, list[str]]:
    """Return the arms of the run's prunings on a target, the number of prunings on other targets, and warnings."""
    arms: list[LowestArm] = []
    n_other, warnings = 0, []
    for name in pruning_names(paths):
        if counterfactual_example(name) is not None:
            continue
        try:
            results = _results(Paths(paths.prunings / name), info)
        except ResultsError as error:
            warnings.append(f"pruning {printable(name)} is left out: {error}")
            continue
        if results.damaged:
            damaged = f"{len(results.damaged)} damaged records were left out: {printable(results.damaged[0])}"
            warnings.append(f"pruning {printable(name)}: {damaged}")
        if target in results.pruning.ranking.targets:
            arms += _arms_of(name, results, target, ranking)
        else:
            n_other += 1
    return arms, n_other, warnings


def _results(pruning_paths: Paths, info: RunInfo) -> PruningResults:
    results = load_pruning(pruning_paths)
    if list(results.pruning.groups) != info.source.groups:
        raise ResultsError("its groups are not those of the run")
    return results


def _arms_of(name: str, results: PruningResults, target: str, ranking: RankingFile) -> list[LowestArm]:
    lowest = [result for result in results.results if result.arm.kind is ArmKind.LOWEST]
    quantities: tuple[Quantity, ...] = ("accuracy", "margin")
    return [
        LowestArm(
            pruning=printable(name),
            k=result.arm.k,
            n_groups=len(results.pruning.groups),
            n_shared=len(ranking.lowest(result.arm.k).intersection(result.arm.rows[0].dropped)),
            models=result.models,
            scores={quantity: result.by_target[target][quantity] for quantity in quantities},
        )
        for result in sorted(lowest, key=lambda result: result.arm.k)
    ]
