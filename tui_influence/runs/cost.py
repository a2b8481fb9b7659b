"""Estimate of a sweep's cost, from a few timed training steps on every worker's device at once.

    python -P -m tui_influence.runs.cost DEVICE THREADS RESOLUTION CHANNELS [--allow-code]

with a config as JSON on stdin, whose datasets are in the cache at that resolution and number of channels.

A model's time is linear in its number of source steps, plus its transfers: two short trainings of different length
give slope and intercept, a third the time of one more epoch of fine-tuning.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.config.loader import config_from_json, config_to_json
from tui_influence.config.schema import Config, Source, Target
from tui_influence.datasets import ImageShape, UntrustedDatasetError, native_shape
from tui_influence.designs import make_design
from tui_influence.errors import ExitCode, RunFailedError, TinflError
from tui_influence.roles import Role
from tui_influence.runs.datasets import Datasets, open_datasets
from tui_influence.runs.devices import worker_environment
from tui_influence.runs.prepare import SAMPLES_PER_GROUP, thumbnail_side

_SHORT, _LONG = 5, 25
"""Source steps of the two timed trainings."""
_RECORD_BYTES = 1024
"""Of a record besides its arrays: names, metrics, digest."""


NOT_TIMED = "not timed: this machine does not train; see the first two models, or run this command in a job"
"""Message on a machine where nothing is timed."""


def trains_here(config: Config) -> bool:
    """Whether a run would train on this machine; false on the login node of a cluster."""
    return config.compute.executor == "local" or "SLURM_JOB_ID" in os.environ


@dataclass(frozen=True)
class Cost:
    """The cost of a sweep.

    Attributes:
        seconds_per_model: on one worker, while the others train too.
        steps_per_model: of the optimiser on the source.
        workers: processes that train side by side.
        models: to train at least, held-out ones and prior networks included.
        seconds_per_prior: on one worker; that of a prior network.
        prior: prior networks among the models.
        disk: bytes of records, of the compacted matrix and of thumbnails, at most.
        numerics: a description of each device's arithmetic.
        models_at_most: to train at most, if the sweep trains until a reliability.
        streamed_bytes: of images that are read during training, on the device that reads most.
    """

    seconds_per_model: float
    steps_per_model: int
    workers: int
    models: int
    disk: int
    numerics: list[str]
    seconds_per_prior: float = 0.0
    prior: int = 0
    models_at_most: int = 0
    streamed_bytes: int = 0

    @property
    def models_per_hour(self) -> float:
        """Of all workers together."""
        return 3600 * self.workers / self.seconds_per_model

    @property
    def seconds(self) -> float:
        """Of the whole sweep, at least."""
        return self._seconds(self.models)

    @property
    def seconds_at_most(self) -> float:
        """Of the whole sweep, at most."""
        return self._seconds(max(self.models, self.models_at_most))

    def _seconds(self, count: int) -> float:
        models = count - self.prior
        return (models * self.seconds_per_model + self.prior * self.seconds_per_prior) / self.workers


def estimate_cost(config: Config, data: Datasets, devices: list[str], *, trusted: bool = False) -> Cost:
    """Time a few steps on all workers' devices at once.

    Args:
        config: of the sweep; from the user's own file, so its network may be their code.
        data: its datasets.
        devices: of each worker.
        trusted: whether the config was read from the user's own file: see `open_datasets`.

    Raises:
        TinflError: it cannot be trained; with the reason of the first worker that fails.
    """
    request = json.dumps(config_to_json(config)).encode()
    with ExitStack() as stack:
        processes = []
        for device in devices:
            processes.append(stack.enter_context(_start(config, data, device)))
            stack.callback(processes[-1].kill)  # it may still be training when another fails
        for process in processes:
            _send(process, request)
        timings = [_receive(process) for process in processes]
    return Cost(
        seconds_per_model=float(np.mean([timing["seconds"] for timing in timings])),
        steps_per_model=timings[0]["steps"],
        workers=len(devices),
        models=config.n_models,
        models_at_most=config.n_models_at_most,
        disk=_disk(config, data, trusted=trusted),
        numerics=sorted({timing["numerics"] for timing in timings}),
        seconds_per_prior=float(np.mean([timing["prior_seconds"] for timing in timings])),
        prior=config.n_prior,
        streamed_bytes=max(timing["streamed_bytes"] for timing in timings),
    )


def _start(config: Config, data: Datasets, device: str) -> "subprocess.Popen[bytes]":
    threads = config.compute.threads
    numbers = map(str, (threads, data.resolution, data.channels))
    command = [sys.executable, "-P", "-m", "tui_influence.runs.cost", device, *numbers]
    return subprocess.Popen(
        [*command, "--allow-code"] if config.model.is_user_code else command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | worker_environment(device, threads),
    )


def _send(process: "subprocess.Popen[bytes]", request: bytes) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it is dead already: `_receive` reads the reason
        process.stdin.write(request)
    with suppress(BrokenPipeError):
        process.stdin.close()
    process.stdin = None


def _receive(process: "subprocess.Popen[bytes]") -> dict[str, Any]:
    out, err = process.communicate()
    try:
        timing: dict[str, Any] = json.loads(out.splitlines()[-1])
    except (ValueError, IndexError) as error:
        lines = err.decode(errors="replace").strip().splitlines()
        raise RunFailedError(f"a timed training ended early: {lines[-1] if lines else 'no message'}") from error
    if "reason" in timing:
        failure = RunFailedError(timing["reason"])
        failure.exit_code, failure.details = ExitCode(timing["exit_code"]), tuple(timing["details"])
        raise failure
    return timing


def _disk(config: Config, data: Datasets, *, trusted: bool = False) -> int:
    models = config.n_models_at_most
    groups = len(data.groups.names)
    # margins in float16 and predicted labels in uint16, in a record and once more in the compacted matrix
    records = sum(models * (2 * (4 * len(target.test) + groups) + _RECORD_BYTES) for target in data.targets)
    sizes = np.bincount(data.groups.group_of_image[data.groups.group_of_image >= 0], minlength=groups)
    samples = int(np.minimum(sizes, SAMPLES_PER_GROUP).sum())
    images = [
        (config.source, samples),
        *zip(config.target, (len(target.test) for target in data.targets), strict=True),
    ]
    return records + sum(_thumbnail_bytes(section, count, data, trusted=trusted) for section, count in images)


def _thumbnail_bytes(section: Source | Target, count: int, data: Datasets, *, trusted: bool) -> int:
    """Estimate the size of the thumbnails of so many images, if all are as large as the first."""
    try:
        shape = native_shape(section, trusted=trusted)
    except UntrustedDatasetError:
        shape = ImageShape(data.resolution, data.channels)
    return count * min(thumbnail_side(count, data.channels), shape.side) ** 2 * shape.channels


def _time_model(config: Config, device: str, threads: int, shape: tuple[int, int]) -> dict[str, Any]:
    """Return the expected seconds of one whole model and of a prior network on this device."""
    from tui_influence.runs.worker import trainer_for  # here, because it loads torch, in the timed process alone

    data = open_datasets(config, None, shape)
    design = make_design(config.design, len(data.groups.names), config.run.seed)
    row = design.row(Role.ESTIMATE, 0)
    selected = np.flatnonzero((data.groups.group_of_image < 0) | row.mask[data.groups.group_of_image])
    batch = min(config.train.batch_size, len(selected))
    steps = config.train.source_steps(len(selected))
    settings = {"epochs": 1, "steps": None, "finetune_epochs": 1, "batch_size": batch}
    targets = [target.model_copy(update={"finetune_epochs": None}) for target in config.target]
    quick = config.model_copy(update={"train": config.train.model_copy(update=settings), "target": targets})
    twice = quick.model_copy(update={"train": quick.train.model_copy(update={"finetune_epochs": 2})})
    whole = trainer_for(quick, data, device, threads)
    numerics, streamed, streamed_bytes = whole.numerics, whole.streamed, whole.streamed_bytes
    del whole

    def seconds(short: Config, source_steps: int) -> float:
        some = _with_images(data, selected, source_steps * batch)
        trainer = trainer_for(short, some, device, threads, streamed)
        everything = np.ones_like(row.mask)
        trainer.run(everything, row.seed)
        started = time.perf_counter()
        trainer.run(everything, row.seed)
        return time.perf_counter() - started

    few, many = min(_SHORT, steps), min(_LONG, steps)
    short = seconds(quick, few)
    slope = max(0.0, (seconds(quick, many) - short) / (many - few)) if many > few else 0.0
    more_epochs = _more_epochs(config, data)
    epoch = max(0.0, seconds(twice, few) - short) if more_epochs else 0.0
    base = short + epoch * more_epochs
    prior_steps = config.train.source_steps(len(data.source), is_prior=True)
    return {
        "seconds": base + slope * (steps - few),
        "prior_seconds": max(0.0, base + slope * (prior_steps - few)),
        "steps": steps,
        "numerics": numerics,
        "streamed_bytes": streamed_bytes,
    }


def _more_epochs(config: Config, data: Datasets) -> float:
    """Return the epochs of fine-tuning after the first, a mean over the images of all targets; 0 without any."""
    of_targets = [
        (len(images.train), config.train.for_target(target).finetune_epochs - 1)
        for target, images in zip(config.target, data.targets, strict=True)
        if target.transfer == "full-network"
    ]
    images = sum(count for count, _ in of_targets)
    return sum(count * epochs for count, epochs in of_targets) / images if images else 0.0


def _with_images(data: Datasets, selected: NDArray[np.int64], images: int) -> Datasets:
    """Return the datasets with the first `images` of the selected source images only (repeated if they are fewer)."""
    chosen = np.resize(selected, images)
    source = replace(data.source, images=data.source.images[chosen], labels=data.source.labels[chosen], counts=None)
    return replace(data, source=source, groups=replace(data.groups, group_of_image=data.groups.group_of_image[chosen]))


def main() -> int:
    """Time one worker's device; print the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("device")
    parser.add_argument("threads", type=int)
    parser.add_argument("resolution", type=int)
    parser.add_argument("channels", type=int)
    parser.add_argument("--allow-code", action="store_true")
    arguments = parser.parse_args()
    import torch  # here, in the timed process alone

    torch.set_num_threads(arguments.threads)
    if arguments.allow_code:
        sys.path.append(str(Path.cwd()))
    try:
        shape = arguments.resolution, arguments.channels
        timing = _time_model(config_from_json(json.load(sys.stdin)), arguments.device, arguments.threads, shape)
    except TinflError as error:
        timing = {"reason": str(error), "details": error.details, "exit_code": int(error.exit_code)}
    print(json.dumps(timing))
    return 0


if __name__ == "__main__":
    sys.exit(main())
