"""Is a GPU's arithmetic the CPU's, and how fast is it? For one GPU, in a few minutes.

    PYTHONPATH=. python benchmarks/gpu_check.py [--device cuda] [--output FILE.json] [--quick]

Needs the repository, torch, torchvision, and what `gpu_requirements.txt` lists. Trains the same rows of the embedded
pair on the CPU and on the device, reads the gauges that a sweep shows, measures training throughput as a fraction of
the device's own matrix rate, and several workers sharing the device. Exits with 1 when a tolerance is missed.
`--device cpu --quick` runs the same code anywhere.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.bench_training import arrays, kept_classes, packed
from benchmarks.gpu_sweep import run_sweep
from tui_influence.config.schema import ModelSection, TrainSection
from tui_influence.errors import TinflError
from tui_influence.runs.devices import worker_environment
from tui_influence.runs.heartbeat import WorkerState
from tui_influence.runs.resources import ResourceSampler
from tui_influence.training import linear_probe as linear
from tui_influence.training.device_images import source_images
from tui_influence.training.device_memory import ImageMemory
from tui_influence.training.networks import build_network, split_head
from tui_influence.training.precision import Numerics, choose_numerics, repeatable, seeded_generator
from tui_influence.training.step import RecordedStep, make_step
from tui_influence.training.trainer import Trainer
from tui_influence.training.training_loop import Recipe, fit
from tui_influence.training.transfer import features
from tui_influence.training.types import Outcome, SourceData, TargetData

CLASSES = 36
PAPER_IMAGES = 16 * 50_000
"""Of the nominal model behind "models/hour": 16 epochs of 50,000 images."""

# Tolerances. A forward pass and a probe differ by rounding alone. Whole trainings start from the same weights and see
# the same batches, but amplify rounding until single margins differ: only averages can be compared.
FORWARD = 1e-3
PROBE_LOSS = 1e-6
PROBE_MARGIN = 1e-2
NOISE = 1.2
"""Variance that rounding adds to an example's margin in one training, over the variance between examples' means.

