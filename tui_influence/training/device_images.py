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
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tui_influence.image_selection import ImageArray, ImageSelection, read_images
from tui_influence.pixel_counts import VALUES, pixel_counts
from tui_influence.threads import map_ahead
from tui_influence.training.augment import Views, cut, erase
from tui_influence.training.types import Labels

_SLICE_IMAGES = 4096
_SLICE_VALUES = 1 << 26
"""Images, and values, that are converted to floats at a time, at most."""
_READ_AHEAD = 3
"""Batches that are read, or wait for their use, while one is used."""
_BATCHES_COPIED = 256
"""Batches whose indices and views are copied to the device at a time."""
_LAUNCHED_AHEAD = 3
"""Batches that a GPU may still have to use when the next is handed out: the host never gets further ahead."""

Batch: TypeAlias = tuple[Tensor, Tensor]
"""Images (B, C, h, h) and their labels (B,), on the device."""


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation by which pixels are normalised, (C,) each, from 0 to 255, on the device."""

    mean: Tensor
    deviation: Tensor


@dataclass(frozen=True)
class ColourStatistics:
    """Mean and standard deviation of red, green and blue, from 0 to 1, as pretrained weights expect them."""

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]

    def of_channels(self, channels: int) -> tuple[Tensor, Tensor]:
        """Return both from 0 to 255, (C,) each; of grey images their average over the colours."""
        mean, deviation = (VALUES - 1) * torch.tensor((self.mean, self.deviation), dtype=torch.float64)
        return (mean, deviation) if channels == 3 else (mean.mean().expand(channels), deviation.mean().expand(channels))


class DeviceImages(ABC):
    """Labelled images, given to a network on a device in batches.

    Attributes:
        images: uint8; N of them or more, see the subclasses.
        labels: (N,) int64, on the device.
        normalisation: of the source, or that of the starting weights.
        size: side in pixels of the images in a batch, unless views of another side are asked for.
    """

    def __init__(self, images: Tensor | ImageArray, labels: Tensor, normalisation: Normalisation, size: int) -> None:
        self.images, self.labels, self.normalisation, self.size = images, labels, normalisation, size

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def stored_side(self) -> int:
        """H, in pixels."""
        return self.images.shape[1]

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
    def batches(self, order: Tensor, size: int, views: Views | None = None) -> Generator[Batch, None, None]:
        """Yield normalised images for a network, (B, C, h, h) float32, channels last in memory, with their labels.

        Close the iterator if it is left before its end.

        Args:
            order: (n,) indices of images, on the CPU.
            size: B; the last batch may have fewer.
            views: of each, on the CPU; None for the whole images.
        """

    def matching(self, images: ImageArray, labels: Labels, *, streamed: bool = False) -> "DeviceImages":
        """Return other images of this size with the channels, normalisation and device of these."""
        _check_side(images, self.stored_side)
        on_device = torch.from_numpy(labels).to(self.device)
        return _images_for(images, on_device, self.normalisation, self.size, streamed=streamed)

    def _portions(self, order: Tensor, size: int, views: Views | None) -> Generator[tuple[Tensor, Views], None, None]:
        """Yield the indices and views of each batch, on the device.

        They are copied for many batches at a time: a copy costs the same for few as for many, but those of a whole
        training can take as much memory as the images.
        """
        views, whole = views or Views(self.size), size * _BATCHES_COPIED
        for first in range(0, len(order), whole):
            index, some = order[first : first + whole].long().to(self.device), views[first : first + whole]
            some = some.to(self.device)
            for start in range(0, len(index), size):
                yield index[start : start + size], some[start : start + size]

    def _batch(self, images: Tensor, index: Tensor, labels: Tensor, views: Views) -> Batch:
        """Return some of `images`, (N, H, H, C) uint8 on the device, for a network."""
        pixels = cut(images, index, views)
        normalised = ((pixels - self.normalisation.mean) / self.normalisation.deviation).permute(0, 3, 1, 2)
        return erase(normalised, views), labels


class ResidentImages(DeviceImages):
    """Images that the device holds, with the channels of the batches.

    Attributes:
        images: (M, H, H, C) uint8, on the device.
        positions: (N,) indices of these images in `images`; None if they are all of them, in order.
    """

    images: Tensor

    def __init__(
        self, images: Tensor, labels: Tensor, normalisation: Normalisation, size: int, positions: Tensor | None = None
    ) -> None:
        super().__init__(images, labels, normalisation, size)
        self.positions = positions

    def batches(self, order: Tensor, size: int, views: Views | None = None) -> Generator[Batch, None, None]:  # noqa: D102
        for index, some in self._portions(order, size, views):
            position = index if self.positions is None else self.positions[index]
            yield self._batch(self.images, position, self.labels[index], some)


class StreamedImages(DeviceImages):
    """Images that stay in the packed file, memory-mapped; their channels may differ from those of the batches."""

    images: ImageArray

    def batches(self, order: Tensor, size: int, views: Views | None = None) -> Generator[Batch, None, None]:  # noqa: D102
        every = torch.arange(min(size, len(order)), device=self.device)
        used: deque[torch.cuda.Event] = deque()
        parts = (order[start : start + size].numpy() for start in range(0, len(order), size))
        with closing(map_ahead(self._read, parts, threads=1, ahead=_READ_AHEAD, name="tinfl-reader")) as batches:
            for (index, some), (pixels, is_copied) in zip(self._portions(order, size, views), batches, strict=True):
                if is_copied is not None:
                    stream = torch.cuda.current_stream(self.device)
                    stream.wait_event(is_copied)
                    pixels.record_stream(stream)
                yield self._batch(pixels, every[: len(pixels)], self.labels[index], some)
                if is_copied is not None:
                    used.append(torch.cuda.current_stream(self.device).record_event())
                    if len(used) > _LAUNCHED_AHEAD:
                        used.popleft().synchronize()

    def _read(self, index: NDArray[np.integer]) -> tuple[Tensor, torch.cuda.Event | None]:
        """Return some images, (B, H, W, C) uint8 on the device, and the end of their copy to a GPU."""
        pixels = torch.empty((len(index), *self.images.shape[1:]), dtype=torch.uint8)
        read_images(self.images, index, pixels.numpy())
        pixels = _channels(pixels, self.channels).contiguous()
        if self.device.type != "cuda":
            return pixels.to(self.device), None
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
    colours: ColourStatistics | None = None,
) -> DeviceImages:
    """Return the source's images for a device; they set size, channels and normalisation for all others.

    Args:
        images: (N, H, H, C) uint8, as they are packed.
        labels: (N,).
        device: of the network.
        resolution: side in pixels of the images in a batch, at most that of these; theirs if None.
        counts: (C, 256) pixels of each channel that have each value; counted from the images if None.
        streamed: read them as they are needed instead of holding them.
        colours: that images are normalised by; those of the source's own pixels if None.
    """
    _check_side(images, images.shape[1])
    size = resolution or images.shape[1]
    if size > images.shape[1]:
        raise ValueError(f"images of {images.shape[1]} pixels, packed too small for {size}")
    if colours is None:
        mean, deviation = _statistics(pixel_counts(images) if counts is None else counts)
    else:
        mean, deviation = colours.of_channels(images.shape[3])
    normalisation = Normalisation(mean.float().to(device), deviation.float().to(device))
    return _images_for(images, torch.from_numpy(labels).to(device), normalisation, size, streamed=streamed)


def _images_for(
    images: ImageArray, labels: Tensor, normalisation: Normalisation, size: int, *, streamed: bool
) -> DeviceImages:
    if streamed:
        return StreamedImages(images, labels, normalisation, size)
    channels = len(normalisation.mean)
    if isinstance(images, ImageSelection) and images.shape[3] == channels:
        if labels.device.type == "cpu":  # the packed file stays the memory of all processes
            positions = torch.from_numpy(images.positions)
            return ResidentImages(_as_tensor(images.whole), labels, normalisation, size, positions)
        return ResidentImages(_copied(images, labels.device), labels, normalisation, size)
    tensor = _channels(_as_tensor(images[:]), channels).contiguous()
    return ResidentImages(tensor.to(labels.device), labels, normalisation, size)


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
