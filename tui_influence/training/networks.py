"""Networks: those of `NETWORKS`, torchvision's and timm's classifiers by name, the user's `module:callable`.

Every network ends in an `nn.Linear` whose output is the network's output. `split_head` takes it off: what is left
maps images to features, and features are what is transferred.
"""

import difflib
import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu
from torch.nn.parameter import is_lazy

from tui_influence.config.schema import ModelSection
from tui_influence.errors import ConfigError, first_line
from tui_influence.networks import NETWORKS, TIMM, is_user_code


class Block(nn.Module):
    """3x3 convolution, pooling, BatchNorm, ReLU.

    Pooling comes first because it commutes with what follows up to the sign of BatchNorm's scale, and leaves a
    quarter of the pixels to normalise.
    """

    def __init__(self, inputs: int, outputs: int, pool: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / pool, W / pool)."""
        x = self.conv(x)
        if self.pool > 1:
            x = max_pool2d(x, self.pool)
        return relu(self.norm(x), inplace=True)


class SmallCNN(nn.Module):
    """Three 3x3 convolutions of 16-32-32 channels; 64 features: mean and maximum of the last map's channels."""

    def __init__(self, classes: int, channels: int, width: float = 1.0) -> None:
        super().__init__()
        first, second = max(1, round(16 * width)), max(1, round(32 * width))
        self.blocks = nn.Sequential(Block(channels, first, pool=2), Block(first, second), Block(second, second, pool=2))
        self.head = nn.Linear(2 * second, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, classes)."""
        return self.head(mean_and_maximum(self.blocks(x)))  # type: ignore[no-any-return]


class ResNet9(nn.Module):
    """Eight 3x3 convolutions in three stages, two of them residual, as in the DAWNBench entries for CIFAR-10."""

    def __init__(self, classes: int, channels: int, width: float = 1.0) -> None:
        super().__init__()
        a, b, c, d = (max(1, round(n * width)) for n in (64, 128, 256, 512))
        self.stem = nn.Sequential(Block(channels, a), Block(a, b, pool=2))
        self.first = nn.Sequential(Block(b, b), Block(b, b))
        self.middle = nn.Sequential(Block(b, c, pool=2), Block(c, d, pool=2))
        self.second = nn.Sequential(Block(d, d), Block(d, d))
        self.head = nn.Linear(d, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, classes)."""
        x = self.stem(x)
        x = x + self.first(x)
        x = self.middle(x)
        x = x + self.second(x)
        return self.head(x.amax((2, 3)))  # type: ignore[no-any-return]


class GreyAsColour(nn.Module):
    """A network for three channels, with the grey channel as all three."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, H, W) -> (B, classes)."""
        return self.network(x.expand(-1, 3, -1, -1))  # type: ignore[no-any-return]


def mean_and_maximum(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, 2 C)."""
    return torch.cat((x.mean((2, 3)), x.amax((2, 3))), 1)


def build_network(
    model: ModelSection, classes: int, channels: int, resolution: int, *, trial: bool = True
) -> nn.Module:
    """Return a freshly initialised network on the CPU, drawn from torch's global generator.

    Torchvision's networks keep their stems, which are made for 224 px: at small sizes they reduce a 32 px image to
    a single pixel. They work, but those in `NETWORKS` are made for small images.

    Args:
        model: `arch` and `width`.
        classes: outputs of the head.
        channels: of the images, 1 or 3 for the networks of torchvision and timm.
        resolution: side of the images in pixels.
        trial: run two images through a network that is not in `NETWORKS`, to check its shapes; once is enough.

    Raises:
        ConfigError: there is no such network, or it cannot take such images, or has no features to transfer.
    """
    arch = model.arch
    if arch in NETWORKS:
        network = find_network(arch)(classes, channels, model.width)
        assert isinstance(network, nn.Module)
        return network
    if is_user_code(arch):
        network = _build_users_network(arch, classes, channels, resolution)
    else:
        network = _build_library_network(arch, classes, channels, resolution)
    if trial or _is_lazy(network):
        _try_network(network, arch, classes, channels, resolution)
    return network


def split_head(network: nn.Module) -> tuple[nn.Module, nn.Linear]:
    """Take the last `nn.Linear` off: return (images -> features, features -> logits). Changes `network`.

    Raises:
        ConfigError: there is no `nn.Linear`.
    """
    name, head = find_head(network)
    if not name:
        return nn.Flatten(), head
    parent, _, attribute = name.rpartition(".")
    setattr(network.get_submodule(parent), attribute, nn.Identity())
    return network, head


def find_head(network: nn.Module) -> tuple[str, nn.Linear]:
    """Return the name in a network of its last `nn.Linear`, "" if it is all of it, and that layer.

    Raises:
        ConfigError: there is no `nn.Linear`.
    """
    linear = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise ConfigError("the network has no nn.Linear: its features are the input of the last one")
    return linear[-1]


def find_network(arch: str) -> Callable[..., object]:
    """Return what builds a network; a user's module is imported.

    Raises:
        ConfigError: there is no such network.
    """
    if arch in NETWORKS:
        return _imported(NETWORKS[arch].location)
    if is_user_code(arch):
        try:
            return _imported(arch)
        except Exception as error:  # the user's module may raise anything
            raise ConfigError(
                f'arch "{arch}" cannot be imported: {type(error).__name__}: {first_line(error)}'
            ) from error
    if arch.startswith(TIMM):
        return _find_timm_network(arch)
    import torchvision  # seconds to import, and most runs do without

    names = torchvision.models.list_models(module=torchvision.models)
    if arch not in names:
        raise _unknown_network(arch, [*NETWORKS, *names])
    return partial(torchvision.models.get_model, arch, weights=None)


def import_timm(name: str) -> Any:
    """Return the module `timm`.

    Args:
        name: what needs it, for the message.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise ConfigError(f'"{name}" needs timm ({first_line(error)}): pip install timm') from error


