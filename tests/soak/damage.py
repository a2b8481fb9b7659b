"""Damage to results and to packed data: it is noticed, and nothing wrong is shown without a word.

Files are cut, zeroed, altered or removed, values in JSON are changed under their digest, and files and directories
change places between roles, targets, the sweep and its pruning. A ranking is then the same as before, refused, or shown
with a warning; `verify` names the damage; a resumed run moves no sound record. Once what cannot be made again is
copied again, as `verify` says, everything is as it was. A sweep over a damaged cache packs anew and leaves the records
of an undisturbed one.
"""

import io
import json
import random
import shutil
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors

from tests.e2e.program import kill_everything, record_bytes, tinfl, write_config
from tests.soak.hostile_results import finished, places_to_swap
from tests.soak.kills import MODELS, undisturbed

PATTERNS = (
    "run.json", "plan.safetensors", "matrix/*/*/*.*", "matrix/*/*/*.*", "records/*/*/*", "targets/*/*", "source/*",
    "prune/main/run.json", "prune/main/arms.json", "prune/main/plan.safetensors", "prune/main/records/*/*/*",
    "prune/main/matrix/*/*/*.*",
)  # fmt: skip
"""Files that are damaged; a pattern is drawn first, so that rare files are damaged as often as the many records."""
MADE_AGAIN = ("records", "matrix", "plan.safetensors")
"""What a resumed run makes again."""
QUESTIONS: tuple[tuple[str, ...], ...] = (
    ("rank", "ROOT", "--json"), ("rank", "ROOT", "--json", "--target", "second"),
    ("prune", "ROOT", "--report", "--json"),
)  # fmt: skip


def attempt(directory: Path, rng: random.Random) -> Counter[str]:
    """Damage the results of a finished sweep with its pruning, or the cache that another is trained from."""
    if rng.random() < 0.8:
        return Counter({f"{kind} results": 1 for kind in _damage_results(directory, rng)})
    _damage_cache(directory, rng)
    return Counter({"damaged caches": 1})


def _damage_results(directory: Path, rng: random.Random) -> set[str]:
    original = finished(directory.parent / "finished")
    root = directory / "results"
    shutil.copytree(original, root)
    kinds: set[str] = set()
    try:
        for kind in rng.choices(list(_KINDS), (4, 2, 3), k=rng.randint(1, 3)):
            if _KINDS[kind](root, rng):
                kinds.add(kind)
        damaged = _damaged_files(original, root)
        _judge_answers(original, root)
        code = tinfl("verify", root, code=None).returncode
        assert code == 3 or (code == 0 and all(is_harmless(original / name, root / name) for name in damaged)), damaged
        for run in (root, root / "prune" / "main"):
            sound = _untouched_records(original, run, damaged)
            tinfl("resume", "--foreground", run, code=None)
            assert sound == {path: _sign(path) for path in sound}, "a sound record was moved or written again"
        _judge_answers(original, root)
        _copy_again(original, root, damaged)
        for run in (root, root / "prune" / "main"):
            tinfl("resume", "--foreground", run)
            before = record_bytes(original / run.relative_to(root))
            assert before.items() <= record_bytes(run).items(), "other records"  # beyond the plan there may be more
        tinfl("verify", root)
        assert [_answer(root, question)[1] for question in QUESTIONS] == _answers(original)
    finally:
        kill_everything(root)
        kill_everything(root / "prune" / "main")
    return kinds


# --- damage -----------------------------------------------------------------------------------------------------------


def _damage_file(root: Path, rng: random.Random) -> bool:
    paths = [path for path in sorted(root.glob(rng.choice(PATTERNS))) if path.is_file()]
    if paths:
        _damage(rng.choice(paths), rng)
    return bool(paths)


def _alter_json(root: Path, rng: random.Random) -> bool:
    """Change a number, or let two neighbours in a list change places; the digest stays."""
    names = ("run.json", "prune/main/run.json", "prune/main/arms.json", "matrix/*/*/manifest.json")
    path = rng.choice(sorted(root.glob(rng.choice(names))) or [root / "run.json"])
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError):  # by earlier damage
        return False
    changes = list(_changes(values))
    if changes:
        rng.choice(changes)()
        path.write_text(json.dumps(values))
    return bool(changes)


def _changes(values: Any) -> list[Callable[[], None]]:
    """Return all that may be changed in a JSON value, as functions that do so."""
    changes: list[Callable[[], None]] = []
    for key, part in list(values.items() if isinstance(values, dict) else enumerate(values)):
        if isinstance(part, dict | list):
            changes += _changes(part)
        elif isinstance(part, int | float) and not isinstance(part, bool):
            changes.append(lambda key=key, part=part: values.__setitem__(key, part + 1))  # type: ignore[misc]
        if isinstance(values, list) and key and values[key - 1] != part:
            changes.append(lambda key=key: _swap_parts(values, key))  # type: ignore[misc]
    return changes


