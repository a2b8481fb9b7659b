"""Weights that source training starts from: read from a file, and put into a network in place of random ones.

A file is read as tensors alone: `.safetensors` by its own library, `.pt` and `.pth` by `torch.load` with
`weights_only`, which runs no code of the file. All tensors must fit but those of the head: where the file's head has
another number of classes, or the file has none, the head keeps what it was drawn with.
"""

import hashlib
import io
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

import safetensors.torch
import torch
from torch import Tensor, nn

from tui_influence.config.schema import ModelSection
from tui_influence.errors import ConfigError, first_line
from tui_influence.networks import SAFETENSORS_SUFFIX, is_weights_name
from tui_influence.regular_files import expand_home, read_regular
from tui_influence.text import pluralize, printable
from tui_influence.training.device_images import ColourStatistics
from tui_influence.training.device_memory import available_memory
from tui_influence.training.library_weights import adapt_state, locate_weights
from tui_influence.training.networks import GreyAsColour, find_head

MAX_NAMES = 4
"""Names of tensors in each line of an error."""
_MEMORY_SHARE = 0.5
"""Share of the free memory that a file may take: its tensors take as much again."""
_COUNTER = "num_batches_tracked"
"""End of the name of a buffer of BatchNorm that older files lack; nothing depends on it."""


class WeightsError(ConfigError):
    """Weights that do not fit a network; `details` has a line for each kind of difference."""

    def __init__(self, message: str, details: tuple[str, ...]) -> None:
        super().__init__(message)
        self.details = details


@dataclass(frozen=True, eq=False)
class StartingWeights:
    """Weights of a network, on the CPU.

    Attributes:
        state: tensors by name.
        label: what they are, for messages.
        colours: that their images were normalised by, if it is known.
    """

    state: Mapping[str, Tensor]
    label: str
    colours: ColourStatistics | None = None

    def load_into(self, network: nn.Module) -> None:
        """Copy the weights into a network on the CPU, whose own remain only in a head that does not fit.

        Raises:
            WeightsError: a tensor of the body is missing, unexpected, or of another shape.
        """
        inner = network.network if isinstance(network, GreyAsColour) else network
        state, head_names = _without_unfit_head(self.state, inner)
        present = inner.state_dict()
        shapes = [
            f"{name} {_describe(state[name])}, not {_describe(tensor)}"
            for name, tensor in present.items()
            if name in state and _describe(state[name]) != _describe(tensor)
        ]
        if shapes:
            names = [name for name in present if name not in state and name not in head_names]
            self._refuse(names, [name for name in state if name not in present], shapes)
        try:
            result = inner.load_state_dict(state, strict=False)
        except RuntimeError as error:  # of a network that reads its weights by itself
            raise WeightsError(f"{self.label} cannot be used: {printable(first_line(error), 200)}", ()) from error
        self._refuse([name for name in result.missing_keys if name not in head_names], result.unexpected_keys, [])

    def _refuse(self, missing: list[str], unexpected: list[str], shapes: list[str]) -> None:
        missing = [name for name in missing if not name.endswith(_COUNTER)]
        kinds = (("missing", missing), ("unexpected", unexpected), ("of other shapes", shapes))
        details = tuple(f"{kind}: {_few(names)}" for kind, names in kinds if names)
        if details:
            counts = ", ".join(f"{len(names)} {kind}" for kind, names in kinds if names)
            raise WeightsError(f"{self.label} do not fit the network; tensors that differ: {counts}", details)


