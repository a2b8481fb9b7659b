"""Input and output of a training: arrays, and the two errors."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tui_influence.config.schema import TrainSection, Transfer
from tui_influence.errors import TinflError
from tui_influence.image_selection import ImageArray

Labels = NDArray[np.int64]


class TrainingFailed(TinflError):  # noqa: N818  (the name in the event log)
    """A model could not be trained; the message says in one line where and why."""


class OutOfMemory(TrainingFailed):
    """The device has too little memory for this training."""


@dataclass(frozen=True)
class SourceData:
    """The source dataset.

    Attributes:
        images: (N, H, W, C) uint8.
        labels: (N,) class of each image, 0 to `classes` - 1.
        classes: outputs of the source head, whatever the mask.
        groups: (N,) group of each image; -1 belongs to none and is in every training.
        counts: (C, 256) pixels of each channel that have each value; None to count them.
    """

    images: ImageArray
    labels: Labels
    classes: int
    groups: NDArray[np.int32]
    counts: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class TargetData:
    """A target dataset: labelled images to transfer with, and the test images whose outputs are recorded.

    Attributes:
        transfer: fixed-feature or full-network.
        train_images: (t, H, W, C) uint8.
        train_labels: (t,) class of each.
        test_images: (n, H, W, C) uint8.
        test_labels: (n,) class of each.
        classes: of the target.
        is_estimated: (n,) bool, the test examples that influences are estimated on; a prior is of these alone. None is
            all of them.
        train: settings of its transfer; None for those of the source's training.
    """

    transfer: Transfer
    train_images: ImageArray
    train_labels: Labels
    test_images: ImageArray
    test_labels: Labels
    classes: int
    is_estimated: NDArray[np.bool_] | None = None
    train: TrainSection | None = None


@dataclass(frozen=True)
class Outcome:
    """Outputs of one model on the test images of one target.

    Attributes:
        margins: (n,) log p_y - log(1 - p_y) in nats, always finite.
        predicted: (n,) label with the largest logit.
        metrics: of the training; they repeat when the row is trained again.
        mapped: (n,) source class that the source network predicts for each image before any transfer; None unless
            requested.
        nearest: (n,) source class whose mean feature is nearest to each image's in that network; None unless requested.
        mapping: (K, C) of each group and target class, see `training.prior`; None except of a prior network.
        ablation: (K, C), likewise.
        class_features: (S, d) mean feature of each source class; NaN for a class without images. None except of a prior
            network's first target.
    """

    margins: NDArray[np.float32]
    predicted: Labels
    metrics: dict[str, float]
    mapped: Labels | None = None
    nearest: Labels | None = None
    mapping: NDArray[np.float32] | None = None
    ablation: NDArray[np.float32] | None = None
    class_features: NDArray[np.float32] | None = None
