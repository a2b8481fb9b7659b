"""Networks by name, and what is said of those that cannot be used."""

import sys

import pytest
import torch
from torch import nn

from tests.unit.training.small_data import mask, same, source, target, trainer
from tui_influence.config.schema import ModelSection
from tui_influence.errors import ConfigError
from tui_influence.training import networks
from tui_influence.training.networks import Block, build_network, split_head

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
        ("airbench", 3, 32, 256),
        ("airbench", 1, 8, 256),
        ("airbench", 4, 15, 256),
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
    assert build("airbench", width=0.5).head.in_features == 128


def shapes(network):
    """Of every convolution: channels in and out, and of the head."""
    return [tuple(p.shape[:2]) for p in network.parameters() if p.ndim > 1]


def test_the_networks_for_small_images_have_the_layers_that_they_say():
    assert shapes(build("small-cnn", channels=1)) == [(16, 1), (32, 16), (32, 32), (5, 64)]
    assert shapes(build("resnet9")) == [
        (64, 3), (128, 64), (128, 128), (128, 128), (256, 128), (512, 256), (512, 512), (512, 512), (5, 512),
    ]  # fmt: skip
    assert shapes(build("small-cnn", channels=1, width=0.01)) == [(1, 1), (1, 1), (1, 1), (5, 2)]
    assert shapes(build("resnet9", width=0.001))[:3] == [(1, 3), (1, 1), (1, 1)]
    for network in (build("small-cnn"), build("resnet9")):
        for block in (module for module in network.modules() if isinstance(module, Block)):
            assert (block.conv.kernel_size, block.conv.padding, block.conv.bias) == ((3, 3), (1, 1), None)


def test_airbench_has_the_layers_that_it_says_in_every_width():
    assert shapes(build("airbench")) == [
        (24, 3), (64, 24), (64, 64), (256, 64), (256, 256), (256, 256), (256, 256), (5, 256),
    ]  # fmt: skip
    assert shapes(build("airbench", channels=1, width=0.001)) == [(1, 1)] * 7 + [(5, 1)]
    network = build("airbench", width=2)
    assert shapes(network)[1] == (128, 48)
    assert not any(module.weight.requires_grad for module in network.modules() if isinstance(module, nn.BatchNorm2d))


@pytest.mark.parametrize(("size", "sides"), [(32, [31, 15, 7, 3]), (14, [13, 6, 3, 1]), (8, [7, 3, 1, 1])])
def test_airbench_halves_maps_down_to_a_pixel(size, sides):
    network, maps = build("airbench", width=0.1, size=size), []
    for part in (network.stem, *network.blocks):
        part.register_forward_hook(lambda _module, _inputs, output: maps.append(output.shape[2]))
    network(torch.zeros(1, 3, size, size))
    assert maps == sides


def test_a_convolution_of_airbench_begins_by_passing_on_its_inputs():
    x = torch.randn(2, 24, 9, 9)
    with torch.no_grad():
        passed = build("airbench").blocks[0].first(x)
    assert torch.equal(passed[:, :24], x)
    assert passed.shape[1] == 64
    assert not torch.equal(passed[:, 24:48], x)


def test_airbench_is_drawn_from_the_seed_alone_and_learns():
    options = {"arch": "airbench", "width": 0.1, "epochs": 6}
    first, again = trainer(**options), trainer(source(per_class=20), **options)
    for a, b in zip(first._fresh(7)[0].parameters(), again._fresh(7)[0].parameters(), strict=True):
        assert torch.equal(a, b)  # whatever the images are
    (outcome,) = first.run(mask(), 0)
    assert outcome.metrics["source_accuracy"] > 0.8
    assert same([outcome], trainer(**options).run(mask(), 0))


@pytest.mark.parametrize(("arch", "pools"), [("small-cnn", [2, 1, 2]), ("resnet9", [1, 2, 1, 1, 2, 2, 1, 1])])
def test_maps_shrink_where_they_are_pooled(arch, pools):
    network = build(arch)
    sides = []
    blocks = [module for module in network.modules() if isinstance(module, Block)]
    for block in blocks:
        block.register_forward_hook(lambda _module, inputs, output: sides.append(inputs[0].shape[2] // output.shape[2]))
    with torch.no_grad():
        network(torch.randn(2, 3, 32, 32))
    assert sides == [block.pool for block in blocks] == pools


def test_a_block_pools_normalises_and_cuts_off():
    torch.manual_seed(0)
    block = Block(2, 3, pool=2).eval()
    block.norm.running_mean += 0.1
    x = torch.randn(4, 2, 8, 8)
    with torch.no_grad():
        expected = torch.relu(block.norm(torch.max_pool2d(block.conv(x), 2)))
        torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize("stage", ["first", "second"])
def test_a_residual_stage_that_gives_nothing_passes_on_what_it_was_given(stage):
    network = build("resnet9", width=0.125)
    seen = {}
    part = getattr(network, stage)
    part.register_forward_hook(lambda _module, inputs, output: seen.update(given=inputs[0]) or torch.zeros_like(output))
    following = network.middle if stage == "first" else network.head
    following.register_forward_pre_hook(lambda _module, inputs: seen.update(passed=inputs[0]))
    with torch.no_grad():
        network(torch.randn(2, 3, 16, 16))
    expected = seen["given"] if stage == "first" else seen["given"].amax((2, 3))
    torch.testing.assert_close(seen["passed"], expected)


def test_features_are_the_mean_and_the_maximum_of_each_channel():
    x = torch.randn(3, 4, 5, 5)
    found = networks.mean_and_maximum(x)
    torch.testing.assert_close(found[:, :4], x.flatten(2).mean(2))
    torch.testing.assert_close(found[:, 4:], x.flatten(2).max(2).values)


@pytest.mark.parametrize(
    ("arch", "options"),
    [
        ("googlenet", {"aux_logits": False, "init_weights": True}),
        ("inception_v3", {"aux_logits": False, "init_weights": True}),
        ("vit_b_16", {"image_size": 48}),
        ("resnet18", {}),
    ],
)
def test_torchvisions_networks_are_built_for_the_images_without_weights(monkeypatch, arch, options):
    asked = []

    def get_model(name, **given):
        asked.append((name, given))
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(given["num_classes"]))

    monkeypatch.setattr("torchvision.models.get_model", get_model)
    build(arch, channels=1, size=48)
    assert asked == [(arch, {"weights": None, "num_classes": 5, **options})]


def test_a_network_that_is_not_made_yet_is_made_before_every_model(monkeypatch):
    tried = []
    monkeypatch.setattr(networks, "_try_network", lambda *those: tried.append(those[1]))
    for arch, times in ((OWN + "lazy", 1), (OWN + "good", 0)):
        networks.build_network(ModelSection(arch=arch), 5, 3, 32, trial=False)
        assert tried.count(arch) == times
    assert networks.build_network(ModelSection(arch="small-cnn"), 5, 3, 32, trial=True) is not None
    assert OWN + "lazy" in tried


@pytest.mark.parametrize("training", [True, False])
def test_a_trial_leaves_the_network_as_it_was(training):
    network = build(OWN + "good").train(training)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    networks._try_network(network, "x", 5, 3, 32)
    assert network.training == training
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in state.items())
    assert not any(module._forward_hooks for module in network.modules())


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
    attempt = networks._try_network
    monkeypatch.setattr(networks, "_try_network", lambda *those: tried.append(those[1]) or attempt(*those))
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
