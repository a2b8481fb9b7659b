"""Whole trainings on a simulated CUDA device: every tensor is where it must be, and the results are the CPU's."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from tests.unit.training.simulated_cuda import (
    CUDA,
    MPS,
    CudaTensor,
    Stream,
    WrongDeviceError,
    WrongStreamError,
    simulated_cuda,
    simulated_mps,
)
from tests.unit.training.small_data import mask, same, source, target
from tui_influence.config.schema import ModelSection, TrainSection
from tui_influence.training import augment, device_images
from tui_influence.training import trainer as trainer_module
from tui_influence.training.device_images import source_images
from tui_influence.training.precision import choose_numerics, seeded_generator
from tui_influence.training.step import RecordedStep, make_step
from tui_influence.training.trainer import Trainer
from tui_influence.training.training_loop import Recipe, fit

OWN = "tests.unit.training.own_networks:"
NETWORKS = [
    ("small-cnn", 0.5),
    ("resnet9", 0.06),
    ("airbench", 0.1),
    (OWN + "good", 1),
    (OWN + "lazy", 1),
    (OWN + "UnusedParameter", 1),
]


def trainer(device, arch="small-cnn", width=0.5, channels=1, image_memory="resident", kinds=2, **recipe):
    """A trainer with a target of each kind of transfer, the second of which has other channels than the source."""
    targets = [target(channels=channels), target("full-network", classes=3, seed=2, channels=4 - channels)]
    settings = {"epochs": 1, "batch_size": 48, "lr": 0.1, "precision": "fp32", "crop": 1, "flip": True, **recipe}
    return Trainer(
        source(channels, per_class=20),
        targets[:kinds],
        ModelSection(arch=arch, width=width),
        TrainSection(probe_l2=1, finetune_epochs=1, **settings),
        device=device,
        image_memory=image_memory,
    )


def outcomes(monkeypatch, device, steps_of="cuda", **options):
    """A model with all that is returned of a prior network; on the CPU by the steps of another device."""
    if device == "cpu":
        with monkeypatch.context() as patch:
            if steps_of == "cuda":
                patch.setattr(trainer_module, "make_step", partial(RecordedStep, record=lambda run: run))
            return trainer(device, **options).run(mask(1), 3, is_prior=True)
    with {"cuda": simulated_cuda, "mps": simulated_mps}[device](monkeypatch):
        one = trainer(device, **options)
        assert one.unrecorded == ""
        parts = (*one._body.parameters(), *one._head.parameters(), *one._body.buffers())
        assert {part.device for part in parts} == {CUDA if device == "cuda" else MPS}
        assert one.numerics.startswith(device)
        return one.run(mask(1), 3, is_prior=True)


def assert_same(first, second):
    """Equal to the last bit, but for linear probes, which add in another order of rounding on a GPU."""
    for a, b in zip(first, second, strict=True):
        is_probe = "probe_objective" in b.metrics
        for name in ("mapping", "class_features", "mapped", "nearest"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        np.testing.assert_allclose(a.ablation, b.ablation, rtol=1e-4, atol=1e-5)
        if is_probe:
            np.testing.assert_allclose(a.margins, b.margins, rtol=1e-3, atol=1e-3)
        else:
            assert same([a], [b])
        shared = [name for name in b.metrics if name.startswith("source")]
        assert len(shared) == 5
        assert {name: a.metrics[name] for name in shared} == {name: b.metrics[name] for name in shared}


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize(("arch", "width"), NETWORKS)
def test_every_network_trains_there_as_on_the_cpu(monkeypatch, arch, width, precision):
    options = {"arch": arch, "width": width, "precision": precision}
    assert_same(outcomes(monkeypatch, "cuda", **options), outcomes(monkeypatch, "cpu", **options))


def test_a_network_of_torchvision_trains_there(monkeypatch):
    with simulated_cuda(monkeypatch):
        one = trainer("cuda", arch="resnet18", epochs=None, steps=1, kinds=1)
        assert np.isfinite(one.run(mask(1), 3)[0].margins).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "recipe",
    [{"label_smoothing": 0.1}, {"crop": 0, "resized_crop": [0.3, 1.0], "cutout": 2}, {"crop": 0, "flip": False}],
)
def test_streamed_images_train_there_as_on_the_cpu(monkeypatch, channels, recipe):
    options = {"channels": channels, **recipe}
    expected = outcomes(monkeypatch, "cpu", **options)
    for image_memory in ("streamed", "resident"):
        assert_same(outcomes(monkeypatch, "cuda", image_memory=image_memory, **options), expected)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("image_memory", ["streamed", "resident"])
def test_the_gpu_of_a_mac_trains_as_the_cpu_and_float64_is_the_cpus(monkeypatch, precision, image_memory):
    options = {"precision": precision, "image_memory": image_memory}
    assert_same(outcomes(monkeypatch, "mps", **options), outcomes(monkeypatch, "cpu", "mps", **options))
    with simulated_mps(monkeypatch), pytest.raises(TypeError, match="float64"):
        torch.zeros(1, device="mps").double()


@pytest.mark.parametrize(("device", "simulated"), [("cuda", simulated_cuda), ("mps", simulated_mps)])
def test_dropout_runs_there(monkeypatch, device, simulated):
    with simulated(monkeypatch):
        assert len(trainer(device, arch=OWN + "with_dropout").run(mask(), 0)) == 2


def wait_for_nothing(*_):
    """In place of a wait, or of the record of a use."""


@pytest.mark.parametrize(("owner", "call"), [(Stream, "wait_event"), (CudaTensor, "record_stream")])
def test_images_that_are_read_before_their_copy_ends_or_freed_while_they_are_used_are_noticed(monkeypatch, owner, call):
    monkeypatch.setattr(owner, call, wait_for_nothing)
    with simulated_cuda(monkeypatch), pytest.raises(WrongStreamError):
        trainer("cuda", image_memory="streamed").run(mask(), 0)
    with simulated_cuda(monkeypatch):
        trainer("cuda", image_memory="resident").run(mask(), 0)


def test_an_index_or_a_view_on_the_wrong_device_is_noticed(monkeypatch):
    cut = augment.cut
    for spoilt in (
        lambda images, index, views: cut(images, index.cpu(), views),
        lambda images, index, views: cut(images, index, views.to(torch.device("cpu"))),
        lambda images, index, views: cut(images.cpu(), index, views),
    ):
        monkeypatch.setattr(device_images, "cut", spoilt)
        with simulated_cuda(monkeypatch), pytest.raises(WrongDeviceError):
            trainer("cuda").run(mask(), 0)


class MakesATensor(nn.Module):
    """A user's network that makes a tensor on the CPU, wherever its images are."""

    def __init__(self, classes, channels, resolution):
        super().__init__()
        self.head = nn.Linear(channels * resolution**2, classes)

    def forward(self, x):
        return self.head((x + torch.ones(x.shape[2:])).flatten(1))


