"""A config for folders of images, chosen from what they hold: names, design, number of models, resolution.

Every problem of the folders is reported at once. Only what is needed is written; all else has its default.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from tui_influence.config.loader import parse_config
from tui_influence.config.messages import as_toml
from tui_influence.config.schema import DesignKind
from tui_influence.config.template import section_template
from tui_influence.datasets.errors import DatasetProblemsError
from tui_influence.datasets.folder_survey import FolderSurvey, is_split_name, survey_folder
from tui_influence.datasets.load import check_same_classes
from tui_influence.designs import MIN_GROUPS, Design
from tui_influence.errors import ConfigError, DatasetError, TinflError
from tui_influence.influence.estimators import default_estimator
from tui_influence.influence.model_count import USABLE, models_for
from tui_influence.regular_files import expand_home
from tui_influence.text import pluralize, printable

RESOLUTIONS = (32, 64, 96, 128, 160, 224)
"""Sides in pixels to choose from."""
_HELDOUT = 20
_MAX_NAME = 100


@dataclass(frozen=True)
class Folders:
    """The folders of a sweep as their paths are written in the config: the source, and the target's two parts."""

    source: str
    train: str
    test: str


@dataclass(frozen=True)
class _Design:
    kind: DesignKind
    models: int
    heldout: int
    is_enough: bool
    """Whether a usable order takes no more models, as far as is known beforehand."""


def config_for_folders(
    folders: Folders, name: str | None, executor: str | None, progress: Callable[[str], None]
) -> str:
    """Return the text of a config for folders in ImageFolder layout.

    Args:
        folders: that it is for.
        name: of the run; that of the source folder if None.
        executor: "slurm" or "ray"; local if None.
        progress: called with the stage before it begins.

    Raises:
        DatasetProblemsError: the folders cannot be used; a line for each reason.
        InvalidConfigError: the name is not valid.
    """
    problems: list[str] = []
    surveys: dict[str, FolderSurvey] = {}
    for option, path in vars(folders).items():
        progress(f"reading {path}")
        try:
            if printable(path) != path or not path.strip():
                raise DatasetError("must be a path without control characters or invisible ones")
            surveys[option] = survey_folder(path, is_test=option == "test")
        except DatasetError as error:
            problems.append(f"--{option}: {error}")
    target = _name_of(folders.train, "target")
    design = None
    if "source" in surveys:
        try:
            design = _choose_design(len(surveys["source"].classes))
        except ConfigError as error:
            problems.append(f"--source: {error}")
    if "train" in surveys and "test" in surveys:
        problems += _problems_of_target(target, folders, surveys)
    if problems or design is None:
        head = problems[0] if len(problems) == 1 else f"{len(problems)} problems with the folders"
        raise DatasetProblemsError(head, problems)
    text = _text(
        folders, surveys, _name_of(folders.source, "my-run") if name is None else name, target, design, executor
    )
    parse_config(text, "the new config")
    return text


def _problems_of_target(target: str, folders: Folders, surveys: dict[str, FolderSurvey]) -> list[str]:
    if expand_home(folders.train).samefile(expand_home(folders.test)):
        return ["--train and --test are the same directory: models would be tested on images that they were trained on"]
    try:
        check_same_classes(target, surveys["train"].classes, surveys["test"].classes)
    except TinflError as error:
        return [f"--test: {error}"]
    return []


def _name_of(path: str, default: str) -> str:
    """Return a valid name for a folder: its own, or that of the dataset whose part it is."""
    absolute = expand_home(path).resolve()
    folder = absolute.parent if is_split_name(absolute.name) else absolute
    return re.sub(r"[^A-Za-z0-9._-]+", "-", folder.name).strip("._-")[:_MAX_NAME] or default


def _choose_design(classes: int) -> _Design:
    """Return a design with the models that a usable order is likely to take, or as many as there are masks.

    Raises:
        ConfigError: there are too few classes.
    """
    kind: DesignKind = "balanced" if classes >= 2 * MIN_GROUPS else "fixed"
    masks = Design(kind, 0.5, classes, seed=0).possible_masks
    expected_models = models_for(USABLE, classes, kind, default_estimator(has_prior=True, groups=classes)).expected
    heldout = _HELDOUT if expected_models + _HELDOUT <= masks else 0
    models = min(expected_models, masks)
    return _Design(kind, models - models % 2 if kind == "balanced" else models, heldout, expected_models <= masks)


def _design_section(design: _Design, classes: str) -> str:
    reason = (
        f"about as many as a usable order of {classes} takes; depends on the data"
        if design.is_enough
        else f"{classes} have no more masks; a usable order takes more models"
    )
    lines = ["[design]", f"kind = {as_toml(design.kind)}", f"models = {design.models}  # {reason}"]
    if design.heldout:
        lines.append(f"heldout = {design.heldout}  # to validate the influences (LDS)")
    return "\n".join(lines)


def choose_resolution(sides: list[int]) -> int:
    """Return the largest resolution that enlarges the images of no dataset, or else the smallest.

    Args:
        sides: median of the shorter sides of each dataset, in pixels.
    """
    return max((side for side in RESOLUTIONS if side <= min(sides)), default=RESOLUTIONS[0])


def _text(
    folders: Folders, surveys: dict[str, FolderSurvey], name: str, target: str, design: _Design, executor: str | None
) -> str:
    source, train, test = surveys["source"], surveys["train"], surveys["test"]
    resolution = choose_resolution([source.side, train.side, test.side])
    classes = f"{len(source.classes):,} classes"
    sections = [
        "# A sweep of tinfl. Keys that are left out have their defaults: `tinfl init -` shows all of them.\n"
        "# Paths are relative to the directory in which the command is run.",
        f"[run]\nname = {as_toml(name)}",
        f"[source]  # {classes}, {pluralize(source.n_images, 'image')}, about {source.side} px\n"
        f'kind = "folder"\npath = {as_toml(folders.source)}',
        f"[[target]]  # {len(train.classes):,} classes, {train.n_images:,} training and {test.n_images:,} test images, "
        f"about {test.side} px\n"
        f'kind = "folder"\nname = {as_toml(target)}\ntrain = {as_toml(folders.train)}\ntest = {as_toml(folders.test)}',
        _design_section(design, classes),
        f"[model]\nresolution = {resolution}  # px; more shows more, and costs more time",
    ]
    if executor is not None:
        sections += [f"[compute]\nexecutor = {as_toml(executor)}", section_template(f"compute.{executor}")]
    return "\n\n".join(sections) + "\n"
