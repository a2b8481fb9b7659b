"""Which test examples a question is about."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.store.conftest import make_info
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import select_examples
from tui_influence.errors import ConfigError
from tui_influence.store.examples import Examples

EXAMPLES = Examples(np.array([0, 1, 1, 0, 1]), np.array([True, True, False, True, True]), tuple("abcde"))


def chosen(**asked) -> list[int]:
    described = replace(make_info().targets[0], classes=["cat", "dog", "cow"], test=5)
    return select_examples(described, EXAMPLES, Question(**asked)).tolist()


def test_a_class_is_taken_in_a_half_and_an_example_wherever_it_is():
    assert chosen() == [0, 1, 3, 4]
    assert chosen(split="evaluate") == [2]
    assert chosen(split="all") == [0, 1, 2, 3, 4]
    assert chosen(target_class="dog") == [1, 4]
    assert chosen(example=2) == [2]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"target_class": "dogs"}, 'did you mean "dog"'),
        ({"example": 5}, "numbered 0 to 4"),
        ({"example": 1, "target_class": "dog"}, "cannot be combined"),
        ({"target_class": "cat", "split": "evaluate"}, "no test examples"),
    ],
)
def test_what_cannot_be_chosen_is_refused_in_a_line(asked, message):
    with pytest.raises(ConfigError, match=message):
        chosen(**asked)