def test_a_network_that_makes_a_tensor_on_the_cpu_is_noticed(monkeypatch):
    arch = f"{__name__}:MakesATensor"
    trainer("cpu", arch=arch).run(mask(), 0)
    with simulated_cuda(monkeypatch), pytest.raises(WrongDeviceError, match=r"^add: tensors on cpu and cuda:0$"):
        trainer("cuda", arch=arch).run(mask(), 0)


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_the_host_waits_for_the_device_once_an_epoch(monkeypatch, precision, streamed):
    """And twice at the end, for the mean loss and accuracy."""
    data, epochs = source(), 3
    with simulated_cuda(monkeypatch) as device:
        numerics = choose_numerics("cuda", precision, 1)
        pixels = source_images(data.images, data.labels, numerics.device, None, streamed=streamed)
        body = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU()).to(numerics.device)
        recipe = Recipe("training", 6 * epochs, 30, 0.1, TrainSection(crop=1, flip=True))
        step = make_step(body, nn.Linear(8, 6).to(numerics.device), recipe.settings, numerics)
        step.prepare((30, 1, 8, 8))
        device.waits.clear()
        fit(step, pixels, torch.arange(180), recipe, seeded_generator(0))
    assert device.waits == ["nonzero"] * epochs + ["__float__"] * 2
    assert device.calls > 100


def refuses(call):
    with pytest.raises(WrongDeviceError):
        call()


def test_the_simulated_device_refuses_what_cuda_refuses_and_counts_what_it_waits_for(monkeypatch):
    """What the tests above rest on."""
    with simulated_cuda(monkeypatch) as device:
        here, there = torch.arange(4.0), torch.arange(4.0, device="cuda")
        assert (there.device, here.to("cuda").device, torch.zeros_like(there).device) == (CUDA, CUDA, CUDA)
        assert (here.device, there.cpu().device.type) == (torch.device("cpu"), "cpu")
        assert there.to(torch.float64).device == there.double().device == CUDA
        for call in (
            lambda: here + there,
            lambda: torch.cat([there, here]),
            lambda: torch._foreach_add_([there], [here]),
            lambda: here[there.long()],
            lambda: there[here.long()],
            lambda: there.numpy(),
            lambda: torch.rand(2, generator=torch.Generator(), device="cuda"),
        ):
            refuses(call)
        assert (there * torch.tensor(2.0)).tolist() == [0, 2, 4, 6]
        moved = here.to("cuda")
        moved += 1
        assert here.tolist() == [0, 1, 2, 3]
        device.waits.clear()
        for call in (
            lambda: float(there.sum()),
            lambda: bool(there.sum() > 1),
            lambda: there.cpu(),
            lambda: there[there > 1],
            lambda: torch.nonzero(there),
        ):
            call()
        assert device.waits == ["__float__", "__bool__", "cpu", "__getitem__", "nonzero"]
