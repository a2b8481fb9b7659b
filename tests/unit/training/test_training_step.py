"""Steps that are recorded and replayed: the same weights as steps that run as they come, or they are not replayed.

There is no GPU here, so a recording is whatever `record` returns: the step itself, which reads the tensors that a graph
would read, or one that is wrong.
"""

from functools import partial

import pytest
import torch
from torch import nn

from tests.unit.training.small_data import images_of, mask, same, source, target, trainer
from tui_influence.config.schema import TrainSection
from tui_influence.training import step as module
from tui_influence.training import trainer as trainer_module
from tui_influence.training.device_images import source_images
from tui_influence.training.precision import choose_numerics, seeded_generator
from tui_influence.training.step import SGD, RecordedStep, Step
from tui_influence.training.training_loop import Recipe, fit

NUMERICS = choose_numerics("cpu", "fp32", 1)
SETTINGS = TrainSection(label_smoothing=0.1, weight_decay=0.01)


class OnDevice(Step):
    """Steps as they come, with the learning rate on the device, as they are taken there."""

    def __call__(self, images, labels, lr):
        return self._run(images, labels, torch.full((), lr))


def network() -> tuple[nn.Module, nn.Linear]:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.3), nn.Flatten()), nn.Linear(144, 3)


def weights_after(kind, *, steps: int = 9, sides: tuple[int, ...] = (), **options) -> list[torch.Tensor]:
    """State of a network after two trainings by the same steps; the second begins from the weights of the first."""
    step = kind(*network(), SETTINGS, NUMERICS, **options)
    step.prepare((16, 1, 8, 8))
    pixels = source_images(*images_of(3, 20), torch.device("cpu"), None)
    torch.manual_seed(1)  # of dropout
    fits = [
        fit(step, pixels, torch.arange(60), Recipe("it", steps, 16, 0.1, SETTINGS, sides), seeded_generator(seed))
        for seed in (0, 1)
    ]
    return [*step.network.state_dict().values(), torch.tensor([[each.loss, each.accuracy] for each in fits])]


