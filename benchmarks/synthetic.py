"""A results directory of any size, as the real program would have left it, without a single training.

    python -m benchmarks.synthetic /tmp/paper                       # 7,540 models x 1,000 groups x 10,000 examples
    python -m benchmarks.synthetic /tmp/small --small               # 40 models x 36 groups x 400 examples
    python -m benchmarks.synthetic /tmp/half --recorded 3000        # stopped half way

Plan, records, log, heartbeat and compacted matrices are written by the program's own functions. Margins follow from
planted effects: a group helps the target class that its pictures show, a few groups help or hurt all of them, and
training noise hides three quarters of it.
"""

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.pictures import SHAPES, pictures
from tui_influence.config.identity import compute_identity
from tui_influence.config.loader import config_from_json, config_to_json
from tui_influence.designs import Row, make_design, schedule, split_examples
from tui_influence.roles import Role
from tui_influence.runs.heartbeat import Heartbeat, State, WorkerState, write_heartbeat
from tui_influence.runs.ownership import Owner
from tui_influence.runs.prepare import SAMPLES_PER_GROUP, package_versions
from tui_influence.store.events import EventLog
from tui_influence.store.examples import Examples, write_examples, write_source_thumbnails
from tui_influence.store.files import make_directory, write_json
from tui_influence.store.matrix import compact
from tui_influence.store.paths import Paths
from tui_influence.store.plan import write_plan
from tui_influence.store.records import Record, as_margins, encode, write_record
from tui_influence.store.run_info import RunInfo, SourceInfo, TargetInfo, write_run_info

SECONDS_A_MODEL = 0.5
"""That the synthetic supervisor claims."""
EXPLAINED = 0.25
"""Share of the variance of a mean margin that the mask explains."""
_BLOCK = 256
_SIDE = 32
_IMAGES_PER_GROUP = 1300
_QUALITIES = (
    "great", "spotted", "tabby", "striped", "red", "giant", "common", "black", "arctic", "short-haired", "wild",
    "African", "standard", "toy", "golden", "brown", "crested", "miniature", "mountain", "white", "sea", "old",
    "green", "double", "electric",
)  # fmt: skip
_KINDS = (
    "shark", "terrier", "lizard", "finch", "ostrich", "owl", "tree frog", "tortoise", "spaniel", "wolf", "fox", "cat",
    "bear", "beetle", "butterfly", "sloth", "monkey", "eel", "warplane", "cannon", "barn", "bottle", "truck", "cradle",
    "crane", "desk", "guitar", "harvester", "lampshade", "locomotive", "mailbox", "microphone", "organ", "teapot",
    "quilt", "racket", "sandal", "schooner", "spatula", "telescope",
)  # fmt: skip


@dataclass(frozen=True)
class Size:
    """How large a sweep is."""

    models: int
    groups: int
    examples: int
    heldout: int = 0


PAPER = Size(7540, 1000, 10_000, 100)
SMALL = Size(40, 36, 400)


