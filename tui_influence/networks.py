"""The networks that come with tinfl, by name, and what names of networks and weights mean, all without torch.

A class of this table is called with (classes, channels, width) and returns an `nn.Module` that ends in an `nn.Linear`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class NetworkEntry:
    """One network.

    Attributes:
        location: its class, as `module:class`.
        description: one line for help texts.
    """

    location: str
    description: str


NETWORKS = {
    "small-cnn": NetworkEntry(
        "tui_influence.training.networks:SmallCNN", "three convolutions of 16 to 32 channels, for images up to 32 px"
    ),
    "resnet9": NetworkEntry(
        "tui_influence.training.networks:ResNet9", "eight convolutions of 64 to 512 channels, for images up to 64 px"
    ),
    "airbench": NetworkEntry(
        "tui_influence.training.airbench:Airbench",
        "seven convolutions of 24 to 256 channels with a third of the work of resnet9, for images up to 64 px",
    ),
}
"""The networks by their name in `[model] arch`."""

TIMM = "timm:"
"""What begins the name of one of timm's networks, and that of their weights."""
TORCHVISION = "torchvision:"
"""What begins the name of torchvision's weights."""
SAFETENSORS_SUFFIX = ".safetensors"
TORCH_SUFFIXES = (".pt", ".pth")
"""Endings of files of weights: those of the second kind hold a pickle."""


def is_user_code(arch: str) -> bool:
    """Tell whether an `arch` is a user's `module:callable`, which is imported and called."""
    return ":" in arch and not arch.startswith(TIMM)


def is_weights_name(weights: str) -> bool:
    """Tell whether `weights` are those of a library by their name, not a file of the user's."""
    return weights.startswith((TORCHVISION, TIMM))


def is_pickle(weights: str | None) -> bool:
    """Tell whether `weights` are a user's file that holds a pickle."""
    return weights is not None and not is_weights_name(weights) and weights.lower().endswith(TORCH_SUFFIXES)


def needs_own_config(arch: str, weights: str | None) -> bool:
    """Tell whether a network is used only if the user's own config names it, not a results directory."""
    return is_user_code(arch) or is_pickle(weights)
