"""Cheaper recipes for a sweep, each timed on this machine: half the resolution, half the steps, and both.

A model at half the resolution has a quarter of the pixels; one that takes half the steps sees half as many images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tui_influence.config.schema import Config
from tui_influence.runs.cost import Cost, estimate_cost
from tui_influence.runs.datasets import ProgressCallback, open_datasets

MIN_RESOLUTION = 16
"""Smallest side in pixels that is suggested."""


@dataclass(frozen=True)
class CheaperRecipe:
    """A recipe that differs from a config's in a few settings.

    Attributes:
        name: in words.
        resolution: side in pixels, instead of the config's; None to keep it.
        resolutions: sides of source training, likewise.
        steps: of source training, instead of the config's epochs or steps; None to keep them.
    """

    name: str
    resolution: int | None = None
    steps: int | None = None
    resolutions: list[int] | None = None

    @property
    def settings(self) -> dict[str, int | list[int]]:
        """The settings that differ, by dotted keys."""
        values = {
            "model.resolution": self.resolution,
            "train.resolutions": self.resolutions,
            "train.steps": self.steps,
        }
        return {key: value for key, value in values.items() if value is not None}

    def apply(self, config: Config) -> Config:
        """Return a config with these settings."""
        model, train = config.model, config.train
        if self.resolution is not None:
            model = model.model_copy(update={"resolution": self.resolution})
            train = train.model_copy(update={"resolutions": self.resolutions})
        if self.steps is not None:
            train = train.model_copy(update={"epochs": None, "steps": self.steps})
        return config.model_copy(update={"model": model, "train": train})


def cheaper_recipes(resolution: int, steps: int, resolutions: list[int] | None = None) -> list[CheaperRecipe]:
    """Return the recipes that are cheaper than a given one.

    Args:
        resolution: side in pixels of its transfers and tests.
        steps: of its source training.
        resolutions: sides of its source training; None for the resolution alone.
    """
    half_resolution = max(resolution // 2, MIN_RESOLUTION)
    half_sides = None if resolutions is None else [max(side // 2, MIN_RESOLUTION) for side in resolutions]
    recipes = []
    if half_resolution < resolution:
        name = "half the resolution" if half_resolution == resolution // 2 else "less resolution"
        recipes.append(CheaperRecipe(name, half_resolution, resolutions=half_sides))
    if steps > 1:
        recipes.append(CheaperRecipe("half the steps", steps=steps // 2))
    if len(recipes) > 1:
        recipes.append(CheaperRecipe("both", half_resolution, steps // 2, half_sides))
    return recipes


def time_recipes(
    config: Config, recipes: Sequence[CheaperRecipe], workers: list[str], progress: ProgressCallback
) -> list[tuple[CheaperRecipe, Cost]]:
    """Time a few steps of each recipe, on all workers' devices at once; images of another size are packed first.

    Args:
        config: that the recipes differ from; from the user's own file.
        recipes: to time.
        workers: the device of each.
        progress: called while images are packed, and before each recipe is timed.

    Raises:
        TinflError: a recipe cannot be trained.
    """
    costs = []
    for index, recipe in enumerate(recipes):
        cheaper = recipe.apply(config)
        data = open_datasets(cheaper, progress, trusted=True)
        progress("timing cheaper recipes", index + 1, len(recipes))
        costs.append((recipe, estimate_cost(cheaper, data, workers, trusted=True)))
    return costs
