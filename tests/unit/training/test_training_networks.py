"""Networks by name, and what is said of those that cannot be used."""

import sys

import pytest
import torch

from tests.unit.training.small_data import mask, same, source, target, trainer
from tui_influence.config.schema import ModelSection
from tui_influence.errors import ConfigError
from tui_influence.training import networks
from tui_influence.training.networks import build_network, split_head

OWN = "tests.unit.training.own_networks:"


def build(arch, classes=5, channels=3, size=32, width=1.0):
    torch.manual_seed(0)
    return build_network(ModelSection(arch=arch, width=width), classes, channels, size).eval()


@pytest.mark.parametrize(
    ("arch", "channels", "size", "features"),
    [
        ("small-cnn", 1, 8, 64),
        ("small-cnn", 3, 9, 64),
        ("small-cnn", 1, 14, 64),
        ("small-cnn", 3, 64, 64),
        ("resnet9", 3, 32, 512),
        ("resnet9", 1, 8, 512),
        ("resnet18", 1, 32, 512),
        ("mobilenet_v3_small", 1, 32, 1024),
        ("shufflenet_v2_x0_5", 3, 64, 1024),
        (OWN + "good", 1, 8, 12),
        (OWN + "only_a_head", 1, 8, 64),
    ],
)
def test_features_and_head_together_are_the_network(arch, channels, size, features):
    network = build(arch, channels=channels, size=size)
    x = torch.randn(3, channels, size, size)
    with torch.no_grad():
        expected = network(x)
        body, head = split_head(network)
        found = body(x)
        assert found.shape == (3, features)
        assert expected.shape == (3, 5)
        torch.testing.assert_close(head(found), expected)


def test_a_network_for_colour_sees_grey_as_three_equal_channels():
    grey, colour = build("resnet18", channels=1), build("resnet18", channels=3)
    x = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(grey(x), colour(x.repeat(1, 3, 1, 1)))


def test_width_multiplies_channels():
    assert build("small-cnn", width=0.5).head.in_features == 32
    assert build("resnet9", width=0.125).head.in_features == 64
    assert build("small-cnn", width=0.01).head.in_features == 2


@pytest.mark.parametrize("arch", ["resnet9", "mobilenet_v3_small", OWN + "good", OWN + "UnusedParameter", OWN + "lazy"])
def test_every_kind_trains_and_repeats(arch):
    one = trainer(
        source(per_class=8), [target(), target("full-network", seed=2)], arch, width=0.125, epochs=1, batch_size=24
    )
    first = one.run(mask(2), 3)
    assert same(first, one.run(mask(2), 3))


@pytest.mark.parametrize("arch", ["mobilenet_v3_small", OWN + "good"])
def test_a_network_is_tried_once_and_not_before_every_model(arch, monkeypatch):
    tried = []
    attempt = networks._try
    monkeypatch.setattr(networks, "_try", lambda *those: tried.append(those[1]) or attempt(*those))
    one = trainer(source(per_class=8), arch=arch, epochs=1, batch_size=24)
    one.run(mask(2), 3)
    one.run(mask(2), 4)
    assert tried == [arch]


def test_what_can_be_imported_is_not_decided_here(tmp_path, monkeypatch):
    """A worker that may run code is told so by its command line, and looks into the current directory itself."""
    (tmp_path / "lies_here.py").write_text("from tests.unit.training.own_networks import good\n")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    with pytest.raises(ConfigError, match="cannot be imported: ModuleNotFoundError"):
        build("lies_here:good")
    assert sys.path == before
    monkeypatch.syspath_prepend(tmp_path)
    assert build("lies_here:good")


def test_the_mask_has_no_part_in_the_initialisation():
    """A head for all K classes, whatever is kept: masks that share a seed share their start."""
    one = trainer()
    one.run(mask(), 1)
    start = [p.clone() for p in one._fresh(6)[0].parameters()]
    one.run(mask(1, 2, 3), 6)
    assert all(torch.equal(a, b) for a, b in zip(start, one._fresh(6)[0].parameters(), strict=True))
    assert one._head.out_features == 6


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ("resnet81", "there is no network .resnet81.; did you mean .*resnet18"),
        ("qqqqqqqq", "^there is no network .qqqqqqqq.$"),
        ("squeezenet1_1", "has no nn.Linear"),
        ("no_such_module:net", "cannot be imported: ModuleNotFoundError"),
        (OWN + "absent", "cannot be imported: AttributeError"),
        (OWN + "no_linear", "has no nn.Linear"),
        (OWN + "softmax_at_the_end", "does not end in an nn.Linear"),
        (OWN + "too_many_outputs", r"gives \(2, 6\) for two images, not \(2, 5\)"),
        (OWN + "fails_when_built", r"failed when called with \(5, 3, 32\): ValueError: first line$"),
        (OWN + "not_a_network", "returned a str, not a torch.nn.Module"),
        (OWN + "FailsForward", "cannot take 32 px images: images are too small$"),
    ],
)
def test_a_network_that_cannot_be_used_is_refused_in_one_line(arch, message):
    with pytest.raises(ConfigError, match=message) as caught:
        build(arch)
    assert "\n" not in str(caught.value)


def test_torchvisions_networks_take_one_channel_or_three():
    with pytest.raises(ConfigError, match="takes images of 1 or 3 channels; the source has 4"):
        build("resnet18", channels=4)
