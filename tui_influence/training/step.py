"""A step of training: forward pass, backward pass and optimiser, on one batch.

A GPU waits for the host where a step is hundreds of small kernels. There the step is recorded once as a CUDA graph and
replayed by a single launch, if that gives the same weights to the last bit; else it stays as it is.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tui_influence.config.schema import TrainSection
from tui_influence.errors import first_line
from tui_influence.training.loss_scale import LossScale
from tui_influence.training.precision import Numerics

_TRIALS = 3
"""Steps before a recording, and steps that are compared."""
_TRIAL_LR = 0.01


class SGD:
    """SGD with Nesterov momentum; weights decay, biases and BatchNorm's scales and shifts do not.

    The arithmetic of `torch.optim.SGD(nesterov=True)`, which imports torch's compiler when it is first made: more
    than a second of every worker's start. With a learning rate on the device or a scaled loss, the step is torch's
    fused kernel, whose last bits differ.
    """

    def __init__(
        self, modules: Sequence[nn.Module], momentum: float, weight_decay: float, loss_scale: LossScale | None = None
    ) -> None:
        self._parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
        self._velocities = [torch.zeros_like(p) for p in self._parameters]
        self._momentum, self._weight_decay, self._loss_scale = momentum, weight_decay, loss_scale

    @property
    def state(self) -> list[Tensor]:
        """What a step leaves to the next, besides the weights."""
        return [*self._velocities, *(self._loss_scale.state if self._loss_scale else [])]

    def begin(self) -> None:
        """Begin another training: without momentum."""
        for velocity in self._velocities:
            velocity.zero_()
        if self._loss_scale:
            self._loss_scale.begin()

    def scaled(self, loss: Tensor) -> Tensor:
        """Return what the gradients are to be of, in place of the loss."""
        return self._loss_scale.scaled(loss) if self._loss_scale else loss

    @torch.no_grad()
    def step(self, lr: float | Tensor) -> None:
        """Move against the gradients and forget them; a parameter without one stays as it is.

        Args:
            lr: learning rate; a tensor without dimensions for the fused kernel.
        """
        moving = [(p, p.grad, v) for p, v in zip(self._parameters, self._velocities, strict=True) if p.grad is not None]
        for parameter, _, _ in moving:
            parameter.grad = None
        if not moving:
            return
        if self._loss_scale:
            overflow = self._loss_scale.unscale([gradient for _, gradient, _ in moving])
            self._step_fused(moving, lr, overflow)
            self._loss_scale.update(overflow)
        elif isinstance(lr, Tensor):
            self._step_fused(moving, lr)
        else:
            self._step_foreach(moving, lr)

    def _step_foreach(self, moving: Sequence[tuple[Tensor, Tensor, Tensor]], lr: float) -> None:
        parameters, gradients, velocities = map(list, zip(*moving, strict=True))
        decaying = [(g, p) for p, g in zip(parameters, gradients, strict=True) if p.ndim > 1]
        if decaying:
            torch._foreach_add_(*map(list, zip(*decaying, strict=True)), alpha=self._weight_decay)
        torch._foreach_mul_(velocities, self._momentum)
        torch._foreach_add_(velocities, gradients)
        torch._foreach_add_(gradients, velocities, alpha=self._momentum)
        torch._foreach_add_(parameters, gradients, alpha=-lr)

    def _step_fused(
        self, moving: Sequence[tuple[Tensor, Tensor, Tensor]], lr: float | Tensor, overflow: Tensor | None = None
    ) -> None:
        for decays in (True, False):
            group = [tensors for tensors in moving if (tensors[0].ndim > 1) is decays]
            if group:
                parameters, gradients, velocities = map(list, zip(*group, strict=True))
                torch._fused_sgd_(
                    parameters,
                    gradients,
                    velocities if self._momentum else [],
                    weight_decay=self._weight_decay if decays else 0.0,
                    momentum=self._momentum,
                    lr=lr,
                    dampening=0.0,
                    nesterov=self._momentum > 0,
                    maximize=False,
                    is_first_step=False,
                    found_inf=overflow,
                )


class Step:
    """Steps of one network by one optimiser, each as its kernels come.

    Attributes:
        numerics: device and precision.
        network: images -> logits.
        refusal: why steps are not replayed though they should be; else empty.
    """

    def __init__(self, body: nn.Module, head: nn.Linear, settings: TrainSection, numerics: Numerics) -> None:
        self.numerics = numerics
        self.network = nn.Sequential(body, head)
        self._optimiser = SGD((body, head), settings.momentum, settings.weight_decay, numerics.loss_scale())
        self._label_smoothing = settings.label_smoothing
        self._classes = head.out_features
        self.refusal = ""

    def begin(self) -> None:
        """Begin another training, whatever was trained before: without momentum, in training mode."""
        self._optimiser.begin()
        self.network.train()

    def __call__(self, images: Tensor, labels: Tensor, lr: float) -> tuple[Tensor, Tensor]:
        """Move the weights; return the loss before, and the share of images that were predicted correctly.

        Args:
            images: (B, C, H, H), normalised.
            labels: (B,).
            lr: learning rate.
        """
        return self._run(images, labels, lr)

    def prepare(self, shape: tuple[int, int, int, int]) -> None:
        """Get ready for batches of images of a shape (B, C, H, H); nothing is trained."""

    def _run(self, images: Tensor, labels: Tensor, lr: float | Tensor) -> tuple[Tensor, Tensor]:
        with self.numerics.autocast():
            logits = self.network(images)
        loss = cross_entropy(logits.float(), labels, label_smoothing=self._label_smoothing)
        self._optimiser.scaled(loss).backward()  # type: ignore[no-untyped-call]
        self._optimiser.step(lr)
        return loss.detach(), (logits.argmax(1) == labels).float().mean()


Replay = Callable[[], tuple[Tensor, Tensor]]
"""Runs a step on the tensors that it was recorded with."""
Recorder = Callable[[Replay], Replay]
"""Records a step."""


class RecordedStep(Step):
    """Steps that are recorded for some shapes of a batch and replayed, where that changes no bit.

    Batches of other shapes are trained on as they come: each recording takes memory.
    """

    def __init__(
        self,
        body: nn.Module,
        head: nn.Linear,
        settings: TrainSection,
        numerics: Numerics,
        record: Recorder | None = None,
    ) -> None:
        super().__init__(body, head, settings, numerics)
        self._record = record or record_cuda_graph
        self._recorded: dict[torch.Size, _Recording] = {}

    def __call__(self, images: Tensor, labels: Tensor, lr: float) -> tuple[Tensor, Tensor]:  # noqa: D102
        recording = self._recorded.get(images.shape)
        if recording is None:
            return self._run(images, labels, torch.full((), lr, device=labels.device))
        recording.fill(images, labels, lr)
        return recording.replay()

    def prepare(self, shape: tuple[int, int, int, int]) -> None:  # noqa: D102
        if self.refusal or torch.Size(shape) in self._recorded:
            return
        try:
            recording = self._recording(shape)
            self.refusal = self._compare(recording)
        except Exception as error:  # noqa: BLE001 - a user's network may raise anything, and does so again in training
            self.refusal = f"cannot be recorded: {first_line(error)}"
        if self.refusal:
            self.forget()
        else:
            self._recorded[torch.Size(shape)] = recording

    def forget(self) -> None:
        """Take steps as they come from now on, until others are recorded."""
        self._recorded.clear()

    def _recording(self, shape: tuple[int, int, int, int]) -> "_Recording":
        """Return a recording on random images, by which no weight is left out of a comparison."""
        generator, device = torch.Generator().manual_seed(0), self.numerics.device
        images = torch.randn(shape, generator=generator).to(device, memory_format=torch.channels_last)
        recording = _Recording(images, torch.randint(self._classes, shape[:1], generator=generator).to(device))
        with self._restored():
            recording.replay = self._record(partial(self._run_on, recording))
        return recording

    def _run_on(self, recording: "_Recording") -> tuple[Tensor, Tensor]:
        return self._run(recording.images, recording.labels, recording.lr)

    def _compare(self, recording: "_Recording") -> str:
        """Compare recorded steps with the same steps as they come; return why they are not to be replayed."""
        images, labels = recording.images.clone(), recording.labels.clone()

        def weights_after(replay: Replay) -> list[Tensor]:
            with self._restored():
                for trial in range(_TRIALS):
                    recording.fill(images.roll(trial, 0), labels.roll(-trial, 0), _TRIAL_LR / (1 + trial))
                    results = replay()
                return [value.clone() for value in (*self._state(), *results)]

        replayed, expected = weights_after(recording.replay), weights_after(partial(self._run_on, recording))
        same = all(torch.equal(*pair) for pair in zip(replayed, expected, strict=True))
        return "" if same else "gives other weights when it is replayed"

    def _state(self) -> list[Tensor]:
        return [*self.network.parameters(), *self.network.buffers(), *self._optimiser.state]

    @contextmanager
    def _restored(self) -> Iterator[None]:
        """Restore weights, statistics, momentum and random numbers afterwards."""
        device = self.numerics.device
        before = [value.detach().clone() for value in self._state()]
        try:
            with torch.random.fork_rng([device] if device.type == "cuda" else []):
                yield
        finally:
            with torch.no_grad():
                for value, saved in zip(self._state(), before, strict=True):
                    value.copy_(saved)
            for parameter in self.network.parameters():
                parameter.grad = None


class _Recording:
    """The tensors that a recorded step reads, and what replays it."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images, labels
        self.lr = torch.full((), _TRIAL_LR, device=labels.device)
        self.replay: Replay

    def fill(self, images: Tensor, labels: Tensor, lr: float) -> None:
        """Copy a batch to where the step reads it."""
        self.images.copy_(images)
        self.labels.copy_(labels)
        self.lr.fill_(lr)


def record_cuda_graph(run: Replay) -> Replay:
    """Record what runs on the current CUDA device as a graph; its results are overwritten by each replay.

    It runs a few times before, on another stream than the default one, to choose algorithms and to take memory.

    Raises:
        RuntimeError: something that it runs cannot be recorded.
    """
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_TRIALS):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()  # results are copied before another graph runs, so that all may share their memory
    with torch.cuda.graph(graph, pool=_graph_memory()):
        results = run()

    def replay() -> tuple[Tensor, Tensor]:
        graph.replay()
        return results

    return replay


@cache
def _graph_memory() -> Any:
    """Return the memory of all graphs of this process."""
    return torch.cuda.graph_pool_handle()


def make_step(body: nn.Module, head: nn.Linear, settings: TrainSection, numerics: Numerics) -> Step:
    """Return the steps of a network: recorded on a GPU, and as they come elsewhere.

    Args:
        body: images -> features.
        head: features -> logits.
        settings: momentum, weight decay and label smoothing.
        numerics: of the device that both are on.
    """
    return (RecordedStep if numerics.device.type == "cuda" else Step)(body, head, settings, numerics)
