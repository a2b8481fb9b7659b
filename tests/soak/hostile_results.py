"""Results directories made by somebody hostile, or damaged: every command over each of them, and the app.

A variant is a finished sweep with its pruning, in which one to three mutations of the tables below were made. Each
command runs in a process of its own. It may refuse, in lines that are safe to show; it may not execute anything of the
directory, show a traceback or a raw control character, hang, or take more than 1 GB.
"""

import json
import os
import pickle
import random
import shutil
import struct
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.e2e.program import processes_of, tinfl, write_config
from tests.soak.trials import Trial, prepare
from tests.unit.store.digested import write_with_digest

_MODELS = 40

Mutation = Callable[[Path, random.Random], None]

# --- commands ---------------------------------------------------------------------------------------------------------

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("status", "ROOT"),
    ("status", "ROOT", "--json"),
    ("logs", "ROOT"),
    ("logs", "ROOT", "--worker", "0"),
    ("logs", "ROOT", "--json"),
    ("rank", "ROOT"),
    ("rank", "ROOT", "--json"),
    ("rank", "ROOT", "--class", "7", "--estimator", "ridge"),
    ("rank", "ROOT", "--example", "3", "--csv", "-"),
    ("rank", "ROOT", "--class", "7", "--compare-class", "1"),
    ("show", "ROOT", "--example", "3"),
    ("show", "ROOT", "--source", "7"),
    ("subpops", "ROOT"),
    ("subpops", "ROOT", "--class", "7", "--json"),
    ("failures", "ROOT"),
    ("failures", "ROOT", "--json"),
    ("leaks", "ROOT"),
    ("verify", "ROOT"),
    ("verify", "ROOT", "--json"),
    ("prune", "ROOT", "--report"),
    ("prune", "ROOT", "--report", "--json"),
    ("prune", "ROOT", "--dry-run", "--drop-counts", "6", "--seeds", "2"),
    ("stop", "ROOT"),
    ("explore", "ROOT"),
)
"""Those that read, in this process's copies."""
STARTING: tuple[tuple[str, ...], ...] = (("resume", "ROOT", "--foreground"),)
"""Those that start processes of their own."""

# --- mutations --------------------------------------------------------------------------------------------------------

JSON_FILES = (
    "run.json", "heartbeat.json", "owner.json", "targets/0/names.json", "prune/main/run.json", "prune/main/arms.json",
    "prune/main/heartbeat.json", "matrix/estimate-t0/*/manifest.json",
)  # fmt: skip
ARRAY_FILES = (
    "targets/0/labels.npy", "targets/0/estimate.npy", "targets/0/thumbnails.npy", "source/thumbnails.npy",
    "source/groups.npy", "matrix/estimate-t0/*/margins.npy", "matrix/estimate-t0/*/predicted.npy",
    "matrix/estimate-t0/*/masks.npy", "matrix/estimate-t0/*/indices.npy", "matrix/estimate-t0/*/clusters.npy",
)  # fmt: skip
OTHER_FILES = (
    "plan.safetensors", "records/estimate/0000/0000003.t0.safetensors", "records/heldout/0000/0000001.t0.safetensors",
    "prune/main/records/arm/0000/0000002.t0.safetensors", "prune/main/plan.safetensors", "events.jsonl",
    "logs/worker-0.log", "lock",
)  # fmt: skip
NEW_FILES = ("stop.json", "failed/estimate/0000003.json", "cluster/jobs.json", "cluster/request.json", "arms.json")

