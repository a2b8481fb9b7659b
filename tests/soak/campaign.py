"""A soak campaign: kinds of bad luck in turn, until the time is up; a table of what was tried and what survived.

Every attempt draws all its chances from one seed, (campaign seed, kind, number), which is printed with what failed:
`python -m tests.soak --only KIND --seed SEED --at NUMBER` repeats it.
"""

import random
import shutil
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Attempt = Callable[[Path, random.Random], Counter[str]]
"""Tries something in an empty directory; returns how often it did what, and raises if that was not survived."""


@dataclass
class Tally:
    """What became of one kind of bad luck.

    Attributes:
        tried: how often each thing was done, in attempts that survived.
        survived: attempts.
        failed: numbers of the attempts that did not.
        seconds: spent.
    """

    tried: Counter[str] = field(default_factory=Counter)
    survived: int = 0
    failed: list[int] = field(default_factory=list)
    seconds: float = 0.0


def run(
    kinds: Mapping[str, Attempt],
    directory: Path,
    *,
    seed: int,
    seconds: float,
    first: int = 0,
    attempts: int | None = None,
    report: Callable[[str], None] = print,
) -> dict[str, Tally]:
    """Try all kinds in turn, at least once each.

    Args:
        kinds: what to try, by name.
        directory: for what is tried; attempts that survive leave nothing there.
        seed: of the campaign.
        seconds: after which no further attempt begins.
        first: number of the first attempt of each kind.
        attempts: of each kind at most.
        report: gets a line for each attempt.
    """
    tallies = {kind: Tally() for kind in kinds}
    began, number = time.monotonic(), first
    while attempts is None or number < first + attempts:
        for kind, attempt in kinds.items():
            if number > first and time.monotonic() - began > seconds:
                return tallies
            _try(attempt, tallies[kind], directory / f"{kind}-{number}", f"{seed} {kind} {number}", number, report)
        number += 1
    return tallies


def _try(
    attempt: Attempt, tally: Tally, directory: Path, name: str, number: int, report: Callable[[str], None]
) -> None:
    directory.mkdir(parents=True)
    began = time.monotonic()
    try:
        done = attempt(directory, random.Random(name))
    except Exception:  # noqa: BLE001  (whatever it was: it is reported, and the campaign goes on)
        tally.failed.append(number)
        (directory / "failure.txt").write_text(traceback.format_exc())
        report(f"{name}: FAILED, see {directory / 'failure.txt'}\n{traceback.format_exc(limit=-2)}")
    else:
        tally.survived += 1
        tally.tried.update(done)
        shutil.rmtree(directory, ignore_errors=True)
        report(f"{name}: survived {', '.join(f'{count} {what}' for what, count in sorted(done.items()))}")
    tally.seconds += time.monotonic() - began


def table(tallies: Mapping[str, Tally], seed: int) -> str:
    """Return the campaign as a Markdown table."""
    lines = [
        f"seed {seed}, {sum(tally.seconds for tally in tallies.values()) / 60:.1f} minutes",
        "",
        "| kind | attempts | survived | what was done | minutes |",
        "| --- | --- | --- | --- | --- |",
    ]
    for kind, tally in tallies.items():
        done = ", ".join(f"{count:,} {what}" for what, count in sorted(tally.tried.items()))
        failed = f" (not: {', '.join(map(str, tally.failed))})" if tally.failed else ""
        attempts = tally.survived + len(tally.failed)
        lines.append(f"| {kind} | {attempts} | {tally.survived}{failed} | {done} | {tally.seconds / 60:.1f} |")
    return "\n".join(lines)
