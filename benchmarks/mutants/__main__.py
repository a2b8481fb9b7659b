"""Do the tests of a package notice when its code is changed?

    make mutants [MUTANTS_SEED=1] [MUTANTS_SAMPLE=24] [MUTANTS_PACKAGES="store analysis"]

Draws a seeded sample of mutants of each package (cosmic-ray changes an operator, a comparison, a condition or a
constant) and runs the package's tests on each, in a copy of the repository: first those that coverage saw run the
changed line, the quickest first, until one fails. A run that hangs counts as one that fails.

Prints a table, and the change of every survivor that `accepted.toml` does not list. An entry there says why a mutant
may survive; it is known by module, function and the changed line's text, so that it outlives edits elsewhere, and is
neither run nor counted. Exits with 1 if the tests of a package notice less than 85% of the others.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.mutants.accepted import load, outdated
from benchmarks.mutants.sampling import Mutant, modules_of, sample
from benchmarks.mutants.trial import Fate, copy_tree, fate_of, measure_reach

ROOT = Path(__file__).resolve().parents[2]
ENOUGH = 0.85
"""Share of the mutants that change behaviour which the tests of a package must notice."""

_EVERY = ("tests/unit/test_frozen.py",)
TESTS: dict[str, tuple[str, ...]] = {
    "store": ("tests/unit/store", *_EVERY),
    "designs": ("tests/unit/test_designs.py", *_EVERY),
    "influence": ("tests/unit/influence", *_EVERY),
    "training": ("tests/unit/training", *_EVERY),
    "analysis": ("tests/unit/analysis", *_EVERY),
    "pruning": ("tests/unit/pruning", *_EVERY),
}
"""The packages that are looked at, and the unit and integration tests that are theirs."""


@dataclass(frozen=True)
class Outcome:
    """What became of a package's sample.

    Attributes:
        package: its name.
        sampled: mutants drawn.
        accepted: those that may survive.
        survivors: those that survive all the same.
    """

    package: str
    sampled: int
    accepted: int
    survivors: tuple[tuple[Mutant, Fate], ...]

    @property
    def changing(self) -> int:
        """Mutants that change behaviour."""
        return self.sampled - self.accepted

    @property
    def noticed(self) -> int:
        """Those of them that a test notices."""
        return self.changing - len(self.survivors)

    @property
    def share(self) -> float:
        """The share of them; 1 if there are none."""
        return self.noticed / self.changing if self.changing else 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 1 if the tests of a package notice too little."""
    parser = argparse.ArgumentParser(prog="make mutants")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sample", type=int, default=24, help="mutants of each package")
    parser.add_argument("--packages", nargs="*", choices=list(TESTS), default=list(TESTS))
    options = parser.parse_args(arguments)
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as directory:
        copy = Path(directory, "copy")
        copy_tree(ROOT, copy)
        for package in options.packages or TESTS:
            scratch = Path(directory, package)
            scratch.mkdir()
            outcomes.append(try_package(package, options.sample, options.seed, copy, scratch))
    print(table(outcomes))
    for entry in outdated(load(), ROOT):
        print(f"accepted.toml is out of date: {entry.module} has no line {entry.before!r}")
    return int(any(outcome.share < ENOUGH for outcome in outcomes))


def try_package(package: str, count: int, seed: int, copy: Path, scratch: Path) -> Outcome:
    """Sample a package's mutants, run its tests on each, and print the survivors."""
    start = time.monotonic()
    mutants = sample(modules_of(package, copy), copy, count, seed)
    may_survive = {key for entry in load() for key in entry.keys}
    tried = [mutant for mutant in mutants if mutant.key not in may_survive]
    reach = measure_reach(TESTS[package], copy, scratch)
    survivors = []
    for mutant in tried:
        fate = fate_of(mutant, reach, copy, scratch)
        if fate is not Fate.NOTICED:
            survivors.append((mutant, fate))
            print(f"{mutant.module}:{mutant.line} in {mutant.function or 'the module'}: {fate}")
            print(f"  - {mutant.before}\n  + {mutant.after}", flush=True)
    print(f"{package}: {len(tried)} mutants tried in {time.monotonic() - start:.0f} s", flush=True)
    return Outcome(package, len(mutants), len(mutants) - len(tried), tuple(survivors))


def table(outcomes: Sequence[Outcome]) -> str:
    """Return a line a package."""
    lines = [f"{'package':<10} {'sampled':>8} {'accepted':>9} {'noticed':>8} {'share':>6}"]
    lines += [
        f"{mutant.package:<10} {mutant.sampled:>8} {mutant.accepted:>9} {mutant.noticed:>8} {mutant.share:>6.0%}"
        for mutant in outcomes
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