_ODD_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1, 2**31, 2**63, 2**80, 10**9, 0.5, -0.0, 1e308, "", "x", "\u202e\u2028\n",
    "\x1b[2J\x1b]0;owned\x07",
    "=cmd|' /C calc'!A0", "../../../../tmp/x", "/dev/zero", "~nobody", [], {}, [[]], [None], {"": None}, "\ud800",
    "y" * 9000, [0] * 9000,
)  # fmt: skip
_ODD_TEXTS = (
    "", "null", "[]", "{}", "[" * 100_000, '{"a":' * 100_000, "NaN", "1e999", "9" * 5000, '"' + "\\ud800" + '"',
    "\x00" * 100, "\x1b[2J", "{" + ",".join(f'"{n}":{n}' for n in range(9999)) + "}", "\xff\xfe",
)  # fmt: skip
_CONFIG_VALUES: dict[str, tuple[tuple[str, Any], ...]] = {
    "source": (
        ("kind", "torchvision"), ("dataset", "LSUN"), ("root", "."), ("arguments", {"classes": ["bridge_train"]}),
    ),
    "user code": (("arch", "payload:run"),),
    "slurm": (("executor", "slurm"),),
}  # fmt: skip


_SWAPS = (
    ("matrix/estimate-t0", "matrix/estimate-t1"), ("matrix/estimate-t0", "matrix/heldout-t0"),
    ("matrix/heldout-t0", "matrix/heldout-t1"), ("matrix/estimate-t0", "prune/main/matrix/arm-t0"),
    ("targets/0", "targets/1"), ("targets/1", "prune/main/targets/0"),
    ("records/estimate/0000", "records/heldout/0000"), ("records/estimate/0000", "prune/main/records/arm/0000"),
    ("records/estimate/0000/0000003.t0.safetensors", "records/estimate/0000/0000003.t1.safetensors"),
    ("records/estimate/0000/0000003.t0.safetensors", "records/estimate/0000/0000004.t0.safetensors"),
    ("prune/main/records/arm/0000/0000002.t0.safetensors", "prune/main/records/arm/0000/0000003.t0.safetensors"),
    ("run.json", "prune/main/run.json"), ("run.json", "prune/main/arms.json"),
    ("plan.safetensors", "prune/main/plan.safetensors"),
)  # fmt: skip


def places_to_swap(root: Path) -> list[tuple[Path, Path]]:
    """Return files and directories of results that could be taken for each other."""
    return [(root / first, root / second) for first, second in _SWAPS]