Measured: 0.5 between CPU float32 and CPU bfloat16. Means over r rows then correlate by at least 1 / (1 + NOISE / r).
"""
ACCURACY = 0.03


@dataclass(frozen=True)
class Check:
    """A number held against its limit."""

    name: str
    value: float
    limit: str
    passed: bool


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", default="cuda")
    parser.add_argument(
        "--output", type=Path, action="append", default=[], help="where a JSON of everything goes; may be repeated"
    )
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.update(worker_environment(options.device))
    try:
        how = choose_numerics(options.device, "auto", 1)
    except TinflError as error:
        print(f"gpu-check: {error}", file=sys.stderr)
        return int(error.exit_code)
    if options.worker:
        serve(options.device)
        return 0
    started = time.perf_counter()
    result: dict[str, Any] = {"facts": facts(how), "quick": options.quick}
    print("\n".join(f"{name:8} {value}" for name, value in result["facts"].items()), flush=True)
    checks = [*check_forward(how), *check_probe(how), *check_repeats(options.device), *check_streaming(how)]
    checks += check_recording(how) if how.device.type == "cuda" else []
    checks += check_gauges(how)
    checks += check_trainings(options.device, 4 if options.quick else 24)
    checks += check_sweeps(options.device, 4 if options.quick else 32)
    result["seconds_of"] = durations(how)
    result["checks"] = [asdict(check) for check in checks]
    result["matmul_tflops"] = matmul_rate(how, 1024 if how.device.type == "cpu" else 8192)
    result["throughput"] = throughput(how, result["matmul_tflops"], options.quick)
    result["workers"] = share(options.device, (1, 2) if options.quick else (1, 2, 4, 8), 2 if options.quick else 20)
    result["seconds"] = round(time.perf_counter() - started, 1)
    missed = [check.name for check in checks if not check.passed]
    result["passed"] = not missed
    for output in options.output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"\n{'MISSED: ' + ', '.join(missed) if missed else 'all checks passed'}; {result['seconds']} s")
    return 1 if missed else 0


def facts(how: Numerics) -> dict[str, str]:
    cuda = how.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(how.device) if cuda else "CPU",
        "numerics": str(how),
        "date": time.strftime("%Y-%m-%d"),
        "torch": torch.__version__,
        "cuda": str(torch.version.cuda) if cuda else "-",
        "cudnn": str(torch.backends.cudnn.version()) if cuda else "-",  # type: ignore[no-untyped-call]
        "python": platform.python_version(),
        "cores": str(os.cpu_count()),
    }


def _check(name: str, value: float, *, most: float | None = None, least: float | None = None) -> Check:
    passed = bool(np.isfinite(value)) and (most is None or value <= most) and (least is None or value >= least)
    check = Check(name, float(value), f"<= {most:g}" if most is not None else f">= {least:g}", passed)
    print(f"{'ok    ' if passed else 'MISSED'} {name:64} {value:10.3g} {check.limit}", flush=True)
    return check


# --- the same numbers? ------------------------------------------------------------------------------------------------


def check_forward(how: Numerics) -> list[Check]:
    """Largest difference of float32 features, in units of their standard deviation, at the same weights."""
    print("\nforward pass, float32, CPU against device")
    cpu, there = choose_numerics("cpu", "fp32", 1), Numerics(how.device, "fp32", 1)
    images = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), dtype=np.uint8)
    labels = np.zeros(64, dtype=np.int64)
    checks = []
    for arch in ("small-cnn", "resnet9", "resnet18"):
        torch.manual_seed(0)
        body, _ = split_head(build_network(ModelSection(arch=arch), 10, 3, 32))
        logits = []
        for numerics in (cpu, there):
            network = body.to(numerics.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            with repeatable(numerics):
                logits.append(
                    features(network, source_images(images, labels, numerics.device, None), numerics, 64).cpu()
                )
        difference = float((logits[0] - logits[1]).abs().max() / logits[0].std())
        checks.append(_check(f"{arch}: largest difference / deviation of features", difference, most=FORWARD))
    return checks


def check_probe(how: Numerics) -> list[Check]:
    print("\nprobe, float64, CPU against device, on pixels of 500 digits")
    (x, labels), (other, _) = arrays().test, arrays().train
    train_features = torch.from_numpy(x[::4].reshape(-1, 14, 2, 14, 2).mean((2, 4)).reshape(-1, 196)).float()
    unknown = torch.from_numpy(other.reshape(-1, 14, 2, 14, 2).mean((2, 4)).reshape(-1, 196)).float()
    truth = torch.from_numpy(labels[::4])
    ours = linear.solve(train_features, truth, 10, 1e-3)
    theirs = linear.solve(train_features.to(how.device), truth.to(how.device), 10, 1e-3)
    answers = torch.arange(len(unknown)) % 10
    margins = [
        linear.margins(solution.logits(unknown.to(solution.mean.device)).cpu(), answers) for solution in (ours, theirs)
    ]
    return [
        _check("difference of the objective", abs(ours.objective - theirs.objective), most=PROBE_LOSS),
        _check("largest difference of margins, nats", float((margins[0] - margins[1]).abs().max()), most=PROBE_MARGIN),
    ]


def check_repeats(device: str) -> list[Check]:
    """Whether a row that is trained again gives the same bits."""
    print("\nthe same row twice on the device")
    checks = []
    for arch, resolution, n_groups in (("small-cnn", 14, CLASSES), ("resnet9", 16, 2), ("resnet18", 32, 2)):
        trainer = pair(device, "auto", arch, resolution, tests=500, epochs=1)
        mask = np.arange(CLASSES) < n_groups
        first, second = trainer.run(mask, 1)[0], trainer.run(mask, 1)[0]
        differ = int(np.count_nonzero(first.margins != second.margins))
        checks.append(_check(f"{arch}: margins that differ, of {len(first.margins)}", differ, most=0))
    return checks


def check_streaming(how: Numerics) -> list[Check]:
    """Whether images that are read during training give the same models, in memory that does not grow."""
    print("\nimages on the device, and the same read during training")
    device = str(how.device)
    resident = pair(device, "auto", "resnet9", 16, tests=500, image_memory="resident")
    streamed = pair(device, "auto", "resnet9", 16, tests=500, image_memory="streamed")
    mask = np.arange(CLASSES) % 2 == 0
    checks = []
    for name, options in (("model", {}), ("prior network", {"is_prior": True})):
        first, second = (trainer.run(mask, 1, **options)[0] for trainer in (resident, streamed))
        differ = int(np.count_nonzero(first.margins != second.margins))
        checks.append(_check(f"{name}: margins that differ, of {len(first.margins)}", differ, most=0))
    if how.device.type == "cuda":
        reserved = []
        for seed in range(6):
            streamed.run(mask, seed)
            reserved.append(torch.cuda.memory_reserved(how.device))
        checks.append(_check("memory after 6 models / after 2", reserved[-1] / reserved[1], most=1.05))
    return checks


def check_recording(how: Numerics) -> list[Check]:
    """Whether training steps are replayed as CUDA graphs, and models are the same as kernel by kernel."""
    print("\nsteps replayed as a CUDA graph, and launched kernel by kernel")
    checks = []
    for arch, resolution in (("small-cnn", 14), ("resnet9", 16), ("airbench", 16), ("resnet18", 32)):
        replayed, launched = (pair(str(how.device), "auto", arch, resolution, tests=500, epochs=1) for _ in range(2))
        refusal = replayed.unrecorded
        if refusal:
            print(f"       {arch}: a step {refusal}")
        assert isinstance(launched._source_step, RecordedStep)
        launched._source_step.forget()
        mask = np.arange(CLASSES) < 4
        first, second = (trainer.run(mask, 1)[0] for trainer in (replayed, launched))
        differ = int(np.count_nonzero(first.margins != second.margins))
        checks.append(_check(f"{arch}: kinds of steps that are not replayed", float(bool(refusal)), most=0))
        checks.append(_check(f"{arch}: margins that differ, of {len(first.margins)}", differ, most=0))
    return checks


def check_gauges(how: Numerics) -> list[Check]:
    """Whether what a sweep shows of a device that multiplies matrices can be true, and what a reading costs."""
    print("\ngauges of a busy device")
    meter = ResourceSampler()
    worker = WorkerState(0, str(how.device), os.getpid(), "", 0)
    a = torch.randn(2048, 2048, device=how.device)
    meter.sample([worker])  # finds the device, and starts to count the CPU's time
    until = time.perf_counter() + 2
    while time.perf_counter() < until:
        seconds_of(lambda: a @ a, how.device)
    started = time.perf_counter()
    device = meter.sample([worker]).devices[worker.device]
    cost = time.perf_counter() - started
    meter.close()
    print(device)
    used, total = device.memory_used or np.nan, device.memory_total or np.nan
    checks = [
        _check("utilisation", np.nan if device.utilisation is None else device.utilisation, least=0.1),
        _check("memory used / total", used / total, most=1.0),
        _check("seconds a reading takes", cost, most=0.1),
    ]
    if how.device.type == "cuda":
        properties = torch.cuda.get_device_properties(how.device)
        checks += [
            _check("the name is torch's", float(device.name == properties.name), least=1),
            _check("memory used / reserved by torch", used / torch.cuda.memory_reserved(how.device), least=1),
            _check(
                "memory in all, difference from torch's / torch's", abs(total / properties.total_memory - 1), most=0.1
            ),
            _check("temperature, degrees", np.nan if device.temperature is None else device.temperature, most=120),
        ]
    return checks


def check_trainings(device: str, rows: int) -> list[Check]:
    """Whole trainings: means over rows of each example's margin, and mean accuracies, against CPU float32."""
    print(f"\n{rows} rows of the embedded pair, small-cnn, 4 epochs, against CPU float32")

    def train(where: str, precision: str) -> list[Outcome]:
        trainer = pair(where, precision)
        return [trainer.run(kept_classes(i), i)[0] for i in range(rows)]

    reference = train("cpu", "fp32")
    others = [(device, "fp32"), (device, "bf16"), (device, "fp16")]
    if device != "cpu" and choose_numerics("cpu", "auto", 1).precision == "bf16":
        others.insert(0, ("cpu", "bf16"))
    checks = []
    for where, precision in others:
        outcomes = train(where, precision)
        ours, theirs = _margins(reference), _margins(outcomes)
        name = f"{where} {precision}"
        checks += [
            _check(
                f"{name}: correlation over examples of mean margins",
                _correlation(ours.mean(0), theirs.mean(0)),
                least=1 / (1 + NOISE / rows),
            ),
            _check(
                f"{name}: mean target accuracy, difference", _gap(reference, outcomes, "target_accuracy"), most=ACCURACY
            ),
            _check(
                f"{name}: mean source accuracy, difference", _gap(reference, outcomes, "source_accuracy"), most=ACCURACY
            ),
        ]
    return checks


