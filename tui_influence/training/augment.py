"""Random views of images: shifted and mirrored."""

import torch
from torch import Tensor


def draw_views(count: int, side: int, crop: int, flip: bool, generator: torch.Generator) -> Tensor | None:
    """Return (count, 3) random views on the CPU: shift down, shift right, mirrored or not; None without either.

    Args:
        count: of views.
        side: of the images, in pixels.
        crop: largest shift in pixels, at most the image less one pixel.
        flip: mirror an image or not, with the same probability.
        generator: that they are drawn from, first all shifts and then all mirror images.
    """
    if not crop and not flip:
        return None
    crop = min(crop, side - 1)
    shifts = torch.randint(-crop, crop + 1, (count, 2), generator=generator)
    mirrored = torch.randint(0, 2 if flip else 1, (count, 1), generator=generator)
    return torch.cat((shifts, mirrored), -1)


def viewed(images: Tensor, index: Tensor, view: Tensor | None) -> Tensor:
    """Return views of some images, (B, H, W, C) uint8; beyond its edges an image is reflected.

    Args:
        images: (N, H, W, C) uint8.
        index: (B,) of the images, on their device.
        view: (B, 3) see `draw_views`; None for the images as they are.
    """
    if view is None:
        return images[index]
    height, width = images.shape[1:3]
    down, right, mirrored = view.unbind(1)
    rows = _reflect(torch.arange(height, device=view.device) + down[:, None], height)
    columns = _reflect(torch.arange(width, device=view.device) + right[:, None], width)
    columns = torch.where(mirrored[:, None] > 0, width - 1 - columns, columns)
    return images[index[:, None, None], rows[:, :, None], columns[:, None, :]]


def _reflect(position: Tensor, size: int) -> Tensor:
    """Positions beyond an edge, mirrored at it."""
    return (size - 1) - ((size - 1) - position.abs()).abs()
