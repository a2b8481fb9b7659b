"""Source images that are duplicates of target test images, detected by their pixels alone.

A duplicate is *identical* if every pixel is the same, and *near* if it is much nearer to a test image than any other
image is: nearer than 15% of the distance to that image's third nearest among the other test images, and to its own
crops. A distance that is large for photographs is small for printed letters, so it is measured relative to the target
itself; the third, so that a test set may hold an image twice. Recompressed, rescaled and moderately cropped images are
near.

`find_duplicates` is array code in two stages, because a close comparison of all pairs would take days: all pairs are
compared by a few pixels, and those that come out near by whatever pixels the caller provides. `find_run_duplicates`
applies it to a run. It needs the datasets, not only the results directory: all images at the run's resolution, from the
cache of packed datasets, and the originals of the few that are compared closely.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tui_influence.analysis.image_similarity import (
    CoarseIndex,
    Floats,
    Indices,
    Windows,
    distance_to_own_crops,
    grey,
    refine_match,
)
from tui_influence.analysis.probe_types import Duplicate, DuplicateKind, Duplicates
from tui_influence.config.schema import Config, Source, Target
from tui_influence.datasets import ImageSet, UntrustedDatasetError, native_shape, thumbnails
from tui_influence.datasets.base import Part
from tui_influence.errors import ConfigError
from tui_influence.image_selection import ImageArray
from tui_influence.runs.datasets import Datasets
from tui_influence.store.run_info import RunInfo

MAX_RELATIVE_DISTANCE = 0.15
"""Share of the distance to unrelated images below which an image is a near copy."""
MAX_DISTANCE = 0.004
"""Distance above which nothing is a copy, however alone a test image is."""
REFERENCE_RANK = 3
"""Unrelated images that a distance is measured by: the third nearest counts."""
_TRIED = 10
_COARSELY_FARTHEST, _COARSELY_NEAR = 0.3, 5.0
_STACK = 4096
_FEW_CROPS_ABOVE = 100_000_000
_BATCH = 1000

Pixels = Callable[[Indices], NDArray[np.uint8]]
"""Return some images, (c,) positions, as (c, s, s, C) uint8; s and C are the same for source and target."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Candidates:
    """Pairs that came out near, (c,) each, and (n, REFERENCE_RANK) test images that each test image is most like."""

    source: Indices
    target: Indices
    source_crops: Windows
    target_crops: Windows
    others: Indices
    coarse: CoarseIndex


def find_duplicates(
    source: ImageArray,
    target: ImageArray,
    show_source: Pixels,
    show_target: Pixels,
    progress: Progress | None = None,
) -> tuple[Duplicate, ...]:
    """Find duplicates of target test images among the source images.

    Args:
        source: (N, s, s, C) uint8, small.
        target: (n, s, s, C) uint8, the test images, small; more than `REFERENCE_RANK`, or no distance can be judged.
        show_source: shows source images at a size worth comparing closely.
        show_target: shows test images likewise.
        progress: called with (source images compared, N).

    Returns:
        at most one a source image, with the test image that it is nearest to; the nearest first.
    """
    candidates = _candidates(source, target, progress)
    best: dict[int, Duplicate] = {}
    order = np.argsort(candidates.source, kind="stable")
    for start in range(0, len(order), _BATCH):
        for duplicate in _find_among(candidates, order[start : start + _BATCH], show_source, show_target):
            best_so_far = best.get(duplicate.source)
            if best_so_far is None or _nearness(duplicate) < _nearness(best_so_far):
                best[duplicate.source] = duplicate
    return tuple(sorted(best.values(), key=lambda pair: (pair.distance, pair.relative, pair.source)))


def _nearness(duplicate: Duplicate) -> tuple[float, int]:
    return duplicate.distance, duplicate.target


def _candidates(source: ImageArray, target: ImageArray, progress: Progress | None) -> _Candidates:
    few = len(source) * len(target) > _FEW_CROPS_ABOVE
    target_index = CoarseIndex(target[:], few=few)
    others = np.empty((len(target_index), min(REFERENCE_RANK, len(target_index) - 1)), np.intp)
    usual = np.empty(len(target_index), np.float32)
    for rows in target_index.blocks(target_index):
        distance = target_index.distances(target_index, rows)
        distance[np.arange(len(distance)), np.arange(rows.start, rows.stop)] = np.inf
        others[rows], nearest = _smallest(distance, others.shape[1])
        usual[rows] = nearest.max(axis=1, initial=0)
    first: list[Indices] = []
    second: list[Indices] = []
    crops_of_first: list[Windows] = []
    crops_of_second: list[Windows] = []
    for start in range(0, len(source), _STACK):
        source_index = CoarseIndex(source[start : start + _STACK], few=few)
        for rows in source_index.blocks(target_index):
            closest, distance = _smallest(source_index.distances(target_index, rows), min(_TRIED, len(target_index)))
            near = (distance < _COARSELY_FARTHEST) & (distance <= _COARSELY_NEAR * usual[closest])
            row, column = np.nonzero(near | (distance < 1e-5))
            source_images, target_images = row + rows.start, closest[row, column]
            source_crops, target_crops = source_index.best_crops(source_images, target_index, target_images)
            first.append(source_images + start)
            second.append(target_images)
            crops_of_first.append(source_crops)
            crops_of_second.append(target_crops)
        if progress is not None:
            progress(min(start + _STACK, len(source)), len(source))
    return _Candidates(
        np.concatenate([np.empty(0, np.intp), *first]),
        np.concatenate([np.empty(0, np.intp), *second]),
        np.concatenate([np.empty((0, 3)), *crops_of_first]),
        np.concatenate([np.empty((0, 3)), *crops_of_second]),
        others,
        target_index,
    )


