"""The networks that come with tinfl, by name: a table without torch, for the config, help texts and hints.

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