def equal(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return all(torch.equal(*pair) for pair in zip(first, second, strict=True))


def test_replayed_steps_give_the_weights_of_steps_as_they_come_to_the_last_bit():
    records = []

    def record(run):
        records.append(run)
        return run

    assert equal(weights_after(RecordedStep, record=record), weights_after(OnDevice))
    assert len(records) == 1  # once, for both trainings


class Spoilt(RecordedStep):
    """Steps whose replay goes wrong in some way."""

    def __init__(self, *rest, way):
        super().__init__(*rest, record=self._spoil)
        self._way = way

    def _spoil(self, run):
        def replay():
            if self._way == "trains twice":
                run()
            if self._way == "does not train":
                with self._restored():
                    return run()
            loss, hits = run()
            if self._way == "scales a gradient":
                with torch.no_grad():
                    self.network[0][0].weight.mul_(1.001)
            return (loss + 1e-3, hits) if self._way == "gives another loss" else (loss, hits)

        return replay


@pytest.mark.parametrize("way", ["trains twice", "does not train", "scales a gradient", "gives another loss"])
def test_a_step_that_replays_something_else_is_noticed_and_not_replayed(way):
    step = Spoilt(*network(), SETTINGS, NUMERICS, way=way)
    step.prepare((16, 1, 8, 8))
    assert step.refusal == "gives other weights when it is replayed"
    assert equal(weights_after(partial(Spoilt, way=way)), weights_after(OnDevice))


@pytest.mark.parametrize("fixed", ["images", "labels", "lr"])
def test_a_step_that_replays_what_it_was_recorded_with_is_noticed(fixed):
    def record(run):
        (recording,) = run.args
        stale = getattr(recording, fixed).clone()

        def replay():
            getattr(recording, fixed).copy_(stale)
            return run()

        return replay

    step = RecordedStep(*network(), SETTINGS, NUMERICS, record)
    step.prepare((16, 1, 8, 8))
    assert step.refusal == "gives other weights when it is replayed"


def test_a_step_that_cannot_be_recorded_runs_as_it_comes_and_says_why():
    def record(run):
        run()
        raise RuntimeError("operation not permitted when stream is capturing\nadvice for programmers")

    step = RecordedStep(*network(), SETTINGS, NUMERICS, record)
    step.prepare((16, 1, 8, 8))
    assert step.refusal == "cannot be recorded: operation not permitted when stream is capturing"
    assert equal(weights_after(RecordedStep, record=record), weights_after(OnDevice))


def test_to_get_ready_changes_neither_weights_nor_momentum_nor_random_numbers():
    step = RecordedStep(*network(), SETTINGS, NUMERICS, lambda run: run)
    before = [value.clone() for value in step._state()]
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    step.begin()
    step.prepare((16, 1, 8, 8))
    assert not step.refusal
    assert equal(before, step._state())
    assert torch.equal(torch.rand(3), expected)
    assert all(parameter.grad is None for parameter in step.network.parameters())


def test_batches_of_other_shapes_than_those_prepared_are_trained_on_as_they_come():
    recorded = []
    options = {"record": lambda run: recorded.append(run) or run}
    step = RecordedStep(*network(), SETTINGS, NUMERICS, **options)
    step.prepare((16, 1, 8, 8))
    for batch in (3, 5, 16):
        step(torch.randn(batch, 1, 8, 8), torch.arange(batch) % 3, 0.1)
    assert (len(recorded), len(step._recorded)) == (1, 1)


def test_a_users_network_that_raises_is_left_to_its_training():
    class Raises(nn.Module):
        def forward(self, images):
            raise ValueError("not while training")

    step = RecordedStep(Raises(), nn.Linear(144, 3), SETTINGS, NUMERICS, lambda run: run() and run)
    step.prepare((16, 1, 8, 8))
    assert step.refusal == "cannot be recorded: not while training"


@pytest.mark.parametrize("arch", ["small-cnn", "resnet9", "airbench"])
def test_a_trainer_notices_a_gradient_that_is_wrong_when_it_is_replayed(monkeypatch, arch):
    """Every weight has a gradient in the comparison, as it is made on random images."""

    class Wrong(RecordedStep):
        def __init__(self, *rest):
            super().__init__(*rest, record=self._spoil)

        def _spoil(self, run):
            weight = [p for p in self.network.parameters() if p.ndim == 4][1]

            def replay():
                handle = weight.register_hook(lambda gradient: 1.5 * gradient)
                try:
                    return run()
                finally:
                    handle.remove()

            return replay

    monkeypatch.setattr(trainer_module, "make_step", Wrong)
    assert trainer(arch=arch, width=0.1).unrecorded == "gives other weights when it is replayed"


def test_each_shape_of_a_batch_is_recorded_by_itself():
    shapes = []

    class Pool(nn.Module):
        def forward(self, images):
            shapes.append(images.shape[-1])
            return images.mean((2, 3)).repeat(1, 144)

    recorded = []
    step = RecordedStep(Pool(), nn.Linear(144, 3), SETTINGS, NUMERICS, lambda run: recorded.append(run) or run)
    for side in (8, 12, 8):
        step.prepare((16, 1, side, side))
    pixels = source_images(*images_of(3, 20, size=16), torch.device("cpu"), None)
    for seed in (0, 1):
        recipe = Recipe("it", 6, 16, 0.1, SETTINGS, (8, 12))
        fit(step, pixels, torch.arange(60), recipe, seeded_generator(seed))
    assert len(recorded) == 2
    assert set(shapes) == {8, 12}


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_the_fused_step_is_that_of_separate_kernels_but_for_the_last_bits(momentum):
    networks = []
    for lr in (0.1, torch.tensor(0.1)):
        torch.manual_seed(0)
        body, head = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten()), nn.Linear(144, 3)
        optimiser = SGD((body, head), momentum, 0.1)
        for seed in range(5):
            images = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
            nn.functional.cross_entropy(head(body(images)), torch.arange(6) % 3).backward()
            optimiser.step(lr)
        networks.append([*body.parameters(), *head.parameters()])
    for ours, theirs in zip(*networks, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"resized_crop": [0.5, 1.0], "flip": True, "steps": 11, "epochs": None}])
def test_whole_models_are_the_same_recorded_or_not(monkeypatch, options):
    tasks = [target(), target("full-network", classes=3, seed=2), target("full-network", seed=3)]
    monkeypatch.setattr(trainer_module, "make_step", OnDevice)
    expected = trainer(source(), tasks, **options)
    recorded = []
    monkeypatch.setattr(
        trainer_module,
        "make_step",
        lambda *rest: RecordedStep(*rest, lambda run: recorded.append(run) or run),
    )
    replaying = trainer(source(), tasks, **options)
    assert replaying.unrecorded == ""
    assert len(recorded) == 3  # the source's and that of each fine-tuned target
    for left_out, seed in ((1, 5), (2, 6)):
        assert same(replaying.run(mask(left_out), seed), expected.run(mask(left_out), seed))
    assert len(recorded) == 3  # other models take the same recordings


def test_a_worker_says_why_steps_are_not_replayed(monkeypatch):
    def record(run):
        raise RuntimeError("no")

    monkeypatch.setattr(trainer_module, "make_step", lambda *rest: RecordedStep(*rest, record))
    assert trainer().unrecorded == "cannot be recorded: no"
    monkeypatch.setattr(trainer_module, "make_step", module.make_step)
    assert trainer().unrecorded == ""
