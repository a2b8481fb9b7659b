"""What has been made stays as it is: whoever has been handed it may keep it, and threads may share it."""

import importlib
import pkgutil
from dataclasses import is_dataclass

import pytest


@pytest.mark.parametrize("name", ["designs", "influence", "pruning", "analysis", "store", "training"])
def test_dataclasses_are_frozen(name):
    package = importlib.import_module(f"tui_influence.{name}")
    inner = pkgutil.iter_modules(getattr(package, "__path__", []))
    modules = [package, *(importlib.import_module(f"{package.__name__}.{one.name}") for one in inner)]
    dataclasses = {
        value
        for module in modules
        for value in vars(module).values()
        if is_dataclass(value) and value.__module__ == module.__name__
    }
    assert dataclasses
    assert [one.__name__ for one in dataclasses if not one.__dataclass_params__.frozen] == []
