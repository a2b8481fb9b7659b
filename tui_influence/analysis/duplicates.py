"""Source images that are copies of target test images: found by their pixels, whatever the influences say.

A copy is *identical* if every pixel is the same, and *near* if it is much nearer to a test image than anything else is:
nearer than 15% of the distance to that image's third nearest among the other test images, and to its own crops.
What is far for photographs is close for printed letters, so distance is measured by what the target itself looks like;
the third, so that a test set may hold an image twice. Recompressed, rescaled and moderately cropped copies are near.

Pure array code. Two stages, because comparing all pairs closely would take days: all pairs by a few pixels, those that
come out near from whatever pixels the caller can show of them.

The copies of a target's test images among a run's source images: from its config to `duplicates`.

Needs the datasets, not only the results directory: all images at the run's resolution, from the cache of packed
datasets, and the originals of those few that are compared closely.
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
from tui_influence.analysis.types import Duplicate, DuplicateKind, Duplicates
from tui_influence.config.schema import Config, Source, Target
from tui_influence.datasets import ImageSet, UntrustedDatasetError, native_shape, thumbnails
from tui_influence.datasets.base import Part
from tui_influence.errors import ConfigError
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
"""Shows some images, (c,) positions, as (c, s, s, C) uint8; s and C are the same for source and target."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Candidates:
    """Pairs that came out near, (c,) each, and (n, OTHERS) test images that each test image is most like."""

    source: Indices
    target: Indices
    source_crops: Windows
    target_crops: Windows
    others: Indices
    coarse: CoarseIndex


def find_duplicates(
    source: NDArray[np.uint8],
    target: NDArray[np.uint8],
    show_source: Pixels,
    show_target: Pixels,
    progress: Progress | None = None,
) -> tuple[Duplicate, ...]:
    """Find copies of target test images among the source images.

    Args:
        source: (N, s, s, C) uint8, small.
        target: (n, s, s, C) uint8, the test images, small; at least `OTHERS` + 1, or nothing tells what is near.
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
        for found in _judged(candidates, order[start : start + _BATCH], show_source, show_target):
            before = best.get(found.source)
            if before is None or (found.distance, found.target) < (before.distance, before.target):
                best[found.source] = found
    return tuple(sorted(best.values(), key=lambda found: (found.distance, found.relative, found.source)))


def _candidates(source: NDArray[np.uint8], target: NDArray[np.uint8], progress: Progress | None) -> _Candidates:
    few = len(source) * len(target) > _FEW_CROPS_ABOVE
    theirs = CoarseIndex(target, few=few)
    others = np.empty((len(theirs), min(REFERENCE_RANK, len(theirs) - 1)), np.intp)
    usual = np.empty(len(theirs), np.float32)
    for rows in theirs.blocks(theirs):
        distance = theirs.distances(theirs, rows)
        distance[np.arange(len(distance)), np.arange(rows.start, rows.stop)] = np.inf
        others[rows], nearest = _smallest(distance, others.shape[1])
        usual[rows] = nearest.max(axis=1, initial=0)
    first: list[Indices] = []
    second: list[Indices] = []
    crops_of_first: list[Windows] = []
    crops_of_second: list[Windows] = []
    for start in range(0, len(source), _STACK):
        own = CoarseIndex(source[start : start + _STACK], few=few)
        for rows in own.blocks(theirs):
            places, distance = _smallest(own.distances(theirs, rows), min(_TRIED, len(theirs)))
            near = (distance < _COARSELY_FARTHEST) & (distance <= _COARSELY_NEAR * usual[places])
            row, column = np.nonzero(near | (distance < 1e-5))
            mine, other = row + rows.start, places[row, column]
            mine_cropped, other_cropped = own.best_crops(mine, theirs, other)
            first.append(mine + start)
            second.append(other)
            crops_of_first.append(mine_cropped)
            crops_of_second.append(other_cropped)
        if progress is not None:
            progress(min(start + _STACK, len(source)), len(source))
    return _Candidates(
        np.concatenate([np.empty(0, np.intp), *first]),
        np.concatenate([np.empty(0, np.intp), *second]),
        np.concatenate([np.empty((0, 3)), *crops_of_first]),
        np.concatenate([np.empty((0, 3)), *crops_of_second]),
        others,
        theirs,
    )


def _smallest(distance: Floats, count: int) -> tuple[Indices, Floats]:
    """(rows, count) the columns of the smallest of each row, and these."""
    if count < distance.shape[1]:
        places = np.argpartition(distance, count - 1, axis=1)[:, :count] if count else np.empty((len(distance), 0), int)
    else:
        places = np.broadcast_to(np.arange(distance.shape[1]), distance.shape).copy()
    return places, np.take_along_axis(distance, places, axis=1)


def _judged(candidates: _Candidates, which: Indices, show_source: Pixels, show_target: Pixels) -> list[Duplicate]:
    source, target = candidates.source[which], candidates.target[which]
    mine, theirs = show_source(source), show_target(target)
    same = (mine == theirs).all(axis=(1, 2, 3))
    own, other = grey(mine), grey(theirs)
    compared = refine_match(own, other, candidates.source_crops[which], candidates.target_crops[which])
    near = np.flatnonzero((compared.distance < MAX_DISTANCE) | same)
    usual = _usual_distance(candidates, target[near], other[near], show_target)
    found = []
    for place, reference in zip(near, usual, strict=True):
        distance = 0.0 if same[place] else float(compared.distance[place])
        relative = distance / float(reference) if reference > 0 else float(distance > 0)
        if not (same[place] and np.isfinite(compared.distance[place])) and not relative < MAX_RELATIVE_DISTANCE:
            continue
        kind = (
            DuplicateKind.IDENTICAL
            if same[place]
            else DuplicateKind.CROP
            if compared.cropped[place]
            else DuplicateKind.NEAR
        )
        found.append(Duplicate(int(source[place]), int(target[place]), kind, distance, relative))
    return found


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


_LARGEST = 64
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
    side = min(_LARGEST, _side(config.source, data.source), _side(section, test))
    chosen = np.flatnonzero(data.groups.group_of_image >= 0) if grouped else np.arange(len(data.source))
    show_source = _shower(config.source, "source", data.source, side)
    found = find_duplicates(
        data.source.images[chosen] if grouped else data.source.images,
        test.images,
        lambda places: show_source(chosen[places]),
        _shower(section, "test", test, side),
        progress,
    )
    return Duplicates(
        pairs=tuple(replace(copy, source=int(chosen[copy.source])) for copy in found),
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
