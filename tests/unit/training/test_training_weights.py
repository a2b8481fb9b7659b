"""Weights that training starts from: files of both kinds, the head, and what does not fit or is no file of weights."""

import io
import os
import pickle
import re
import zipfile

import numpy as np
import pytest
import safetensors.torch
import torch

from tests.unit.training.small_data import SIZE, K, mask, same, source, target
from tui_influence.config.schema import ModelSection, TrainSection
from tui_influence.errors import ConfigError
from tui_influence.training import weights as module
from tui_influence.training.networks import build_network
from tui_influence.training.trainer import Trainer
from tui_influence.training.weights import MAX_NAMES, WeightsError, read_weights

OWN = "tests.unit.training.own_networks:"


def network(arch="small-cnn", classes=K, channels=1, size=SIZE, seed=5):
    torch.manual_seed(seed)
    return build_network(ModelSection(arch=arch), classes, channels, size)


def written(path, state=None):
    """A file of weights, by default those of a network."""
    state = network().state_dict() if state is None else state
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path)
    return path


def model(path, arch="small-cnn"):
    return ModelSection(arch=arch, weights=str(path))


def started(path, arch="small-cnn", **data):
    recipe = TrainSection(epochs=1, batch_size=32, lr=0.1, precision="fp32")
    return Trainer(source(**data), [target()], model(path, arch), recipe)


def refusal(path, arch="small-cnn", classes=K):
    """The lines of the error for a file that is not used."""
    with pytest.raises(ConfigError) as caught:
        read_weights(model(path, arch), SIZE).load_into(network(arch, classes))
    lines = [str(caught.value), *caught.value.details]
    assert all(line.isprintable() for line in lines)
    return lines


def equal(state, other, names):
    return all(torch.equal(state[name], other[name]) for name in names)


@pytest.mark.parametrize("name", ["start.safetensors", "start.pt", "start.PTH"])
def test_every_model_starts_from_the_file(tmp_path, name):
    trainer, state = started(written(tmp_path / name)), network().state_dict()
    for seed in (1, 2):
        body, head = trainer._fresh(seed)
        assert equal(body.state_dict(), state, body.state_dict())
        assert torch.equal(head.weight, state["head.weight"])


def test_a_head_for_other_classes_is_drawn_from_the_seed(tmp_path):
    trainer = started(written(tmp_path / "a.safetensors", network(classes=K + 1).state_dict()))
    without = Trainer(source(), [target()], ModelSection(), TrainSection(precision="fp32"))
    heads = [trainer._fresh(seed)[1].weight for seed in (1, 2)]
    assert not torch.equal(*heads)
    assert torch.equal(heads[0], without._fresh(1)[1].weight)


@pytest.mark.parametrize("names", [["head.bias"], ["head.weight", "head.bias"]])
def test_a_head_that_the_file_has_not_is_drawn(tmp_path, names):
    state = {name: tensor for name, tensor in network().state_dict().items() if name not in names}
    start, fresh = read_weights(model(written(tmp_path / "a.safetensors", state)), SIZE), network(seed=9)
    head = fresh.head.weight.clone()
    start.load_into(fresh)
    assert torch.equal(fresh.head.weight, head)
    assert equal(fresh.state_dict(), state, [name for name in state if "head" not in name])


def test_models_differ_from_those_of_random_weights_and_repeat(tmp_path):
    trainer = started(written(tmp_path / "a.safetensors"))
    first = trainer.run(mask(2), 3)
    assert same(first, trainer.run(mask(2), 3))
    without = Trainer(source(), [target()], ModelSection(), TrainSection(epochs=1, batch_size=32, precision="fp32"))
    assert not same(first, without.run(mask(2), 3))


def test_a_prior_network_starts_from_them_too(tmp_path, monkeypatch):
    loaded = []
    load = module.StartingWeights.load_into
    trainer = started(written(tmp_path / "a.safetensors"))
    monkeypatch.setattr(module.StartingWeights, "load_into", lambda *those: loaded.append(those) or load(*those))
    trainer.run(mask(), 3, is_prior=True)
    assert len(loaded) == 1


@pytest.mark.parametrize("arch", [OWN + "good", OWN + "lazy", OWN + "only_a_head", "mobilenet_v3_small"])
def test_every_kind_of_network_takes_its_file(tmp_path, arch):
    """A grey source too: the file of a network for colour has its names without the layer in front."""
    inner = network(arch, size=32) if ":" in arch else network(arch, channels=3, size=32)
    start = read_weights(model(written(tmp_path / "a.safetensors", inner.state_dict()), arch), 32)
    fresh = network(arch, size=32, seed=9)
    start.load_into(fresh)
    state = getattr(fresh, "network", fresh).state_dict()
    assert equal(state, inner.state_dict(), state)


def test_other_precisions_and_absent_counters_fit(tmp_path):
    state = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in network().state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    fresh = network(seed=9)
    read_weights(model(written(tmp_path / "a.safetensors", state)), SIZE).load_into(fresh)
    torch.testing.assert_close(fresh.head.weight, network().head.weight, atol=1e-3, rtol=1e-3)