def _smallest(distance: Floats, count: int) -> tuple[Indices, Floats]:
    """(rows, count) the columns of the smallest of each row, and these."""
    if count < distance.shape[1]:
        places = np.argpartition(distance, count - 1, axis=1)[:, :count] if count else np.empty((len(distance), 0), int)
    else:
        places = np.broadcast_to(np.arange(distance.shape[1]), distance.shape).copy()
    return places, np.take_along_axis(distance, places, axis=1)


def _find_among(candidates: _Candidates, which: Indices, show_source: Pixels, show_target: Pixels) -> list[Duplicate]:
    source, target = candidates.source[which], candidates.target[which]
    source_pixels, target_pixels = show_source(source), show_target(target)
    same = (source_pixels == target_pixels).all(axis=(1, 2, 3))
    source_grey, target_grey = grey(source_pixels), grey(target_pixels)
    matches = refine_match(source_grey, target_grey, candidates.source_crops[which], candidates.target_crops[which])
    near = np.flatnonzero((matches.distance < MAX_DISTANCE) | same)
    usual = _usual_distance(candidates, target[near], target_grey[near], show_target)
    duplicates = []
    for pair, reference in zip(near, usual, strict=True):
        distance = 0.0 if same[pair] else float(matches.distance[pair])
        relative = distance / float(reference) if reference > 0 else float(distance > 0)
        if not (same[pair] and np.isfinite(matches.distance[pair])) and not relative < MAX_RELATIVE_DISTANCE:
            continue
        kind = (
            DuplicateKind.IDENTICAL
            if same[pair]
            else DuplicateKind.CROP
            if matches.cropped[pair]
            else DuplicateKind.NEAR
        )
        duplicates.append(Duplicate(int(source[pair]), int(target[pair]), kind, distance, relative))
    return duplicates


def _usual_distance(candidates: _Candidates, target: Indices, pixels: Floats, show_target: Pixels) -> Floats:
    """(c,) how far unrelated images are from test images, those that look most like them."""
    usual = distance_to_own_crops(pixels)
    if not target.size or not candidates.others.shape[1]:
        return usual
    apart = []
    for column in candidates.others.T:
        other = column[target]
        crops = candidates.coarse.best_crops(target, candidates.coarse, other)
        apart.append(refine_match(pixels, grey(show_target(other)), *crops).distance)
    nearest: Floats = np.minimum(usual, np.max(apart, axis=0))
    return nearest


_MAX_SIDE = 64
"""Side in pixels at which images are compared closely, unless they are smaller."""
_LUMA = np.array([0.299, 0.587, 0.114])


def find_run_duplicates(
    config: Config,
    info: RunInfo,
    data: Datasets,
    target: int,
    progress: Progress | None = None,
    *,
    grouped: bool = False,
) -> Duplicates:
    """Compare all source images with all test images of a target.

    Args:
        config: of the run.
        info: of the run.
        data: its datasets.
        target: position of the target.
        progress: called with (source images compared, how many there are).
        grouped: compare only the source images that are in a group.

    Raises:
        ConfigError: the test images are not those of the run.
        DatasetError: an original is no longer there.
    """
    section, test = config.target[target], data.targets[target].test
    if test.fingerprint != info.targets[target].fingerprints[1]:
        raise ConfigError(f"the test images of target {section.name} changed since the run")
    side = min(_MAX_SIDE, _side(config.source, data.source), _side(section, test))
    chosen = np.flatnonzero(data.groups.group_of_image >= 0) if grouped else np.arange(len(data.source))
    show_source = _shower(config.source, "source", data.source, side)
    pairs = find_duplicates(
        data.source.images[chosen] if grouped else data.source.images,
        test.images,
        lambda places: show_source(chosen[places]),
        _shower(section, "test", test, side),
        progress,
    )
    return Duplicates(
        pairs=tuple(replace(pair, source=int(chosen[pair.source])) for pair in pairs),
        n_compared=len(chosen),
        n_examples=len(test),
        names=data.source.names,
        source_classes=tuple(data.source.classes[label] for label in data.source.labels),
    )


def _side(section: Source | Target, images: ImageSet) -> int:
    """Return the side of the first original, or of the packed images where the originals may not be opened."""
    try:
        return native_shape(section).side
    except UntrustedDatasetError:
        return int(images.images.shape[1])


def _shower(section: Source | Target, part: Part, images: ImageSet, side: int) -> Pixels:
    """Shows originals in grey, each read once a call."""

    def show(places: Indices) -> NDArray[np.uint8]:
        distinct, again = np.unique(places, return_inverse=True)
        if not distinct.size:
            return np.zeros((0, side, side, 1), np.uint8)
        pixels = thumbnails(section, part, images, distinct, side)
        return _grey(_at_side(pixels, side))[again.reshape(-1)]

    return show


def _grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if pixels.shape[-1] == 1:
        return pixels
    brightness: NDArray[np.uint8] = np.rint(pixels @ _LUMA).astype(np.uint8)
    return brightness[..., None]


def _at_side(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Enlarge (c, s, s, C) where all of them are smaller than the rest of their dataset."""
    if pixels.shape[1] == side:
        return pixels
    rows = np.arange(side) * pixels.shape[1] // side
    return pixels[:, rows][:, :, rows]
