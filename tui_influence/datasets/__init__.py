"""Datasets of any kind as packed arrays: uint8 images, memory-mapped, with labels, class names and a fingerprint.

Nothing here imports torch, unless the original images of a torchvision dataset are needed.
"""

from tui_influence.datasets.base import Groups, ImageSet, ImageShape, TargetSet
from tui_influence.datasets.cache import default_cache, use_stage
from tui_influence.datasets.errors import DatasetProblemsError, UntrustedDatasetError
from tui_influence.datasets.groups import assign_groups
from tui_influence.datasets.load import load_source, load_target, native_shape, reopen
from tui_influence.datasets.thumbnails import thumbnails

__all__ = [
    "DatasetProblemsError",
    "Groups",
    "ImageSet",
    "ImageShape",
    "TargetSet",
    "UntrustedDatasetError",
    "default_cache",
    "assign_groups",
    "load_source",
    "load_target",
    "native_shape",
    "reopen",
    "use_stage",
    "thumbnails",
]
