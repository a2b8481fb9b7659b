"""The recipes of docs/extending.md: what they name is all that a new kind needs."""

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from torch import nn

from tests.tui.runs import make_run
from tui_influence.analysis.class_effects import estimate_effects
from tui_influence.analysis.question import Question
from tui_influence.analysis.snapshot import read_snapshot
from tui_influence.cli.commands.rank import rank
from tui_influence.config.errors import InvalidConfigError
from tui_influence.config.loader import parse_config
from tui_influence.influence.estimate import group_counts, same_size_masks
from tui_influence.influence.estimators import ESTIMATORS, Estimator
from tui_influence.influence.types import Estimate
from tui_influence.networks import NETWORKS, NetworkEntry
from tui_influence.store.run_info import read_run_info
from tui_influence.training.networks import build_network, split_head

ROOT = Path(__file__).parents[2]
CONFIG = """
[run]
name = "toys"
output = "results"
[source]
kind = "builtin"
name = "glyphs"
[[target]]
kind = "builtin"
name = "digits"
transfer = "fixed-feature"
[design]
models = 20
[model]
arch = "tiny"
"""


class TinyNetwork(nn.Module):
    """One linear layer on the mean of every channel."""

    def __init__(self, classes: int, channels: int, width: float) -> None:
        super().__init__()
        self.head = nn.Linear(channels, classes)

    def forward(self, x):
        return self.head(x.mean((2, 3)))


def test_a_network_is_a_class_and_an_entry(monkeypatch):
    monkeypatch.setitem(NETWORKS, "tiny", NetworkEntry(f"{__name__}:TinyNetwork", "one linear layer"))
    model = parse_config(CONFIG, "sweep.toml").model
    network = build_network(model, classes=4, channels=3, resolution=16)
    assert isinstance(network, TinyNetwork)
    _body, head = split_head(network)
    assert (head.in_features, head.out_features) == (3, 4)
    assert 'must be spelt "tiny"' in refusal_of(CONFIG.replace('"tiny"', '"TINY"'))


def refusal_of(config: str) -> str:
    with pytest.raises(InvalidConfigError) as refused:
        parse_config(config, "sweep.toml")
    return refused.value.render()


def test_a_misspelt_network_is_one_mistake_of_several_each_with_its_place():
    message = refusal_of(CONFIG.replace('"tiny"', '"Small_CNN"').replace("models = 20", "models = 0"))
    assert 'sweep.toml:15:8: model.arch must be spelt "small-cnn" (got "Small_CNN")' in message
    assert "sweep.toml:13:10: design.models" in message


@pytest.mark.parametrize("page", ["docs/guide.md"])
def test_the_guide_names_every_network(page):
    assert not [name for name in NETWORKS if f"`{name}`" not in (ROOT / page).read_text()]


def agreement(masks, outputs, clusters=None):
    """How much more often than not a model with the group has an output above the median: a toy."""
    outputs = np.asarray(outputs.block(slice(None), slice(None)) if hasattr(outputs, "block") else outputs)
    outputs = outputs.reshape(len(masks), -1)
    signs = np.sign(outputs - np.median(outputs, axis=0))
    influence = (2 * masks.T - 1.0) @ signs / len(masks)
    se = np.full(influence.shape, len(masks) ** -0.5)
    return Estimate(influence, se, len(masks) - 1.0, *group_counts(masks), "agreement", same_size_masks(masks))


def add_agreement(monkeypatch) -> None:
    """Add an estimator as docs/extending.md says."""
    module = ModuleType("tui_influence.influence.agreement")
    module.agreement = agreement
    monkeypatch.setitem(sys.modules, module.__name__, module)
    meaning = "agreement of the {quantity} of {examples} with the presence of the {noun} among all {nouns}"
    monkeypatch.setitem(ESTIMATORS, "agreement", Estimator("agreement", "agreement of signs", meaning))


def test_an_estimator_is_a_function_and_an_entry(tmp_path, monkeypatch, capsys):
    add_agreement(monkeypatch)
    paths = make_run(tmp_path / "run", models=60, groups=6)
    rank(paths.root, estimator="agreement", json=True)
    answer = json.loads(capsys.readouterr().out)
    groups = [row["group"] for row in answer["rows"]]
    assert groups[0] == "class 00"
    assert groups[-1] == "class 05"
    assert answer["reliability"]["value"] > 0.3
    rank(paths.root, estimator="agreement")
    text = " ".join(capsys.readouterr().out.split())
    assert "agreement of the mean margin (nats) of examples" in text
    assert "presence of the class among all classes" in text


def test_an_estimator_that_estimates_all_groups_answers_about_one(tmp_path, monkeypatch):
    add_agreement(monkeypatch)
    paths = make_run(tmp_path / "run", models=60, groups=6)
    effects = estimate_effects(
        read_snapshot(paths, read_run_info(paths.root)), Question(estimator="agreement"), at_once=False
    )
    assert effects.of_group(0, 3).helped
    assert not effects.of_group(0, 3).hurt
