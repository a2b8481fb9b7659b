"""Packed datasets copied to a node's own disk, so that many tasks do not read one file system at once."""

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tui_influence.datasets.cache import Cache, default_cache
from tui_influence.datasets.problems import reason_of, shown
from tui_influence.errors import DatasetError


@contextmanager
def staged(stage: str | None, fingerprints: Sequence[str]) -> Iterator[None]:
    """Let this process and those it starts find packed datasets in a directory of this node while the context lasts.

    What is copied stays there for the tasks that come after; entries are found by what they hold, so an old copy is
    never a wrong one.

    Args:
        stage: the directory, in which `$NAME` stands for a variable of the environment; nothing is done for None.
        fingerprints: of the datasets; one that the cache does not have is left to who looks for it.

    Raises:
        DatasetError: the directory cannot be written, or a variable of its name is not set.
    """
    if stage is None:
        yield
        return
    there = os.path.expandvars(stage)
    if "$" in there:
        raise DatasetError(f"compute.slurm.stage: {stage} names a variable that is not set on this node")
    near, far, before = Cache(Path(there) / f"tinfl-{os.getuid()}"), default_cache(), os.environ.get("TINFL_CACHE")
    try:
        for fingerprint in fingerprints:
            _copy(near, far, fingerprint)
    except OSError as error:
        raise DatasetError(f"cannot copy packed data to {shown(near.root)}: {reason_of(error)}") from error
    os.environ["TINFL_CACHE"] = str(near.root)
    try:
        yield
    finally:
        if before is None:
            del os.environ["TINFL_CACHE"]
        else:
            os.environ["TINFL_CACHE"] = before


def _copy(near: Cache, far: Path, fingerprint: str) -> None:
    if near.open(fingerprint, verify=False) is not None or Cache(far).open(fingerprint, verify=False) is None:
        return
    for name in ("packed", "tmp"):
        (near.root / name).mkdir(parents=True, exist_ok=True)
    folder = near.root / "tmp" / secrets.token_hex(8)
    try:
        shutil.copytree(far / "packed" / fingerprint, folder)
        near.install(folder, fingerprint)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
