"""Pretrained weights of torchvision and timm by name: their files in the local caches, and what they expect.

Nothing is downloaded. A file is where its library puts it: torchvision's in `hub/checkpoints` of torch's directory
(`TORCH_HOME`), timm's in the cache of the Hugging Face hub (`HF_HOME`).
"""

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tui_influence.config.schema import ModelSection
from tui_influence.errors import ConfigError, first_line
from tui_influence.networks import NETWORKS, SAFETENSORS_SUFFIX, TIMM, TORCHVISION, is_user_code
from tui_influence.text import printable
from tui_influence.training.device_images import ColourStatistics
from tui_influence.training.networks import find_network, import_timm, timm_size_options

_DIGEST_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.")
"""In a name of torchvision's files: the first digits of its SHA-256."""
_OLD_DENSENET_NAME = re.compile(r"(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)")
"""A name of a tensor in torchvision's files for DenseNets, which have a dot where the networks have none."""
_AUXILIARY_HEADS = ("aux1.", "aux2.", "AuxLogits.")
"""What begins the names of further classifiers, in files for GoogLeNet and Inception."""
_CONVERTS_COLOURS = ("googlenet", "inception_v3")
_HALF = (0.5, 0.5, 0.5)
"""Mean and deviation that these were trained with, which torchvision's networks convert images to."""


@dataclass(frozen=True)
class LibraryWeights:
    """Pretrained weights in a local cache.

    Attributes:
        path: of their file.
        digest_start: first hexadecimal digits of its SHA-256; empty where they are not known.
        colours: that its images were normalised by.
    """

    path: Path
    digest_start: str
    colours: ColourStatistics


def locate_weights(model: ModelSection) -> LibraryWeights:
    """Return the file of weights that a config has by name.

    Raises:
        ConfigError: there are no such weights of this network, or the file is not on this machine.
    """
    assert model.weights is not None
    return _locate_timm_weights(model) if model.weights.startswith(TIMM) else _locate_torchvision_weights(model)


def adapt_state(state: dict[str, Tensor], model: ModelSection, resolution: int) -> dict[str, Tensor]:
    """Return the tensors of a file by the names and in the shapes of a library's network, as the library would.

    Args:
        state: of the file.
        model: the network and its weights.
        resolution: side of the images in pixels.

    Raises:
        ConfigError: timm cannot use them.
    """
    if model.arch.startswith("densenet"):
        return {_OLD_DENSENET_NAME.sub(r"\1\2", name): tensor for name, tensor in state.items()}
    if model.arch in _CONVERTS_COLOURS:
        return {name: tensor for name, tensor in state.items() if not name.startswith(_AUXILIARY_HEADS)}
    if model.weights is not None and model.weights.startswith(TIMM):
        timm, name = import_timm(model.weights), _timm_name(model)
        options = timm_size_options(timm, name, resolution)
        try:
            network = timm.create_model(name, pretrained=True, pretrained_cfg_overlay={"state_dict": state}, **options)
        except Exception as error:  # timm may raise anything
            reason = printable(first_line(error), 200)
            raise ConfigError(f'weights "{model.weights}" cannot be used: {reason}') from error
        return dict(network.state_dict())
    return state


def _locate_torchvision_weights(model: ModelSection) -> LibraryWeights:
    arch, weights = model.arch, str(model.weights)
    if arch in NETWORKS or arch.startswith(TIMM) or is_user_code(arch):
        raise ConfigError(f'weights "{weights}" are for a network of torchvision, not arch "{arch}"')
    find_network(arch)
    import torchvision  # seconds to import, and most runs do without

    entries = {entry.name: entry for entry in torchvision.models.get_model_weights(arch)}
    name = weights.removeprefix(TORCHVISION)
    if name not in entries:
        raise _unknown(model, TORCHVISION, list(entries))
    entry = entries[name]
    folder, file_name = Path(torch.hub.get_dir()) / "checkpoints", entry.url.rpartition("/")[2]
    if not (folder / file_name).is_file():
        raise _absent(model, file_name, folder, f"; it is at {entry.url}")
    digest = _DIGEST_IN_NAME.search(file_name)
    preset = entry.transforms()
    is_converted = arch in _CONVERTS_COLOURS
    colours = ColourStatistics(_HALF, _HALF) if is_converted else _colours(preset.mean, preset.std)
    return LibraryWeights(folder / file_name, digest[1] if digest else "", colours)


def _locate_timm_weights(model: ModelSection) -> LibraryWeights:
    arch, weights = model.arch, str(model.weights)
    if not arch.startswith(TIMM):
        raise ConfigError(f'weights "{weights}" are for a network of timm, arch = "{TIMM}NAME", not arch "{arch}"')
    timm = import_timm(weights)
    find_network(arch)
    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{arch.removeprefix(TIMM)}.*")]
    if weights.removeprefix(TIMM) not in tags:
        raise _unknown(model, TIMM, tags)
    entry = timm.models.get_pretrained_cfg(_timm_name(model))
    file_name = entry.hf_hub_filename or "model" + SAFETENSORS_SUFFIX
    if not entry.hf_hub_id or not file_name.endswith(SAFETENSORS_SUFFIX):
        raise ConfigError(f'weights "{weights}" of {arch} are not a {SAFETENSORS_SUFFIX} file: give them as a file')
    hub = importlib.import_module("huggingface_hub")
    look_up: Callable[[str, str], object] = hub.try_to_load_from_cache
    path = look_up(entry.hf_hub_id, file_name)
    if not isinstance(path, str) or not Path(path).is_file():
        command = f"; `hf download {entry.hf_hub_id} {file_name}` fetches it"
        raise _absent(model, f"{file_name} of {entry.hf_hub_id}", Path(hub.constants.HF_HUB_CACHE), command)
    return LibraryWeights(Path(path), "", _colours(entry.mean, entry.std))


def _timm_name(model: ModelSection) -> str:
    """Return timm's own name of a network with its weights, such as "resnet18.a1_in1k"."""
    return f"{model.arch.removeprefix(TIMM)}.{str(model.weights).removeprefix(TIMM)}"


def _colours(mean: object, deviation: object) -> ColourStatistics:
    """Return the statistics that a library states, three numbers each."""
    red, green, blue = (tuple(map(float, pair)) for pair in zip(mean, deviation, strict=True))  # type: ignore[call-overload]
    return ColourStatistics((red[0], green[0], blue[0]), (red[1], green[1], blue[1]))


def _unknown(model: ModelSection, prefix: str, names: list[str]) -> ConfigError:
    available = f"it has {', '.join(prefix + name for name in names)}" if names else "it has none"
    return ConfigError(f'{model.arch} has no weights "{model.weights}"; {available}')


def _absent(model: ModelSection, file_name: str, folder: Path, source: str) -> ConfigError:
    return ConfigError(
        f'weights "{model.weights}": no {file_name} in {printable(str(folder))}, and nothing is downloaded{source}'
    )
