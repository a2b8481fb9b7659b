"""The config of a sweep over single images: which images, how many models, and that they may tell anything."""

import csv
import io
from types import SimpleNamespace

import numpy as np
import pytest

from tests.tui.runs import real_config
from tui_influence.analysis.image_sweep import plan_image_sweep
from tui_influence.config.schema import Config
from tui_influence.errors import ConfigError
from tui_influence.influence.strongest_pairs import min_detectable_influence, models_needed

NAMES = ("a/0", "a/1", "b/2", '=c,"/3', "b/4", "b/5")
OF = np.array([0, 0, 1, -1, 2, 1])


@pytest.fixture
def config(tmp_path):
    found = real_config(tmp_path, ("digits",), "n" * 100)
    found["design"] |= {"models": 60, "heldout": 7, "alpha": 0.25}
    return Config.model_validate(found)


@pytest.fixture
def data():
    return SimpleNamespace(groups=SimpleNamespace(group_of_image=OF), source=SimpleNamespace(names=NAMES))


def made(config, data, groups, **options):
    options = {"examples": 50, "spread": 2.0, **options}
    return plan_image_sweep(config, data, groups, options.pop("grouping", config.output / "groups.csv"), **options)


def test_its_groups_are_the_single_images_of_the_groups_that_are_named(config, data, tmp_path, monkeypatch):
    found = made(config, data, [1, 0])
    rows = list(csv.reader(io.StringIO(found.grouping)))
    assert rows == [["path", "group"], *([name, name] for name in ("a/0", "a/1", "b/2", "b/5"))]
    assert found.n_images == 4
    assert "\r" not in found.grouping
    monkeypatch.chdir(tmp_path)
    relative = made(config, data, [0, 1], grouping=tmp_path.joinpath("x.csv").relative_to(tmp_path))
    assert relative.config.source.groups == str(tmp_path / "x.csv")


def test_it_is_the_first_sweep_but_for_groups_design_and_name(config, data):
    found = made(config, data, [0, 1]).config
    assert (found.run.name, found.run.output) == ("n" * 93 + "-images", None)
    assert (found.design.kind, found.design.alpha, found.design.heldout) == ("bernoulli", 0.5, 0)
    assert (found.target, found.train, found.model, found.compute) == (
        config.target,
        config.train,
        config.model,
        config.compute,
    )
    assert config.design.heldout == 7


def test_it_has_as_many_models_as_the_first_and_as_many_as_it_takes(config, data):
    few = made(config, data, [0, 1], examples=1)
    assert few.min_models == models_needed(4) < 60
    assert few.config.design.models == 60
    many = made(config, data, [0, 1], examples=10**15)
    assert many.min_models == models_needed(4 * 10**15) > 60
    assert many.config.design.models == many.min_models
    assert many.detectable_influence == min_detectable_influence(4 * 10**15, 2.0, many.min_models)
    asked = made(config, data, [0, 1], models=9)
    assert (asked.config.design.models, asked.min_models) == (9, models_needed(200))
    assert asked.detectable_influence == min_detectable_influence(200, 2.0, 9)


@pytest.mark.parametrize(("groups", "images"), [([2], 1), ([0], 2), ([1, 2], None), ([], 0)])
def test_it_takes_three_images(config, data, groups, images):
    if images is None:
        assert made(config, data, groups).n_images == 3
        return
    with pytest.raises(ConfigError, match=f"these groups have {images} images: at least 3 are needed"):
        made(config, data, groups)
