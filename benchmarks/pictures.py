"""Synthetic pictures for a sweep that was never trained: ten shapes in colours, on soft backgrounds.

Small, cheap and recognisable, so that a grid of them on the screen shows at once whether it is drawn right.
"""

import colorsys
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHAPES = ("disc", "square", "triangle", "ring", "cross", "star", "stripes", "chequers", "crescent", "heart")

Floats = NDArray[np.float32]


def pictures(shapes: NDArray[np.int64], hues: Floats, side: int, seed: int) -> NDArray[np.uint8]:
    """Draw pictures.

    Args:
        shapes: (n,) positions in `SHAPES`.
        hues: (n,) of the shapes, 0 to 1; the backgrounds have the opposite ones.
        side: of a picture, in pixels.
        seed: of where each shape is, how large and how turned.

    Returns:
        (n, side, side, 3).
    """
    rng = np.random.default_rng(seed)
    n = len(shapes)
    grid = (np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1
    centre = rng.uniform(-0.15, 0.15, (2, n, 1, 1)).astype(np.float32)
    size = rng.uniform(0.6, 0.8, (n, 1, 1)).astype(np.float32)
    turn = rng.uniform(-0.25, 0.25, (n, 1, 1)).astype(np.float32)
    x, y = (grid[None, None, :] - centre[0]) / size, (grid[None, :, None] - centre[1]) / size
    x, y = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    inside = np.zeros((n, side, side), dtype=np.float32)
    for shape in range(len(SHAPES)):
        chosen = shapes == shape
        # A distance in units of the shape, to an edge that is one pixel soft.
        inside[chosen] = np.clip(0.5 - _distance(shape, x[chosen], y[chosen]) * side * 0.35, 0, 1)
    light = 0.75 + 0.25 * grid[None, ::-1, None]
    front = _colours(hues, 0.75, 0.95)[:, None, None, :]
    back = _colours(hues + 0.5, 0.35, 0.45)[:, None, None, :] * light[..., None]
    drawn = back + inside[..., None] * (front - back) + rng.normal(0, 0.02, (n, side, side, 1)).astype(np.float32)
    return (np.clip(drawn, 0, 1) * 255).astype(np.uint8)


def _distance(shape: int, x: Floats, y: Floats) -> NDArray[np.floating[Any]]:
    """How far each point is outside of a shape (negative inside), about."""
    r, angle = np.hypot(x, y), np.arctan2(x, -y)
    box = np.maximum(np.abs(x), np.abs(y))
    match: NDArray[np.floating[Any]]
    match SHAPES[shape]:
        case "disc":
            match = r - 0.8
        case "square":
            match = box - 0.75
        case "triangle":
            match = np.maximum(y - 0.6, np.abs(x) * 0.87 - y * 0.5 - 0.45)
        case "ring":
            match = np.abs(r - 0.65) - 0.2
        case "cross":
            match = np.maximum(np.minimum(np.abs(x), np.abs(y)) - 0.22, box - 0.85)
        case "star":
            match = r - (0.6 + 0.3 * np.cos(5 * angle))
        case "stripes":
            match = np.maximum(-np.sin(y * 9) * 0.1, box - 0.85)
        case "chequers":
            match = np.maximum(-np.sin(x * 5.5) * np.sin(y * 5.5) * 0.2, box - 0.85)
        case "crescent":
            match = np.maximum(r - 0.8, 0.65 - np.hypot(x - 0.4, y))
        case _:
            match = np.hypot(x * 0.9, y - 0.1 + 0.6 * np.sqrt(np.abs(x) + 0.01)) - 0.75
    return match


def _colours(hues: Floats, saturation: float, value: float) -> Floats:
    """(n, 3), 0 to 1."""
    return np.array([colorsys.hsv_to_rgb(float(hue) % 1, saturation, value) for hue in hues], dtype=np.float32)
