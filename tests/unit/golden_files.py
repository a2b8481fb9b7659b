"""Golden files: what a format writes, byte by byte. After a wanted change: TINFL_REGENERATE=1 pytest; read the diff."""

import os
import re
from pathlib import Path

from tui_influence import __version__

REGENERATE = "TINFL_REGENERATE"
"""Environment variable: write the files in place of comparing with them."""


def content_and_golden(path: Path, text: str) -> tuple[bytes, bytes]:
    """Return a text in which the version, which changes with every release, is a word, and the golden file's bytes."""
    content = re.sub(rf'(tinfl |"version": "){re.escape(__version__)}', r"\1VERSION", text).encode("utf-8")
    if os.environ.get(REGENERATE):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return content, path.read_bytes()
