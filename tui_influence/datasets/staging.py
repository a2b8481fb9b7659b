"""Packed datasets copied to a node's own disk, so that many tasks do not read one file system at once."""

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tui_influence.datasets.cache import Cache, default_cache
from tui_influence.datasets.problems import reason_of, shown


@contextmanager
def staged(stage: str | None, fingerprints: Sequence[str], warn: Callable[[str], None]) -> Iterator[None]:
    """Let this process and those it starts find packed datasets in a directory of this node while the context lasts.

    What is copied stays there for the tasks that come after; entries are found by what they hold, so an old copy is
    never a wrong one. Where nothing can be copied, the cache that all nodes share serves as well, if more slowly.

    Args:
        stage: the directory, in which `$NAME` stands for a variable of the environment; nothing is done for None.
        fingerprints: of the datasets; one that the cache does not have is left to who looks for it.
        warn: is told why nothing could be copied.
    """
    near = _filled(stage, fingerprints, warn) if stage is not None else None
    if near is None:
        yield
        return
    before = os.environ.get("TINFL_CACHE")
    os.environ["TINFL_CACHE"] = str(near)
    try:
        yield
    finally:
        if before is None:
            del os.environ["TINFL_CACHE"]
        else:
            os.environ["TINFL_CACHE"] = before


def _filled(stage: str, fingerprints: Sequence[str], warn: Callable[[str], None]) -> Path | None:
    """Return a cache on this node that holds the datasets; None if there can be none."""
    there = os.path.expandvars(stage)
    if "$" in there:
        warn(f"compute.slurm.stage: {shown(stage)} names a variable that is not set on this node")
        return None
    near, far = Cache(Path(there) / f"tinfl-{os.getuid()}"), default_cache()
    try:
        near.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if near.root.lstat().st_uid != os.getuid():  # in a directory that all users write to, anybody may be first
            raise PermissionError(errno.EPERM, "it belongs to somebody else")
        for fingerprint in fingerprints:
            _copy(near, far, fingerprint)
    except OSError as error:
        warn(f"cannot copy packed data to {shown(near.root)}: {reason_of(error)}; they are read from {shown(far)}")
        return None
    return near.root


def _copy(near: Cache, far: Path, fingerprint: str) -> None:
    """Copy a dataset, unless it is there; of tasks that begin at once on a node, one copy stays."""
    if near.open(fingerprint) is not None or Cache(far).open(fingerprint, verify=False) is None:
        return
    for name in ("packed", "tmp"):
        (near.root / name).mkdir(parents=True, exist_ok=True)
    folder = near.root / "tmp" / secrets.token_hex(8)
    try:
        shutil.copytree(far / "packed" / fingerprint, folder)
        near.install(folder, fingerprint)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
