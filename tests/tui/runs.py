"""Results directories in every state, made by hand, and an app on them."""

import json
import re
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.unit.store.conftest import make_info, make_record
from tests.unit.store.digested import write_with_digest
from tui_influence.config.schema import Config
from tui_influence.roles import Role
from tui_influence.runs.heartbeat import ACTIVE, Heartbeat, State, WorkerState, write_heartbeat
from tui_influence.runs.ownership import Owner
from tui_influence.store.events import EventLog
from tui_influence.store.examples import Examples, write_examples, write_source_thumbnails
from tui_influence.store.files import write_json
from tui_influence.store.paths import Paths
from tui_influence.store.records import as_margins, write_record
from tui_influence.store.run_info import RunInfo, SourceInfo, TargetInfo, write_run_info
from tui_influence.tui.app import ExploreApp

EXAMPLES = 12
PATIENCE = 20.0


def make_run(
    root: Path,
    *,
    models: int = 40,
    groups: int | list[str] = 30,
    targets: tuple[str, ...] = ("digits",),
    state: State | None = State.DONE,
    planned: int = 60,
    name: str = "small",
    noise: float = 0.5,
    classes: int = 3,
    pictures: bool = True,
    effects: tuple[float, float] = (1, -1),
) -> Paths:
    """A run whose groups have known effects, most helpful first: from the first of `effects` to the last."""
    root.mkdir(parents=True, exist_ok=True)
    paths = Paths(root)
    names = [f"class {k:02d}" for k in range(groups)] if isinstance(groups, int) else groups
    examples = Examples(np.arange(EXAMPLES) % classes, np.arange(EXAMPLES) % 2 == 0, ("x",) * EXAMPLES)
    labels = ["x", "y", "z"] if classes == 3 else [f"label {place}" for place in range(classes)]
    described = []
    for position, target in enumerate(targets):
        digests = write_examples(paths, position, examples, grey_pictures(EXAMPLES))
        described.append(TargetInfo(target, "fixed-feature", labels, 3, EXAMPLES, ["f1"], 0, digests))
    count = len(names)
    source = SourceInfo(names, names, [2] * count, 2 * count, "f0", 0)
    config = real_config(root, targets, name)
    info = replace(make_info(source=source, targets=described, config=config), name=name, models=planned, heldout=0)
    write_run_info(paths, info)
    if pictures:
        write_source_thumbnails(paths, grey_pictures(2 * count), np.repeat(np.arange(count, dtype=np.int32), 2))
    else:
        (paths.target(0) / "thumbnails.npy").unlink()
    add_models(paths, info, range(models), noise=noise, effects=effects)
    if state is not None:
        say(paths, state, done=models, total=planned)
    return paths


def real_config(root: Path, targets: tuple[str, ...], name: str) -> dict:
    """A config that such a run could be of, so that its results can be pruned."""

    def possible(name: str) -> str:
        return re.sub(r"[^\w.-]", "-", name).strip("-._")

    folder = {"kind": "folder", "train": "train", "test": "test"}
    written = {
        "run": {"name": possible(name), "output": str(root)},
        "source": {"kind": "builtin", "name": "glyphs"},
        "target": [{"name": possible(target), **folder} for target in targets],
        "design": {"kind": "fixed", "alpha": 0.5, "models": 60},
    }
    return Config.model_validate(written).model_dump(mode="json")


def grey_pictures(count: int) -> np.ndarray:
    """Grey images of 8 by 8 pixels, the n-th with 3 + n white ones."""
    lit = np.arange(64) < 3 + np.arange(count)[:, None] % 60
    return (255 * lit).astype(np.uint8).reshape(count, 8, 8, 1)


def add_models(
    paths: Paths, info: RunInfo, indices: range, noise: float = 0.5, effects: tuple[float, float] = (1, -1)
) -> None:
    """Record some more models."""
    count = len(info.source.groups)
    each = np.linspace(*effects, count)
    for index in indices:
        rng = np.random.default_rng(index)
        mask = rng.random(count) < 0.5
        metrics = {"source_accuracy": 0.9, "source_loss": 0.2, "source_classes": 9.0, "target_accuracy": index / 100}
        for target in range(len(info.targets)):
            sign = -1 if target else 1
            margins = as_margins(sign * (mask @ each) + noise * rng.normal() + 0.01 * rng.normal(size=EXAMPLES))
            write_record(paths, make_record(index, target=target, mask=mask, margins=margins, metrics=metrics))


def say(paths: Paths, state: State, *, done: int = 40, total: int = 60, **changes) -> None:
    """Write a heartbeat, and an owner that lives (this process) unless the run is lost."""
    said = State.RUNNING if state is State.LOST else state
    workers = [WorkerState(0, "cpu", 1, "estimate 41", 20), WorkerState(1, "cpu", 2, "", 20)] if said in ACTIVE else []
    found = Heartbeat(
        state=said,
        time=time.time(),
        started=time.time() - 60,
        done=done,
        total=total,
        models_per_hour=1200.0,
        eta=(60.0, 50.0, 70.0) if said in ACTIVE else None,
        source_accuracy=0.91,
        target_accuracy=[0.5],
        workers=workers,
        reason="the disk is full" if state is State.FAILED else "",
    )
    write_heartbeat(paths, replace(found, **changes))
    owner = Owner.this_process(paths.root)
    write_json(paths.owner, vars(replace(owner, pid=2**22 - 1) if state is State.LOST else owner))


def log(paths: Paths, count: int) -> None:
    """Write a log of so many models, every hundredth failed."""
    events = EventLog(paths.events)
    for index in range(count):
        if index % 100 == 99:
            events.write("failed", role="estimate", index=index, reason="NaN loss")
        else:
            events.write("model", role="estimate", index=index, worker=0, seconds=1.5)
    events.close()


def spoil(paths: Paths, **changes) -> None:
    """Change keys of run.json."""
    found = json.loads(paths.run.read_text())
    found.update(changes)
    write_with_digest(paths.run, found)


def fail(paths: Paths, index: int, reason: str) -> None:
    """Give a model up."""
    path = paths.failure(Role.ESTIMATE, index)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"reason": reason}))


@asynccontextmanager
async def exploring(root: Path, size: tuple[int, int] = (80, 24), **options):
    """An app on a run, after its first look."""
    app = ExploreApp(root, **options)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(
            pilot, lambda: app.state.overview is not None or app.state.sweep.error or app.current_mode == "picker"
        )
        yield app, pilot


async def until(pilot, condition: Callable[[], object]) -> None:
    """Wait for what a thread will bring."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, screen_text(pilot.app)
        await pilot.pause(0.05)
    await pilot.pause()


async def ranked(app, pilot) -> None:
    """Wait for the answer to the question that is asked."""
    await until(pilot, lambda: not app.state.ranking.is_stale or app.state.ranking.error)


def words(app) -> str:
    """What is on the screen, however it is broken into lines."""
    return " ".join(screen_text(app).translate(str.maketrans("│┌┐└┘─", "      ")).split())


def screen_text(app) -> str:
    """What is on the screen, without styles."""
    lines = app.screen._compositor.render_strips(app.size)
    return "\n".join(strip.text.rstrip() for strip in lines[: app.size.height])