def check_sweeps(device: str, models: int) -> list[Check]:
    """Whether sweeps finish: one by itself, and on a GPU one while another process takes the memory."""
    print(f"\nsweeps of {models} models of the embedded pair")
    with tempfile.TemporaryDirectory() as folder:
        calm = run_sweep(Path(folder), "calm", device, models)
        short = run_sweep(Path(folder), "short", device, models, holds_memory=True) if device != "cpu" else None
    checks = []
    for name, sweep in (("undisturbed", calm), ("without memory for a while", short)):
        if sweep is not None:
            print(f"       {name}: {sweep}")
            checks.append(_check(f"{name}: exit code", sweep.exit_code, most=0))
            checks.append(_check(f"{name}: models that are missing", models - sweep.models, most=0))
    if short is not None:
        checks.append(_check("undisturbed: most workers at a time", calm.workers, least=2))
        checks.append(_check("times that a worker ran out of memory", short.shortages, least=1))
    return checks


def pair(
    device: str,
    precision: str,
    arch: str = "small-cnn",
    resolution: int = 14,
    tests: int = 2000,
    epochs: int = 4,
    image_memory: ImageMemory = "auto",
) -> Trainer:
    """A trainer over the embedded pair, by the demo's recipe."""
    data = arrays()
    images, labels = data.source
    train, unknown = data.train, (data.test[0][:: 2000 // tests], data.test[1][:: 2000 // tests])
    target = TargetData(
        "fixed-feature", packed(train[0], resolution), train[1], packed(unknown[0], resolution), unknown[1], 10
    )
    return Trainer(
        SourceData(packed(images, resolution), labels, CLASSES, labels.astype(np.int32)),
        [target],
        ModelSection(arch=arch, resolution=resolution),
        TrainSection(epochs=epochs, precision=precision),  # type: ignore[arg-type]
        device,
        image_memory=image_memory,
    )


def _margins(outcomes: list[Outcome]) -> NDArray[np.float32]:
    """(rows, examples)."""
    return np.stack([outcome.margins for outcome in outcomes])


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    return float(np.corrcoef(first, second)[0, 1])


def _gap(first: list[Outcome], second: list[Outcome], metric: str) -> float:
    mean, other = (np.mean([outcome.metrics[metric] for outcome in outcomes]) for outcomes in (first, second))
    return float(abs(mean - other))


# --- how fast? --------------------------------------------------------------------------------------------------------


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Wall time of work on a device, all of it done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def matmul_rate(how: Numerics, size: int) -> float:
    """TFLOP/s of a square bfloat16 matrix product: what the fractions below are of."""
    a, b = (torch.randn(size, size, device=how.device).bfloat16() for _ in range(2))
    repeats = 20 if how.device.type == "cuda" else 3

    def work() -> None:
        for _ in range(repeats):
            a @ b

    with repeatable(how):
        work()
        best = min(seconds_of(work, how.device) for _ in range(3))
    rate = 2 * size**3 * repeats / best / 1e12
    print(f"\nbf16 matrix product, {size} x {size}: {rate:.4g} TFLOP/s")
    return rate


def throughput(how: Numerics, matmul: float, quick: bool) -> list[dict[str, Any]]:
    """Training steps as `tinfl` takes them, on images that stay on the device; on a GPU also kernel by kernel."""
    print(
        f"{'training':24} {'batch':>6} {'images/s':>10} {'TFLOP/s':>8} {'of matmul':>9} {'models/hour*':>12}"
        f" {'images/s by kernels':>20}"
    )
    rows: list[dict[str, Any]] = []
    sizes = (("airbench", 32), ("resnet9", 32), ("resnet18", 64), ("resnet18", 160), ("resnet18", 224))
    for arch, size in sizes[1:3] if quick else sizes:
        torch.manual_seed(0)
        body, head = split_head(build_network(ModelSection(arch=arch), 100, 3, size))
        body = body.to(how.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        head = head.to(how.device)
        flops = flops_an_image(body, head, size, how.device)
        for batch in (8, 16) if quick else (128, 512, 1024):
            seconds = 0.5 if quick else 3
            rate = images_a_second(body, head, size, batch, how, seconds)
            by_kernels = (
                images_a_second(body, head, size, batch, how, seconds, is_replayed=False)
                if how.device.type == "cuda"
                else None
            )
            row = {
                "arch": arch,
                "resolution": size,
                "batch": batch,
                "images_per_second": rate,
                "images_per_second_by_kernels": by_kernels,
                "tflops": rate * flops / 1e12,
                "fraction_of_matmul": rate * flops / 1e12 / matmul,
                "models_per_hour": 3600 * rate / PAPER_IMAGES,
            }
            rows.append(row)
            print(
                f"{f'{arch} at {size} px':24} {batch:6d} {rate:10.0f} {row['tflops']:8.3g}"
                f" {row['fraction_of_matmul']:9.1%} {row['models_per_hour']:12.2f}"
                f" {'-' if by_kernels is None else f'{by_kernels:.0f}':>20}",
                flush=True,
            )
    print(f"* of {PAPER_IMAGES:,} images")
    return rows


def flops_an_image(body: nn.Module, head: nn.Module, size: int, device: torch.device) -> float:
    """Of a forward and a backward pass, as torch counts them: two a multiply-add, convolutions and products alone."""
    counter = FlopCounterMode(display=False)
    with counter:
        head(body(torch.randn(4, 3, size, size, device=device))).sum().backward()
    for parameter in (*body.parameters(), *head.parameters()):
        parameter.grad = None
    return float(counter.get_total_flops()) / 4


def images_a_second(
    body: nn.Module,
    head: nn.Linear,
    size: int,
    batch: int,
    how: Numerics,
    seconds: float,
    *,
    is_replayed: bool = True,
) -> float:
    """Rate of training on images that the device holds; a step is replayed where it can be, or launched by kernels."""
    steps = 4
    images = np.random.default_rng(0).integers(0, 256, (max(batch, 64), size, size, 3), dtype=np.uint8)
    pixels = source_images(images, np.arange(len(images)) % 100, how.device, None)

    settings = TrainSection(crop=4, flip=True)
    step = make_step(body, head, settings, how)
    if is_replayed:
        with repeatable(how):
            step.prepare((batch, 3, size, size))

    def work(steps: int) -> Callable[[], object]:
        recipe = Recipe("measuring", steps, batch, 1e-3, settings)
        chosen = torch.arange(steps * batch) % len(images)
        return lambda: fit(step, pixels, chosen, recipe, seeded_generator(0))

    with repeatable(how):
        once = seconds_of(work(2), how.device)  # warms up
        once = seconds_of(work(steps), how.device)
        steps = max(2, min(2000, round(steps * seconds / once)))
        return steps * batch / seconds_of(work(steps), how.device)


def durations(how: Numerics) -> dict[str, float]:
    """Seconds that parts of the work take: to load images and record steps, to train a model, and a probe of it."""
    arch, resolution = ("resnet9", 32) if how.device.type == "cuda" else ("small-cnn", 14)
    started = time.perf_counter()
    trainer = pair(str(how.device), "auto", arch, resolution)
    seconds = {"load and record": time.perf_counter() - started}
    trainer.run(kept_classes(0), 0)
    seconds["train and transfer"] = seconds_of(lambda: trainer.run(kept_classes(0), 0), how.device)
    vectors = torch.randn(2000, 512, device=how.device)
    labels = torch.arange(2000, device=how.device) % 10
    linear.solve(vectors, labels, 10, 1e-3)
    seconds["probe of 2,000 x 512"] = seconds_of(lambda: linear.solve(vectors, labels, 10, 1e-3), how.device)
    print(
        f"\nseconds, {arch} at {resolution} px: {', '.join(f'{name} {value:.2f}' for name, value in seconds.items())}"
    )
    return seconds


# --- several workers --------------------------------------------------------------------------------------------------


def share(device: str, counts: tuple[int, ...], models: int) -> list[dict[str, float]]:
    """Models an hour of the embedded pair, all workers of a device together."""
    print(f"\n{'workers, small-cnn at 14 px':30} {'models/hour':>12}")
    rows = []
    command = [sys.executable, __file__, "--worker", "--device", device]
    environment = {**os.environ, **worker_environment(device)}
    for count in counts:
        workers = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
            for _ in range(count)
        ]
        _tell(workers, 1)
        started = time.perf_counter()
        _tell(workers, models)
        rate = 3600 * count * models / (time.perf_counter() - started)
        for worker in workers:
            worker.communicate("")
        rows.append({"workers": count, "models_per_hour": rate})
        print(f"{count:<30d} {rate:12.0f}", flush=True)
    return rows


def _tell(workers: list["subprocess.Popen[str]"], models: int) -> None:
    """Let each train so many models; return when all have."""
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(f"{models}\n")
        worker.stdin.flush()
    for worker in workers:
        assert worker.stdout is not None
        if not worker.stdout.readline():
            raise SystemExit("gpu-check: a worker died")


def serve(device: str) -> None:
    """One worker: train as many models as each line says."""
    trainer = pair(device, "auto")
    for line in sys.stdin:
        for i in range(int(line)):
            trainer.run(kept_classes(i), i)
        print("done", flush=True)


if __name__ == "__main__":
    sys.exit(main())
