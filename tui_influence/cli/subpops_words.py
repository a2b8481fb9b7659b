"""Subpopulations on stdout: what a source class drives, a class in parts, and the parts of all classes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.text import Text

from tui_influence.analysis.names import (
    Noun,
    group_noun,
)
from tui_influence.analysis.question import Question
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.analysis.types import (
    ClassSubpopulations,
    DrivenExample,
    DrivenExamples,
)
from tui_influence.cli.images import Canvas, per_row, pictures_of, print_pictures
from tui_influence.errors import ResultsError
from tui_influence.influence.types import (
    SIGNIFICANCE_LEVEL,
)
from tui_influence.render.format import cut, fit, plain
from tui_influence.render.numbers import value_format
from tui_influence.render.style import Style
from tui_influence.text import pluralize

_NAME = 32
_ROWS = 2
"""Rows of pictures of what a source class drives."""
_CLASSES = 6
"""Classes that a line names at most."""


@dataclass(frozen=True)
class Shown:
    """What all of these need: where to write, what was read, what was asked, and how wide a picture is to be."""

    canvas: Canvas
    reading: RunSnapshot
    question: Question
    results: Path
    columns: int | None

    @property
    def style(self) -> Style:
        """What to write with."""
        return self.canvas.style

    @property
    def noun(self) -> Noun:
        """What a group is called."""
        return group_noun(self.reading.info)

    def name(self, text: str) -> str:
        """Return a name as it may be shown."""
        return cut(plain(text, self.style.ascii), _NAME, self.style.ellipsis)

    def group(self, group: int | None) -> str:
        """Return the name of a source group, or what is said of none."""
        return (
            "nothing helps it beyond its class" if group is None else self.name(self.reading.info.source.groups[group])
        )

    def label(self, label: int) -> str:
        """Return the name of a class of the target."""
        return self.name(self.reading.target_info.classes[label])

    def say(self, *lines: Text | str) -> None:
        """Write lines; those of a paragraph are broken where the terminal ends."""
        for line in lines:
            self.canvas.console.print(line if isinstance(line, Text) else self.style.line(line))

    def row(self, line: Text) -> None:
        """Write a line of a table, which is never broken."""
        self.canvas.console.print(self.style.clipped(line, self.canvas.console.width), no_wrap=True)

    def heading(self, text: str) -> None:
        """Write a line that stands out."""
        self.say(self.style.line(text, "bold"))

    def pictures(self, examples: Sequence[DrivenExample], rows: int) -> str:
        """Show so many rows of pictures; return why there are none."""
        most = rows * per_row(self.canvas, self.columns)
        try:
            found = pictures_of(self.reading, [example.example for example in examples[:most]])
        except ResultsError as error:
            return str(error)
        if len(found):
            print_pictures(self.canvas, found, self.columns)
        return ""

    def explain(self, models: int, of: str) -> None:
        """Write what the numbers mean and what they are made from."""
        info, question = self.reading.info, self.question
        made = [
            f"run {plain(info.name, self.style.ascii)}",
            pluralize(models, "model"),
            info.design_label,
            f"by {question.estimator}",
            f"influence on the {question.output_kind} beyond that on the others of the example's class",
            f"told: q < {SIGNIFICANCE_LEVEL:g} (FDR over {of})",
        ]
        self.say(Text(), self.style.line(self.style.separator.join(made), self.style.quiet))


def print_source(shown: Shown, found: DrivenExamples, top: int) -> str:
    """Show the examples that a group drives; return why there are no pictures, if so."""
    told = [example for example in found.examples if example.is_significant]
    scope = f'class "{shown.name(shown.question.target_class)}" of ' if shown.question.target_class else ""
    shown.heading(
        f'{shown.noun} "{shown.group(found.group)}" drives {len(told):,} of '
        f"{pluralize(found.n_examples, 'example')} of {scope}"
        f'target "{shown.name(shown.reading.target_info.name)}" beyond their class'
    )
    by_class = found.significant_by_class()
    if by_class:
        parts = [
            f"{shown.label(label)} {count:,} of {found.class_sizes[label]:,}" for label, count in by_class[:_CLASSES]
        ]
        more = len(by_class) - _CLASSES
        parts += [pluralize(more, "more class", "more classes")] if more > 0 else []
        shown.say(shown.style.separator.join(parts))
    elif found.examples:
        shown.say(f"none can be told from its class by {pluralize(found.models, 'model')}; these come nearest:")
    listed = told or found.examples
    shown.say(Text())
    problem = shown.pictures(listed, _ROWS)
    _print_examples(shown, listed[:top])
    if len(listed) > top:
        shown.say(shown.style.line(f"{shown.style.ellipsis} {len(listed) - top:,} more", shown.style.quiet))
    shown.explain(found.models, "the examples")
    return problem


def print_class(shown: Shown, found: ClassSubpopulations, top: int) -> str:
    """Show the parts of a class, each with a row of pictures; return why there are no pictures, if so."""
    shown.heading(f"{_class_title(shown, found)}: {_told(shown, found)}")
    problem = ""
    for part in found.subpopulations[:top]:
        digits = value_format(
            [member.class_relative_influence for member in part.members], [member.se for member in part.members]
        )
        ends = {f"{member.class_relative_influence:{digits}}": None for member in (part.members[0], part.members[-1])}
        shown.say(
            Text(),
            Text.assemble(
                (shown.group(part.group), "bold"),
                f"  {pluralize(len(part.members), 'example')}",
                (f"  {' to '.join(ends)} beyond the class", shown.style.quiet),
            ),
        )
        problem = problem or shown.pictures(part.members, 1)
    if len(found.subpopulations) > top:
        rest = ", ".join(f"{shown.group(part.group)} {len(part.members)}" for part in found.subpopulations[top:])
        shown.say(Text(), f"also: {rest}")
    if found.unassigned:
        shown.say(Text(), Text.assemble(("not told", "bold"), f"  {pluralize(len(found.unassigned), 'example')}"))
        if not found.subpopulations:
            _print_examples(shown, found.unassigned[:top], named=True)
    _say_needed(shown, [found])
    shown.explain(found.models, "the class's examples")
    return problem


def print_overview(shown: Shown, classes: Sequence[ClassSubpopulations], top: int) -> None:
    """Show the largest parts of every class in a line each."""
    shown.heading(f'subpopulations of target "{shown.name(shown.reading.target_info.name)}" ({_half(shown)})')
    labels = [shown.label(found.label) for found in classes]
    width = max(len("class"), *(len(label) for label in labels))
    shown.say(shown.style.line(f"{fit('class', width)}  {'told':>13}  driven by", shown.style.quiet))
    for found, label in zip(classes, labels, strict=True):
        parts = [f"{shown.group(part.group)} {len(part.members)}" for part in found.subpopulations[:top]]
        more = len(found.subpopulations) - top
        parts += [f"{more} more"] if more > 0 else []
        line = Text.assemble(
            fit(label, width),
            f"  {f'{found.n_assigned:,} of {found.n_examples:,}':>13}  ",
            shown.style.separator.join(parts),
        )
        shown.row(line)
    _say_needed(shown, classes)
    shown.explain(classes[0].models, "the examples of each class by itself, not over all classes")


def next_command(shown: Shown, classes: Sequence[ClassSubpopulations]) -> str:
    """Return the command that goes on from what was shown: to a class, or to what drives most of it."""
    best, question = max(classes, key=lambda found: found.n_assigned), shown.question
    if question.target_class is None:
        question = replace(question, target_class=shown.reading.target_info.classes[best.label])
        return question.command(shown.results, "subpops")
    if best.subpopulations:
        return question.command(
            shown.results, "subpops", source=shown.reading.info.source.groups[best.subpopulations[0].group]
        )
    example = (best.unassigned or best.subpopulations[0].members)[0].example
    return replace(question, target_class=None, example=example).command(shown.results, "show")


def _class_title(shown: Shown, found: ClassSubpopulations) -> str:
    return (
        f'class "{shown.label(found.label)}" of target "{shown.name(shown.reading.target_info.name)}" ({_half(shown)})'
    )


def _told(shown: Shown, found: ClassSubpopulations) -> str:
    groups = pluralize(len(found.subpopulations), f"source {shown.noun}", f"source {_plural(shown.noun)}")
    return f"{found.n_assigned:,} of {pluralize(found.n_examples, 'example')} told apart, by {groups}"


def _plural(noun: Noun) -> str:
    return "classes" if noun == "class" else f"{noun}s"


def _half(shown: Shown) -> str:
    return "all test examples" if shown.question.split == "all" else f"{shown.question.split} half"


def _say_needed(shown: Shown, classes: Sequence[ClassSubpopulations]) -> None:
    needed = sorted(found.models_needed for found in classes if found.models_needed is not None)
    if not needed:
        return
    some = needed[len(needed) // 2]
    whose = "of the class" if len(classes) == 1 else "of a class"
    there = pluralize(classes[0].models, "model")
    shown.say(Text(), f"To tell half {whose} takes at least about {some:,} models; there are {there}.")


def _print_examples(shown: Shown, examples: Sequence[DrivenExample], *, named: bool = False) -> None:
    digits = value_format([e.class_relative_influence for e in examples], [e.se for e in examples])
    style = shown.style
    for example in examples:
        mark = "*" if example.is_significant else " "
        if example.group is None:
            shown.row(shown.style.line(f"  example {example.example:<7}{shown.group(None)}", style.quiet))
            continue
        line = Text.assemble(
            f"  example {example.example:<7}",
            (
                f"{style.before(example.class_relative_influence)}{example.class_relative_influence:{digits}}{mark}",
                style.effect(example.class_relative_influence),
            ),
            (f"  [{example.low:{digits}} to {example.high:{digits}}]  ", style.quiet),
            shown.label(example.label),
            (f"  {shown.group(example.group)}" if named else "", style.quiet),
        )
        shown.row(line)
