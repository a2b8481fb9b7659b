"""Types of config values that need more than a range: names, paths, devices, networks, arguments.

Each check raises a `PydanticCustomError` whose text is a predicate ("must be ..."), which `validation` puts after the
name of the key. Nothing here touches the file system.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from tui_influence.networks import NETWORKS, SAFETENSORS_SUFFIX, TIMM, TORCH_SUFFIXES, TORCHVISION, is_weights_name
from tui_influence.text import printable

PREDICATE = "predicate"
"""Type of the errors that are raised here."""

MAX_ARGUMENT_LEVELS = 8
"""Levels to which tables and lists of arguments may be nested."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_DEVICE = re.compile(r"cpu|mps|cuda(:[0-9]{1,3})?")
_ARCH = re.compile(r"[A-Za-z_]\w*|[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", re.ASCII)
_WEIGHTS_NAME = re.compile(r"[a-z]+:\w{1,100}", re.ASCII)
_PYTHON_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)
_TIME_LIMIT = re.compile(r"\d{1,6}(:\d{1,2}){0,2}|\d{1,3}-\d{1,2}(:\d{1,2}){0,2}")
_SBATCH_OPTION = re.compile(r"--?[A-Za-z][^\n]*")
_RESERVED_SBATCH_OPTIONS = ("--array", "--job-name", "--output", "--parsable", "--test-only", "--wait", "--wrap")
_RESERVED_SHORT_OPTIONS = ("-a", "-J", "-o", "-W")
_WORD = re.compile(r"[\w.,:@/=-]{1,200}", re.ASCII)
_GROUP_UNITS = ("class", "example")

MIN_CLUSTERS = 4
"""Fewest clusters of classes of a first stage: a mask and its complement keep two or more each."""


@dataclass(frozen=True)
class Recommended:
    """Mark of a field that `tinfl init` writes, with a value that need not be its default.

    Attributes:
        value: to begin with.
    """

    value: str | int


@dataclass(frozen=True)
class DataPath:
    """Mark of a field that holds the path of data. `identity` omits it, as fingerprints represent the data themselves.

    Attributes:
        keywords: values that are no paths, and count as they are.
        prefixes: what begins further values that are no paths, and count as they are.
        placeholder: value that counts in place of any path; None if the field does not count at all.
        is_directory: whether it is the path of a directory, not of a file; None if it may be either.
    """

    keywords: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    placeholder: str | None = None
    is_directory: bool | None = False

    def is_path(self, value: str | None) -> bool:
        """Whether a value of the field is a path."""
        return value is not None and value not in self.keywords and not value.startswith(self.prefixes)


