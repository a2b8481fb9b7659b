"""The SGD loop: its steps, its schedule, and which images it takes."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.unit.training.own_networks import UnusedParameter
from tests.unit.training.small_data import images_of
from tui_influence.config.schema import TrainSection
from tui_influence.training.fit import SGD, Recipe, fit, one_cycle
from tui_influence.training.numerics import choose, generator
from tui_influence.training.pixels import Pixels, resident


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
    rates = [one_cycle((step + 0.5) / 1000) for step in range(1000)]
    assert max(rates) == pytest.approx(1, abs=0.01)
    assert np.argmax(rates) == pytest.approx(200, abs=2)
    assert rates[0] < 0.01
    assert rates[-1] < 0.01
    assert np.mean(rates) == pytest.approx(0.5, abs=0.01)


def test_every_chosen_image_is_seen_once_an_epoch_and_no_other_ever(monkeypatch):
    pixels = resident(*images_of(4, 25), torch.device("cpu"), None)
    chosen = torch.arange(0, 100, 2)
    seen = []
    batch = Pixels.batch
    monkeypatch.setattr(Pixels, "batch", lambda self, index, view=None: seen.append(index) or batch(self, index, view))
    recipe = Recipe("it", 7, 16, 0.1, TrainSection())
    body, head = nn.Flatten(), nn.Linear(64, 4)
    result = fit(body, head, pixels, chosen, recipe, choose("cpu", "fp32", 1), generator(0))
    assert result.steps == len(seen) == 7 * 50 // 16
    assert {len(index) for index in seen} == {16}
    order = torch.cat(seen)
    for epoch in range(6):
        assert torch.equal(order[epoch * 50 : (epoch + 1) * 50].sort().values, chosen)
    assert set(order.tolist()) <= set(chosen.tolist())
