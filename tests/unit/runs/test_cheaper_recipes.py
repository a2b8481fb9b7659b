"""Recipes that are cheaper than a config's: which there are, what they change, and what they are timed with."""

import pytest

from tests.unit.config.configs import VALID
from tui_influence.cli.commands import check as command
from tui_influence.cli.options.starting import CheckOptions
from tui_influence.config.loader import parse_config
from tui_influence.config.schema import Config
from tui_influence.errors import ConfigError
from tui_influence.runs import cheaper_recipes as module
from tui_influence.runs.cheaper_recipes import CheaperRecipe, cheaper_recipes, time_recipes
from tui_influence.runs.cost import Cost

BY_EPOCHS = parse_config(VALID + "[train]\nepochs = 8\n", "")
BY_STEPS = parse_config(VALID + "[train]\nsteps = 100\n", "")


def silent(what: str, done: int, total: int) -> None:
    """Show no progress."""


@pytest.mark.parametrize(
    ("resolution", "steps", "expected"),
    [
        (64, 100, [("half the resolution", 32, None), ("half the steps", None, 50), ("both", 32, 50)]),
        (20, 9, [("less resolution", 16, None), ("half the steps", None, 4), ("both", 16, 4)]),
        (16, 9, [("half the steps", None, 4)]),
        (14, 2, [("half the steps", None, 1)]),
        (32, 1, [("half the resolution", 16, None)]),
        (14, 1, []),
    ],
)
def test_a_recipe_is_suggested_where_it_is_cheaper_and_not_below_16_pixels(resolution, steps, expected) -> None:
    assert [(recipe.name, recipe.resolution, recipe.steps) for recipe in cheaper_recipes(resolution, steps)] == expected


@pytest.mark.parametrize("config", [BY_EPOCHS, BY_STEPS], ids=["epochs", "steps"])
def test_a_recipe_changes_its_settings_alone(config: Config) -> None:
    both = CheaperRecipe("both", 32, 50)
    cheaper = both.apply(config)
    assert both.settings == {"model.resolution": 32, "train.steps": 50}
    assert (cheaper.model.resolution, cheaper.train.epochs, cheaper.train.steps) == (32, None, 50)
    assert Config.model_validate(cheaper.model_dump()) == cheaper
    kept = {"model": config.model, "train": config.train}
    assert cheaper.model_copy(update=kept) == config
    assert CheaperRecipe("none").apply(config) == config


def test_the_sides_of_source_training_are_halved_too() -> None:
    train = BY_STEPS.train.model_copy(update={"resolutions": [48, 64]})
    model = BY_STEPS.model.model_copy(update={"resolution": 64, "stored_side": 80})
    config = BY_STEPS.model_copy(update={"train": train, "model": model})
    recipe = cheaper_recipes(64, 100, [48, 64])[0]
    assert recipe.settings == {"model.resolution": 32, "train.resolutions": [24, 32]}
    cheaper = recipe.apply(config)
    assert (cheaper.model.resolution, cheaper.train.resolutions, cheaper.model.stored_side) == (32, [24, 32], 80)
    assert Config.model_validate(cheaper.model_dump()) == cheaper


def cost_of(config: Config) -> Cost:
    """Of a model that takes a second for each step and 16 pixels of side."""
    steps = config.train.source_steps(1000)
    seconds = steps * (config.model.resolution or 32) / 16
    return Cost(seconds, steps, workers=2, models=config.n_models, disk=0, numerics=["none"])


def test_each_recipe_is_timed_by_itself_on_its_own_images(monkeypatch) -> None:
    monkeypatch.setattr(module, "open_datasets", lambda config, progress, trusted: config.model.resolution)
    timed = []

    def estimate_cost(config, data, workers, trusted):
        timed.append((data, config.train.steps, workers, trusted))
        return cost_of(config)

    monkeypatch.setattr(module, "estimate_cost", estimate_cost)
    costs = time_recipes(BY_STEPS, cheaper_recipes(32, 100), ["cpu", "cpu"], silent)
    assert timed == [
        (16, 100, ["cpu", "cpu"], True),
        (None, 50, ["cpu", "cpu"], True),
        (16, 50, ["cpu", "cpu"], True),
    ]
    assert [cost.seconds_per_model for _, cost in costs] == [100, 100, 50]


def suggestions(config: Config, resolution: int) -> list[str]:
    cost = cost_of(config)
    plan = {
        "resolution": resolution,
        "seconds_per_model": cost.seconds_per_model,
        "seconds": cost.seconds,
        "suggestions": [
            {
                "recipe": recipe.name,
                "settings": recipe.settings,
                "seconds_per_model": cost_of(recipe.apply(config)).seconds_per_model,
                "seconds": cost_of(recipe.apply(config)).seconds,
            }
            for recipe in cheaper_recipes(resolution, cost.steps_per_model)
        ],
    }
    return command._suggestion_lines(config, plan)


def test_the_table_says_what_to_write_in_the_config_and_how_to_retrain_by_the_own_recipe() -> None:
    assert suggestions(BY_EPOCHS, 32) == [
        "",
        "recipe               s a model       in all  in the config",
        "this config             124.00  12 min 24 s",
        "half the resolution      62.00   6 min 12 s  [model] resolution = 16",
        "half the steps           62.00   6 min 12 s  [train] steps = 31 instead of epochs",
        "both                     31.00   3 min 06 s  [model] resolution = 16, [train] steps = 31 instead of epochs",
        "A ranking by a cheaper recipe carries over only in part: retrain a recommended set by your own recipe, with",
        "tinfl prune results/a --resolution 32 --epochs 8",
    ]


def test_a_config_of_steps_of_small_images_has_another_number_of_steps_suggested() -> None:
    lines = suggestions(BY_STEPS, 14)
    assert lines[3] == "half the steps     100.00  10 min 00 s  [train] steps = 50"
    assert lines[-1] == "tinfl prune results/a --steps 100"
    smallest = parse_config(VALID + "[train]\nsteps = 1\n", "")
    assert suggestions(smallest, 14) == [
        "",
        "no recipe that was tried is cheaper here: the images are small, or the machine is busy",
    ]


def test_nothing_is_suggested_without_timing(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"^--suggest .* cannot be combined with --no-time$"):
        command.check(CheckOptions(config_file=tmp_path / "a.toml", time=False, suggest=True))
