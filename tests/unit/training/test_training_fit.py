"""The SGD loop: its steps, its schedule, and which images it takes."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.unit.training.own_networks import UnusedParameter
from tests.unit.training.small_data import images_of
from tui_influence.config.schema import TrainSection
from tui_influence.training import device_images
from tui_influence.training import step as module
from tui_influence.training.augment import cut
from tui_influence.training.device_images import source_images
from tui_influence.training.precision import choose_numerics, seeded_generator
from tui_influence.training.step import SGD, make_step
from tui_influence.training.training_loop import Recipe, fit, one_cycle
from tui_influence.training.types import TrainingFailed


def trained(pixels, indices, recipe):
    """A linear network after the steps of a recipe."""
    head = nn.Linear(64, int(pixels.labels.max()) + 1)
    step = make_step(nn.Flatten(), head, recipe.settings, choose_numerics("cpu", "fp32", 1))
    return fit(step, pixels, indices, recipe, seeded_generator(0))


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_steps_are_those_of_torchs_sgd(momentum):
    networks = []
    for ours in (True, False):
        torch.manual_seed(0)
        network = UnusedParameter(3, 1, 4)
        x, y = torch.randn(10, 1, 4, 4), torch.arange(10) % 3
        decaying = [p for p in network.parameters() if p.ndim > 1]
        others = [p for p in network.parameters() if p.ndim <= 1]
        groups = [{"params": decaying, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
        theirs = torch.optim.SGD(groups, lr=1.0, momentum=momentum, nesterov=momentum > 0)
        optimiser = SGD([network], momentum, 0.1)
        for step in range(6):
            nn.functional.cross_entropy(network(x), y).backward()
            if ours:
                optimiser.step(0.1 * (step + 1))
                assert all(p.grad is None for p in network.parameters())
            else:
                for group in theirs.param_groups:
                    group["lr"] = 0.1 * (step + 1)
                theirs.step()
                theirs.zero_grad()
        networks.append(network)
    for a, b in zip(*(network.parameters() for network in networks), strict=True):
        torch.testing.assert_close(a, b)
    assert torch.equal(networks[0].unused, torch.ones(3, 3))


def test_the_learning_rate_rises_to_its_peak_and_falls_to_nothing():
    rates = [one_cycle((step + 0.5) / 1000, 0.2, "linear") for step in range(1000)]
    assert max(rates) == pytest.approx(1, abs=0.01)
    assert np.argmax(rates) == pytest.approx(200, abs=2)
    assert rates[0] < 0.01
    assert rates[-1] < 0.01
    assert np.mean(rates) == pytest.approx(0.5, abs=0.01)
    some = (0.05, 0.1, 0.2, 0.6, 0.9)
    assert [one_cycle(progress, 0.2, "linear") for progress in some] == pytest.approx([0.25, 0.5, 1, 0.5, 0.125])


def test_a_cosine_falls_slowly_at_both_ends_and_a_peak_may_stand_at_the_beginning():
    rates = [one_cycle(progress, 0.5, "cosine") for progress in (0.25, 0.5, 0.625, 0.75, 0.875, 0.999999)]
    assert rates == pytest.approx([0.5, 1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2, 0], abs=1e-5)
    assert one_cycle(1e-6, 0.0, "linear") == pytest.approx(1, abs=1e-5)
    assert one_cycle(1e-6, 0.0, "cosine") == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("images", "batch_size", "epochs"), [(50, 16, 3), (40, 10, 2), (7, 10, 4), (3, 2, 1), (2, 2, 1)]
)
def test_loss_and_accuracy_are_means_over_the_steps_of_the_last_epoch(monkeypatch, images, batch_size, epochs):
    pixels = source_images(*images_of(2, 25), torch.device("cpu"), None)
    losses, hits, rates = [], [], []

    def spied(logits, labels, **options):
        losses.append(float(nn.functional.cross_entropy(logits.detach(), labels)))
        hits.append(float((logits.argmax(1) == labels).double().mean()))
        assert options == {"label_smoothing": 0.0}
        return nn.functional.cross_entropy(logits, labels)

    step = SGD.step
    monkeypatch.setattr(module, "cross_entropy", spied)
    monkeypatch.setattr(SGD, "step", lambda self, lr: rates.append(lr) or step(self, lr))
    steps = max(1, epochs * images // min(batch_size, images))
    recipe = Recipe("it", steps, batch_size, 0.3, TrainSection())
    result = trained(pixels, torch.arange(images), recipe)
    batch = min(batch_size, images)
    each = -(-images // batch)
    assert result.steps == len(losses) == steps
    assert result.loss == pytest.approx(np.mean(losses[-each:]))
    assert result.accuracy == pytest.approx(np.mean(hits[-each:]))
    expected = [0.3 * one_cycle((number + 0.5) / result.steps, 0.2, "linear") for number in range(result.steps)]
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize(
    ("at", "where"),
    [(0, "epoch 1 of 3, step 1 of 4"), (3, "epoch 1 of 3, step 4 of 4"), (4, "epoch 2 of 3, step 1 of 4"),
     (10, "epoch 3 of 3, step 3 of 4")],
)  # fmt: skip
def test_a_loss_that_is_not_finite_is_named_by_the_first_step_and_ends_its_epoch(monkeypatch, at, where):
    pixels = source_images(*images_of(2, 25), torch.device("cpu"), None)
    taken = []

    def bad(logits, labels, **options):
        taken.append(len(labels))
        loss = nn.functional.cross_entropy(logits, labels)
        return loss * torch.nan if len(taken) > at else loss

    monkeypatch.setattr(module, "cross_entropy", bad)
    recipe = Recipe("it", 11, 13, 0.1, TrainSection())  # the last epoch has three
    with pytest.raises(TrainingFailed, match=f"^it: the loss is not finite in {where}$"):
        trained(pixels, torch.arange(50), recipe)
    assert len(taken) == min((at // 4 + 1) * 4, 11)


@pytest.mark.parametrize("images", [0, 1])
def test_a_training_takes_two_images(images):
    pixels = source_images(*images_of(2, 25), torch.device("cpu"), None)
    recipe = Recipe("it", 1, 8, 0.1, TrainSection())
    with pytest.raises(TrainingFailed, match=f"^it: {images} images to train on; at least 2 are needed$"):
        trained(pixels, torch.arange(images), recipe)


def test_labels_are_smoothed_and_images_shifted_and_mirrored_as_the_config_says(monkeypatch):
    pixels = source_images(*images_of(2, 25), torch.device("cpu"), None)
    smoothing, views = [], []
    loss = nn.functional.cross_entropy
    monkeypatch.setattr(
        module, "cross_entropy", lambda *both, label_smoothing: smoothing.append(label_smoothing) or loss(*both)
    )
    monkeypatch.setattr(
        device_images, "cut", lambda images, index, some: views.append(some) or cut(images, index, some)
    )
    recipe = Recipe("it", 100, 10, 0.1, TrainSection(label_smoothing=0.125, crop=2, flip=True))
    trained(pixels, torch.arange(50), recipe)
    assert set(smoothing) == {0.125}
    assert torch.cat([some.shifts for some in views]).unique().tolist() == [-2, -1, 0, 1, 2]
    assert torch.cat([some.mirrored for some in views]).unique().tolist() == [False, True]
    assert not all(torch.equal(views[0].shifts, some.shifts) for some in views[1:])


@pytest.mark.parametrize("steps", [21, 20, 2])
def test_every_chosen_image_is_seen_once_an_epoch_and_no_other_ever(monkeypatch, steps):
    pixels = source_images(*images_of(4, 25), torch.device("cpu"), None)
    chosen = torch.arange(0, 100, 2)
    seen = []
    monkeypatch.setattr(
        device_images, "cut", lambda images, index, some: seen.append(index) or cut(images, index, some)
    )
    recipe = Recipe("it", steps, 16, 0.1, TrainSection())
    result = trained(pixels, chosen, recipe)
    assert result.steps == len(seen) == steps
    assert {len(index) for index in seen} == {16}
    order = torch.cat(seen)
    for epoch in range(steps * 16 // 50):
        assert torch.equal(order[epoch * 50 : (epoch + 1) * 50].sort().values, chosen)
    assert set(order.tolist()) <= set(chosen.tolist())
