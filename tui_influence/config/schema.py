"""The schema of a config: every key with its type, default and meaning.

The models are frozen: a config is a value. `config.loader` makes one from TOML, and `config.validation` turns the
errors of pydantic into problems with line and column. Nothing here touches the file system.

Descriptions, defaults and examples are read by the messages and by the template that `tinfl init` writes.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from tui_influence.config.combinations import (
    are_repeats_possible,
    growth_problem,
    is_balance_possible,
    repeated_names,
    stored_side_problem,
)
from tui_influence.config.compute import ComputeSection
from tui_influence.config.types import (
    Arch,
    AreaRange,
    Arguments,
    BatchSize,
    ClusterCount,
    Count,
    DataName,
    DirectoryPath,
    FileOrDirectoryPath,
    FilePath,
    GroupsText,
    LabelSmoothing,
    Name,
    OptionalFilePath,
    OptionalWeights,
    PathText,
    Positive,
    PositiveNumber,
    PythonName,
    Recommended,
    Section,
    Shift,
    Side,
    SquareSide,
    WarmUp,
    WeightDecay,
)
from tui_influence.networks import NETWORKS, is_user_code, needs_own_config

OnBadImage = Literal["error", "skip"]
Transfer = Literal["fixed-feature", "full-network"]
DesignKind = Literal["fixed", "bernoulli", "balanced"]
Schedule = Literal["linear", "cosine"]

BALANCED_ALPHA = "balanced_alpha"
SAME_NAME = "same_name"
TOO_MANY_REPEATS = "too_many_repeats"
GROWTH = "growth"
EPOCHS_AND_STEPS = "epochs_and_steps"
CROP_TWICE = "crop_twice"
STORED_SIDE = "stored_side"

DEFAULT_EPOCHS = 8
"""Epochs of source training where a config has neither epochs nor steps."""
CLUSTERS_WITHOUT_PRIOR = "clusters_without_prior"
CLUSTERS_OF_OTHER_GROUPS = "clusters_of_other_groups"

MIN_CLUSTERED_CLASSES, MAX_CLUSTERED_CLASSES = 101, 4096
"""Numbers of classes for which a first stage of class clusters is the default; more classes cannot be clustered."""
_CLUSTER_SIZE = 8
"""Classes of a cluster, by default."""


class RunSection(Section):
    """`[run]`: name, seed and results directory of the run."""

    name: Name = Field(description="name of the run, shown everywhere", examples=["my-run"])
    seed: int = Field(0, ge=0, lt=2**63, description="seed of everything that is random")
    output: PathText | None = Field(
        None, description="results directory (default: results/<name>)", examples=["results/my-run"]
    )


class DatasetSection(Section):
    """The keys of every dataset, whatever its kind."""

    on_bad_image: OnBadImage = Field("error", description="skip: leave unreadable images out and count them")


class SourceSection(DatasetSection):
    """The keys of every source."""

    groups: GroupsText = Field(
        "class",
        description='unit to keep or leave out: "class", "example", or a CSV file with columns path,group',
    )
    per_class: Count | None = Field(
        None,
        ge=1,
        description="at most this many images per class (seeded choice); all of them by default",
        examples=[500],
    )
    keep: OptionalFilePath = Field(
        None,
        description="text file with the names of the classes to use, one per line; all of them by default",
        examples=["kept.txt"],
    )
    exclude: OptionalFilePath = Field(
        None,
        description="text file with the names of images to leave out, one per line",
        examples=["remove.txt"],
    )


class TargetSection(DatasetSection):
    """The keys of every target."""

    name: Name = Field(description="name of the target", examples=["my-target"])
    transfer: Transfer = Field(
        "fixed-feature", description="fixed-feature (linear probe) or full-network (fine-tuning)"
    )
    train_per_class: Count | None = Field(
        None,
        ge=1,
        description="labelled training images per class (seeded choice); all of them by default",
        examples=[100],
    )
    test_per_class: Count | None = Field(
        None,
        ge=1,
        description="test images per class (seeded choice); all of them by default",
        examples=[200],
    )
    weight_decay: WeightDecay | None = Field(None, description="instead of train.weight_decay", examples=[1e-3])
    label_smoothing: LabelSmoothing | None = Field(None, description="instead of train.label_smoothing", examples=[0.1])
    warm_up: WarmUp | None = Field(None, description="instead of train.warm_up", examples=[0.1])
    schedule: Schedule | None = Field(None, description="instead of train.schedule", examples=["cosine"])
    crop: Shift | None = Field(None, description="instead of train.crop", examples=[0])
    resized_crop: AreaRange | None = Field(None, description="instead of train.resized_crop", examples=[[0.5, 1.0]])
    flip: bool | None = Field(None, description="instead of train.flip", examples=[True])
    cutout: SquareSide | None = Field(None, description="instead of train.cutout", examples=[4])
    probe_l2: PositiveNumber | None = Field(None, description="instead of train.probe_l2", examples=[1e-2])
    finetune_epochs: Positive | None = Field(None, description="instead of train.finetune_epochs", examples=[8])
    finetune_lr: PositiveNumber | None = Field(None, description="instead of train.finetune_lr", examples=[0.01])
    finetune_batch_size: BatchSize | None = Field(
        None, description="instead of train.finetune_batch_size", examples=[32]
    )

    @model_validator(mode="after")
    def _crops_in_one_way(self) -> "TargetSection":
        _refuse_two_crops(self.crop, self.resized_crop)
        return self

    @property
    def train_settings(self) -> dict[str, Any]:
        """The settings of `[train]` that are others for this target."""
        keys = TargetSection.model_fields.keys() & TrainSection.model_fields.keys()
        return {key: value for key in keys if (value := getattr(self, key)) is not None}


class BuiltinSource(SourceSection):
    """`kind = "builtin"`: printed characters, shipped with the package."""

    kind: Literal["builtin"]
    name: Literal["glyphs"] = Field("glyphs", description="the built-in dataset")


class FolderSource(SourceSection):
    """`kind = "folder"`: one directory per class (ImageFolder layout)."""

    kind: Literal["folder"]
    path: DirectoryPath = Field(description="directory with a sub-directory per class", examples=["data/source/train"])


class NpzSource(SourceSection):
    """`kind = "npz"`: arrays `x` (N, H, W[, C]) uint8, `y` (N,) integers and optionally `classes` (K,) text."""

    kind: Literal["npz"]
    path: FilePath = Field(description=".npz file with x, y and optionally classes", examples=["data/source.npz"])


class TorchvisionSource(SourceSection):
    """`kind = "torchvision"`: a class of `torchvision.datasets`, already downloaded."""

    kind: Literal["torchvision"]
    dataset: PythonName = Field(description="name of the class in torchvision.datasets", examples=["CIFAR100"])
    root: DirectoryPath = Field(description="its root directory", examples=["data/torchvision"])
    arguments: Arguments = Field(
        default_factory=dict, description="further arguments of that class", examples=[{"train": True}]
    )


ImageColumn = Annotated[
    DataName | None,
    Field(description="name of the column of images; the only one by default", examples=["image"]),
]
LabelColumn = Annotated[
    DataName | None,
    Field(description="name of the column of labels; the only one by default", examples=["label"]),
]
LabelKey = Annotated[
    DataName | None,
    Field(description="key of the label in each sample's .json; by default the label is its .cls", examples=["label"]),
]
ClassNames = Annotated[
    OptionalFilePath,
    Field(
        description="text file with the names of the classes, one per line; their numbers by default",
        examples=["classes.txt"],
    ),
]


class HuggingfaceSource(SourceSection):
    """`kind = "huggingface"`: a local Hugging Face dataset with a column of images."""

    kind: Literal["huggingface"]
    path: FileOrDirectoryPath = Field(
        description="directory that save_to_disk wrote, or with Parquet files, or one such file",
        examples=["data/source"],
    )
    split: DataName | None = Field(None, description="name of the split; the only one by default", examples=["train"])
    image: ImageColumn = None
    label: LabelColumn = None


class WebdatasetSource(SourceSection):
    """`kind = "webdataset"`: tar files of images (.jpg, .png, .webp) with their labels (.cls or .json)."""

    kind: Literal["webdataset"]
    path: FileOrDirectoryPath = Field(description="tar file, or directory of tar files", examples=["data/source"])
    label: LabelKey = None
    classes: ClassNames = None


class BuiltinTarget(TargetSection):
    """`kind = "builtin"`: handwritten digits, shipped with the package."""

    kind: Literal["builtin"]
    name: Literal["digits"] = Field("digits", description="the built-in dataset")


class FolderTarget(TargetSection):
    """`kind = "folder"`: a training and a test directory in ImageFolder layout."""

    kind: Literal["folder"]
    train: DirectoryPath = Field(description="directory of labelled training images", examples=["data/target/train"])
    test: DirectoryPath = Field(
        description="directory of test images, whose predictions are explained", examples=["data/target/test"]
    )


class NpzTarget(TargetSection):
    """`kind = "npz"`: a training and a test file."""

    kind: Literal["npz"]
    train: FilePath = Field(description=".npz file of labelled training images", examples=["data/target-train.npz"])
    test: FilePath = Field(
        description=".npz file of test images, whose predictions are explained", examples=["data/target-test.npz"]
    )


class TorchvisionTarget(TargetSection):
    """`kind = "torchvision"`: a class of `torchvision.datasets`, already downloaded."""

    kind: Literal["torchvision"]
    dataset: PythonName = Field(description="name of the class in torchvision.datasets", examples=["CIFAR10"])
    root: DirectoryPath = Field(description="its root directory", examples=["data/torchvision"])
    train: Arguments = Field(
        default_factory=lambda: {"train": True}, description="arguments that give the training images"
    )
    test: Arguments = Field(default_factory=lambda: {"train": False}, description="arguments that give the test images")


class HuggingfaceTarget(TargetSection):
    """`kind = "huggingface"`: two splits of a local Hugging Face dataset with a column of images."""

    kind: Literal["huggingface"]
    path: FileOrDirectoryPath = Field(
        description="directory that save_to_disk wrote, or with Parquet files", examples=["data/target"]
    )
    train: DataName = Field("train", description="name of the split of labelled training images")
    test: DataName = Field("test", description="name of the split of test images, whose predictions are explained")
    image: ImageColumn = None
    label: LabelColumn = None


class WebdatasetTarget(TargetSection):
    """`kind = "webdataset"`: tar files of training and of test images with their labels (.cls or .json)."""

    kind: Literal["webdataset"]
    train: FileOrDirectoryPath = Field(
        description="tar file of labelled training images, or directory of tar files", examples=["data/target/train"]
    )
    test: FileOrDirectoryPath = Field(
        description="the same of test images, whose predictions are explained", examples=["data/target/test"]
    )
    label: LabelKey = None
    classes: ClassNames = None


Source = Annotated[
    BuiltinSource | FolderSource | NpzSource | TorchvisionSource | HuggingfaceSource | WebdatasetSource,
    Field(discriminator="kind"),
]
Target = Annotated[
    BuiltinTarget | FolderTarget | NpzTarget | TorchvisionTarget | HuggingfaceTarget | WebdatasetTarget,
    Field(discriminator="kind"),
]


class DesignSection(Section):
    """`[design]`: the groups that each model is trained on, and the number of models."""

    kind: Annotated[DesignKind, Recommended("balanced")] = Field("fixed", description="fixed | bernoulli | balanced")
    alpha: float = Field(0.5, gt=0, lt=1, description="fraction of the groups that each model keeps")
    models: Count = Field(ge=1, description="models that influences are estimated from", examples=[200])
    heldout: Annotated[Count, Recommended(20)] = Field(
        0, ge=0, description="held-out models, in addition, for the LDS; a tenth of the models is plenty"
    )
    heldout_repeats: Count = Field(
        2, ge=1, description="held-out models of each held-out mask: how they differ gives the ceiling of the LDS"
    )
    prior: Count = Field(
        8,
        ge=0,
        description="prior networks, in addition: on all groups, for half as long; the estimator `informed` needs them",
    )
    until: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="train more models until the ranking of every target has this reliability; needs max_models",
        examples=[0.9],
    )
    max_models: Count | None = Field(None, ge=1, description="most models to train for until", examples=[400])

    clusters: ClusterCount | None = Field(
        None,
        description="clusters of similar classes that a first stage keeps or leaves out as a whole; 0: no such stage; "
        "by default none up to 100 classes, one for 8 classes above",
        examples=[25],
    )

    @model_validator(mode="after")
    def _balanced_keeps_half(self) -> "DesignSection":
        if not is_balance_possible(self.kind, self.alpha):
            raise PydanticCustomError(BALANCED_ALPHA, "must be 0.5: a balanced design keeps half of the groups")
        return self

    @model_validator(mode="after")
    def _repeats_are_among_the_heldout_models(self) -> "DesignSection":
        if not are_repeats_possible(self.heldout, self.heldout_repeats):
            raise PydanticCustomError(TOO_MANY_REPEATS, "must be at most heldout")
        return self

    @model_validator(mode="after")
    def _clusters_have_a_prior(self) -> "DesignSection":
        if self.clusters and not self.prior:
            raise PydanticCustomError(CLUSTERS_WITHOUT_PRIOR, "must be 0 without prior networks")
        return self

    @property
    def heldout_masks(self) -> int:
        """Number of masks of the held-out models; the last may have fewer models than the others."""
        return -(-self.heldout // self.heldout_repeats)

    @property
    def repeated_masks(self) -> int:
        """Number of masks that have several held-out models."""
        if self.heldout_repeats == 1:
            return 0
        return self.heldout // self.heldout_repeats + (self.heldout % self.heldout_repeats > 1)


class ModelSection(Section):
    """`[model]`: the network."""

    arch: Arch = Field(
        "small-cnn",
        description=f"{' | '.join(NETWORKS)} | a classifier of torchvision.models | timm:NAME | "
        "your own module:callable",
    )
    resolution: Side | None = Field(
        None,
        description="side in pixels that images are scaled to; by default that of the first source image, at most 64",
        examples=[32],
    )
    stored_side: Side | None = Field(
        None,
        description="side in pixels that images are stored with, at least every resolution; by default resolution",
        examples=[176],
    )
    width: float = Field(1.0, gt=0, le=16, description=f"multiplies the channels of {', '.join(NETWORKS)}")
    weights: OptionalWeights = Field(
        None,
        description="weights that source training starts from: a file (.safetensors, .pt, .pth), torchvision:NAME or "
        "timm:TAG; random by default",
        examples=["start.safetensors"],
    )

    @property
    def is_user_code(self) -> bool:
        """Whether the network is a user's `module:callable`, which is imported and called."""
        return is_user_code(self.arch)

    @property
    def needs_own_config(self) -> bool:
        """Whether the network or its weights are used only if the user's own config names them."""
        return needs_own_config(self.arch, self.weights)

    @property
    def packed_side(self) -> int | None:
        """Side in pixels that images are packed with; None for that of the first source image."""
        return self.stored_side or self.resolution

    def network_side(self, packed_side: int) -> int:
        """Return the side in pixels of the images in transfers and tests, of images that are packed with a side."""
        return self.resolution or packed_side


