"""The recipes of docs/extending.md work as they are written, and need no more files than they name."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tui_influence

DOCUMENT = Path(__file__).parents[2] / "docs" / "extending.md"


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


# A dataset kind


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
    assert "builtin | folder | npz | torchvision | csv" in output
    assert 'did you mean "csv"?' in output
    assert "did you mean test?" in output
