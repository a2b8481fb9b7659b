"""The recipes of docs/extending.md: what they name is all that a new kind needs."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from torch import nn

import tui_influence
from tests.tui.runs import make_run
from tui_influence.analysis.class_effects import estimate_effects
from tui_influence.analysis.question import Question
from tui_influence.analysis.snapshot import read_snapshot
from tui_influence.cli.commands.rank import rank
from tui_influence.cli.options.questions import RankOptions
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
    rank(RankOptions(results=paths.root, estimator="agreement", json=True))
    answer = json.loads(capsys.readouterr().out)
    groups = [row["group"] for row in answer["rows"]]
    assert groups[0] == "class 00"
    assert groups[-1] == "class 05"
    assert answer["reliability"]["value"] > 0.3
    rank(RankOptions(results=paths.root, estimator="agreement"))
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


DOCUMENT = ROOT / "docs" / "extending.md"


def code_blocks(heading: str) -> list[str]:
    """The Python code of one section of the document."""
    section = re.split(r"^## ", DOCUMENT.read_text(), flags=re.MULTILINE)
    (text,) = (part for part in section if part.startswith(f"{heading}\n"))
    return re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package, to which a recipe can be applied."""
    copy = tmp_path / "tui_influence"
    shutil.copytree(Path(tui_influence.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def python(package: Path, code: str) -> str:
    """What a program prints that imports the copy."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=package.parent, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def add_dataset_kind(package: Path) -> None:
    section, reader = code_blocks("A dataset kind")
    schema = package / "config" / "schema.py"
    before, after = schema.read_text().split("Source = Annotated[", 1)
    unions = after.replace(" | TorchvisionSource", " | TorchvisionSource | CsvSource")
    unions = unions.replace(" | TorchvisionTarget", " | TorchvisionTarget | CsvTarget")
    schema.write_text(f"{before}{section}\n\nSource = Annotated[{unions}")
    (package / "datasets" / "csv.py").write_text(reader)


def images_as_csv(path: Path, *, each: int) -> None:
    """Images of 6 pixels a side whose brightness is that of their class."""
    rows = [[label] + [100 * label + index] * 36 for index in range(each) for label in (0, 1)]
    np.savetxt(path, rows, fmt="%d", delimiter=",")


def test_a_dataset_kind_is_added_in_two_files(package: Path) -> None:
    add_dataset_kind(package)
    for name, each in (("source", 4), ("train", 3), ("test", 2)):
        images_as_csv(package.parent / f"{name}.csv", each=each)
    (package.parent / "sweep.toml").write_text(
        '[run]\nname = "x"\n[source]\nkind = "csv"\npath = "source.csv"\n'
        '[[target]]\nname = "t"\nkind = "csv"\ntrain = "train.csv"\ntest = "test.csv"\n[design]\nmodels = 4\n'
    )
    code = """
from pathlib import Path
from tui_influence.config.loader import check_data_paths, load_config
from tui_influence.datasets import load_source, load_target, native_shape, thumbnails

check_data_paths(Path("sweep.toml"))
config = load_config(Path("sweep.toml"))
settings = {"seed": 0, "resolution": 8, "channels": 1, "cache": Path("cache")}
source, target = load_source(config.source, **settings), load_target(config.target[0], **settings)
print(native_shape(config.source), source.images.shape, source.classes, source.names[3])
print(target.train.images.shape, target.test.images.shape)
print(thumbnails(config.target[0], "test", target.test, [3], 6)[0, 0, 0])
"""
    assert python(package, code).splitlines() == [
        "ImageShape(side=6, channels=1) (8, 8, 8, 1) ('0', '1') 1/3",
        "(6, 8, 8, 1) (4, 8, 8, 1)",
        "[101]",
    ]


def test_messages_and_the_template_know_a_dataset_kind_from_its_section(package: Path) -> None:
    add_dataset_kind(package)
    code = """
from tui_influence.config.errors import InvalidConfigError
from tui_influence.config.loader import parse_config
from tui_influence.config.template import make_template

parse_config(make_template("csv"), "sweep.toml")
print(make_template("csv"))
text = make_template("csv").replace('test = "data', 'tset = "data').replace('"csv"', '"cvs"', 1)
try:
    parse_config(text, "sweep.toml")
except InvalidConfigError as error:
    print(error.render())
"""
    output = python(package, code)
    assert "# Dataset to train on: a row for each image, its label and its grey pixels\n[source]\n" in output
    assert 'path = "data/source.csv"            # CSV file of square images\n' in output
    comments = " ".join(output.replace("#", " ").split())
    assert "builtin | folder | npz | torchvision | csv | huggingface | webdataset" in comments
    assert 'did you mean "csv"?' in output
    assert "did you mean test?" in output