class Section(BaseModel):
    """A table of the config: unknown keys are errors, text is not a number, numbers are finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def value_error(text: str) -> PydanticCustomError:
    """Return the error for an invalid value; its text is a predicate to the name of the key."""
    return PydanticCustomError(PREDICATE, "{text}", {"text": text})


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise value_error('must be 1 to 100 letters, digits, ".", "_" or "-", and begin with a letter or a digit')
    return value


def _path(value: str) -> str:
    if not value.strip():
        raise value_error("must not be empty")
    if printable(value) != value:
        raise value_error("must be a path without control characters or invisible ones")
    return value


def _data_name(value: str) -> str:
    if not value or printable(value) != value:
        raise value_error("must be a name without control characters or invisible ones")
    return value


def _groups(value: str) -> str:
    if value in _GROUP_UNITS or value.lower().endswith(".csv"):
        return _path(value)
    options = 'must be "class", "example", or a path that ends in .csv'
    if value == "clusters":
        raise value_error(
            f'{options}; for clusters of similar classes, leave groups = "class" and set [design] clusters'
        )
    raise value_error(options)


def _cluster_count(value: int) -> int:
    if 0 < value < MIN_CLUSTERS:
        raise value_error(f"must be at least {MIN_CLUSTERS}, or 0 for none")
    return value


def is_device(name: str) -> bool:
    """Return whether a text names a device, be it there or not."""
    return _DEVICE.fullmatch(name) is not None


def _device(value: str) -> str:
    if not is_device(value):
        raise value_error('must be "cpu", "cuda", "mps", or a numbered device such as "cuda:0"')
    return value


def _arch(value: str) -> str:
    if value in NETWORKS:
        return value
    normalized = re.sub(r"[-_ ]", "", value.lower())
    for name in NETWORKS:
        if normalized == name.replace("-", ""):
            raise value_error(f'must be spelt "{name}"')
    if not _ARCH.fullmatch(value):
        names = ", ".join(f'"{name}"' for name in NETWORKS)
        raise value_error(
            f'must be {names}, the name of a torchvision.models classifier, "{TIMM}NAME", or "module:callable"'
        )
    return value


def _weights(value: str) -> str:
    if is_weights_name(value):
        if not _WEIGHTS_NAME.fullmatch(value):
            raise value_error(f'must be a name such as "{TORCHVISION}IMAGENET1K_V1" or "{TIMM}a1_in1k"')
        return value
    *endings, last = (SAFETENSORS_SUFFIX, *TORCH_SUFFIXES)
    if not value.lower().endswith((*endings, last)):
        paths = f"a path that ends in {', '.join(endings)} or {last}"
        raise value_error(f'must be {paths}, "{TORCHVISION}NAME" or "{TIMM}TAG"')
    return _path(value)


def _time_limit(value: str) -> str:
    if not _TIME_LIMIT.fullmatch(value):
        raise value_error('must be a time as Slurm writes it, such as "90" (minutes), "4:00:00" or "2-12:00:00"')
    if not parse_minutes(value):
        raise value_error("must be longer than 0 minutes")
    return value


def _line(value: str) -> str:
    if not value.strip() or printable(value) != value:
        raise value_error("must be one line of text, without control characters")
    return value


def _sbatch_option(value: str) -> str:
    if not _SBATCH_OPTION.fullmatch(value) or printable(value) != value:
        raise value_error('must be an option of sbatch such as "--qos=low"')
    name = re.split(r"[=\s]", value, maxsplit=1)[0]
    # Slurm also accepts the first letters of a long option.
    is_reserved = (
        any(option.startswith(name) for option in _RESERVED_SBATCH_OPTIONS)
        if name[:2] == "--"
        else name[:2] in _RESERVED_SHORT_OPTIONS
    )
    if is_reserved:
        raise value_error(
            f"must not be {name}: jobs are named, cut into arrays, sent to files and not waited for by us"
        )
    return value


def _word(value: str) -> str:
    if not _WORD.fullmatch(value):
        raise value_error("must be one word of letters, digits and any of . _ - , : @ / =")
    return value


def parse_minutes(time_limit: str) -> float:
    """Return the minutes of a time limit as Slurm writes it: M, M:S, H:M:S, D-H, D-H:M or D-H:M:S."""
    days, _, clock = time_limit.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    if days:
        hours, minutes, seconds = [*parts, 0, 0][:3]
    else:
        hours, minutes, seconds = {1: [0, *parts, 0], 2: [0, *parts], 3: parts}[len(parts)]
    return (int(days or 0) * 24 + hours) * 60 + minutes + seconds / 60


def _python_name(value: str) -> str:
    if not _PYTHON_NAME.fullmatch(value):
        raise value_error("must be the name of a class, such as CIFAR10")
    return value


def _arguments(value: dict[str, Any]) -> dict[str, Any]:
    for level, item in _walk(value):
        if level > MAX_ARGUMENT_LEVELS:
            raise value_error(f"must not be nested more than {MAX_ARGUMENT_LEVELS} levels deep")
        if isinstance(item, bool | str | list | dict):
            continue
        if isinstance(item, int) and -(2**63) <= item < 2**63:
            continue
        if isinstance(item, float) and math.isfinite(item):
            continue
        raise value_error(
            "must have only text, finite numbers of at most 64 bits, true, false, lists and tables of these"
        )
    return value


def _rising(value: list[float]) -> list[float]:
    if value[0] > value[1]:
        raise value_error("must begin with the smaller number")
    return value


def _walk(value: object) -> Iterator[tuple[int, object]]:
    """Yield every value inside `value` with its level, without recursion."""
    stack: list[tuple[int, object]] = [(0, value)]
    while stack:
        level, item = stack.pop()
        yield level, item
        inner = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        stack.extend((level + 1, child) for child in inner)


Name = Annotated[str, AfterValidator(_name)]
"""Name of a run or a target; it is a valid file name on every system."""

DataName = Annotated[str, AfterValidator(_data_name)]
PathText = Annotated[str, AfterValidator(_path)]
DirectoryPath = Annotated[PathText, DataPath(is_directory=True)]
FilePath = Annotated[PathText, DataPath()]
FileOrDirectoryPath = Annotated[PathText, DataPath(is_directory=None)]
OptionalFilePath = Annotated[PathText | None, DataPath()]
GroupsText = Annotated[str, AfterValidator(_groups), DataPath(keywords=_GROUP_UNITS, placeholder="csv")]
OptionalWeights = Annotated[
    Annotated[str, AfterValidator(_weights)] | None, DataPath(prefixes=(TORCHVISION, TIMM), placeholder="file")
]
Device = Annotated[str, AfterValidator(_device)]
Arch = Annotated[str, AfterValidator(_arch)]
PythonName = Annotated[str, AfterValidator(_python_name)]
TimeLimit = Annotated[str, AfterValidator(_time_limit)]
Line = Annotated[str, AfterValidator(_line)]
SbatchOption = Annotated[str, AfterValidator(_sbatch_option)]
Word = Annotated[str, AfterValidator(_word)]
Arguments = Annotated[dict[str, Any], AfterValidator(_arguments)]
"""Keyword arguments of a constructor: JSON values, so that a saved config has exactly the same values."""

Count = Annotated[int, Field(le=10**9)]
"""A number of things, with a limit that only a typing error exceeds."""

ClusterCount = Annotated[int, Field(ge=0, le=10**9), AfterValidator(_cluster_count)]
"""A number of clusters of classes, or none."""

Positive = Annotated[int, Field(ge=1, le=10**9)]

PositiveNumber = Annotated[float, Field(gt=0)]
"""A number greater than 0."""

BatchSize = Annotated[int, Field(ge=2, le=10**9)]
"""Images of a step: BatchNorm needs two."""

WeightDecay = Annotated[float, Field(ge=0)]
"""An L2 penalty on weights, as SGD takes it."""

LabelSmoothing = Annotated[float, Field(ge=0, lt=1)]
"""A share of each label that is spread over all classes."""

WarmUp = Annotated[float, Field(ge=0, lt=1)]
"""A share of the steps in which the learning rate rises."""

Side = Annotated[int, Field(ge=8, le=1024)]
"""Side of images, in pixels."""

Shift = Annotated[int, Field(ge=0, le=64)]
"""A random shift of images, in pixels."""

SquareSide = Annotated[int, Field(ge=0, le=1024)]
"""Side in pixels of a square that is erased; 0 for none."""

AreaRange = Annotated[
    list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=2, max_length=2), AfterValidator(_rising)
]
"""Least and greatest share of an image's area."""
