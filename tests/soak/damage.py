"""Damage to what is derived from the records, and to packed data: it is noticed, and nothing shown depends on it.

A ranking from a damaged matrix is the same as before or refused; `verify` names the damage; a resumed run is sound
again. A sweep over a damaged cache packs anew and leaves the records of an undisturbed one.
"""

import json
import random
import shutil
from collections import Counter
from functools import cache
from pathlib import Path

from tests.e2e.program import kill_everything, record_bytes, tinfl, write_config
from tests.soak.hostile_results import finished
from tests.soak.kills import MODELS, undisturbed


def attempt(directory: Path, rng: random.Random) -> Counter[str]:
    """Damage the matrix of a finished sweep, or the cache that another is trained from."""
    if rng.random() < 0.7:
        _damage_matrix(directory, rng)
        return Counter({"damaged matrices": 1})
    _damage_cache(directory, rng)
    return Counter({"damaged caches": 1})


def _damage_matrix(directory: Path, rng: random.Random) -> None:
    original = finished(directory.parent / "finished")
    root = directory / "results"
    shutil.copytree(original, root)
    try:
        for path in rng.choices(sorted((root / "matrix").rglob("*.*")), k=rng.randint(1, 3)):
            _damage(path, rng)
        rows = json.loads(tinfl("rank", root, "--json").stdout)["rows"]
        assert rows == _ranking(original), "another ranking"
        is_damaged = tinfl("verify", root, code=None).returncode
        assert is_damaged in (0, 3)  # 0: cut or flipped where nothing is read, such as the padding of a header
        tinfl("resume", "--foreground", root)
        tinfl("verify", root)
        assert json.loads(tinfl("rank", root, "--json").stdout)["rows"] == rows, "another ranking after resuming"
    finally:
        kill_everything(root)


@cache
def _ranking(root: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads(tinfl("rank", root, "--json").stdout)["rows"]
    return rows


def _damage_cache(directory: Path, rng: random.Random) -> None:
    root, packed = directory / "results", directory / "cache"
    config = write_config(directory, models=MODELS)
    try:
        tinfl("check", config, "--no-time", TINFL_CACHE=str(packed))
        for path in rng.choices([path for path in sorted(packed.rglob("*")) if path.is_file()], k=rng.randint(1, 3)):
            _damage(path, rng)
        tinfl("sweep", "--foreground", config, TINFL_CACHE=str(packed))
        assert record_bytes(root) == undisturbed(directory.parent / "undisturbed"), "records differ"
    finally:
        kill_everything(root)


def _damage(path: Path, rng: random.Random) -> None:
    """Cut a file short, zero a sector of it, flip a bit, or remove it."""
    content = bytearray(path.read_bytes()) if path.exists() else bytearray()
    if not content or rng.random() < 0.1:
        path.unlink(missing_ok=True)
        return
    at = rng.randrange(len(content))
    kind = rng.randrange(3)
    if kind == 0:
        content = content[:at]
    elif kind == 1:
        sector = slice(at // 512 * 512, at // 512 * 512 + 512)
        content[sector] = bytes(len(content[sector]))
    else:
        content[at] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