def _swap_parts(values: list[Any], position: int) -> None:
    values[position - 1], values[position] = values[position], values[position - 1]


def _swap_places(root: Path, rng: random.Random) -> bool:
    first, second = rng.choice(places_to_swap(root))
    elsewhere = root.parent / "elsewhere"
    if not (first.exists() and second.exists()):  # by earlier damage
        return False
    first.rename(elsewhere)
    second.rename(first)
    elsewhere.rename(second)
    return True


_KINDS: dict[str, Callable[[Path, random.Random], bool]] = {
    "damaged": _damage_file, "altered": _alter_json, "swapped": _swap_places,
}  # fmt: skip


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


# --- judging ----------------------------------------------------------------------------------------------------------


def _damaged_files(original: Path, root: Path) -> list[str]:
    """Return the names of all files that are not what they were."""
    names = {str(path.relative_to(base)) for base in (original, root) for path in base.rglob("*") if path.is_file()}
    return sorted(name for name in names if _content(original / name) != _content(root / name))


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def is_harmless(before: Path, after: Path) -> bool:
    """Whether all that a damaged file says is what it said before: what differs is padding, or is not used.

    So is a record that is gone, as the compacted matrix has it, and the digest of what is unchanged.
    """
    if "records" in before.parts and not after.exists():
        return True
    old, new = _meaning(before), _meaning(after)
    if isinstance(old, dict) and isinstance(new, dict) and before.suffix == ".json" and "digest" not in new:
        return all(new.get(key) == value for key, value in old.items() if key != "digest")
    return old is not None and old == new


def _meaning(path: Path) -> Any:
    """Return what a file says, of which two can be compared; None where it says nothing."""
    try:
        content = path.read_bytes()
        if path.suffix == ".json":
            return json.loads(content)
        if path.suffix == ".npy":
            return _array(np.load(io.BytesIO(content), allow_pickle=False))
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return header.get("__metadata__"), {name: _array(array) for name, array in load_tensors(content).items()}
    except (OSError, ValueError, EOFError, SafetensorError, SyntaxError, TypeError, KeyError, MemoryError):
        return None


def _array(array: np.ndarray) -> tuple[str, tuple[int, ...], bytes]:
    return array.dtype.str, array.shape, array.tobytes()


def _answer(root: Path, question: tuple[str, ...]) -> tuple[int, Any, str]:
    """Return the exit code of a command, what it tells, and its warnings."""
    done = tinfl(*(str(root) if word == "ROOT" else word for word in question), code=None)
    if done.returncode:
        return done.returncode, None, done.stderr
    values = json.loads(done.stdout)
    return 0, values.get("rows", values.get("results")), done.stderr


@cache
def _answers(root: Path) -> list[Any]:
    answers = [_answer(root, question) for question in QUESTIONS]
    assert all(code == 0 and answer for code, answer, _ in answers)
    return [answer for _, answer, _ in answers]


def _judge_answers(original: Path, root: Path) -> None:
    """Check that every answer is the one from undamaged results, refused, or given with a warning."""
    for question, expected in zip(QUESTIONS, _answers(original), strict=True):
        code, answer, words = _answer(root, question)
        assert code in (0, 2, 3), words  # 2: `run.json` is that of a pruning now
        if code:
            assert words.startswith("error: "), words
        elif answer != expected:
            assert "left out" in words or "missing" in words, f"{' '.join(question)}: another answer without a word"


def _untouched_records(original: Path, run: Path, damaged: list[str]) -> dict[Path, tuple[int, int]]:
    root = next(base for base in (run, run.parent.parent) if base.name == "results")
    paths = [path for path in run.glob("records/*/*/*.safetensors") if str(path.relative_to(root)) not in damaged]
    return {path: _sign(path) for path in paths if (original / path.relative_to(root)).exists()}


def _sign(path: Path) -> tuple[int, int]:
    """Return what changes when a file is moved or written again."""
    return (path.stat().st_ino, path.stat().st_mtime_ns) if path.exists() else (0, 0)


def _copy_again(original: Path, root: Path, damaged: list[str]) -> None:
    """Copy what a resumed run does not make again, as `verify` says."""
    for name in damaged:
        parts = Path(name).parts
        if any(part in MADE_AGAIN for part in parts) or parts[-1] in ("events.jsonl", "heartbeat.json"):
            continue
        if (original / name).exists():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(original / name, root / name)
        else:
            (root / name).unlink()


# --- the cache --------------------------------------------------------------------------------------------------------


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
