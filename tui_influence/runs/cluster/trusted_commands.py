"""Shell lines of a config that may be executed: those that its user has started a sweep with.

A results directory holds the config of its run, and `resume` follows it; but a directory may come from somebody else,
and nothing in it is executed. So `sweep`, which reads the user's own file, records a hash of its shell lines, and of
options and locations that could do harm, in the user's own state directory. Commands that read the config from a
results directory require that record.
"""

import hashlib
import json
from pathlib import Path

from tui_influence.config.compute import ComputeSection
from tui_influence.errors import ResultsError


def trusted_lines(compute: ComputeSection) -> list[str]:
    """Return the lines of a config that require trust."""
    slurm, ray = compute.slurm, compute.ray
    if compute.executor == "slurm":
        return [*slurm.setup, *slurm.sbatch, *([slurm.stage] if slurm.stage else [])]
    return [ray.address] if compute.executor == "ray" and ray.address != "auto" else []


def record_trust(compute: ComputeSection) -> None:
    """Record that the user has started a run with these lines."""
    if trusted_lines(compute):
        record = _trust_record(compute)
        record.parent.mkdir(parents=True, exist_ok=True)
        record.touch()


def check_trusted(compute: ComputeSection) -> None:
    """Check that the user has started a run with these lines before.

    Raises:
        ResultsError: not on this machine, or not by this user.
    """
    if trusted_lines(compute) and not _trust_record(compute).exists():
        raise ResultsError(
            f"[compute.{compute.executor}] of this run holds lines for a shell or another machine, which are not "
            "followed because a results directory names them: start it again from your own config with `tinfl sweep`"
        )


def _trust_record(compute: ComputeSection) -> Path:
    from platformdirs import user_state_path  # here, because few configs need it

    content = json.dumps([compute.executor, *trusted_lines(compute)]).encode()
    return user_state_path("tinfl") / "trusted" / hashlib.blake2b(content, digest_size=16).hexdigest()