class SyntheticSweep:
    """A sweep whose models cost nothing: `prepare` makes its directory, `record` what a supervisor would."""

    def __init__(self, root: Path, size: Size, name: str = "synthetic") -> None:
        self.paths, self.size = Paths(root), size
        rng = np.random.default_rng(0)
        self._labels = np.arange(size.examples) % len(SHAPES)
        self._looks = np.arange(size.groups) % len(SHAPES)
        config = config_from_json(_config(root, size, name))
        design = make_design(config.design, size.groups, config.run.seed)
        self.rows: list[Row] = schedule(design, size.models, size.heldout)
        self._alpha = config.design.alpha
        self._config, self._identity = config_to_json(config), compute_identity(config, {"source": "synthetic"})
        effects = rng.standard_normal((size.groups, size.examples), dtype=np.float32)
        effects += 3.0 * (self._looks[:, None] == self._labels)
        effects += rng.standard_normal((size.groups, 1), dtype=np.float32)
        self._noise = 0.15
        spread = math.sqrt(size.groups * self._alpha * (1 - self._alpha))
        self._effects = effects * np.float32(self._noise * math.sqrt(EXPLAINED) / spread)
        self._ease = rng.normal(2.5, 2.0, size.examples).astype(np.float32)
        self._started = time.time()

    def prepare(self) -> RunInfo:
        """Write everything that is there before the first model."""
        size, paths = self.size, self.paths
        rng = np.random.default_rng(1)
        make_directory(paths.root)
        split = split_examples(self._labels, 0)
        examples = Examples(self._labels, split, tuple(f"{SHAPES[y]}/{j:05d}.png" for j, y in enumerate(self._labels)))
        thumbnails = pictures(self._labels, rng.random(size.examples, np.float32), _SIDE, seed=2)
        digests = write_examples(paths, 0, examples, thumbnails)
        groups = np.repeat(np.arange(size.groups), SAMPLES_PER_GROUP)
        hues = ((groups * 0.618) % 1).astype(np.float32)
        source_digests = write_source_thumbnails(
            paths, pictures(self._looks[groups], hues, _SIDE, seed=3), groups.astype(np.int32)
        )
        names = group_names(size.groups)
        sizes = [_IMAGES_PER_GROUP] * size.groups
        info = RunInfo(
            name=str(self._config["run"]["name"]),
            identity=self._identity,
            config=self._config,
            seed=0,
            models=size.models,
            heldout=size.heldout,
            resolution=_SIDE,
            channels=3,
            source=SourceInfo(names, names, sizes, sum(sizes), "synthetic", 0, source_digests),
            targets=[TargetInfo("shapes", "fixed-feature", list(SHAPES), 5000, size.examples, ["a", "b"], 0, digests)],
            versions=package_versions(),
            created="2026-01-01T00:00:00+00:00",
        )
        write_plan(paths, self.rows)
        write_run_info(paths, info)
        return info

    def record(self, rows: Sequence[Row], *, durable: bool = True) -> None:
        """Record models and say so in the log; not `durable`, without waiting for the disk after each."""
        events = EventLog(self.paths.events)
        for position, record in enumerate(self._records(rows)):
            if durable:
                write_record(self.paths, record)
            else:
                path = self.paths.record(record.role, record.index, record.target)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encode(record))
            about = {"role": record.role.value, "index": record.index, "worker": position % 2}
            events.write("model", **about, seconds=2 * SECONDS_A_MODEL, metrics=[record.metrics])
        events.close()

    def event(self, event: str, **fields: Any) -> None:
        """Write an event that is no model."""
        events = EventLog(self.paths.events)
        events.write(event, **fields)
        events.close()

    def say(self, state: State, done: int) -> None:
        """Write a heartbeat, and this process as the owner."""
        left, active = len(self.rows) - done, state is State.RUNNING
        seconds = left * SECONDS_A_MODEL
        workers = [WorkerState(w, "cpu", 1, f"estimate {done + w}", done // 2) for w in range(2)] if active else []
        heartbeat = Heartbeat(
            state=state,
            time=time.time(),
            started=self._started,
            done=done,
            total=len(self.rows),
            models_per_hour=3600 / SECONDS_A_MODEL,
            eta=(seconds, 0.98 * seconds, 1.02 * seconds),
            source_accuracy=0.742,
            target_accuracy=[0.861],
            workers=workers,
        )
        write_heartbeat(self.paths, heartbeat)
        write_json(self.paths.owner, vars(Owner.this_process(self.paths.root)))

    def compact(self, info: RunInfo) -> None:
        """Compact what is worth it."""
        for role in Role:
            compact(self.paths, info, role, 0)

    def _records(self, rows: Sequence[Row]) -> Iterator[Record]:
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            masks = np.array([row.mask for row in block], dtype=np.float32) - np.float32(self._alpha)
            for row, effect in zip(block, masks @ self._effects, strict=True):
                yield self._model(row, effect)

    def _model(self, row: Row, effect: NDArray[np.float32]) -> Record:
        rng = np.random.default_rng(row.seed)
        shared = rng.normal(0, self._noise * math.sqrt(1 - EXPLAINED))
        margins = self._ease + effect + shared + 0.8 * rng.standard_normal(len(effect), dtype=np.float32)
        wrong = (self._labels + 1 + np.arange(len(effect)) % 3) % len(SHAPES)
        accuracy = float((margins > 0).mean())
        metrics = {
            "source_loss": 1.02 + 0.02 * rng.normal(),
            "source_accuracy": 0.742 + 0.01 * rng.normal(),
            "source_images": float(row.mask.sum()) * _IMAGES_PER_GROUP,
            "source_classes": float(row.mask.sum()),
            "source_steps": 5080.0,
            "target_train_loss": 0.31 + 0.01 * rng.normal(),
            "target_train_accuracy": 0.913 + 0.005 * rng.normal(),
            "probe_objective": 0.6 + 0.01 * rng.normal(),
            "probe_iterations": 24.0,
            "target_accuracy": accuracy,
        }
        return Record(
            role=row.role,
            index=row.index,
            target=0,
            seed=row.seed,
            cluster=row.cluster,
            identity=self._identity,
            numerics="cpu bf16 1 thread",
            mask=row.mask,
            margins=as_margins(margins),
            predicted=np.where(margins > 0, self._labels, wrong).astype(np.uint16),
            metrics=metrics,
        )


def write_run(root: Path, size: Size, recorded: int | None = None, name: str = "synthetic") -> SyntheticSweep:
    """Write a run of which so many models are recorded, all by default: then it is done, else stopped."""
    sweep = SyntheticSweep(root, size, name)
    rows = sweep.rows[:recorded]
    info = sweep.prepare()
    sweep.event("started", pid=1, versions=info.versions)
    sweep.event("prepared", total=len(sweep.rows), done=0, failed=0)
    sweep.record(rows, durable=False)
    sweep.compact(info)
    state = State.DONE if len(rows) == len(sweep.rows) else State.STOPPED
    sweep.event(state.value, reason="")
    sweep.say(state, len(rows))
    return sweep


def group_names(count: int) -> list[str]:
    """Names like those of a large image dataset: a few words, and now and then a list of all the words there are."""
    names = []
    for k in range(count):
        again, index = divmod(k, len(_QUALITIES) * len(_KINDS))
        quality, kind = _QUALITIES[index // len(_KINDS)], _KINDS[index % len(_KINDS)]
        name = f"{quality} {kind}" + (f" {again + 1}" if again else "")
        others = [f"{other} {kind}" for other in _QUALITIES[:6] if other != quality]
        names.append(", ".join([name, *others]) if k % 9 == 4 else name)
    return names


def _config(root: Path, size: Size, name: str) -> dict[str, Any]:
    return {
        "run": {"name": name, "seed": 0, "output": str(root)},
        "source": {"kind": "folder", "path": "data/source/train"},
        "target": [{"kind": "folder", "name": "shapes", "train": "data/shapes/train", "test": "data/shapes/test"}],
        "design": {"kind": "fixed", "alpha": 0.5, "models": size.models, "heldout": size.heldout},
    }


def main() -> None:
    """Write a run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("root", type=Path, help="results directory to make; it must not exist")
    parser.add_argument("--small", action="store_true", help="a small run; the sizes below change it further")
    parser.add_argument("--models", type=int)
    parser.add_argument("--groups", type=int)
    parser.add_argument("--examples", type=int)
    parser.add_argument("--heldout", type=int)
    parser.add_argument("--recorded", type=int, help="models recorded, held-out ones among them; all by default")
    options = parser.parse_args()
    if options.root.exists():
        parser.error(f"{options.root} exists")
    base = SMALL if options.small else PAPER
    sizes = {name: getattr(options, name) for name in vars(base) if getattr(options, name) is not None}
    started = time.perf_counter()
    sweep = write_run(options.root, Size(**{**vars(base), **sizes}), options.recorded)
    print(f"{sweep.paths.root}: {sweep.size}, written in {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
