"""Labelled images for a network: held on the device, or read from the packed file while the network trains.

Both kinds give the same batches to the last bit. The pixels of images that are read take the memory of a few batches,
whatever their number: a thread reads the next batches while the device computes.
"""

import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tui_influence.image_selection import ImageArray, ImageSelection, read_images
from tui_influence.pixel_counts import VALUES, pixel_counts
from tui_influence.threads import map_ahead
from tui_influence.training.augment import viewed
from tui_influence.training.types import Labels

_SLICE_IMAGES = 4096
_SLICE_VALUES = 1 << 26
"""Images, and values, that are converted to floats at a time, at most."""
_READ_AHEAD = 3
"""Batches that are read, or wait for their use, while one is used."""
_LAUNCHED_AHEAD = 3
"""Batches that a GPU may still have to use when the next is handed out: the host never gets further ahead."""


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of the source's pixels, (C,) each, in units of 255, on the device."""

    mean: Tensor
    deviation: Tensor


class DeviceImages(ABC):
    """Labelled images of one size, given to a network on a device in batches.

    Attributes:
        labels: (N,) int64, on the device.
        normalisation: of the source.
        size: side in pixels.
    """

    def __init__(self, labels: Tensor, normalisation: Normalisation, size: int) -> None:
        self.labels, self.normalisation, self.size = labels, normalisation, size

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return len(self.normalisation.mean)

    @property
    def device(self) -> torch.device:
        """The device of the batches."""
        return self.labels.device

    def all_indices(self) -> Tensor:
        """(N,) indices of all images, on the CPU."""
        return torch.arange(len(self))

    @abstractmethod
    def batches(self, order: Tensor, size: int, views: Tensor | None = None) -> Generator[Tensor, None, None]:
        """Yield normalised images for a network, (B, C, H, W) float32, channels last in memory.

        Close the iterator if it is left before its end.

        Args:
            order: (n,) indices of images, on the CPU.
            size: B; the last batch may have fewer.
            views: (n, 3) a view of each, see `augment.draw_views`; None for the images as they are.
        """

    def matching(self, images: ImageArray, labels: Labels, *, streamed: bool = False) -> "DeviceImages":
        """Return other images of this size with the channels, normalisation and device of these."""
        _check_side(images, self.size)
        on_device = torch.from_numpy(labels).to(self.device)
        return _images_for(images, on_device, self.normalisation, streamed=streamed)

    def _normalised(self, pixels: Tensor) -> Tensor:
        """Return pixels (B, H, W, C) uint8 for a network."""
        return ((pixels - self.normalisation.mean) / self.normalisation.deviation).permute(0, 3, 1, 2)


class ResidentImages(DeviceImages):
    """Images that the device holds as uint8.

    Attributes:
        images: (M, H, W, C) uint8, on the device.
        positions: (N,) indices of these images in `images`; None if they are all of them, in order.
    """

    def __init__(
        self, images: Tensor, labels: Tensor, normalisation: Normalisation, positions: Tensor | None = None
    ) -> None:
        super().__init__(labels, normalisation, images.shape[1])
        self.images, self.positions = images, positions

    def batches(self, order: Tensor, size: int, views: Tensor | None = None) -> Generator[Tensor, None, None]:  # noqa: D102
        order, views = order.to(self.device), None if views is None else views.to(self.device)
        order = order if self.positions is None else self.positions[order]
        for start in range(0, len(order), size):
            part = slice(start, start + size)
            yield self._normalised(viewed(self.images, order[part], None if views is None else views[part]))


