"""All there is to say about one test example: what models predict for it, and which source groups move it."""

from dataclasses import dataclass, replace

from tui_influence.predictions import Said, said, said_with_and_without
from tui_influence.ranking import Answer, rank
from tui_influence.ranking_question import Question
from tui_influence.reading import Reading


@dataclass(frozen=True)
class AboutExample:
    """One test example of a target.

    Attributes:
        example: its number among all test examples.
        name: where it came from.
        label: its class, by position.
        overall: what all models say.
        split: what those with a group say, and those without it; None if no group was asked about.
        drivers: the ranking of all groups by their influence on this example.
    """

    example: int
    name: str
    label: int
    overall: Said
    split: tuple[Said, Said] | None
    drivers: Answer


def about_example(reading: Reading, question: Question, example: int, group: int | None = None) -> AboutExample:
    """Look at one test example.

    Args:
        reading: of the question's target.
        question: its estimator and output; its class and split do not matter to a single example.
        example: its number among all test examples.
        group: compare the models that have this group with those that do not.

    Raises:
        ConfigError: there is no such example.
        ResultsError: no model has been recorded, or stored outputs are NaN or infinite.
    """
    drivers = rank(reading, replace(question, target_class=None, example=example))
    return AboutExample(
        example=example,
        name=reading.examples.names[example],
        label=int(reading.examples.labels[example]),
        overall=said(reading, example),
        split=None if group is None else said_with_and_without(reading, example, group),
        drivers=drivers,
    )
