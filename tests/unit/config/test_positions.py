import tomllib

import pytest
from hypothesis import given, settings

from tests.unit.config.toml_documents import documents, paths
from tui_influence.config.positions import Node, line_and_column, locate_keys


def at(document: object, path: tuple[str | int, ...]) -> object:
    for step in path:
        document = document[step]  # type: ignore[index]
    return document


def same(one: object, other: object) -> bool:
    return repr(one) == repr(other)  # nan is not equal to itself


@settings(max_examples=50, deadline=None)
@given(documents())
def test_every_key_and_value_of_a_document_is_where_the_locator_says(text: str) -> None:
    data = tomllib.loads(text)
    root = locate_keys(text)
    for path in paths(data):
        node = root.find(path)
        assert node is not None, path
        assert node.start is not None
        if node.key and isinstance(path[-1], str):
            key = text[slice(*node.key)]
            assert list(tomllib.loads(f"{key} = 0")) == [path[-1]]
        if node.value:
            value = text[slice(*node.value)]
            assert same(tomllib.loads(f"x = {value}")["x"], at(data, path))


@settings(max_examples=50, deadline=None)
@given(documents())
def test_the_locator_finds_nothing_that_the_document_does_not_have(text: str) -> None:
    def tree(node: Node, prefix: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
        steps = [*node.children.items(), *enumerate(node.items)]
        found = {(*prefix, step) for step, _ in steps}
        return found.union(*(tree(child, (*prefix, step)) for step, child in steps))

    assert tree(locate_keys(text)) == set(paths(tomllib.loads(text)))


def test_a_dotted_key_is_found_at_its_last_part() -> None:
    text = "train.epochs = 8\n"
    node = locate_keys(text).find(["train", "epochs"])
    assert node is not None
    assert node.key == (6, 12)
    assert node.value == (15, 16)


def test_a_second_target_is_found_at_its_own_header() -> None:
    text = '[[target]]\nname = "a"\n[[target]]\nname = "b"\n'
    second = locate_keys(text).find(["target", 1])
    assert second is not None
    assert second.start is not None
    assert line_and_column(text, second.start) == (3, 3)


@pytest.mark.parametrize(
    ("offset", "expected"), [(0, (1, 1)), (2, (1, 3)), (3, (2, 1)), (4, (3, 1)), (6, (3, 3))], ids=str
)
def test_lines_and_columns_count_from_one(offset: int, expected: tuple[int, int]) -> None:
    assert line_and_column("ab\n\ncde", offset) == expected