class StreamedImages(DeviceImages):
    """Images that stay in the packed file.

    Attributes:
        images: (N, H, W, C') uint8, memory-mapped; C' may differ from the channels of the batches.
    """

    def __init__(self, images: ImageArray, labels: Tensor, normalisation: Normalisation) -> None:
        super().__init__(labels, normalisation, images.shape[1])
        self.images = images

    def batches(self, order: Tensor, size: int, views: Tensor | None = None) -> Generator[Tensor, None, None]:  # noqa: D102
        starts = range(0, len(order), size)
        views = None if views is None else views.to(self.device)
        every = torch.arange(min(size, len(order)), device=self.device)
        used: deque[torch.cuda.Event] = deque()
        parts = (order[start : start + size].numpy() for start in starts)
        with closing(map_ahead(self._read, parts, threads=1, ahead=_READ_AHEAD, name="tinfl-reader")) as batches:
            for start, (pixels, is_copied) in zip(starts, batches, strict=True):
                if is_copied is not None:
                    stream = torch.cuda.current_stream(self.device)
                    stream.wait_event(is_copied)
                    pixels.record_stream(stream)
                view = None if views is None else views[start : start + size]
                yield self._normalised(viewed(pixels, every[: len(pixels)], view))
                if is_copied is not None:
                    used.append(torch.cuda.current_stream(self.device).record_event())
                    if len(used) > _LAUNCHED_AHEAD:
                        used.popleft().synchronize()

    def _read(self, index: NDArray[np.int64]) -> tuple[Tensor, torch.cuda.Event | None]:
        """Return some images, (B, H, W, C) uint8 on the device, and the end of their copy to a GPU."""
        pixels = torch.empty((len(index), *self.images.shape[1:]), dtype=torch.uint8)
        read_images(self.images, index, pixels.numpy())
        pixels = _channels(pixels, self.channels).contiguous()
        if self.device.type != "cuda":
            return pixels, None
        stream = _copy_stream(self.device)
        with torch.cuda.stream(stream):
            return pixels.pin_memory().to(self.device, non_blocking=True), stream.record_event()


@cache
def _copy_stream(device: torch.device) -> torch.cuda.Stream:
    """Return the stream of all copies to a device: the allocator keeps the memory of each stream apart."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def source_images(
    images: ImageArray,
    labels: Labels,
    device: torch.device,
    resolution: int | None,
    counts: NDArray[np.int64] | None = None,
    *,
    streamed: bool = False,
) -> DeviceImages:
    """Return the source's images for a device; they set size, channels and normalisation for all others.

    Args:
        images: (N, H, H, C) uint8, as they are packed.
        labels: (N,).
        device: of the network.
        resolution: required side in pixels; None accepts any.
        counts: (C, 256) pixels of each channel that have each value; counted from the images if None.
        streamed: read them as they are needed instead of holding them.
    """
    _check_side(images, resolution or images.shape[1])
    mean, deviation = _statistics(pixel_counts(images) if counts is None else counts)
    normalisation = Normalisation(mean.float().to(device), deviation.float().to(device))
    return _images_for(images, torch.from_numpy(labels).to(device), normalisation, streamed=streamed)


def _images_for(images: ImageArray, labels: Tensor, normalisation: Normalisation, *, streamed: bool) -> DeviceImages:
    if streamed:
        return StreamedImages(images, labels, normalisation)
    channels = len(normalisation.mean)
    if isinstance(images, ImageSelection) and images.shape[3] == channels:
        if labels.device.type == "cpu":  # the packed file stays the memory of all processes
            return ResidentImages(_as_tensor(images.whole), labels, normalisation, torch.from_numpy(images.positions))
        return ResidentImages(_copied(images, labels.device), labels, normalisation)
    tensor = _channels(_as_tensor(images[:]), channels).contiguous()
    return ResidentImages(tensor.to(labels.device), labels, normalisation)


def _copied(images: ImageSelection, device: torch.device) -> Tensor:
    """Return images on a device; few of them are copied to the host's memory at a time."""
    pixels = torch.empty(images.shape, dtype=torch.uint8, device=device)
    step = max(1, min(_SLICE_IMAGES, _SLICE_VALUES // max(1, pixels[0].numel())))
    for start in range(0, len(images), step):
        pixels[start : start + step] = torch.from_numpy(images[start : start + step])
    return pixels


def _statistics(counts: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """(C,) mean and (C,) standard deviation, at least 1, in float64: the sums behind them are whole numbers."""
    values = np.arange(VALUES, dtype=np.int64)
    count = int(counts[0].sum())
    mean = torch.from_numpy(counts @ values).double() / count
    square = torch.from_numpy(counts @ values**2).double()
    return mean, (square / count - mean.square()).clamp_min(1.0).sqrt()


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


def _check_side(images: ImageArray, side: int) -> None:
    """Check the side of images, which were scaled when they were packed."""
    height, width = images.shape[1:3]
    if (height, width) != (side, side):
        raise ValueError(f"images of {height} x {width} pixels, not packed at {side} x {side}")


def _as_tensor(images: NDArray[np.uint8]) -> Tensor:
    with warnings.catch_warnings():  # packed images are mapped read-only and never written to
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(images))
