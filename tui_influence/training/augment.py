"""Images on the device as uint8, and the normalised batches and augmented views taken from them."""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tui_influence.pixel_counts import VALUES, pixel_counts
from tui_influence.training.types import Images, Labels

_SLICE_IMAGES = 4096
_SLICE_VALUES = 1 << 26
"""Images, and values, that are converted to floats at a time, at most."""


@dataclass(frozen=True)
class DeviceImages:
    """Labelled images on a device.

    Attributes:
        images: (N, H, W, C) uint8.
        labels: (N,) int64.
        mean: (C,) of the source's pixels, in units of 255.
        deviation: (C,) likewise.
    """

    images: Tensor
    labels: Tensor
    mean: Tensor
    deviation: Tensor

    @property
    def size(self) -> int:
        """Side in pixels."""
        return self.images.shape[1]

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return self.images.shape[3]

    def all_indices(self) -> Tensor:
        """(N,) indices of all images, on the device."""
        return torch.arange(len(self.images), device=self.images.device)

    def batch(self, index: Tensor, view: Tensor | None = None) -> Tensor:
        """Return normalised images for a network.

        Args:
            index: (B,) images.
            view: (B, 3) shift down, shift right, mirrored or not; None for the images as they are.

        Returns:
            (B, C, H, W) float32, channels last in memory.
        """
        if view is None:
            pixels = self.images[index]
        else:
            height, width = self.images.shape[1:3]
            down, right, mirrored = view.unbind(1)
            rows = _reflect(torch.arange(height, device=view.device) + down[:, None], height)
            columns = _reflect(torch.arange(width, device=view.device) + right[:, None], width)
            columns = torch.where(mirrored[:, None] > 0, width - 1 - columns, columns)
            pixels = self.images[index[:, None, None], rows[:, :, None], columns[:, None, :]]
        return ((pixels - self.mean) / self.deviation).permute(0, 3, 1, 2)

    def draw_views(self, shape: torch.Size, crop: int, flip: bool, generator: torch.Generator) -> Tensor | None:
        """(*shape, 3) random views: shifts of up to `crop` pixels, mirrored or not; None without either."""
        if not crop and not flip:
            return None
        crop = min(crop, self.size - 1)
        shifts = torch.randint(-crop, crop + 1, (*shape, 2), generator=generator)
        mirrored = torch.randint(0, 2 if flip else 1, (*shape, 1), generator=generator)
        return torch.cat((shifts, mirrored), -1).to(self.images.device)

    def matching(self, images: Images, labels: Labels) -> "DeviceImages":
        """Return other images of this size with the channels, normalisation and device of these."""
        tensor = _channels(_as_tensor(images, self.size), self.channels).contiguous()
        device = self.images.device
        return DeviceImages(tensor.to(device), torch.from_numpy(labels).to(device), self.mean, self.deviation)


def source_images(
    images: Images,
    labels: Labels,
    device: torch.device,
    resolution: int | None,
    counts: NDArray[np.int64] | None = None,
) -> DeviceImages:
    """Put the source's images on the device; they set size, channels and normalisation for all others.

    Args:
        images: (N, H, H, C) uint8, as they are packed.
        labels: (N,).
        device: that holds them.
        resolution: required side in pixels; None accepts any.
        counts: (C, 256) pixels of each channel that have each value; counted from the images if None.
    """
    tensor = _as_tensor(images, resolution or images.shape[1])
    mean, deviation = _statistics(pixel_counts(images) if counts is None else counts)
    return DeviceImages(
        tensor.to(device), torch.from_numpy(labels).to(device), mean.float().to(device), deviation.float().to(device)
    )


def _statistics(counts: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """(C,) mean and (C,) standard deviation, at least 1, in float64: the sums behind them are whole numbers."""
    values = np.arange(VALUES, dtype=np.int64)
    count = int(counts[0].sum())
    mean = torch.from_numpy(counts @ values).double() / count
    square = torch.from_numpy(counts @ values**2).double()
    return mean, (square / count - mean.square()).clamp_min(1.0).sqrt()


def _reflect(position: Tensor, size: int) -> Tensor:
    """Positions beyond an edge, mirrored at it."""
    return (size - 1) - ((size - 1) - position.abs()).abs()


def _channels(images: Tensor, channels: int) -> Tensor:
    """Grey to colour by repetition, colour to grey by luminance (ITU-R BT.601)."""
    n_channels = images.shape[3]
    if n_channels == channels:
        return images
    if n_channels == 1:
        return images.expand(-1, -1, -1, channels)
    if channels == 1 and n_channels == 3:
        weights = torch.tensor([0.299, 0.587, 0.114])
        step = max(1, min(_SLICE_IMAGES, _SLICE_VALUES // max(1, images.shape[1:].numel())))
        parts = [(part.float() @ weights).round().to(torch.uint8) for part in torch.split(images, step)]
        return torch.cat(parts)[..., None]
    raise ValueError(f"images of {n_channels} channels cannot be made into {channels}")


def _as_tensor(images: Images, side: int) -> Tensor:
    """Return images as a tensor, and check their side: they were scaled when they were packed."""
    height, width = images.shape[1:3]
    if (height, width) != (side, side):
        raise ValueError(f"images of {height} x {width} pixels, not packed at {side} x {side}")
    with warnings.catch_warnings():  # packed images are mapped read-only and never written to
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(images))
