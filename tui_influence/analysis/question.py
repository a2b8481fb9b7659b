"""Questions about a run, and the command lines that ask them. Importing this loads no library.

Two questions that differ only in target and class can be compared: the second is made from the first.
"""

import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path

from tui_influence.influence.estimators import PLAIN_ESTIMATOR, default_estimator
from tui_influence.store.run_info import RunInfo

EXAMPLE_VERBS = frozenset({"failures", "subpops", "leaks"})
"""Commands about single examples: unless another estimator is requested, theirs is the plain one."""


@dataclass(frozen=True)
class Question:
    """A question about a run: whose outputs, and how influences on them are estimated.

    Attributes:
        target: name of a target; None is the first.
        target_class: name of one of its classes; None is all of them.
        example: number of one test example, counted over all of them from 0; the split does not apply to it.
        split: `estimate`, `evaluate` or `all` test examples.
        estimator: a name in `ESTIMATORS`.
        output_kind: `margin`, `probability` or `correct`.
        default_estimator: name of the estimator that a command uses for the run if none is requested.
        is_requested: the user chose the estimator, be it the default one.
    """

    target: str | None = None
    target_class: str | None = None
    example: int | None = None
    split: str = "estimate"
    estimator: str = PLAIN_ESTIMATOR
    output_kind: str = "margin"
    default_estimator: str = PLAIN_ESTIMATOR
    is_requested: bool = field(default=False, compare=False)

    def about(self, info: RunInfo, estimator: str | None = None) -> "Question":
        """Return the question about a run, by an estimator or, for None, by the run's default one."""
        default = default_estimator(has_prior=info.prior > 0, groups=len(info.source.groups))
        return replace(
            self, estimator=estimator or default, default_estimator=default, is_requested=estimator is not None
        )

    def about_examples(self) -> "Question":
        """Return the question for a probe of single examples: by the estimator that was requested, else `difference`.

        What a prior says of an example is what it says of its class, so that a regression which shrinks towards it
        finds fewer of the influences that an example has for itself; and a probe looks at single influences, not at
        the order of all, which is what a regression improves.
        """
        is_default = self.estimator == self.default_estimator and not self.is_requested
        estimator = PLAIN_ESTIMATOR if is_default else self.estimator
        return replace(self, estimator=estimator)

    def compared_with(self, target: str | None, target_class: str | None) -> "Question":
        """Return the same question about another target or another class, to compare this one with.

        Args:
            target: its name; None is the target of this question.
            target_class: one of its classes; None is all of them.
        """
        return replace(self, target=self.target if target is None else target, target_class=target_class, example=None)

    def command(
        self,
        results: str | Path,
        verb: str = "rank",
        *,
        source: str | None = None,
        comparison: "Question | None" = None,
    ) -> str:
        """Return the command line that asks the same, ready to be pasted into a shell; arguments as in `arguments`."""
        return shlex.join(["tinfl", *self.arguments(results, verb, source=source, comparison=comparison)])

    def arguments(
        self,
        results: str | Path,
        verb: str = "rank",
        *,
        source: str | None = None,
        comparison: "Question | None" = None,
    ) -> list[str]:
        """Return the words after `tinfl` that ask the same.

        Args:
            results: the results directory.
            verb: `rank`, `show` for images, or a probe.
            source: the source class that `show` is about.
            comparison: the question that it is compared with, made by `compared_with`.
        """
        plain = Question()
        default = PLAIN_ESTIMATOR if verb in EXAMPLE_VERBS else self.default_estimator
        options = {
            "--source": source,
            "--target": self.target,
            "--class": self.target_class,
            "--example": self.example,
            "--compare-target": comparison.target if comparison else None,
            "--compare-class": comparison.target_class if comparison else None,
            "--estimator": self.estimator if self.estimator != default else None,
            "--output-kind": self.output_kind if self.output_kind != plain.output_kind else None,
            "--split": self.split if self.split != plain.split else None,
        }
        # With "=", because a class may be called "-1".
        given = [f"{option}={value}" for option, value in options.items() if value is not None]
        return [verb, *given, "--", str(results)]


@dataclass(frozen=True)
class ComparisonChoices:
    """Names to choose from, and what each would be.

    Attributes:
        title: what is asked.
        names: to choose from.
        questions: one a name; None is no question.
    """

    title: str
    names: tuple[str, ...]
    questions: tuple[Question | None, ...]


def comparison_choices(info: RunInfo, question: Question, comparison: Question | None) -> ComparisonChoices:
    """Return what a question can be compared with: other targets, then classes, those of its own target first.

    Args:
        info: the run.
        question: the question.
        comparison: what it is compared with now; then comparing with nothing comes first.
    """
    here = info.target_index(question.target)
    wholes = [(target, None) for target in range(len(info.targets))]
    targets = sorted(range(len(info.targets)), key=lambda target: target != here)
    parts = [(target, name) for target in targets for name in info.targets[target].classes]
    choices = [
        (_name(info, target, name, here), question.compared_with(info.targets[target].name, name))
        for target, name in [*wholes, *parts]
        if (target, name) != (here, question.target_class)
    ]
    none = [("nothing: one ranking alone", None)] if comparison else []
    names, questions = zip(*none, *choices, strict=True) if none or choices else ((), ())
    only = "This run has one target. Compare with which class?"
    return ComparisonChoices(
        only if len(info.targets) == 1 else "Compare with which target or class?", names, questions
    )


def carry_comparison(info: RunInfo, question: Question, comparison: Question | None) -> Question | None:
    """Return what a new question is compared with: the same as the old one, unless it is that itself."""
    if comparison is None:
        return None
    carried = question.compared_with(comparison.target, comparison.target_class)
    same = info.target_index(question.target) == info.target_index(carried.target)
    return None if same and question.target_class == carried.target_class else carried


def _name(info: RunInfo, target: int, target_class: str | None, here: int) -> str:
    target_name = info.targets[target].name
    if target_class is None:
        return "all classes" if target == here else target_name
    return f"class {target_class}" if target == here else f"{target_name}, class {target_class}"