class TrainSection(Section):
    """`[train]`: source training and the two transfers."""

    epochs: Count | None = Field(
        None,
        ge=1,
        description=f"passes over the kept source images; {DEFAULT_EPOCHS} by default",
        examples=[DEFAULT_EPOCHS],
    )
    steps: Count | None = Field(
        None,
        ge=1,
        description="instead of epochs: exactly so many optimiser steps, however many images are kept",
        examples=[200],
    )
    batch_size: BatchSize = Field(128, description="images per step")
    lr: PositiveNumber = Field(0.2, description="peak learning rate (SGD, Nesterov, one-cycle)")
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD")
    weight_decay: WeightDecay = Field(5e-4, description="L2 penalty on the network's weights")
    label_smoothing: LabelSmoothing = Field(0.0, description="share of each label spread over all classes")
    warm_up: WarmUp = Field(0.2, description="share of the steps in which the learning rate rises to its peak")
    schedule: Schedule = Field("linear", description="linear | cosine: how the learning rate falls to zero after that")
    crop: Shift = Field(0, description="random shift, in pixels of the stored image")
    resized_crop: AreaRange | None = Field(
        None,
        description="random resized crop: least and greatest share of the image's area; none by default",
        examples=[[0.35, 1.0]],
    )
    flip: bool = Field(False, description="random mirror image")
    cutout: SquareSide = Field(
        0, description="side in pixels of a square that is erased at random, of the scaled image; 0: none"
    )
    resolutions: Annotated[list[Side], Field(min_length=1, max_length=32)] | None = Field(
        None,
        description="sides in pixels that source images are trained at, each for an equal part of the steps; "
        "by default model.resolution alone, which is that of all transfers and tests",
        examples=[[128, 160]],
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="what the device is fast at: bf16, else fp16 on a GPU, else fp32"
    )
    probe_l2: PositiveNumber = Field(
        1e-3, description="fixed-feature: L2 penalty of the linear probe, on the mean loss, (l2 / 2) |W|^2"
    )
    finetune_epochs: Positive = Field(4, description="full-network: passes over the target's training images")
    finetune_lr: PositiveNumber = Field(0.02, description="full-network: peak learning rate")
    finetune_batch_size: BatchSize = Field(64, description="full-network: images per step")

    @model_validator(mode="before")
    @classmethod
    def _fill_in_epochs(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("epochs") is None and data.get("steps") is None:
            return {**data, "epochs": DEFAULT_EPOCHS}
        return data

    @model_validator(mode="after")
    def _has_epochs_or_steps(self) -> "TrainSection":
        if self.epochs is not None and self.steps is not None:
            raise PydanticCustomError(EPOCHS_AND_STEPS, "must have epochs or steps, not both")
        return self

    @model_validator(mode="after")
    def _crops_in_one_way(self) -> "TrainSection":
        _refuse_two_crops(self.crop, self.resized_crop)
        return self

    def for_target(self, target: TargetSection) -> "TrainSection":
        """Return the settings for a target; one kind of crop replaces the other."""
        changes = target.train_settings
        if "crop" in changes:
            changes.setdefault("resized_crop", None)
        if "resized_crop" in changes:
            changes.setdefault("crop", 0)
        return self.model_copy(update=changes)

    def source_steps(self, images: int, *, is_prior: bool = False) -> int:
        """Return the optimiser steps of source training.

        Args:
            images: that are kept.
            is_prior: of a prior network, which is trained for half the epochs or steps, rounded up.
        """
        share = 2 if is_prior else 1
        if self.steps is not None:
            return -(-self.steps // share)
        return _steps_of_epochs(-(-(self.epochs or 0) // share), images, self.batch_size)

    def finetune_steps(self, images: int) -> int:
        """Return the optimiser steps of fine-tuning on so many training images."""
        return _steps_of_epochs(self.finetune_epochs, images, self.finetune_batch_size)


def _refuse_two_crops(crop: int | None, resized_crop: list[float] | None) -> None:
    if crop and resized_crop is not None:
        raise PydanticCustomError(CROP_TWICE, "must have crop or resized_crop, not both")


def _steps_of_epochs(epochs: int, images: int, batch_size: int) -> int:
    """Return the whole batches in so many epochs, at least one; a batch is no larger than an epoch."""
    return max(1, epochs * images // max(1, min(batch_size, images)))


class Config(Section):
    """A whole config."""

    run: RunSection
    source: Source
    target: list[Target] = Field(min_length=1)
    design: DesignSection
    model: ModelSection = Field(default_factory=lambda: ModelSection())
    train: TrainSection = Field(default_factory=lambda: TrainSection())
    compute: ComputeSection = Field(default_factory=lambda: ComputeSection())

    @model_validator(mode="after")
    def _growth_is_possible(self) -> "Config":
        design = self.design
        problem = growth_problem(design.models, design.until, design.max_models, self.source.groups)
        if problem:
            raise PydanticCustomError(GROWTH, "{text}", {"text": " ".join(problem)})
        return self

    @model_validator(mode="after")
    def _targets_have_different_names(self) -> "Config":
        if repeated_names([target.name for target in self.target]):
            raise PydanticCustomError(SAME_NAME, "must differ from the names of the other targets")
        return self

    @model_validator(mode="after")
    def _clusters_are_of_classes(self) -> "Config":
        if self.design.clusters and self.source.groups != "class":
            raise PydanticCustomError(CLUSTERS_OF_OTHER_GROUPS, "must be 0 where the groups are not the classes")
        return self

    @model_validator(mode="after")
    def _images_are_stored_large_enough(self) -> "Config":
        problem = stored_side_problem(self.model.stored_side, self.model.resolution, self.train.resolutions)
        if problem:
            raise PydanticCustomError(STORED_SIDE, "{text}", {"text": " ".join(problem)})
        return self

    @property
    def n_prior(self) -> int:
        """Number of prior networks: none where the groups are single images, of which no network says anything."""
        return 0 if self.source.groups == "example" else self.design.prior

    def n_clusters(self, classes: int) -> int:
        """Return the number of class clusters of the first stage; 0 if there is no such stage.

        Args:
            classes: of the source.
        """
        if self.design.clusters is not None:
            return self.design.clusters
        is_default = MIN_CLUSTERED_CLASSES <= classes <= MAX_CLUSTERED_CLASSES
        return round(classes / _CLUSTER_SIZE) if is_default and self.n_prior and self.source.groups == "class" else 0

    @property
    def n_models(self) -> int:
        """Number of models to train in all, at least."""
        return self.design.models + self.design.heldout + self.n_prior

    @property
    def n_models_at_most(self) -> int:
        """Number of models to train in all, at most: more than at least if the sweep trains until a reliability."""
        return self.n_models + (self.design.max_models or self.design.models) - self.design.models

    @property
    def output(self) -> Path:
        """The results directory: relative to where the command is run."""
        return Path(self.run.output) if self.run.output else Path("results") / self.run.name