class Payload:
    """What an unpickler would execute: it leaves a mark."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("import os; open(os.environ['CANARY'], 'w').close()",))


def paths_of(root: Path, pattern: str) -> list[Path]:
    """Return the files of a variant that a name of the tables means; where there is none, the name itself.

    Not what an earlier mutation has made of them: a pipe would be waited for.
    """
    paths = sorted(root.glob(pattern)) or ([] if "*" in pattern else [root / pattern])
    return [path for path in paths if not os.path.lexists(path) or (path.is_file() and path.stat().st_size < 1 << 24)]


def odd_value(root: Path, rng: random.Random) -> None:
    """Set some value of a JSON file to something else."""
    for path in paths_of(root, rng.choice(JSON_FILES)):
        with suppress(ValueError, OSError):
            content = json.loads(path.read_text())
            _set_somewhere(content, rng)
            _write_json(path, content, rng)


def odd_number(root: Path, rng: random.Random) -> None:
    """Set some number of a JSON file to one that JSON itself does not know, or to one of hundreds of digits."""
    for path in paths_of(root, rng.choice(JSON_FILES)):
        with suppress(ValueError, OSError):
            content = json.loads(path.read_text())
            _set_somewhere(content, rng, "@@")
            number = rng.choice(("NaN", "Infinity", "-Infinity", "1e999", "9" * 400, "-0", "1" + "0" * 5000))
            if isinstance(content, dict):
                content.pop("digest", None)  # as in older versions, or it would be all that is looked at
            path.write_text(json.dumps(content).replace('"@@"', number))


def odd_text(root: Path, rng: random.Random) -> None:
    """Replace a JSON file, or make one that a run of another kind has."""
    for path in paths_of(root, rng.choice(JSON_FILES + NEW_FILES)):
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(rng.choice(_ODD_TEXTS), encoding="utf-8", errors="surrogatepass")


def cut_or_flipped(root: Path, rng: random.Random) -> None:
    """Cut a file short, zero a sector of it, or flip a bit."""
    for path in paths_of(root, rng.choice(JSON_FILES + ARRAY_FILES + OTHER_FILES)):
        with suppress(OSError):
            content = bytearray(path.read_bytes() or b"x")
            at = rng.randrange(len(content))
            kind = rng.randrange(3)
            if kind == 0:
                content = content[:at]
            elif kind == 1:
                content[at : at + 512] = bytes(len(content[at : at + 512]))
            else:
                content[at] ^= 1 << rng.randrange(8)
            path.write_bytes(content)


def odd_array(root: Path, rng: random.Random) -> None:
    """Replace an array by one of another type, shape or header, by objects, or by an archive."""
    for path in paths_of(root, rng.choice(ARRAY_FILES)):
        with suppress(OSError):
            path.unlink(missing_ok=True)
            with path.open("wb") as file:
                rng.choice(_ODD_ARRAYS)(file)


def odd_tensors(root: Path, rng: random.Random) -> None:
    """Replace a safetensors file by one whose header lies."""
    header = rng.choice((
        {"mask": {"dtype": "BOOL", "shape": [10**12], "data_offsets": [0, 10**12]}},
        {"__metadata__": {"tinfl": "[" * 100_000}},
        {"__metadata__": {"tinfl": '{"role": NaN}'}, "mask": {"dtype": "F64", "shape": [], "data_offsets": [0, 8]}},
        {"masks": {"dtype": "BOOL", "shape": [0, 0], "data_offsets": [0, 0]}},
    ))  # fmt: skip
    text = json.dumps(header).encode()
    size = rng.choice((len(text), len(text) + 7, 2**63, 0))
    for path in paths_of(root, rng.choice(OTHER_FILES[:5])):
        with suppress(OSError):
            path.write_bytes(struct.pack("<Q", size) + text + bytes(8))


def no_file(root: Path, rng: random.Random) -> None:
    """Put something that is no regular file where one is expected."""
    for path in paths_of(root, rng.choice(JSON_FILES + ARRAY_FILES + OTHER_FILES + NEW_FILES)):
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
        if not path.parent.is_dir():
            continue
        path.unlink(missing_ok=True)
        kind = rng.randrange(6)
        if kind == 0:
            os.mkfifo(path)
        elif kind == 1:
            path.mkdir()
        elif kind == 2:
            path.symlink_to(
                rng.choice(("/dev/zero", "/dev/stdin", "/etc/passwd", path.name, "/nowhere", "/proc/self/mem"))
            )
        elif kind == 3:
            with path.open("wb") as file:
                file.truncate(1 << 40)
        elif kind == 4:
            path.touch(mode=0o000)
        # else: it is gone


def no_directory(root: Path, rng: random.Random) -> None:
    """Replace a directory by a link to elsewhere, a file, or nothing."""
    directory = root / rng.choice(
        ("records", "matrix", "targets", "targets/0", "source", "logs", "prune", "prune/main")
    )
    if not directory.is_dir() or directory.is_symlink():
        return
    elsewhere = root.parent / "elsewhere"
    shutil.rmtree(elsewhere, ignore_errors=True)
    directory.rename(elsewhere)
    kind = rng.randrange(3)
    if kind == 0:
        directory.symlink_to(elsewhere)
    elif kind == 1:
        directory.write_bytes(b"")


def forged_config(root: Path, rng: random.Random) -> None:
    """Let `run.json` name a dataset that unpickles, code, or a cluster's commands; leave pickles for it."""
    for path in (*paths_of(root, "run.json"), *paths_of(root, "prune/main/run.json")):
        with suppress(ValueError, OSError, KeyError, TypeError):
            content = json.loads(path.read_text())
            kind = rng.choice(list(_CONFIG_VALUES))
            if kind == "user code":
                content["config"]["model"] = {"arch": "payload:run"}
            elif kind == "slurm":
                slurm = {"setup": ["touch $CANARY"], "sbatch": ["--wrap=touch $CANARY"], "stage": "$(touch $CANARY)"}
                content["config"]["compute"] = {"executor": rng.choice(("slurm", "ray")), "slurm": slurm}
            else:
                section = dict(_CONFIG_VALUES["source"])
                content["config"]["source"] = section | {"dataset": rng.choice(("LSUN", "ImageNet", "Kinetics", "os"))}
            _write_json(path, content, rng)
    (root / "payload.py").write_text("import os; open(os.environ['CANARY'], 'w').close()")
    for name in ("_cache_bridge_train_lmdb", "meta.bin"):
        (root / name).write_bytes(pickle.dumps(Payload()))