def timm_size_options(timm: Any, name: str, resolution: int) -> dict[str, object]:
    """Return the arguments by which one of timm's networks is made for a size of images; some take any size."""
    entry = timm.models.get_pretrained_cfg(name)
    return {"img_size": resolution} if entry is not None and entry.fixed_input_size else {}


def _find_timm_network(arch: str) -> Callable[..., object]:
    timm, (name, _, tag) = import_timm(arch), arch.removeprefix(TIMM).partition(".")
    if not timm.is_model(name):
        raise _unknown_network(arch, [TIMM + known for known in timm.list_models()])
    if tag:
        raise ConfigError(f'write arch = "{TIMM}{name}" and weights = "{TIMM}{tag}" instead of arch = "{arch}"')
    return partial(timm.create_model, name, pretrained=False)


def _unknown_network(arch: str, names: list[str]) -> ConfigError:
    suggestions = difflib.get_close_matches(arch, names, n=3, cutoff=0.5)
    hint = f"; did you mean {', '.join(suggestions)}?" if suggestions else ""
    return ConfigError(f'there is no network "{arch}"{hint}')


def _build_library_network(arch: str, classes: int, channels: int, resolution: int) -> nn.Module:
    """Build a network of torchvision or timm, all of which are for three channels."""
    build = find_network(arch)
    if channels not in (1, 3):
        raise ConfigError(f"{arch} takes images of 1 or 3 channels; the source has {channels}")
    options: dict[str, object] = {}
    if arch in ("googlenet", "inception_v3"):
        options = {"aux_logits": False, "init_weights": True}
    elif arch.startswith("vit_"):
        options = {"image_size": resolution}
    elif arch.startswith(TIMM):
        options = timm_size_options(import_timm(arch), arch.removeprefix(TIMM), resolution)
    try:
        network = build(num_classes=classes, **options)
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise ConfigError(f"{arch} cannot be built for {resolution} px images: {first_line(error)}") from error
    assert isinstance(network, nn.Module)
    return GreyAsColour(network) if channels == 1 else network


def _imported(location: str) -> Callable[..., object]:
    """Return what a `module:callable` names."""
    module_name, _, attribute = location.partition(":")
    factory: Callable[..., object] = getattr(importlib.import_module(module_name), attribute)
    return factory


def _build_users_network(arch: str, classes: int, channels: int, resolution: int) -> nn.Module:
    """Import and call the user's `module:callable`; whether it may run is decided where the process is started."""
    return _call(arch, find_network(arch), classes, channels, resolution)


def _call(arch: str, factory: Callable[..., object], classes: int, channels: int, resolution: int) -> nn.Module:
    try:
        network = factory(classes, channels, resolution)
    except Exception as error:  # the user's code may raise anything
        raise ConfigError(
            f'arch "{arch}" failed when called with ({classes}, {channels}, {resolution}): '
            f"{type(error).__name__}: {first_line(error)}"
        ) from error
    if not isinstance(network, nn.Module):
        raise ConfigError(f'arch "{arch}" returned a {type(network).__name__}, not a torch.nn.Module')
    return network


def _is_lazy(network: nn.Module) -> bool:
    """Whether some parameters are created only when the first images come through."""
    return any(is_lazy(tensor) for tensor in (*network.parameters(), *network.buffers()))


def try_body(body: nn.Module, arch: str, channels: int, resolution: int) -> None:
    """Run two empty images of another resolution through a network without its head.

    Raises:
        ConfigError: it cannot take them.
    """
    training = body.training
    try:
        with torch.no_grad():
            body.eval()(torch.zeros(2, channels, resolution, resolution))
    except Exception as error:  # a network may raise anything
        raise ConfigError(f'arch "{arch}" cannot take {resolution} px images: {first_line(error)}') from error
    finally:
        body.train(training)


def _try_network(network: nn.Module, arch: str, classes: int, channels: int, resolution: int) -> None:
    """Run two empty images through a network, to report at once what would fail in every model."""
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise ConfigError(f'arch "{arch}" has no nn.Linear: features are the input of the last one')
    linear_outputs: list[Tensor] = []
    hook = linear[-1].register_forward_hook(lambda _module, _inputs, output: linear_outputs.append(output))
    training = network.training
    try:
        with torch.no_grad():
            logits = network.eval()(torch.zeros(2, channels, resolution, resolution))
    except Exception as error:  # a network may raise anything
        raise ConfigError(f'arch "{arch}" cannot take {resolution} px images: {first_line(error)}') from error
    finally:
        hook.remove()
        network.train(training)
    if not isinstance(logits, Tensor) or logits.shape != (2, classes):
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ConfigError(f'arch "{arch}" gives {shape} for two images, not (2, {classes})')
    if not linear_outputs or not torch.equal(linear_outputs[-1], logits):
        raise ConfigError(f'arch "{arch}" does not end in an nn.Linear: its output must be that of its last one')
