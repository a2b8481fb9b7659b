"""Similarity of images, whatever was done to one of them: array code on stacks of square images.

The distance of two images with brightness a and b, each minus its mean, is |a - b|² / (2 |a| |b|): 0 for equal images,
1 - r for images of equal contrast that correlate by r. Two stacks are compared as a whole by a few pixels an image
(`CoarseIndex`), and pairs that come out near are compared closely (`refine_match`): one of the two may then be a crop
of the other, and the best crop is searched for by Gauss-Newton steps (Lucas & Kanade 1981; in the normalised form of
Evangelidis & Psarakis 2008).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Indices = NDArray[np.intp]
Windows = NDArray[np.float64]
"""(w, 3): the left and the upper end of a square cut from an image, and its side; all in sides of that image."""

SIDE = 8
"""Pixels that are compared of every image of a stack: 8 x 8."""
MIN_CONTRAST = 3.0
"""Grey levels of standard deviation below which an image is too flat to be compared."""
MIN_CROP = 0.6
"""Sides of the smallest crop that is searched for."""
_SCALES, _STARTS = (0.9, 0.8, 0.7), (0.0, 0.25, 0.5, 0.75, 1.0)
_FEW_SCALES, _FEW_STARTS = (0.85, 0.7), (0.0, 0.5, 1.0)
_OWN_SCALE = 0.85
_STEPS = 12
_NUDGE, _LONGEST_STEP, _DAMPING = 0.01, 0.1, 1e-3
_SHORTER, _SHORTEST = 0.3, 0.02
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

WHOLE: Windows = np.array([[0.0, 0.0, 1.0]])


def crops(*, few: bool = False) -> Windows:
    """Return the crops with which a search begins: three sizes at 25 places each, or two at nine."""
    scales, starts = (_FEW_SCALES, _FEW_STARTS) if few else (_SCALES, _STARTS)
    return np.array(
        [(left * (1 - scale), top * (1 - scale), scale) for scale in scales for left in starts for top in starts]
    )


def grey(images: NDArray[np.uint8]) -> Floats:
    """Return (N, s, s) brightness of (N, s, s, C) images, 0 to 255."""
    pixels: Floats = images.astype(np.float32)
    brightness: Floats = pixels[..., 0] if images.shape[-1] == 1 else pixels @ _LUMA
    return brightness


def cut(images: Floats, windows: Windows, side: int) -> Floats:
    """Cut a square from each image and scale it, each pixel a weighted mean of what it covers.

    Args:
        images: (N, s, s).
        windows: (N, 3), or (1, 3) for the same from all.
        side: of the result, in pixels.

    Returns:
        (N, side, side).
    """
    length = images.shape[1]
    across = _resampling(windows[:, 0], windows[:, 2], length, side)
    down = _resampling(windows[:, 1], windows[:, 2], length, side)
    made: Floats = down @ images @ across.transpose(0, 2, 1)
    return made


def _resampling(start: NDArray[np.float64], scale: NDArray[np.float64], length: int, side: int) -> Floats:
    """(N, side, length) weights of a triangle filter, as wide as a new pixel and at least as an old one."""
    step = scale * length / side
    centre = start[:, None] * length + (np.arange(side) + 0.5) * step[:, None] - 0.5
    width = np.maximum(step, 1.0)[:, None, None]
    weight = np.maximum(1 - np.abs(np.arange(length) - centre[..., None]) / width, 0)
    shares: Floats = (weight / np.maximum(weight.sum(axis=-1, keepdims=True), 1e-9)).astype(np.float32)
    return shares


def _centred(images: Floats) -> tuple[Floats, Floats]:
    """(N, d) pixels with their mean taken out, and (N,) their length; that of a flat image is 0."""
    flat = images.reshape(len(images), images.shape[1] * images.shape[2])
    centred: Floats = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1)
    return centred, np.where(length > MIN_CONTRAST * np.sqrt(flat.shape[1]), length, 0)


def _unit(images: Floats) -> Floats:
    """(N, d) of length 1; 0 for flat images."""
    centred, length = _centred(images)
    unit: Floats = np.where(length[:, None] > 0, centred / np.maximum(length, 1e-9)[:, None], 0)
    return unit


def distances(first: Floats, second: Floats) -> Floats:
    """Return the distance of each of (N, s, s) from its partner, (N,); infinite where one of them is flat."""
    (a, a_length), (b, b_length) = _centred(first), _centred(second)
    difference = a - b
    lengths = a_length * b_length
    squared = np.einsum("ij,ij->i", difference, difference)
    distance: Floats = np.where(lengths > 0, squared / np.maximum(2 * lengths, 1e-9), np.inf).astype(np.float32)
    return distance


class CoarseIndex:
    """A stack of images, small: whole, and cropped in each way that a search begins with."""

    def __init__(self, images: NDArray[np.uint8], *, few: bool = False, block: int = 4096) -> None:
        """Scale (N, s, s, C) images down, with few crops where there are many."""
        self.windows = np.concatenate([WHOLE, crops(few=few)])
        self.views = np.empty((len(self.windows), len(images), SIDE * SIDE), np.float32)
        for start in range(0, len(images), block):
            pixels = grey(images[start : start + block])
            for number, window in enumerate(self.windows):
                self.views[number, start : start + block] = _unit(cut(pixels, window[None], SIDE))

    def __len__(self) -> int:
        return self.views.shape[1]

    def distances(self, others: "CoarseIndex", rows: slice) -> Floats:
        """(rows, len(others)) 1 - r of the whole of one with the whole or a crop of the other, the least."""
        best = self.views[0, rows] @ others.views[0].T
        for number in range(1, len(self.views)):
            np.maximum(best, self.views[0, rows] @ others.views[number].T, out=best)
            np.maximum(best, self.views[number, rows] @ others.views[0].T, out=best)
        distance: Floats = 1 - best
        return distance

    def blocks(self, others: "CoarseIndex", values: int = 1_000_000) -> Iterator[slice]:
        """All rows once, so many at a time that a block of distances has about `values`."""
        step = max(1, values // max(len(others), 1))
        return (slice(start, min(start + step, len(self))) for start in range(0, len(self), step))

    def best_crops(self, images: Indices, others: "CoarseIndex", partners: Indices) -> tuple[Windows, Windows]:
        """Return the crops of pairs that are most like the whole of their partner.

        Args:
            images: (c,) images of this stack.
            others: another stack.
            partners: (c,) their partners in it.

        Returns:
            (c, 3) crops of the own images, (c, 3) of the others.
        """
        a, b = self.views[:, images], others.views[:, partners]
        crop = np.einsum("wcd,cd->wc", a, b[0]).argmax(axis=0)
        partner_crop = np.einsum("wcd,cd->wc", b, a[0]).argmax(axis=0)
        return self.windows[crop], others.windows[partner_crop]


@dataclass(frozen=True)
class RefinedMatches:
    """Pairs compared closely, (c,) each.

    Attributes:
        distance: the least that was found.
        cropped: whether it is that of a crop.
    """

    distance: Floats
    cropped: NDArray[np.bool_]


def refine_match(first: Floats, second: Floats, crops_of_first: Windows, crops_of_second: Windows) -> RefinedMatches:
    """Compare pairs as they are, and each one's best crop with the whole of the other.

    At half their size: what recompression does to an image is then next to nothing, and what tells two images of one
    kind apart is not.

    Args:
        first: (c, s, s) brightness.
        second: (c, s, s), their partners.
        crops_of_first: (c, 3) where the search begins.
        crops_of_second: (c, 3), likewise.
    """
    side = max(first.shape[1] // 2, SIDE)
    whole = distances(cut(first, WHOLE, side), cut(second, WHOLE, side))
    crop = np.minimum(_fitted(first, second, crops_of_first, side), _fitted(second, first, crops_of_second, side))
    return RefinedMatches(np.minimum(whole, crop), crop < 0.5 * whole)


def _fitted(wholes: Floats, images: Floats, windows: Windows, side: int) -> Floats:
    """(c,) the distance of images (c, s, s) from the crop of their wholes that fits best, as far as it is found."""
    window, images = windows.astype(np.float64), cut(images, WHOLE, side)
    goal = _unit(images)
    best = distances(cut(wholes, window, side), images)
    active, reach = np.arange(len(best)), np.ones(len(best))
    for _ in range(_STEPS):
        step = _step(wholes[active], goal[active], window[active])
        tried = _inside(window[active] + reach[active, None] * step)
        distance = distances(cut(wholes[active], tried, side), images[active])
        better = distance < 0.999 * best[active]
        improved = active[better]
        window[improved], best[improved] = tried[better], distance[better]
        reach[active[~better]] *= _SHORTER
        active = active[reach[active] > _SHORTEST]
        if not active.size:
            break
    return best


def _step(wholes: Floats, goal: Floats, window: Windows) -> Windows:
    """(c, 3) the Gauss-Newton step towards the crop that fits best."""
    side = int(np.sqrt(goal.shape[1]))
    current = _unit(cut(wholes, window, side))
    slopes = [(_unit(cut(wholes, window + _NUDGE * axis, side)) - current) / _NUDGE for axis in np.eye(3)]
    jacobian = np.stack(slopes, axis=1)
    normal = (jacobian @ jacobian.transpose(0, 2, 1)).astype(np.float64) + _DAMPING * np.eye(3)
    gradient = np.einsum("cad,cd->ca", jacobian, goal - current)[..., None].astype(np.float64)
    step: Windows = np.linalg.solve(normal, gradient)[..., 0]
    return np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)


def _inside(windows: Windows) -> Windows:
    """The nearest windows that lie in the image and are large enough."""
    scale = np.clip(windows[:, 2:], MIN_CROP, 1.0)
    return np.concatenate([np.clip(windows[:, :2], 0, 1 - scale), scale], axis=1)


def distance_to_own_crops(images: Floats) -> Floats:
    """Return the distance of each of (N, s, s) from the nearest of a few crops of its own, (N,).

    An image that looks like its own crops, such as a bar, looks like crops of others too.
    """
    side = max(images.shape[1] // 2, SIDE)
    wholes = cut(images, WHOLE, side)
    windows = [window for window in crops(few=True) if window[2] == _OWN_SCALE]
    nearest: Floats = np.min([distances(cut(images, window[None], side), wholes) for window in windows], axis=0)
    return nearest
