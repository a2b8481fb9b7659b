"""Labelled images for a network: held on the device, or read from the packed file while the network trains.

Both kinds give the same batches to the last bit. The pixels of images that are read take the memory of a few batches,
whatever their number: a thread reads the next batches while the device computes.
"""

import queue
import threading
import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tui_influence.pixel_counts import VALUES, pixel_counts
from tui_influence.training.augment import viewed
from tui_influence.training.types import Images, Labels

_SLICE_IMAGES = 4096
_SLICE_VALUES = 1 << 26
"""Images, and values, that are converted to floats at a time, at most."""
_READ_AHEAD = 2
"""Batches that wait for their use; one more is being read."""
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

    def matching(self, images: Images, labels: Labels, *, streamed: bool = False) -> "DeviceImages":
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
        images: (N, H, W, C) uint8, on the device.
    """

    def __init__(self, images: Tensor, labels: Tensor, normalisation: Normalisation) -> None:
        super().__init__(labels, normalisation, images.shape[1])
        self.images = images

    def batches(self, order: Tensor, size: int, views: Tensor | None = None) -> Generator[Tensor, None, None]:  # noqa: D102
        order, views = order.to(self.device), None if views is None else views.to(self.device)
        for start in range(0, len(order), size):
            part = slice(start, start + size)
            yield self._normalised(viewed(self.images, order[part], None if views is None else views[part]))


class StreamedImages(DeviceImages):
    """Images that stay in the packed file.

    Attributes:
        images: (N, H, W, C') uint8, memory-mapped; C' may differ from the channels of the batches.
    """

    def __init__(self, images: Images, labels: Tensor, normalisation: Normalisation) -> None:
        super().__init__(labels, normalisation, images.shape[1])
        self.images = images

    def batches(self, order: Tensor, size: int, views: Tensor | None = None) -> Generator[Tensor, None, None]:  # noqa: D102
        views = None if views is None else views.to(self.device)
        reader = _BatchReader(self, order.numpy(), size)
        every = torch.arange(min(size, len(order)), device=self.device)
        used: deque[torch.cuda.Event] = deque()
        try:
            for start in range(0, len(order), size):
                pixels = reader.next_batch()
                view = None if views is None else views[start : start + size]
                yield self._normalised(viewed(pixels, every[: len(pixels)], view))
                if self.device.type == "cuda":
                    used.append(torch.cuda.current_stream(self.device).record_event())
                    if len(used) > _LAUNCHED_AHEAD:
                        used.popleft().synchronize()
        finally:
            reader.close()


class _BatchReader:
    """A thread that reads batches of images in order, and copies them to the device, ahead of their use."""

    def __init__(self, images: StreamedImages, order: NDArray[np.int64], size: int) -> None:
        self._images, self._order, self._size, device = images, order, size, images.device
        self._ready: queue.Queue[tuple[Tensor, torch.cuda.Event | None] | BaseException] = queue.Queue(_READ_AHEAD)
        self._is_closed = threading.Event()
        self._stream = _copy_stream(device) if device.type == "cuda" else None
        self._thread = threading.Thread(target=self._run, name="tinfl-reader", daemon=True)
        self._thread.start()

    def next_batch(self) -> Tensor:
        """Return the next batch, (B, H, W, C) uint8 on the device."""
        item = self._ready.get()
        if isinstance(item, BaseException):
            try:
                raise item
            finally:
                del item  # its traceback holds this frame, and with it the memory of the reader
        pixels, is_copied = item
        if is_copied is not None:
            stream = torch.cuda.current_stream(self._images.device)
            stream.wait_event(is_copied)
            pixels.record_stream(stream)
        return pixels

    def close(self) -> None:
        """End the thread."""
        self._is_closed.set()
        while self._thread.is_alive():
            try:
                self._ready.get_nowait()
            except queue.Empty:
                self._thread.join(0.01)

    def _run(self) -> None:
        try:
            for start in range(0, len(self._order), self._size):
                self._put(self._read(self._order[start : start + self._size]))
                if self._is_closed.is_set():
                    return
        except BaseException as error:  # noqa: BLE001  (raised where the batch is used)
            self._put(error)

    def _put(self, item: tuple[Tensor, torch.cuda.Event | None] | BaseException) -> None:
        while not self._is_closed.is_set():
            try:
                self._ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def _read(self, index: NDArray[np.int64]) -> tuple[Tensor, torch.cuda.Event | None]:
        packed, side = self._images.images, self._images.size
        pixels = torch.empty((len(index), side, side, packed.shape[3]), dtype=torch.uint8)
        np.take(packed, index, axis=0, out=pixels.numpy(), mode="clip")  # "raise" would take a second copy
        pixels = _channels(pixels, self._images.channels).contiguous()
        if self._stream is None:
            return pixels, None
        with torch.cuda.stream(self._stream):
            on_device = pixels.pin_memory().to(self._images.device, non_blocking=True)
            is_copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            is_copied.record(self._stream)
        return on_device, is_copied


@cache
def _copy_stream(device: torch.device) -> torch.cuda.Stream:
    """Return the stream of all copies to a device: the allocator keeps the memory of each stream apart."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def source_images(
    images: Images,
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


def _images_for(images: Images, labels: Tensor, normalisation: Normalisation, *, streamed: bool) -> DeviceImages:
    if streamed:
        return StreamedImages(images, labels, normalisation)
    tensor = _channels(_as_tensor(images), len(normalisation.mean)).contiguous()
    return ResidentImages(tensor.to(labels.device), labels, normalisation)


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


def _check_side(images: Images, side: int) -> None:
    """Check the side of images, which were scaled when they were packed."""
    height, width = images.shape[1:3]
    if (height, width) != (side, side):
        raise ValueError(f"images of {height} x {width} pixels, not packed at {side} x {side}")


def _as_tensor(images: Images) -> Tensor:
    with warnings.catch_warnings():  # packed images are mapped read-only and never written to
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(images))
