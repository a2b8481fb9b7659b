"""Every kind of input to packed arrays: uint8 images, memory-mapped, with labels, class names and a fingerprint.

Nothing here imports torch, unless the originals of a torchvision dataset have to be looked at.
"""

from tui_influence.datasets.base import Groups, ImageSet, ImageShape, TargetSet
from tui_influence.datasets.cache import default_cache, staged
from tui_influence.datasets.errors import DatasetProblemsError
from tui_influence.datasets.groups import assign_groups
from tui_influence.datasets.load import load_source, load_target, native_shape, reopen
from tui_influence.datasets.thumbnails import thumbnails
from tui_influence.datasets.torchvision_trust import UntrustedDatasetError

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
    "staged",
    "thumbnails",
]
