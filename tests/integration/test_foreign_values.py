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
from tests.unit.store.digested import write_with_digest
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


def keys_in(value: Any, keys: tuple = ()) -> Iterator[tuple]:
    """Yield the keys that lead to each part of a JSON value."""
    yield keys
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in list(parts)[:4] if isinstance(value, list) else parts:
        yield from keys_in(part, (*keys, key))


def with_value(document: Any, keys: tuple, value: Any) -> Any:
    """Return a document with another value behind some keys."""
    if not keys:
        return value
    document = document.copy()
    document[keys[0]] = with_value(document[keys[0]], keys[1:], value)
    return document


def is_answered(*arguments: object) -> str:
    """Run a command; return why its answer is none, or nothing."""
    answer = run(*arguments)
    shown = answer.out + answer.err
    if "Traceback" in shown or "bug in tinfl" in shown:
        return f"{arguments[0]}: {answer.err.splitlines()[-2:]}"
    if answer.code and len([line for line in answer.err.splitlines() if line.startswith("error: ")]) != 1:
        return f"{arguments[0]}: exit code {answer.code} without a reason: {answer.err}"
    return f"{arguments[0]}: control characters" if set(shown) & set("\x1b\x07\x9b") else ""


def problems_with(path, commands, tries: int = TRIES) -> list[str]:
    """Put foreign values into a JSON file, a single one at a time, and run commands; return what went wrong."""
    content = path.read_text()
    document = json.loads(content)
    rng = random.Random(0)
    choices = [(keys, value) for keys in keys_in(document) for value in VALUES]
    problems = []
    try:
        for keys, value in rng.sample(choices, min(tries, len(choices))):
            changed = with_value(document, keys, value)
            if "digest" in document and keys != ("digest",) and isinstance(changed, dict):
                write_with_digest(path, changed)
            else:
                path.write_text(json.dumps(changed))
            problems += [
                f"{list(keys)} = {str(value)[:20]!r}: {problem}"
                for arguments in commands
                if (problem := is_answered(*arguments))
            ]
    finally:
        path.write_text(content)
    return problems


def test_whatever_stands_in_the_arms_of_a_pruning(pruned):
    pruning = Paths(pruned.prunings / "main")
    reads = [("prune", pruned.root, "--report"), ("prune", pruned.root, "--report", "--json")]
    assert problems_with(pruning.arms, reads) == []


def test_whatever_stands_in_the_arms_of_a_verification(pruned):
    pruning = Paths(pruned.prunings / "example-1")
    assert problems_with(pruning.arms, [("failures", pruned.root, "--verify", "--example", 1, "--json")]) == []


def test_whatever_stands_in_the_run_info_of_a_pruning(pruned):
    pruning = Paths(pruned.prunings / "main")
    assert problems_with(pruning.run, [("prune", pruned.root, "--report"), ("status", pruning.root)]) == []


def test_whatever_stands_in_the_run_info_of_a_sweep(pruned):
    reads = [("status", pruned.root), ("rank", pruned.root, "--json"), ("subpops", pruned.root), ("logs", pruned.root)]
    assert problems_with(pruned.run, reads) == []


def test_whatever_stands_in_a_heartbeat(pruned):
    assert problems_with(pruned.heartbeat, [("status", pruned.root), ("status", pruned.root, "--json")]) == []


def test_a_renamed_target_and_an_odd_number_of_groups_are_damage(pruned):
    pruning = Paths(pruned.prunings / "main")
    content = pruning.arms.read_text()
    document = json.loads(content)
    try:
        for keys, value, reason in [
            (("ranking", "targets"), {"renamed": 1.0}, "its targets are not those of run.json"),
            (("arms", 1, "k"), 5, "does not drop 5 groups"),
            (("arms", 1, "rows", 0, "dropped"), [10**6] * 3, "drops what is not there"),
            (("arms", 1, "rows"), [], "not numbered from 0"),
            (("stages", "most"), 10**9, "a count up to"),
            (("groups",), [*document["groups"][:-1], "renamed"], "its groups are not those of run.json"),
        ]:
            write_with_digest(pruning.arms, with_value(document, keys, value))
            answer = run("prune", pruned.root, "--report")
            assert (answer.code, answer.out) == (3, "")
            assert reason in answer.err
            assert "arms.json: damaged" in answer.err
    finally:
        pruning.arms.write_text(content)


def test_arms_that_were_extended_before_run_info_was_are_read(pruned, tmp_path):
    """`arms.json` is written first."""
    root = tmp_path / "copy"
    shutil.copytree(pruned.root, root)
    pruning = Paths(root / "prune" / "main")
    info = json.loads(pruning.run.read_text())
    write_with_digest(pruning.run, info | {"arms": info["arms"] - 1})
    assert run("prune", root, "--report").code == 0
