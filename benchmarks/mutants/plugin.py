"""A pytest plugin: says which tests reach which lines, or runs those first that reach the mutant."""

import json
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

import coverage
import pytest

MAX_MEMORY = 8 << 30
"""Bytes a test process may allocate: a changed size must not take the machine down."""
SECONDS, CHOSEN = "MUTANTS_SECONDS", "MUTANTS_CHOSEN"
"""Environment variables: the file to write each test's seconds to; the file that says which to run, see `Choice`."""

_seconds: dict[str, float] = {}


class Choice(TypedDict):
    """Tests to run first, in that order, and tests not to run."""

    first: list[str]
    left_out: list[str]


def pytest_configure() -> None:
    """Bound the memory."""
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY, MAX_MEMORY))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Note what a test takes, and let coverage file what it runs under its name."""
    measured = coverage.Coverage.current()
    if measured is not None:
        measured.switch_context(item.nodeid)
    before = sum(os.times()[:4])  # of processors, children's too: the machine may do other things besides
    result = yield
    _seconds[item.nodeid] = sum(os.times()[:4]) - before
    return result


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Choose tests and their order."""
    path = os.environ.get(CHOSEN)
    if not path:
        return
    choice: Choice = json.loads(Path(path).read_text(encoding="utf-8"))
    order = {name: rank for rank, name in enumerate(choice["first"])}
    left_out = set(choice["left_out"])
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in left_out])
    items[:] = sorted(
        (item for item in items if item.nodeid not in left_out), key=lambda item: order.get(item.nodeid, len(order))
    )


def pytest_sessionfinish() -> None:
    """Write what each test took."""
    if path := os.environ.get(SECONDS):
        Path(path).write_text(json.dumps(_seconds), encoding="utf-8")
