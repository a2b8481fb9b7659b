"""A small network that is fast on GPUs, in the family of Keller Jordan's airbench for CIFAR-10.

Source: K. Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU" (2024, arXiv:2404.00498), whose network follows
the "ResNet-18 in seconds" of T. Balsam's hlb-CIFAR10: a 2x2 stem, three blocks of two 3x3 convolutions with a pooling
after the first, GELU, and BatchNorm without scales. At 32 px a training step takes 0.7 GFLOP an image, and seven
convolutions are few launches. Written anew; what differs:

- The stem is drawn at random and trained. In airbench it is computed from training images (whitening), so that two
  masks would start from different weights; here weights are a function of the seed alone.
- The logits are not scaled down, because a linear probe, or another head, takes their place.
- Any number of channels, and any side from 8 px: the last pooling is over the whole map.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, max_pool2d

_WIDTHS = (64, 256, 256)
_STEM = 24
_MOMENTUM = 0.4
"""Weight of a batch in the running statistics: airbench's 0.6 of the past, as trainings are short."""


class Block(nn.Module):
    """Two 3x3 convolutions, the first followed by 2x2 pooling; each with BatchNorm and GELU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first, self.second = _convolution(inputs, outputs), _convolution(outputs, outputs)
        self.norms = nn.ModuleList([_norm(outputs), _norm(outputs)])

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / 2, W / 2), rounded down, at least 1."""
        x = self.first(x)
        if min(x.shape[2:]) > 1:
            x = max_pool2d(x, 2)
        x = gelu(self.norms[0](x))
        return gelu(self.norms[1](self.second(x)))


class Airbench(nn.Module):
    """Stem of 24 channels, blocks of 64, 256 and 256; features are the maximum of each channel."""

    def __init__(self, classes: int, channels: int, width: float = 1.0) -> None:
        super().__init__()
        stem, *widths = (max(1, round(count * width)) for count in (_STEM, *_WIDTHS))
        self.stem = nn.Conv2d(channels, stem, 2)
        sizes = zip([stem, *widths], widths, strict=False)
        self.blocks = nn.Sequential(*(Block(inputs, outputs) for inputs, outputs in sizes))
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, classes)."""
        return self.head(self.blocks(gelu(self.stem(x))).amax((2, 3)))  # type: ignore[no-any-return]


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """3x3 convolution whose first output channels begin as its input channels (Zagoruyko & Komodakis 2017)."""
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    with torch.no_grad():
        nn.init.dirac_(convolution.weight[:inputs])
    return convolution


def _norm(channels: int) -> nn.BatchNorm2d:
    """BatchNorm that shifts and does not scale."""
    norm = nn.BatchNorm2d(channels, momentum=_MOMENTUM)
    norm.weight.requires_grad_(False)
    return norm
