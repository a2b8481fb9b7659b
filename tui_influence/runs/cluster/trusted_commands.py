"""Which lines of a config may reach a shell: those that its user has once started a sweep with.

A results directory holds the config of its run, and `resume` goes by it; but a directory may come from somebody else,
and nothing in it is executed. So `sweep`, which reads the user's own file, notes the shell lines in it, and the options
and places that could do harm, by their hash in the user's own state directory; and whatever goes by a results directory
asks for that note.
"""

import hashlib
import json
from pathlib import Path

from tui_influence.config.schema import ComputeSection
from tui_influence.errors import ResultsError


def trusted_lines(compute: ComputeSection) -> list[str]:
    """Return what is only done for somebody who has asked for it."""
    slurm, ray = compute.slurm, compute.ray
    if compute.executor == "slurm":
        return [*slurm.setup, *slurm.sbatch, *([slurm.stage] if slurm.stage else [])]
    return [ray.address] if compute.executor == "ray" and ray.address != "auto" else []


def record_trust(compute: ComputeSection) -> None:
    """Note that the user has started a run with these lines."""
    if trusted_lines(compute):
        note = _note(compute)
        note.parent.mkdir(parents=True, exist_ok=True)
        note.touch()


def check_trusted(compute: ComputeSection) -> None:
    """Check that the user has once started a run with these lines.

    Raises:
        ResultsError: not on this machine, and not by this user.
    """
    if trusted_lines(compute) and not _note(compute).exists():
        raise ResultsError(
            f"[compute.{compute.executor}] of this run holds lines for a shell or another machine, which are not "
            "followed because a results directory names them: start it again from your own config with `tinfl sweep`"
        )


def _note(compute: ComputeSection) -> Path:
    from platformdirs import user_state_path

    content = json.dumps([compute.executor, *trusted_lines(compute)]).encode()
    return user_state_path("tinfl") / "trusted" / hashlib.blake2b(content, digest_size=16).hexdigest()
