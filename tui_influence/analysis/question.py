"""What is asked of a run, and the command line that asks the same. Loads nothing: a screen holds one from its start.

Two questions that differ in nothing but whom the influence is on can be compared: the second is made from the first.
"""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Question:
    """What is asked of a run.

    Attributes:
        target: name of a target; None is the first.
        target_class: name of one of its classes; None is all of them.
        example: number of one test example, counted over all of them from 0; the split does not apply to it.
        split: `estimate`, `evaluate` or `all` test examples.
        estimator: `difference` or `ridge`.
        output_kind: `margin`, `probability` or `correct`.
    """

    target: str | None = None
    target_class: str | None = None
    example: int | None = None
    split: str = "estimate"
    estimator: str = "difference"
    output_kind: str = "margin"

    def compared_with(self, target: str | None, target_class: str | None) -> "Question":
        """Return the question to compare this one with: the same about another target, or another class of it.

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
        versus: "Question | None" = None,
    ) -> str:
        """Return the command line that asks the same, ready to be pasted into a shell; arguments as in `arguments`."""
        return shlex.join(["tinfl", *self.arguments(results, verb, source=source, versus=versus)])

    def arguments(
        self,
        results: str | Path,
        verb: str = "rank",
        *,
        source: str | None = None,
        versus: "Question | None" = None,
    ) -> list[str]:
        """Return the words after `tinfl` that ask the same.

        Args:
            results: the results directory.
            verb: `rank`, or `show` for pictures.
            source: the source class that `show` is about.
            versus: the question that it is compared with, made by `against`.
        """
        plain = Question()
        options = {
            "--source": source,
            "--target": self.target,
            "--class": self.target_class,
            "--example": self.example,
            "--versus": versus.target if versus else None,
            "--versus-class": versus.target_class if versus else None,
            "--estimator": self.estimator if self.estimator != plain.estimator else None,
            "--output-kind": self.output_kind if self.output_kind != plain.output_kind else None,
            "--split": self.split if self.split != plain.split else None,
        }
        # With "=", because a class may be called "-1".
        asked = [f"{option}={value}" for option, value in options.items() if value is not None]
        return [verb, *asked, "--", str(results)]
