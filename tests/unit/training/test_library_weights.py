"""Pretrained weights by name: from the caches of torchvision and timm alone, checked, and with their normalisation."""

import hashlib

import pytest
import safetensors.torch
import torch
import torchvision

from tests.requirements import require
from tests.unit.training.small_data import source, target
from tui_influence.config.schema import ModelSection, TrainSection
from tui_influence.errors import ConfigError
from tui_influence.training.device_images import ColourStatistics
from tui_influence.training.library_weights import adapt_state, locate_weights
from tui_influence.training.networks import build_network
from tui_influence.training.trainer import Trainer
from tui_influence.training.weights import read_weights

NAME = "torchvision:IMAGENET1K_V1"
COMMIT = "a" * 40


@pytest.fixture(autouse=True)
def no_download(monkeypatch):
    def refuse(*_arguments, **_options):
        raise AssertionError("a download")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)


@pytest.fixture
def checkpoints(tmp_path, monkeypatch):
    """The directory of torchvision's files."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def put(folder, monkeypatch, arch, network, **options):
    """Write a file as that of a network's weights; their address gets the digest of it."""
    torch.save(network.state_dict(), folder / "x", **options)
    digest = hashlib.sha256((folder / "x").read_bytes()).hexdigest()
    name = f"{arch}-{digest[:8]}.pth"
    (folder / "x").rename(folder / name)
    entry = torchvision.models.get_model_weights(arch)["IMAGENET1K_V1"].value
    monkeypatch.setattr(entry, "url", f"https://download.pytorch.org/models/{name}")
    return folder / name


def refusal(arch, weights):
    with pytest.raises(ConfigError) as caught:
        read_weights(ModelSection(arch=arch, weights=weights), 32)
    assert str(caught.value).isprintable()
    return str(caught.value)


def started(model):
    """The weights of a config, and a new network for grey images that begins with them."""
    start, fresh = read_weights(model, 32), build_network(model, 6, 1, 32)
    start.load_into(fresh)
    return start, fresh


