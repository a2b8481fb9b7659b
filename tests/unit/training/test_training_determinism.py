"""Deterministic kernels on a GPU; an operation without one is named once, and other warnings are left alone."""

import warnings

import pytest
import torch

from tests.unit.training.simulated_cuda import simulated_cuda
from tests.unit.training.small_data import mask, source, target
from tui_influence.config.schema import ModelSection, TrainSection
from tui_influence.training import determinism
from tui_influence.training.determinism import deterministic_kernels
from tui_influence.training.trainer import Trainer

MESSAGE = "models do not repeat to the last bit: put_ has no deterministic kernel here"


@pytest.fixture(autouse=True)
def nothing_reported(monkeypatch):
    monkeypatch.setattr(determinism, "_reported", set())


def settings():
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch._C._get_deterministic_fill_uninitialized_memory(),
    )


@pytest.fixture
def shown(monkeypatch):
    """Messages of the warnings that are shown."""
    messages = []
    monkeypatch.setattr(warnings, "showwarning", lambda message, *_: messages.append(str(message)))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        yield messages


def use_no_kernel():
    """An operation that has no deterministic kernel, on the CPU either."""
    torch.zeros(4).put_(torch.tensor([1]), torch.tensor([2.0]))


def test_kernels_are_deterministic_inside_and_as_they_were_outside():
    before = settings()

    def fail():
        with deterministic_kernels():
            assert settings() == (True, True, False)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert settings() == before


def test_an_operation_without_such_a_kernel_is_named_once(shown):
    use_no_kernel()
    assert shown == []
    for _ in range(2):
        with deterministic_kernels():
            use_no_kernel()
            use_no_kernel()
    assert shown == [MESSAGE]


def test_other_warnings_are_shown_as_ever(shown):
    with deterministic_kernels():
        warnings.warn("first", stacklevel=1)
        warnings.warn("second", stacklevel=1)
    warnings.warn("third", stacklevel=1)
    assert shown == ["first", "second", "third"]


class WithoutKernel(torch.nn.Module):
    """A user's network with an operation that has no deterministic kernel."""

    def __init__(self, classes, channels, resolution):
        super().__init__()
        self.head = torch.nn.Linear(channels * resolution**2, classes)

    def forward(self, x):
        zeros = torch.zeros(4, device=x.device)
        zeros.put_(torch.tensor([1], device=x.device), torch.ones(1, device=x.device))
        return self.head(x.flatten(1) + zeros[0])


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_users_network_without_such_kernels_trains_on_a_gpu_and_is_reported(monkeypatch, shown, device):
    def train():
        model, recipe = ModelSection(arch=f"{__name__}:WithoutKernel"), TrainSection(epochs=1, precision="fp32")
        return Trainer(source(), [target()], model, recipe, device=device).run(mask(), 0)

    if device == "cpu":
        train()
        assert shown == []
        return
    with simulated_cuda(monkeypatch):
        assert len(train()) == 1
    assert shown == [MESSAGE]