def swapped(root: Path, rng: random.Random) -> None:
    """Let two files or directories of different roles, targets or runs change places, or put one in the other's."""
    first, second = rng.choice(places_to_swap(root))
    elsewhere = root.parent / "swapped"
    with suppress(OSError):
        first.rename(elsewhere)
        second.rename(first)
        if rng.random() < 0.5:
            elsewhere.rename(second)


def misplaced_arms(root: Path, rng: random.Random) -> None:
    """Put the arms of the pruning, or one of its other files, into the sweep."""
    for path in paths_of(root, rng.choice(("prune/main/arms.json", "prune/main/run.json"))):
        with suppress(OSError):
            shutil.copy(path, root)


def odd_events(root: Path, rng: random.Random) -> None:
    """Write events, logs and failures that nobody has logged."""
    event = rng.choice((
        {"time": 10**400, "event": "model"}, {"time": 1, "event": "model", "metrics": [{"source_accuracy": 10**400}]},
        {"time": -1, "event": "\x1b[2J"}, {"time": True, "event": "round", "rows": []},
        {"time": 1, "event": "retry", "role": [], "index": {}, "reason": "\x1b]0;x\x07"},
        {"time": 1, "event": "model", "seconds": "\u202e" * 9999, "worker": None, "role": "x" * 9999},
        {"time": 1, "event": "model", "metrics": [{"target_accuracy": True}]},
    ))  # fmt: skip
    line = json.dumps(event).replace('"time": 1,', f'"time": {rng.choice(("1", "1e999", "NaN", "1e18"))},')
    events, log = root / "events.jsonl", root / "logs" / "worker-0.log"
    if not (events.is_file() and log.is_file()):  # by an earlier mutation
        return
    with events.open("ab") as file:
        file.write(line.encode() + rng.choice((b"\n", b"", b"\x00\n", b"x" * (2 << 20) + b"\n")))
    with log.open("ab") as file:
        file.write(b"\x1b[2J\x9b2J\x00\r\n" + b"y" * (1 << 20) + b"\n")


def odd_names(root: Path, rng: random.Random) -> None:
    """Give the run, its classes and its targets names that would move a terminal's cursor."""
    for path in (*paths_of(root, "run.json"), *paths_of(root, "prune/main/run.json")):
        with suppress(ValueError, OSError, KeyError, TypeError, IndexError):
            content = json.loads(path.read_text())
            bad = rng.choice(
                ("\x1b[2J\x1b]0;owned\x07", "\u202eevil", "a\nb\rc", "[bold red]x[/]", "[@click=app.bell]x[/]", "")
            )
            content["name"] = bad
            content["targets"][0]["name"] = bad
            content["source"]["groups"] = [f"{bad}{n}" for n in range(len(content["source"]["groups"]))]
            content["source"]["classes"] = content["source"]["groups"]
            _write_json(path, content, rng)


MUTATIONS: tuple[Mutation, ...] = (
    odd_value, odd_value, odd_value, odd_number, odd_text, cut_or_flipped, cut_or_flipped, odd_array, odd_tensors,
    no_file, no_file, no_directory, forged_config, swapped, misplaced_arms, odd_events, odd_names,
)  # fmt: skip


def _write_json(path: Path, content: Any, rng: random.Random) -> None:
    """Write a JSON file, mostly with the digest of what is in it: else that would be all that is looked at."""
    if isinstance(content, dict) and "digest" in content and rng.random() < 0.8:
        write_with_digest(path, content)
    else:
        path.write_text(json.dumps(content))


