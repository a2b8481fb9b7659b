"""A path as its user wrote it."""

import os
from pathlib import Path


def expanded(path: str) -> Path:
    """Return a path with `~` at its start replaced by a home directory; with the `~` where there is no such user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - `Path.expanduser` raises for a user that does not exist
