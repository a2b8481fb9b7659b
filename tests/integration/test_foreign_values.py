"""Whatever value stands in a file of a results directory: an answer, or one line and an exit code."""

import json
import random
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.command_line import run
from tests.tui.prunings import make_pruning, make_verification
from tests.tui.runs import make_run
from tui_influence.store.paths import Paths

VALUES = [None, True, -1, 0, 1, 3, 7.5, 10**18, 10**400, 1e300, "", "x", "\x1b]0;owned\x07", [], [[]], {}, {"a": 1}]
"""What may stand where something else is expected."""
TRIES = 60


@pytest.fixture(scope="module")
def pruned(tmp_path_factory) -> Paths:
    """A sweep with a pruning and a verification. Tests put back what they change."""
    sweep = make_run(tmp_path_factory.mktemp("foreign") / "run")
    make_pruning(sweep)
    make_verification(sweep, 1)
    return sweep


def places_in(value: Any, place: tuple = ()) -> Iterator[tuple]:
    """Yield where in a JSON value another may be put: the keys on the way to it."""
    yield place
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in list(parts)[:4] if isinstance(value, list) else parts:
        yield from places_in(part, (*place, key))


def with_value(document: Any, place: tuple, value: Any) -> Any:
    """Return a document with another value at a place."""
    if not place:
        return value
    document = document.copy()
    document[place[0]] = with_value(document[place[0]], place[1:], value)
    return document


def is_answered(*arguments: object) -> str:
    """Run a command; return why its answer is none, or nothing."""
    said = run(*arguments)
    shown = said.out + said.err
    if "Traceback" in shown or "bug in tinfl" in shown:
        return f"{arguments[0]}: {said.err.splitlines()[-2:]}"
    if said.code and len([line for line in said.err.splitlines() if line.startswith("error: ")]) != 1:
        return f"{arguments[0]}: exit code {said.code} without a reason: {said.err}"
    return f"{arguments[0]}: control characters" if set(shown) & set("\x1b\x07\x9b") else ""


def problems_with(path, commands, tries: int = TRIES) -> list[str]:
    """Put values at places of a JSON file, one at a time, and run commands; return what went wrong."""
    content = path.read_text()
    document = json.loads(content)
    rng = random.Random(0)
    choices = [(place, value) for place in places_in(document) for value in VALUES]
    problems = []
    try:
        for place, value in rng.sample(choices, min(tries, len(choices))):
            path.write_text(json.dumps(with_value(document, place, value)))
            problems += [
                f"{list(place)} = {str(value)[:20]!r}: {problem}"
                for arguments in commands
                if (problem := is_answered(*arguments))
            ]
    finally:
        path.write_text(content)
    return problems


def test_whatever_stands_in_the_arms_of_a_pruning(pruned):
    own = Paths(pruned.prunings / "main")
    reads = [("prune", pruned.root, "--report"), ("prune", pruned.root, "--report", "--json")]
    assert problems_with(own.arms, reads) == []


def test_whatever_stands_in_the_arms_of_a_verification(pruned):
    own = Paths(pruned.prunings / "example-1")
    assert problems_with(own.arms, [("failures", pruned.root, "--verify", "--example", 1, "--json")]) == []


def test_whatever_stands_in_the_run_info_of_a_pruning(pruned):
    own = Paths(pruned.prunings / "main")
    assert problems_with(own.run, [("prune", pruned.root, "--report"), ("status", own.root)]) == []


def test_whatever_stands_in_the_run_info_of_a_sweep(pruned):
    reads = [("status", pruned.root), ("rank", pruned.root, "--json"), ("subpops", pruned.root), ("logs", pruned.root)]
    assert problems_with(pruned.run, reads) == []


def test_whatever_stands_in_a_heartbeat(pruned):
    assert problems_with(pruned.heartbeat, [("status", pruned.root), ("status", pruned.root, "--json")]) == []


def test_a_renamed_target_and_an_odd_number_of_groups_are_damage(pruned):
    own = Paths(pruned.prunings / "main")
    content = own.arms.read_text()
    document = json.loads(content)
    try:
        for place, value, reason in [
            (("ranking", "targets"), {"renamed": 1.0}, "its targets are not those of run.json"),
            (("arms", 1, "k"), 5, "does not drop 5 groups"),
            (("arms", 1, "rows", 0, "dropped"), [10**6] * 3, "drops what is not there"),
            (("arms", 1, "rows"), [], "not numbered from 0"),
            (("stages", "most"), 10**9, "a count up to"),
            (("groups",), [*document["groups"][:-1], "renamed"], "its groups are not those of run.json"),
        ]:
            own.arms.write_text(json.dumps(with_value(document, place, value)))
            said = run("prune", pruned.root, "--report")
            assert (said.code, said.out) == (3, "")
            assert reason in said.err
            assert "arms.json: damaged" in said.err
    finally:
        own.arms.write_text(content)


def test_arms_that_were_extended_before_run_info_was_are_read(pruned, tmp_path):
    """`arms.json` is written first."""
    root = tmp_path / "copy"
    shutil.copytree(pruned.root, root)
    own = Paths(root / "prune" / "main")
    info = json.loads(own.run.read_text())
    own.run.write_text(json.dumps(info | {"arms": info["arms"] - 1}))
    assert run("prune", root, "--report").code == 0