def _set_somewhere(content: Any, rng: random.Random, value: Any = ...) -> None:
    """Replace or remove some value, however deep; the outer ones as often as the inner ones."""
    while isinstance(content, dict | list) and content:
        keys = list(content) if isinstance(content, dict) else list(range(len(content)))
        key = rng.choice(keys)
        if isinstance(content[key], dict | list) and content[key] and rng.random() < 0.7:
            content = content[key]
            continue
        if rng.random() < 0.15:
            del content[key]
        else:
            content[key] = rng.choice(_ODD_VALUES) if value is ... else value
        return


def _header(shape: str, descr: str = "'|u1'", order: str = "False") -> Callable[[Any], object]:
    def write(file: Any) -> None:
        text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
        text += b" " * (-(len(text) + 11) % 64) + b"\n"
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(64))

    return write


def _zip(file: Any) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.npy", b"")


_ODD_ARRAYS: tuple[Callable[[Any], object], ...] = (
    _header("(1000000000000,)"), _header("(1000000000000,)", "'<i8'"), _header("(-1,)"), _header("()"),
    _header("(True,)"), _header("(1" + ",1" * 40 + ")"), _header("__import__('os')"), _header("(" * 300 + ")" * 300),
    _header("(4,)", "'|O'"),
    _header("(4,)", "'<M8[ns]'"), _header("(4,)", "[('a', '<i8')]"), _header("(2, 2)", "'<i8'", "True"), _zip,
    lambda file: np.save(file, np.array([Payload()], dtype=object), allow_pickle=True),
    lambda file: file.write(pickle.dumps(Payload())),
    lambda file: np.save(file, np.full(2000, np.nan)),
    lambda file: file.write(b"\x93NUMPY\x03\x00" + struct.pack("<I", 2**31)),
    lambda file: None,
)  # fmt: skip

# --- trying them ------------------------------------------------------------------------------------------------------


def attempt(directory: Path, rng: random.Random) -> Counter[str]:
    """Make one variant, and run all commands over it."""
    root, canary = directory / "results", directory / "executed"
    shutil.copytree(finished(directory.parent / "finished"), root, symlinks=True)
    names = [mutation.__name__ for mutation in rng.choices(MUTATIONS, k=rng.randint(1, 3))]
    before = os.environ.get("CANARY"), Path.cwd()
    os.environ["CANARY"] = str(canary)
    try:
        for name in names:
            globals()[name](root, rng)
        os.chdir(root)
        for command in (*COMMANDS, *STARTING):
            words = [str(root) if word == "ROOT" else word for word in command]
            problem = Trial(words).problem()
            assert not problem, f"{' '.join(command)} after {', '.join(names)}: {problem}"
            assert not canary.exists(), f"{' '.join(command)} after {', '.join(names)} executed something"
    finally:
        os.chdir(before[1])
        for process in processes_of(root):  # what owner.json says is not to be believed here
            process.kill()
    return Counter({"variants": 1, "commands": len(COMMANDS) + len(STARTING)})


@cache
def finished(directory: Path) -> Path:
    """Return a finished sweep of two targets with equally many examples, with a finished pruning; made once."""
    prepare()
    directory.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, count in (("train", 40), ("test", 100)):
        labels = np.arange(count) % 10
        images = rng.integers(0, 128, (count, 8, 8), np.uint8) + (12 * labels[:, None, None]).astype(np.uint8)
        np.savez(directory / f"{part}.npz", x=images, y=labels)
    second = (
        f'[[target]]\nname = "second"\nkind = "npz"\ntrain = "{directory}/train.npz"\ntest = "{directory}/test.npz"'
    )
    config = write_config(
        directory, models=_MODELS, swap={"[design]": f"{second}\n\n[design]", "heldout = 2": "heldout = 4"}
    )
    tinfl("sweep", "--foreground", config)
    tinfl("prune", directory / "results", "--foreground", "--drop-counts", "6", "--seeds", "2", "--ci-width", "0")
    assert list((directory / "results" / "matrix").rglob("*.npy")), "nothing was compacted"
    return directory / "results"