@pytest.mark.parametrize("is_new", [True, False])
def test_torchvisions_weights_are_read_from_its_directory(checkpoints, monkeypatch, is_new):
    network = torchvision.models.mobilenet_v3_small()
    put(checkpoints, monkeypatch, "mobilenet_v3_small", network, _use_new_zipfile_serialization=is_new)
    start, fresh = started(ModelSection(arch="mobilenet_v3_small", weights=NAME))
    assert torch.equal(fresh.network.features[0][0].weight, network.features[0][0].weight)
    assert start.colours == ColourStatistics((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_a_file_whose_digest_is_not_in_its_name_is_damaged(checkpoints, monkeypatch):
    path = put(checkpoints, monkeypatch, "mobilenet_v3_small", torchvision.models.mobilenet_v3_small())
    path.write_bytes(path.read_bytes() + b"x")
    assert "is damaged: its SHA-256 is not the one in its name" in refusal("mobilenet_v3_small", NAME)


def test_a_file_that_is_not_there_is_named_with_its_directory_and_address(checkpoints):
    assert refusal("resnet18", NAME) == (
        f'weights "{NAME}": no resnet18-f37072fd.pth in {checkpoints}, and nothing is downloaded; it is at '
        "https://download.pytorch.org/models/resnet18-f37072fd.pth"
    )


@pytest.mark.parametrize(
    ("arch", "weights", "reason"),
    [
        ("resnet50", "torchvision:V3", "it has torchvision:IMAGENET1K_V1, torchvision:IMAGENET1K_V2"),
        ("resnet50", "torchvision:DEFAULT", "it has torchvision:IMAGENET1K_V1, torchvision:IMAGENET1K_V2"),
        ("resnet81", NAME, "there is no network"),
        ("small-cnn", NAME, 'are for a network of torchvision, not arch "small-cnn"'),
        ("timm:resnet18", NAME, 'are for a network of torchvision, not arch "timm:resnet18"'),
        ("mine:net", NAME, 'are for a network of torchvision, not arch "mine:net"'),
        ("resnet18", "timm:a1_in1k", 'are for a network of timm, arch = "timm:NAME", not arch "resnet18"'),
    ],
)
def test_weights_of_another_network_are_refused(checkpoints, arch, weights, reason):
    assert reason in refusal(arch, weights)


@pytest.mark.parametrize("arch", ["googlenet", "inception_v3"])
def test_further_classifiers_are_left_out_and_colours_are_as_these_networks_convert_them(
    checkpoints, monkeypatch, arch
):
    entry = torchvision.models.get_model_weights(arch)["IMAGENET1K_V1"]
    (checkpoints / entry.url.rpartition("/")[2]).touch()
    model = ModelSection(arch=arch, weights=NAME)
    assert locate_weights(model).colours == ColourStatistics((0.5,) * 3, (0.5,) * 3)
    state = {"aux1.fc1.weight": 1, "AuxLogits.fc.weight": 2, "conv1.conv.weight": 3}
    assert adapt_state(state, model, 32) == {"conv1.conv.weight": 3}


def test_names_of_old_densenets_are_those_of_their_networks():
    state = {"features.denseblock1.denselayer2.norm.1.weight": 1, "features.norm0.weight": 2}
    assert adapt_state(state, ModelSection(arch="densenet121", weights=NAME), 32) == {
        "features.denseblock1.denselayer2.norm1.weight": 1,
        "features.norm0.weight": 2,
    }


@pytest.mark.parametrize(("channels", "mean"), [(3, [123.675, 116.28, 103.53]), (1, [114.495])])
def test_images_are_normalised_as_the_weights_expect(checkpoints, monkeypatch, channels, mean):
    put(checkpoints, monkeypatch, "mobilenet_v3_small", torchvision.models.mobilenet_v3_small())
    model = ModelSection(arch="mobilenet_v3_small", weights=NAME)
    trainer = Trainer(source(channels=channels), [target()], model, TrainSection(precision="fp32"))
    torch.testing.assert_close(trainer._source.normalisation.mean, torch.tensor(mean))


def test_a_network_of_timm_needs_timm(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(ConfigError, match=r"needs timm .*: pip install timm$"):
        build_network(ModelSection(arch="timm:resnet18"), 5, 3, 32)
    assert "needs timm" in refusal("timm:resnet18", "timm:a1_in1k")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The cache of the Hugging Face hub."""
    require("timm")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def put_into_hub(hub, name, network):
    folder = hub / f"models--timm--{name}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    path = folder / "snapshots" / COMMIT / "model.safetensors"
    path.parent.mkdir(parents=True)
    safetensors.torch.save_file(network.state_dict(), path)


@pytest.mark.parametrize(("name", "stem"), [("test_resnet", "conv1.0.weight"), ("test_vit", "patch_embed.proj.weight")])
def test_timms_weights_are_read_from_the_cache_of_the_hub(hub, name, stem):
    """Those of a vision transformer are made to fit another size of images."""
    timm = pytest.importorskip("timm")
    network = timm.create_model(name)
    put_into_hub(hub, f"{name}.r160_in1k", network)
    start, fresh = started(ModelSection(arch=f"timm:{name}", weights="timm:r160_in1k"))
    assert torch.equal(fresh.network.state_dict()[stem], network.state_dict()[stem])
    assert start.colours == ColourStatistics((0.5,) * 3, (0.5,) * 3)


def test_weights_of_timm_that_are_not_in_the_cache_are_named(hub):
    assert refusal("timm:test_resnet", "timm:r160_in1k") == (
        f'weights "timm:r160_in1k": no model.safetensors of timm/test_resnet.r160_in1k in {hub}, and nothing is '
        "downloaded; `hf download timm/test_resnet.r160_in1k model.safetensors` fetches it"
    )


@pytest.mark.parametrize(
    ("arch", "weights", "reason"),
    [
        ("timm:test_resnet", "timm:nope", "it has timm:r160_in1k"),
        ("timm:nope_nope", "timm:a1_in1k", 'there is no network "timm:nope_nope"'),
        ("timm:test_resnet.r160_in1k", "timm:r160_in1k", 'write arch = "timm:test_resnet" and weights = "timm:r160'),
    ],
)
def test_unknown_networks_and_weights_of_timm_are_refused(hub, arch, weights, reason):
    assert reason in refusal(arch, weights)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet"])
def test_timms_networks_are_built_for_the_images(name):
    require("timm")
    with torch.no_grad():
        assert build_network(ModelSection(arch=f"timm:{name}"), 5, 1, 48)(torch.zeros(2, 1, 48, 48)).shape == (2, 5)
