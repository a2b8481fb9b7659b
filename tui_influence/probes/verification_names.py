"""Where the retrainings that verify an example are kept, and the command line that asks for them.

Loads nothing heavy: an app asks for every image that is opened, and paints meanwhile.
"""

import re
import shlex
from pathlib import Path

from tui_influence.ranking_question import Question
from tui_influence.store.paths import Paths

_NAME = re.compile(r"(?:target-\d+-)?example-(\d+)")


def kept_at(sweep: Paths, target: int, example: int) -> Paths:
    """Return where the verification of an example is, or would be, kept: it is a pruning, called by its example.

    Args:
        sweep: the sweep whose models are asked what is to blame.
        target: position of the target; all but the first are named too.
        example: number of the test example.
    """
    name = f"example-{example}" if not target else f"target-{target}-example-{example}"
    return Paths(sweep.prunings / name)


def example_of(name: str) -> int | None:
    """Return the example that the pruning of a name verifies; None if it is of another kind."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else None


def verify_command(question: Question, results: str | Path, seeds: int | None = None) -> str:
    """Return the command line that verifies the question's example, or shows what that found; or retrains more."""
    more = [] if seeds is None else [f"--seeds={seeds}"]
    return shlex.join(["tinfl", "failures", "--verify", *more, *question.arguments(results, "failures")[1:]])
