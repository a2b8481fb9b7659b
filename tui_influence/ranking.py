"""A question to a results directory, and its answer: which groups help or hurt, by how much, how surely.

The one place where records meet estimators; the command line and the app both ask here.
"""

from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from tui_influence.errors import ConfigError
from tui_influence.export.report import Noun, RankReport
from tui_influence.influence.ranking import Heldout, rank_groups
from tui_influence.ranking_question import Question
from tui_influence.reading import Reading, read
from tui_influence.roles import Role
from tui_influence.runs.heartbeat import FINISHED, observe
from tui_influence.runs.progress import ENOUGH, UNLEARNT, unlearnt
from tui_influence.store.examples import Examples
from tui_influence.store.listing import list_failures
from tui_influence.store.matrix import Outputs
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo, TargetInfo
from tui_influence.text import did_you_mean, printable

__all__ = ["Answer", "Question", "chosen_columns", "noun_of", "notes_of", "rank", "rank_run"]


@dataclass(frozen=True)
class Answer:
    """A ranking, and what a reader of it should know besides.

    Attributes:
        report: the ranking and its circumstances.
        notes: what is wrong with the data behind it: damaged records, sources that learnt nothing.
    """

    report: RankReport
    notes: tuple[str, ...]


def rank_run(paths: Paths, info: RunInfo, question: Question) -> Answer:
    """Rank the groups of a run by what has been recorded so far.

    Raises:
        ConfigError: the question does not fit the run.
        ResultsError: the run has no records yet, or cannot be read.
    """
    return rank(read(paths, info, question.target), question)


def rank(reading: Reading, question: Question) -> Answer:
    """Rank the groups of a run by a reading of the question's target.

    Raises:
        ConfigError: the question does not fit the run.
        ResultsError: the reading holds no records, or unusable ones.
    """
    info, outputs, heldout = reading.info, reading.outputs, reading.heldout
    columns = chosen_columns(reading.described, reading.examples, question)
    reading.refuse_if_empty()
    ranking = rank_groups(
        masks=outputs.masks,
        margins=outputs.margins,
        predicted=outputs.predicted,
        labels=reading.examples.labels,
        group_names=info.source.groups,
        columns=columns,
        estimator=question.estimator,
        kind=question.output_kind,
        clusters=reading.clusters,
        heldout=Heldout(heldout.masks, heldout.margins, heldout.predicted) if len(heldout) else None,
        seed=info.seed,
    )
    report = RankReport(
        run=info.name,
        config_hash=info.identity,
        target=reading.described.name,
        target_class=question.target_class,
        example=question.example,
        split="all" if question.example is not None else question.split,
        design=info.design_label,
        ranking=ranking,
        n_failed=len(list_failures(reading.paths, Role.ESTIMATE)),
        noun=noun_of(info),
    )
    return Answer(report, notes_of(reading))


def notes_of(reading: Reading) -> tuple[str, ...]:
    """Return what a reader of any answer should know besides: models that are missing, damaged, or learnt nothing."""
    failed = len(list_failures(reading.paths, Role.ESTIMATE))
    missing = _missing(reading.paths, reading.info, reading.outputs, failed)
    return (*missing, *_notes(reading.outputs, reading.heldout))


def chosen_columns(described: TargetInfo, examples: Examples, question: Question) -> NDArray[np.int64]:
    """Return the test examples a question is about, by position.

    Raises:
        ConfigError: no such class, no such example, or none of that class in that half.
    """
    if question.example is not None:
        if question.target_class is not None:
            raise ConfigError("--class and --example exclude each other: an example has one class")
        if not 0 <= question.example < described.test:
            raise ConfigError(
                f"no example {question.example}: target {printable(described.name)} has {described.test}, "
                f"numbered 0 to {described.test - 1}"
            )
        return np.array([question.example], dtype=np.int64)
    keep = {
        "estimate": examples.estimate,
        "evaluate": ~examples.estimate,
        "all": np.ones(described.test, dtype=bool),
    }[question.split]
    if question.target_class is not None:
        if question.target_class not in described.classes:
            raise ConfigError(
                f'target {printable(described.name)} has no class "{printable(question.target_class, 60)}"'
                f"{did_you_mean(question.target_class, described.classes)}"
            )
        keep = keep & (examples.labels == described.classes.index(question.target_class))
    columns = np.flatnonzero(keep)
    if not len(columns):
        raise ConfigError(f"no test examples to rank on in the {question.split} half")
    return columns


def noun_of(info: RunInfo) -> Noun:
    """Return what a group of a run is."""
    source = info.config.get("source")
    match source.get("groups") if isinstance(source, dict) else "class":
        case "class":
            return "class"
        case "example":
            return "example"
        case _:
            return "example" if all(size == 1 for size in info.source.sizes) else "group"


def _missing(paths: Paths, info: RunInfo, outputs: Outputs, failed: int) -> list[str]:
    absent = info.models - failed - len(outputs)
    if absent <= 0 or observe(paths)[0] not in FINISHED:
        return []
    return [f"{absent} of {info.models} models are missing although the run was done: is it half copied?"]


def _notes(outputs: Outputs, heldout: Outputs) -> list[str]:
    notes: list[str] = []
    damaged = outputs.damaged + heldout.damaged
    if damaged:
        notes.append(
            f"{len(damaged)} damaged records were left out (`tinfl resume` trains them again): {printable(damaged[0])}"
        )
    matrices = outputs.damaged_matrices + heldout.damaged_matrices
    if matrices:
        notes.append(
            "the compacted matrix is damaged, and the records were read instead (`tinfl verify` says what is "
            f"damaged): {printable(matrices[0])}"
        )
    learnt = [
        (found["source_loss"] / np.log(found["source_classes"]), found["source_accuracy"])
        for found in outputs.metrics
        if {"source_loss", "source_accuracy"} <= found.keys() and found.get("source_classes", 0) > 1
    ]
    if len(learnt) >= ENOUGH and fmean(loss for loss, _ in learnt) > UNLEARNT:
        notes.append(unlearnt(fmean(accuracy for _, accuracy in learnt)))
    return notes