def test_a_body_that_does_not_fit_is_named_in_a_line_for_each_kind_of_difference(tmp_path):
    state = dict(network().state_dict())
    del state["blocks.0.conv.weight"]
    state |= {f"x{number}\x1b": torch.zeros(1) for number in range(MAX_NAMES + 2)}
    state["blocks.1.conv.weight"] = torch.zeros(3, 2)
    state["blocks.1.norm.bias"] = torch.zeros(32, dtype=torch.int64)
    first, missing, unexpected, others = refusal(written(tmp_path / "a.safetensors", state))
    assert "a.safetensors do not fit the network; tensors that differ: 1 missing, 6 unexpected, 2 of other" in first
    assert missing == "missing: blocks.0.conv.weight"
    assert re.fullmatch(r"unexpected: (x\d\\x1b, ){3}x\d\\x1b and 2 more", unexpected)
    assert others == (
        "of other shapes: blocks.1.conv.weight (3, 2), not (32, 16, 3, 3), "
        "blocks.1.norm.bias (32,) torch.int64, not (32,)"
    )


def test_a_file_without_a_tensor_of_the_body_does_not_fit(tmp_path):
    state = dict(network().state_dict())
    del state["blocks.0.conv.weight"]
    assert refusal(written(tmp_path / "a.safetensors", state))[1:] == ["missing: blocks.0.conv.weight"]
    assert refusal(written(tmp_path / "b.safetensors", {**network().state_dict(), "x": torch.zeros(1)}))[1:] == [
        "unexpected: x"
    ]


def test_a_head_of_other_features_does_not_fit(tmp_path):
    state = {**network().state_dict(), "head.weight": torch.zeros(K, 7)}
    assert refusal(written(tmp_path / "a.safetensors", state))[1:] == [
        "of other shapes: head.weight (6, 7), not (6, 64)"
    ]


def test_a_trainer_refuses_what_does_not_fit(tmp_path):
    path = written(tmp_path / "a.safetensors", network("resnet9").state_dict())
    with pytest.raises(WeightsError, match="do not fit the network"):
        started(path)


def test_weights_that_are_not_finite_are_named(tmp_path):
    state = dict(network().state_dict())
    state["head.bias"] = torch.full((K,), np.nan)
    line, name = refusal(written(tmp_path / "a.safetensors", state))
    assert line.endswith("a.safetensors are not finite in 1 tensor")
    assert name == "head.bias"


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


def test_nothing_in_a_file_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"head.bias": Evil()}, "a.pt")
    assert refusal("a.pt") == ["weights a.pt holds more than tensors: save the network's state_dict() alone"]
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Evil()))
    refusal("b.pt")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"epoch": 3, "state_dict": {}}, r"not a state_dict \(it holds epoch, state_dict\)"),
        ({}, "not a state_dict"),
        ([torch.zeros(1)], "not a state_dict: save"),
        ({"a": torch.zeros(2).to_sparse()}, "not a state_dict"),
        ({"a": torch.zeros(2, device="meta")}, "not a state_dict"),
        ({"a": torch.zeros(1).expand(10_000, 10_000)}, "not a state_dict"),  # a few bytes that would become many
    ],
)
def test_what_is_no_state_dict_is_refused(tmp_path, content, reason):
    (line,) = refusal(written(tmp_path / "a.pt", content))
    assert re.search(reason, line)


def test_files_of_old_torch_or_with_compressed_parts_are_refused(tmp_path):
    torch.save(network().state_dict(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert "torch before 1.6" in refusal(tmp_path / "old.pt")[0]
    buffer = io.BytesIO()
    torch.save(network().state_dict(), buffer)
    with (
        zipfile.ZipFile(buffer) as archive,
        zipfile.ZipFile(tmp_path / "packed.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for part in archive.infolist():
            packed.writestr(part.filename, archive.read(part))
    assert "its parts are compressed" in refusal(tmp_path / "packed.pt")[0]


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "not a file of safetensors"), (b"\xff" * 64, "not a file of safetensors")]
)
def test_a_damaged_file_is_refused(tmp_path, content, reason):
    (tmp_path / "a.safetensors").write_bytes(content)
    assert reason in refusal(tmp_path / "a.safetensors")[0]
    (tmp_path / "a.pt").write_bytes(content)
    assert "not a file of torch.save" in refusal(tmp_path / "a.pt")[0]
    whole = written(tmp_path / "b.safetensors").read_bytes()
    (tmp_path / "b.safetensors").write_bytes(whole[:-5])
    assert reason in refusal(tmp_path / "b.safetensors")[0]


def test_only_a_regular_file_that_memory_has_room_for_is_read(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.pt")
    (tmp_path / "folder.pt").mkdir()
    assert "not a regular file" in refusal(tmp_path / "pipe.pt")[0]
    assert "Is a directory" in refusal(tmp_path / "folder.pt")[0]
    assert "No such file" in refusal(tmp_path / "absent.pt")[0]
    path = written(tmp_path / "a.safetensors")
    monkeypatch.setattr(module, "available_memory", lambda _device: 1000)
    assert "larger than" in refusal(path)[0]


def test_images_are_normalised_by_the_source_as_for_random_weights(tmp_path):
    with_file = started(written(tmp_path / "a.safetensors"))._source.normalisation
    without = Trainer(source(), [target()], ModelSection(), TrainSection(precision="fp32"))._source.normalisation
    assert torch.equal(with_file.mean, without.mean)
    assert torch.equal(with_file.deviation, without.deviation)