def read_weights(model: ModelSection, resolution: int) -> StartingWeights | None:
    """Return the weights that source training starts from; None if they are drawn at random.

    Args:
        model: the network and its weights.
        resolution: side of the images in pixels.

    Raises:
        ConfigError: they cannot be read, or hold anything but tensors of finite numbers.
    """
    if model.weights is None:
        return None
    if is_weights_name(model.weights):
        weights = locate_weights(model)
        path, colours, label = weights.path, weights.colours, f'weights "{model.weights}"'
    else:
        weights, path, colours = None, expand_home(model.weights), None
        label = f"weights {printable(model.weights)}"
    try:
        content = read_regular(path, int(_MEMORY_SHARE * available_memory(torch.device("cpu"))))
    except OSError as error:
        raise ConfigError(f"{label} cannot be read: {error.strerror or error}") from error
    if weights and not hashlib.sha256(content).hexdigest().startswith(weights.digest_start):
        raise ConfigError(f"{label}: {printable(str(path))} is damaged: its SHA-256 is not the one in its name")
    is_safe = path.name.lower().endswith(SAFETENSORS_SUFFIX)
    state = _parse_safetensors(content, label) if is_safe else _parse_torch(content, label, any_format=bool(weights))
    infinite = [name for name, tensor in state.items() if not _is_finite(tensor)]
    if infinite:
        raise WeightsError(f"{label} are not finite in {pluralize(len(infinite), 'tensor')}", (_few(infinite),))
    return StartingWeights(adapt_state(state, model, resolution), label, colours)


def _parse_safetensors(content: bytes, label: str) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(content)
    except Exception as error:  # of the library, and KeyError for a type of numbers that torch lacks
        raise ConfigError(f"{label}: not a file of safetensors ({printable(first_line(error), 120)})") from error


def _parse_torch(content: bytes, label: str, *, any_format: bool) -> dict[str, Tensor]:
    """Return the tensors of a file that `torch.save` wrote.

    Args:
        content: of the file.
        label: for messages.
        any_format: whether it may be of torch before 1.6, in which a few bytes can request any amount of memory.
    """
    if not any_format:
        _check_archive(content, label)
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ConfigError(f"{label} holds more than tensors: save the network's state_dict() alone") from error
    except Exception as error:  # a damaged file may raise anything
        raise ConfigError(f"{label} cannot be read: {printable(first_line(error), 120)}") from error
    if not isinstance(state, Mapping) or not state or not all(map(_is_plain, state.values())):
        keys = f" (it holds {_few([str(key) for key in state])})" if isinstance(state, Mapping) else ""
        raise ConfigError(f"{label} is not a state_dict{keys}: save the network's state_dict() alone")
    return {str(name): tensor for name, tensor in state.items()}


def _check_archive(content: bytes, label: str) -> None:
    """Check that a file of torch is an archive whose parts are as large unpacked as they are packed."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            is_packed = any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist())
            size = sum(part.file_size for part in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        reason = "not a file of torch.save, or one of torch before 1.6"
        raise ConfigError(f"{label}: {reason}; load it and save it again, as .safetensors") from error
    if is_packed or size > len(content):
        raise ConfigError(f"{label}: its parts are compressed, or overlap; load it and save it again, as .safetensors")


def _without_unfit_head(state: Mapping[str, Tensor], network: nn.Module) -> tuple[dict[str, Tensor], set[str]]:
    """Return a state without the head if it is not one for these classes, and the names of the head's tensors."""
    module, head = find_head(network)
    shapes = {f"{module}.{name}" if module else name: value.shape for name, value in head.named_parameters()}
    fits = all(name in state and state[name].shape == shape for name, shape in shapes.items())
    weight = state.get(f"{module}.weight" if module else "weight")
    takes_other_features = weight is not None and (weight.ndim != 2 or weight.shape[1] != head.in_features)
    if fits or takes_other_features:
        return dict(state), set() if fits else set(shapes)
    return {name: tensor for name, tensor in state.items() if name not in shapes}, set(shapes)


def _is_plain(value: object) -> bool:
    """Whether a value is a tensor that holds all of its numbers, in memory, and none of them many times over."""
    return (
        isinstance(value, Tensor)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and value.nbytes <= value.untyped_storage().nbytes()
    )


def _is_finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor.float()).all())


def _describe(tensor: Tensor) -> str:
    """Return the shape of a tensor, and its type unless it holds real numbers of any precision."""
    return f"{tuple(tensor.shape)}{'' if tensor.is_floating_point() else f' {tensor.dtype}'}"


def _few(names: list[str]) -> str:
    """Return the first of some names, safe to print, and the number of the others."""
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(printable(name, 100) for name in names[:MAX_NAMES]) + more
