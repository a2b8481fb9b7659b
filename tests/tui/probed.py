"""A run with something to be found in it: failures with their cause, subpopulations, and, of single images, leaks."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.tui.runs import grey_pictures, real_config, say
from tests.unit.store.conftest import make_info, make_record
from tui_influence.runs.heartbeat import State
from tui_influence.store.examples import Examples, write_examples, write_source_thumbnails
from tui_influence.store.paths import Paths
from tui_influence.store.records import as_margins, write_record
from tui_influence.store.run_info import RunInfo, SourceInfo, TargetInfo, write_run_info

SOURCES = ["ostrich", "swift", "shark", "bus", "cab", "oak", "elm", "ash"]
LABELS = ["bird", "car"]
EXAMPLES = 48
"""Test images: birds and cars in turn, in fours of each half."""
FAILING = (0, 8)
"""A bird and another one that models get wrong; sharks are to blame for the first."""
LEAK = (3, 9)
"""The source image, where groups are single images, that is the test image."""


def make_probed(root: Path, *, models: int = 120, planned: int = 120, single: bool = False, name: str = "zoo") -> Paths:
    """Birds that ostriches drive and birds that swifts do, cars that nothing drives, and two failing birds."""
    root.mkdir(parents=True, exist_ok=True)
    paths = Paths(root)
    place = np.arange(EXAMPLES)
    labels = place % 2
    examples = Examples(labels, place // 2 % 2 == 0, tuple(f"{LABELS[k]}/{j}.png" for j, k in enumerate(labels)))
    digests = write_examples(paths, 0, examples, grey_pictures(EXAMPLES))
    target = TargetInfo("animals", "fixed-feature", LABELS, 9, EXAMPLES, ["f1"], 0, digests)
    groups = [f"{kind}/{kind[0]}1.png" for kind in SOURCES] if single else SOURCES
    sizes = [1 if single else 2] * len(groups)
    source = SourceInfo(SOURCES, groups, sizes, sum(sizes), "f0", 0)
    config = real_config(root, ("animals",), name)
    if single:
        config["source"]["groups"] = "example"
    info = replace(make_info(source=source, targets=[target], config=config), name=name, models=planned, heldout=0)
    write_run_info(paths, info)
    kept = np.repeat(np.arange(len(groups), dtype=np.int32), sizes)
    write_source_thumbnails(paths, grey_pictures(len(kept)), kept)
    add_probed(paths, info, range(models))
    say(paths, State.DONE, done=models, total=models)
    return paths


def add_probed(paths: Paths, info: RunInfo, indices: range) -> None:
    """Record some models."""
    place = np.arange(EXAMPLES)
    labels, birds = place % 2, place % 2 == 0
    effects = np.zeros((len(SOURCES), EXAMPLES))
    effects[0, birds & (place % 8 == 0)] = 1.0
    effects[1, birds & (place % 8 != 0)] = 1.0
    effects[2, FAILING[0]] = -2.0
    effects[LEAK[0], LEAK[1]] = 3.0 if info.source.sizes[0] == 1 else 0.0
    for index in indices:
        rng = np.random.default_rng(index)
        mask = rng.random(len(SOURCES)) < 0.5
        margins = 1.0 + mask @ effects + 0.3 * rng.normal() + 0.2 * rng.normal(size=EXAMPLES)
        margins[list(FAILING)] -= 4.0
        predicted = np.where(margins > 0, labels, 1 - labels).astype(np.uint16)
        record = make_record(index, mask=mask, margins=as_margins(margins), predicted=predicted)
        write_record(paths, record)
