"""Run a soak campaign: `python -m tests.soak --seconds 3600 --seed 1 [--only KIND ...] [--at NUMBER]`."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.soak import (
    damage,
    disks,
    hostile_datasets,
    hostile_results,
    kills,
    mutated_configs,
    prunings,
    races,
    workers,
)
from tests.soak.campaign import Attempt, run, table

KINDS: dict[str, Attempt] = {
    "disks": disks.attempt,
    "kills": kills.attempt,
    "races": races.attempt,
    "damage": damage.attempt,
    "workers": workers.attempt,
    "prunings": prunings.attempt,
    "configs": mutated_configs.attempt,
    "results": hostile_results.attempt,
    "datasets": hostile_datasets.attempt,
}


def main() -> int:
    """Run the campaign; exit with 1 if anything was not survived."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--at", type=int, help="repeat the attempt of this number alone")
    parser.add_argument("--directory", type=Path, help="where what fails is kept")
    options = parser.parse_args()
    directory = options.directory or Path(tempfile.mkdtemp(prefix="tinfl-soak-"))
    os.environ["TINFL_CACHE"] = str(directory / "cache")
    os.environ["TINFL_CONFIG"] = ""
    kinds = {kind: KINDS[kind] for kind in options.only}
    once = {} if options.at is None else {"first": options.at, "attempts": 1}
    tallies = run(kinds, directory, seed=options.seed, seconds=options.seconds, **once)
    print(f"\n{table(tallies, options.seed)}")
    return int(any(tally.failed for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
