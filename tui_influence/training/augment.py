"""Views of images: shifted, cut out and scaled, mirrored, and with a square erased.

Every random choice is drawn on the CPU before a training, and kept in few bytes; images are cut on their device.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import log

import torch
from torch import Tensor

from tui_influence.config.schema import TrainSection

_ASPECT_RATIOS = 3 / 4, 4 / 3
"""Least and greatest width over height of a random resized crop."""
_PORTION = 1 << 16
"""Views whose boxes are drawn at a time."""


@dataclass(frozen=True)
class Views:
    """How each of n images is cut for a network.

    Attributes:
        side: of the views, in pixels.
        shifts: (n, 2) int8 pixels that the view is moved down and right; beyond its edges an image is reflected. None
            for no shift.
        mirrored: (n,) bool; None for no mirror image.
        boxes: (n, 4) int16 top, left, height and width, in pixels of the shifted image, of the part that is scaled to
            the view; None for the whole image.
        erased: (n, 2) float32 vertical and horizontal centre of a square that is erased, as shares of the view; None
            for none.
        erased_side: of that square, in pixels of the view.
    """

    side: int
    shifts: Tensor | None = None
    mirrored: Tensor | None = None
    boxes: Tensor | None = None
    erased: Tensor | None = None
    erased_side: int = 0

    def __getitem__(self, part: slice) -> "Views":
        """Return the views of some of the images."""
        return self._changed(lambda tensor: tensor[part])

    def to(self, device: torch.device) -> "Views":
        """Return the same views on another device."""
        return self._changed(lambda tensor: tensor.to(device))

    def _changed(self, change: Callable[[Tensor], Tensor]) -> "Views":
        def changed(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else change(tensor)

        return replace(
            self,
            shifts=changed(self.shifts),
            mirrored=changed(self.mirrored),
            boxes=changed(self.boxes),
            erased=changed(self.erased),
        )


def draw_views(count: int, side: int, settings: TrainSection, generator: torch.Generator) -> Views:
    """Return random views of images, on the CPU; those of a training without augmentation are the images as they are.

    Args:
        count: of views.
        side: of the images, in pixels; the views have it too, see `dataclasses.replace` for another.
        settings: `crop`, `flip`, `resized_crop` and `cutout`.
        generator: that they are drawn from, one kind after the other.
    """
    views = Views(side)
    if settings.crop or settings.flip:
        shift = min(settings.crop, side - 1)
        shifts = torch.randint(-shift, shift + 1, (count, 2), generator=generator, dtype=torch.int8)
        mirrored = torch.randint(0, 2 if settings.flip else 1, (count,), generator=generator, dtype=torch.uint8)
        views = replace(views, shifts=shifts, mirrored=mirrored.bool())
    if settings.resized_crop is not None:
        boxes = torch.empty(count, 4, dtype=torch.int16)
        for portion in torch.split(boxes, _PORTION):  # in float64 all of a training would take many times the memory
            portion.copy_(_draw_boxes(len(portion), side, settings.resized_crop, generator))
        views = replace(views, boxes=boxes)
    if settings.cutout:
        centres = torch.rand(count, 2, generator=generator)
        views = replace(views, erased=centres, erased_side=settings.cutout)
    return views


def _draw_boxes(count: int, side: int, areas: Sequence[float], generator: torch.Generator) -> Tensor:
    """(count, 4) boxes whose area is a uniform share of the image's, and whose aspect ratio is log-uniform.

    As `torchvision.transforms.RandomResizedCrop`, except that a box which is too long for the image is shortened, not
    drawn again.
    """
    area, ratio, down, right = torch.rand(4, count, generator=generator, dtype=torch.float64)
    least, most = areas
    area = (least + (most - least) * area) * side**2
    lowest, highest = map(log, _ASPECT_RATIOS)
    ratio = (lowest + (highest - lowest) * ratio).exp()
    height = (area / ratio).sqrt().round().clamp(1, side)
    width = (area * ratio).sqrt().round().clamp(1, side)
    top, left = (down * (side + 1 - height)).floor(), (right * (side + 1 - width)).floor()
    return torch.stack((top, left, height, width), 1)


def cut(images: Tensor, index: Tensor, views: Views) -> Tensor:
    """Return views of some images, (B, side, side, C): uint8 where nothing is scaled, else float32.

    What is erased is left to `erase`, once the images are normalised.

    Args:
        images: (N, H, H, C) uint8.
        index: (B,) of the images, on their device.
        views: of each, on that device.
    """
    if views.shifts is None or views.mirrored is None:
        pixels = images[index]
    else:
        pixels = _shift(images, index, views.shifts, views.mirrored)
    if views.boxes is None and views.side == images.shape[1]:
        return pixels
    return _scale(pixels, views.boxes, views.side)


def _shift(images: Tensor, index: Tensor, shifts: Tensor, mirrored: Tensor) -> Tensor:
    height, width = images.shape[1:3]
    down, right = shifts.long().unbind(1)
    rows = _reflect(torch.arange(height, device=shifts.device) + down[:, None], height)
    columns = _reflect(torch.arange(width, device=shifts.device) + right[:, None], width)
    columns = torch.where(mirrored[:, None], width - 1 - columns, columns)
    return images[index[:, None, None], rows[:, :, None], columns[:, None, :]]


def _reflect(position: Tensor, size: int) -> Tensor:
    """Positions beyond an edge, mirrored at it."""
    return (size - 1) - ((size - 1) - position.abs()).abs()


def _scale(pixels: Tensor, boxes: Tensor | None, side: int) -> Tensor:
    """(B, H, H, C) -> (B, side, side, C) float32: a box of each image is scaled, each axis by a product of matrices."""
    size = pixels.shape[1]
    if boxes is None:
        boxes = torch.tensor([[0, 0, size, size]], device=pixels.device)
    top, left, height, width = boxes.float().unbind(1)
    rows = _interpolation(top, height, size, side)[:, None]
    columns = _interpolation(left, width, size, side)[:, None]
    scaled = rows @ pixels.permute(0, 3, 1, 2).float() @ columns.mT
    return scaled.permute(0, 2, 3, 1).contiguous()


def _interpolation(start: Tensor, length: Tensor, size: int, side: int) -> Tensor:
    """(B, side, size) weights of an image's pixels in the pixels of a view, along one axis.

    The triangle filter of Pillow's BILINEAR: as wide as a pixel of the view where that is larger than one of the image,
    so that nothing is aliased, and ending at the box's edges.

    Args:
        start: (B,) first pixel of the box.
        length: (B,) of the box.
        size: of the image.
        side: of the view.
    """
    position = torch.arange(size, device=start.device) + 0.5
    step = (length / side)[:, None]
    centre = start[:, None] + (torch.arange(side, device=start.device) + 0.5) * step
    distance = (position - centre[:, :, None]).abs() / step.clamp_min(1)[:, :, None]
    offset = (position - start[:, None])[:, None]
    is_inside = (offset > 0) & (offset < length[:, None, None])
    weight = (1 - distance).clamp_min(0) * is_inside
    return weight / weight.sum(2, keepdim=True)


def erase(images: Tensor, views: Views) -> Tensor:
    """Return normalised images, (B, C, H, H), with a square of each set to the source's mean, 0 (Cutout, 1708.04552).

    Part of a square may lie outside its image.
    """
    if views.erased is None:
        return images
    side = images.shape[-1]
    first = (views.erased * side).floor() - views.erased_side // 2
    position = torch.arange(side, device=images.device)
    offset = position - first[:, :, None]
    is_erased = (offset >= 0) & (offset < views.erased_side)
    return images.masked_fill((is_erased[:, 0, :, None] & is_erased[:, 1, None, :])[:, None], 0.0)
