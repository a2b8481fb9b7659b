"""float16 with loss scaling: the steps of torch's own scaler and optimiser."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.unit.training.small_data import mask, same, target, trainer
from tui_influence.training import loss_scale
from tui_influence.training.loss_scale import LossScale
from tui_influence.training.step import SGD
from tui_influence.training.types import TrainingFailed

CPU = torch.device("cpu")


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))


def state(module):
    return [parameter.detach().clone() for parameter in module.parameters()]


def equal(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def with_gradients(module, scaled, value, factor):
    """Gradients of a loss; a factor that is not finite makes them so."""
    loss = module(torch.full((2, 5), value)).square().mean() * factor
    scaled(loss).backward()


def test_steps_are_those_of_torchs_scaler_and_optimiser(monkeypatch):
    """Also after steps that overflow, and when the scale doubles."""
    monkeypatch.setattr(loss_scale, "_GOOD_STEPS", 3)
    ours, theirs = network(), network()
    scale = LossScale(CPU)
    optimiser = SGD([ours], 0.9, 0.01, scale)
    weights, others = ([p for p in theirs.parameters() if (p.ndim > 1) == decays] for decays in (True, False))
    groups = [{"params": weights, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    reference = torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True, fused=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=3)
    scales = []
    for index, factor in enumerate([1, 1, torch.inf, 1, 1, 1, 1, torch.nan, 1]):
        lr = 0.1 / (index + 1)
        with_gradients(ours, scale.scaled, index / 10, factor)
        before = state(ours)
        optimiser.step(lr)
        assert equal(state(ours), before) != np.isfinite(factor)
        assert all(parameter.grad is None for parameter in ours.parameters())
        for group in reference.param_groups:
            group["lr"] = lr
        reference.zero_grad()
        with_gradients(theirs, scaler.scale, index / 10, factor)
        scaler.step(reference)
        scaler.update()
        scales.append(scaler.get_scale())
        assert float(scale.scaled(torch.ones(()))) == scales[-1]
        for a, b in zip(state(ours), state(theirs), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=0)
    assert scales == [1024, 1024, 512, 512, 512, 1024, 1024, 512, 512]


def test_a_scale_of_one_is_not_halved_and_hides_nothing(monkeypatch):
    monkeypatch.setattr(loss_scale, "_INITIAL_SCALE", 2.0)
    module, scale = network(), LossScale(CPU)
    optimiser, before = SGD([module], 0.9, 0.0, scale), state(module)
    for is_hidden in (True, False):
        with_gradients(module, scale.scaled, 1.0, torch.inf)
        optimiser.step(0.1)
        assert float(scale.scaled(torch.ones(()))) == 1
        assert equal(state(module), before) == is_hidden
    assert not torch.isfinite(module(torch.ones(1, 5))).any()


def test_a_gradient_too_small_for_float16_is_not_lost():
    """Without the scale, the gradient of the first weight is zero."""
    gradients = []
    for scale in (1.0, 2.0**10):
        weight = torch.ones(1, requires_grad=True)
        (weight.half() * 1e-7 * scale).float().sum().backward()
        gradients.append(float(weight.grad) / scale)
    assert gradients[0] != pytest.approx(1e-7, rel=0.01)
    assert gradients[1] == pytest.approx(1e-7, rel=0.01)


def test_a_model_in_float16_is_like_one_in_float32_and_repeats_to_the_bit():
    targets = [target(), target("full-network", seed=2)]
    options = {"targets": targets, "lr": 0.02, "crop": 1, "flip": True}
    first, again = (trainer(precision="fp16", **options).run(mask(1), 3) for _ in range(2))
    assert same(first, again)
    exact = trainer(precision="fp32", **options).run(mask(1), 3)
    for a, b in zip(first, exact, strict=True):
        assert not np.array_equal(a.margins, b.margins)
        assert np.corrcoef(a.margins, b.margins)[0, 1] > 0.99
        assert a.metrics["source_loss"] == pytest.approx(b.metrics["source_loss"], abs=0.01)


def test_a_training_that_diverges_in_float16_is_reported():
    with pytest.raises(TrainingFailed, match="the loss is not finite"):
        trainer(precision="fp16", lr=1e30).run(mask(), 0)
