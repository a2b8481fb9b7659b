"""Rankings of a run's groups, and comparisons of two: the place where records meet estimators."""

from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from tui_influence.analysis.names import group_noun
from tui_influence.analysis.prior import output_prior
from tui_influence.analysis.question import Question
from tui_influence.analysis.snapshot import RunSnapshot, read_snapshot
from tui_influence.analysis.types import ComparisonReport, ComparisonResult, RankingResult, RankReport
from tui_influence.errors import ConfigError
from tui_influence.influence.comparison import compare
from tui_influence.influence.estimators import find_estimator
from tui_influence.influence.ranking import Heldout, rank_groups
from tui_influence.influence.types import DEFAULT_GOAL, SIGNIFICANCE_LEVEL
from tui_influence.roles import Role
from tui_influence.runs.heartbeat import FINISHED, observe
from tui_influence.runs.progress import MIN_MODELS, UNLEARNT_LOSS, poor_transfer_warnings, unlearnt_warning
from tui_influence.store.examples import Examples
from tui_influence.store.generation import Outputs
from tui_influence.store.listing import list_failures
from tui_influence.store.paths import Paths
from tui_influence.store.prior_records import PriorMeasures
from tui_influence.store.records import MAX_ROUNDING, Margins
from tui_influence.store.run_info import RunInfo, TargetInfo
from tui_influence.text import did_you_mean, printable

_SAMPLED_MODELS, _SAMPLED_EXAMPLES = 128, 256


def rank_run(paths: Paths, info: RunInfo, question: Question) -> RankingResult:
    """Rank the groups of a run by what has been recorded so far.

    Raises:
        ConfigError: the question does not fit the run.
        ResultsError: the run has no records yet, or cannot be read.
    """
    return rank(read_snapshot(paths, info, question.target), question)


def rank(snapshot: RunSnapshot, question: Question, goal: float = DEFAULT_GOAL) -> RankingResult:
    """Rank the groups of a run by a snapshot of the question's target.

    Args:
        snapshot: of the question's target.
        question: estimator, output and examples.
        goal: reliability that models are forecast for.

    Raises:
        ConfigError: the question does not fit the run.
        ResultsError: the snapshot holds no records, or unusable ones.
    """
    info, outputs, heldout, labels = snapshot.info, snapshot.outputs, snapshot.heldout, snapshot.examples.labels
    example_indices = select_examples(snapshot.target_info, snapshot.examples, question)
    snapshot.require_models()
    prior = output_prior(snapshot, question)
    ranking = rank_groups(
        masks=outputs.masks,
        margins=outputs.margins,
        predicted=outputs.predicted,
        labels=labels,
        group_names=info.source.groups,
        examples=example_indices,
        estimator=question.estimator,
        kind=question.output_kind,
        clusters=snapshot.clusters,
        heldout=Heldout(heldout.masks, heldout.margins, heldout.predicted) if len(heldout) else None,
        seed=info.seed,
        prior=prior and prior.of_mean(labels[example_indices]),
        goal=goal,
    )
    clusters, warnings = _class_clusters(snapshot, question)
    report = RankReport(
        run=info.name,
        config_hash=info.identity,
        target=snapshot.target_info.name,
        target_class=question.target_class,
        example=question.example,
        split="all" if question.example is not None else question.split,
        design=info.design_label,
        ranking=ranking,
        n_failed=len(list_failures(snapshot.paths, Role.ESTIMATE)),
        n_prior=len(snapshot.prior) if find_estimator(question.estimator).needs_prior else 0,
        noun=group_noun(info),
        clusters=clusters,
    )
    return RankingResult(report, (*data_warnings(snapshot), *warnings))


def _class_clusters(snapshot: RunSnapshot, question: Question) -> tuple[dict[str, int], list[str]]:
    """Return the cluster of each class by its name, and warnings about a ranking of a run with class clusters."""
    info, labels = snapshot.info, snapshot.prior.class_clusters
    if not info.n_clusters:
        return {}, []
    warnings = [snapshot.prior.clusters_problem] if snapshot.prior.clusters_problem else []
    if labels is not None and _are_constant_within(snapshot.outputs.masks, labels):
        by = {
            "difference": "each class is credited with all classes of its cluster",
            "ridge": "the classes of a cluster share its effect equally, and the reliability is too high",
        }
        what = by.get(question.estimator, "only the prior networks tell the classes of a cluster apart")
        warnings.append(f"all masks keep or leave out whole class clusters: {what}")
    elif question.estimator == "difference":
        warnings.append(
            "by `difference`, each class is credited with all classes of its cluster, which many masks keep or leave "
            "out together; `--estimator ridge` or `informed` separates them"
        )
    return {} if labels is None else dict(zip(info.source.groups, labels.tolist(), strict=True)), warnings


def _are_constant_within(masks: NDArray[np.bool_], labels: NDArray[np.int64]) -> bool:
    """Whether every mask (m, K) keeps or leaves out whole clusters, by the cluster (K,) of each class."""
    order = np.argsort(labels, kind="stable")
    changes = masks[:, order][:, 1:] != masks[:, order][:, :-1]
    return not changes[:, labels[order][1:] == labels[order][:-1]].any()


def data_warnings(snapshot: RunSnapshot) -> tuple[str, ...]:
    """Return warnings about the data behind any result: models that are missing, damaged, or learnt nothing."""
    failed = len(list_failures(snapshot.paths, Role.ESTIMATE))
    missing = _missing_models(snapshot.paths, snapshot.info, snapshot.outputs, failed)
    warnings = _data_warnings(snapshot.outputs, snapshot.heldout, snapshot.prior)
    return (*missing, *warnings, *_transfer_warnings(snapshot.outputs, snapshot.target_info))


