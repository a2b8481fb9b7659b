"""The embedded experiment: the same as its sample config, and it finds what can be checked by eye."""

import json
import re
from pathlib import Path
from statistics import median

import pytest

from tests.e2e.program import tinfl
from tui_influence.cli.commands.demo import demo_config
from tui_influence.config.loader import load_config

SAMPLE = Path(__file__).resolve().parents[2] / "sample_configs" / "glyphs-digits.toml"


def test_the_demo_is_its_sample_config(tmp_path):
    demo, sample = demo_config(tmp_path), load_config(SAMPLE)
    assert demo.model_copy(update={"run": None}) == sample.model_copy(update={"run": None})


@pytest.mark.timeout(1000)
def test_the_printed_digit_helps_most_with_its_handwritten_one(tmp_path):
    """The whole demo, as a user runs it; chance would put one printed digit in 36 first."""
    said = tinfl("demo", tmp_path / "demo", patience=900)
    (found,) = re.findall(r"For (\d+) of 10 handwritten digits", said.stdout)
    places = []
    for digit in "0123456789":
        rows = json.loads(tinfl("rank", tmp_path / "demo", "--class", digit, "--json").stdout)["rows"]
        places.append(next(row["rank"] for row in rows if row["group"] == digit))
    assert places.count(1) == int(found)
    assert places.count(1) >= 7
    assert median(places) == 1
    whole = json.loads(tinfl("rank", tmp_path / "demo", "--json").stdout)
    assert whole["n_models"] == 256
    assert whole["lds"]["low"] > 0
    pruned = json.loads(tinfl("prune", tmp_path / "demo", "--json").stdout)
    arms = {arm["arm"]: arm["accuracy"] for arm in pruned["results"]}
    assert arms["highest 18"]["gain"]["high"] < 0
    assert arms["highest 18"]["mean"]["high"] < arms["lowest 18"]["mean"]["low"]
    assert arms["lowest 18"]["gain_over"]["random"]["low"] > 0
    assert "label mapping 18" in said.stdout
    assert {arm["n_models"] for arm in pruned["results"]} == {16}
    assert "80 models, 16 of each arm, 8 of them once the others are trained;" in said.stderr
    assert "next: tinfl rank" in said.stderr
    assert "models" in said.stderr  # plain progress lines, as stderr is no terminal
