from math import ceil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_influence.errors import ResultsError
from tui_influence.runs.cluster.rounds import (
    PILOT_ROWS,
    Round,
    TaskTiming,
    divide_rows,
    last_round,
    read_round,
    write_round,
)
from tui_influence.store.paths import Paths

rows = st.lists(st.integers(0, 5000), unique=True, max_size=400).map(sorted)
paces = st.builds(TaskTiming, st.floats(0.01, 3600), st.floats(0, 60), st.integers(1, 64))


@given(rows, paces, st.floats(0.1, 600), st.floats(0.1, 600), st.one_of(st.none(), st.integers(1, 64)), st.data())
def test_every_row_is_in_one_block_and_suspects_are_alone(undone, timing, minutes, limit, slots, data) -> None:
    suspects = data.draw(st.lists(st.sampled_from(undone), unique=True)) if undone else []
    blocks = divide_rows(undone, timing, minutes=minutes, limit_minutes=limit, slots=slots, suspects=suspects)
    assert sorted(row for block in blocks for row in block) == undone
    assert all(block for block in blocks)
    assert all(len(block) == 1 for block in blocks if set(block) & set(suspects))


@given(paces, st.integers(1, 5000), st.floats(1, 60))
def test_starting_takes_at_most_a_twentieth_of_a_block_but_for_the_last(timing, count, minutes) -> None:
    blocks = divide_rows(range(count), timing, minutes=minutes, limit_minutes=1e6, slots=None)
    for block in blocks[:-1]:
        training = ceil(len(block) / timing.workers) * timing.seconds
        assert timing.start <= 0.0501 * (timing.start + training)


def test_a_block_fits_into_the_time_limit() -> None:
    blocks = divide_rows(range(1000), TaskTiming(60, 10, 1), minutes=600, limit_minutes=30, slots=1)
    assert max(len(block) for block in blocks) == 29


def test_each_slot_gets_work_however_short() -> None:
    assert len(divide_rows(range(10), TaskTiming(0.1, 10, 1), minutes=30, limit_minutes=240, slots=2)) == 2


def test_blocks_get_shorter_towards_the_end() -> None:
    sizes = [
        len(block)
        for block in divide_rows(range(10_000), TaskTiming(60, 5, 1), minutes=600, limit_minutes=6000, slots=8)
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 10 * sizes[-1]


@given(paces, st.integers(1, 5000), st.integers(1, 64))
def test_all_slots_are_given_as_much_work(timing, count, slots) -> None:
    blocks = divide_rows(range(count), timing, minutes=30, limit_minutes=1e6, slots=slots)
    steps = [sum(ceil(len(block) / timing.workers) for block in blocks[slot::slots]) for slot in range(slots)]
    assert max(steps) - min(steps) <= 1


def test_two_slots_share_what_is_not_worth_four_starts() -> None:
    assert [
        len(block) for block in divide_rows(range(286), TaskTiming(0.36, 1.7, 1), minutes=30, limit_minutes=30, slots=2)
    ] == [143] * 2


def test_while_no_pace_is_known_there_is_a_pilot_only() -> None:
    assert divide_rows(range(100), None, minutes=30, limit_minutes=240, slots=50) == [tuple(range(PILOT_ROWS))]
    assert divide_rows([], None, minutes=30, limit_minutes=240, slots=50) == []


@settings(max_examples=20, deadline=None)
@given(rows, st.one_of(st.none(), paces))
def test_a_round_is_read_as_it_was_written(tmp_path_factory, undone, timing) -> None:
    paths = Paths(tmp_path_factory.mktemp("run"))
    blocks = tuple(tuple(undone[start : start + 7]) for start in range(0, len(undone), 7))
    planned = Round(1, blocks, 3, timing, dict.fromkeys(undone[:2], 2))
    write_round(paths, planned)
    assert read_round(paths, 1) == planned
    assert last_round(paths) == 1


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"number": 1, "blocks": 3, "done": 0, "deaths": 0}'])
def test_a_damaged_round_is_refused(tmp_path: Path, content: bytes) -> None:
    paths = Paths(tmp_path)
    paths.cluster.mkdir()
    paths.round(1).write_bytes(content)
    with pytest.raises(ResultsError):
        read_round(paths, 1)