def select_examples(target_info: TargetInfo, examples: Examples, question: Question) -> NDArray[np.int64]:
    """Return the test examples a question is about, by position.

    Raises:
        ConfigError: no such class, no such example, or none of that class in that half.
    """
    if question.example is not None:
        if question.target_class is not None:
            raise ConfigError("--class and --example cannot be combined: an example has one class")
        if not 0 <= question.example < target_info.test:
            raise ConfigError(
                f"no example {question.example}: target {printable(target_info.name)} has {target_info.test}, "
                f"numbered 0 to {target_info.test - 1}"
            )
        return np.array([question.example], dtype=np.int64)
    is_selected = examples.in_split(question.split)
    if question.target_class is not None:
        if question.target_class not in target_info.classes:
            raise ConfigError(
                f'target {printable(target_info.name)} has no class "{printable(question.target_class, 60)}"'
                f"{did_you_mean(question.target_class, target_info.classes)}"
            )
        is_selected = is_selected & (examples.labels == target_info.classes.index(question.target_class))
    example_indices = np.flatnonzero(is_selected)
    if not len(example_indices):
        raise ConfigError(f"no test examples to rank on in the {question.split} half")
    return example_indices


def _missing_models(paths: Paths, info: RunInfo, outputs: Outputs, failed: int) -> list[str]:
    n_missing = info.models - failed - len(outputs)
    if n_missing <= 0 or observe(paths)[0] not in FINISHED:
        return []
    return [f"{n_missing} of {info.models} models are missing although the run was done: is it half copied?"]


def _data_warnings(outputs: Outputs, heldout: Outputs, prior: PriorMeasures) -> list[str]:
    warnings: list[str] = []
    damaged = outputs.damaged + heldout.damaged + prior.damaged
    if damaged:
        warnings.append(
            f"{len(damaged)} damaged records were left out (`tinfl resume` trains them again): {printable(damaged[0])}"
        )
    matrices = outputs.damaged_matrices + heldout.damaged_matrices
    if matrices:
        warnings.append(
            "the compacted matrix is damaged, and the records were read instead (`tinfl verify` says what is "
            f"damaged): {printable(matrices[0])}"
        )
    if _rounding_share(outputs.margins) > MAX_ROUNDING:
        warnings.append(
            f"most margins are so large that {outputs.margins.dtype}, as which they are stored, rounds them by more "
            f"than {MAX_ROUNDING:.0%} of their spread over models"
        )
    learnt = [
        (metrics["source_loss"] / np.log(metrics["source_classes"]), metrics["source_accuracy"])
        for metrics in outputs.metrics
        if {"source_loss", "source_accuracy"} <= metrics.keys() and metrics.get("source_classes", 0) > 1
    ]
    if len(learnt) >= MIN_MODELS and fmean(loss for loss, _ in learnt) > UNLEARNT_LOSS:
        warnings.append(unlearnt_warning(fmean(accuracy for _, accuracy in learnt)))
    return warnings


def _transfer_warnings(outputs: Outputs, target: TargetInfo) -> list[str]:
    name = "target_class_accuracy"
    accuracies = [metrics[name] for metrics in outputs.metrics if name in metrics]
    if not accuracies:
        return []
    return poor_transfer_warnings(target.name, len(target.classes), fmean(accuracies), len(accuracies))


def _rounding_share(margins: Margins) -> float:
    """Return the rounding error of stored margins (m, n) over their spread over models: the median over examples.

    It is that of a sample, and each error of the size that is usual between two neighbouring numbers, spacing / √12.
    """
    sample = np.asarray(margins[:_SAMPLED_MODELS, :: max(1, margins.shape[1] // _SAMPLED_EXAMPLES)])
    spread = sample.astype(np.float64).std(axis=0)
    error = np.sqrt((np.spacing(np.abs(sample)).astype(np.float64) ** 2).mean(axis=0) / 12)
    varies = spread > 0
    return float(np.median(error[varies] / spread[varies])) if varies.any() else 0.0


def compare_run(paths: Paths, info: RunInfo, first: Question, second: Question) -> ComparisonResult:
    """Rank the groups of a run twice and compare.

    Args:
        paths: of the run.
        info: what it is.
        first: a question.
        second: made from it by `Question.compared_with`.

    Raises:
        ConfigError: the questions are the same, or one does not fit the run.
        ResultsError: the run has no records yet, or cannot be read.
    """
    if _subject(info, first) == _subject(info, second):
        raise ConfigError(
            "both sides of the comparison are the same; --compare-target and --compare-class say what the other is"
        )
    return compare_results(rank_run(paths, info, first), rank_run(paths, info, second))


def compare_results(first: RankingResult, second: RankingResult) -> ComparisonResult:
    """Compare two results of one run."""
    warnings = tuple(dict.fromkeys([*first.warnings, *second.warnings]))
    return ComparisonResult(compare_reports(first.report, second.report), warnings)


def _subject(info: RunInfo, question: Question) -> tuple[int, str | None, int | None]:
    return info.target_index(question.target), question.target_class, question.example


def compare_reports(first: RankReport, second: RankReport) -> ComparisonReport:
    """Return two rankings of one run side by side."""
    return ComparisonReport(first, second, compare(first.ranking, second.ranking, level=SIGNIFICANCE_LEVEL))
