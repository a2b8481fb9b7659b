"""`tinfl init` for directories of images: the config that it writes, and the mistakes in directories that it names."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.integration.command_line import refused, run
from tui_influence.config.loader import load_config
from tui_influence.config.schema import Config
from tui_influence.runs.folder_config import choose_resolution


def image_folder(root: str, classes: int, each: int = 2, side: int = 40) -> None:
    for number in range(classes):
        folder = Path(root) / f"class-{number}"
        folder.mkdir(parents=True)
        for index in range(each):
            pixels = np.full((side, side + 3, 3), 10 * number + index, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{index}.png")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TINFL_CACHE", str(tmp_path / "cache"))
    image_folder("My birds/train", 8, side=70)
    image_folder("My birds/val", 8, side=70)
    image_folder("pets/train", 3)
    image_folder("pets/test", 3)
    return tmp_path


def arguments(**changes: str) -> list[str]:
    paths = {"source": "My birds/train", "train": "pets/train", "test": "pets/test"} | changes
    return ["init", "c.toml", *(word for name, path in paths.items() for word in (f"--{name}", path))]


def written(*more: str, **changes: str) -> Config:
    answer = run(*arguments(**changes), *more)
    assert answer.code == 0, answer
    return load_config(Path("c.toml"))


def test_the_config_suits_the_directories_and_passes_the_check() -> None:
    config = written()
    assert config.run.name == "My-birds"
    assert config.target[0].name == "pets"
    assert (config.design.kind, config.design.models, config.design.heldout) == ("balanced", 24, 20)
    assert config.model.resolution == 32
    text = Path("c.toml").read_text()
    sections = [line.partition("]")[0].lstrip("[") for line in text.splitlines() if line.startswith("[")]
    assert sections == ["run", "source", "target", "design", "model"]
    assert "8 classes, 16 images, about 70 px" in text
    checked = run("check", "c.toml", "--no-time")
    assert checked.code == 0, checked
    assert "source   16 images in 8 classes" in checked.out


@pytest.mark.parametrize("executor", ["slurm", "ray"])
def test_an_executor_adds_its_sections(executor: str) -> None:
    assert written(f"--{executor}").compute.executor == executor
    assert f"[compute.{executor}]" in Path("c.toml").read_text()


def test_a_name_replaces_that_of_the_source() -> None:
    assert written("--name", "x").run.name == "x"
    refused(*arguments(), "--force", "--name", "a b", code=2, reason="--name: run.name must be 1 to 100 letters")


@pytest.mark.parametrize(("classes", "kind", "models"), [(3, "fixed", 3), (4, "balanced", 10), (5, "balanced", 24)])
def test_few_classes_have_a_possible_design(classes: int, kind: str, models: int) -> None:
    image_folder("few", classes)
    config = written(source="few")
    assert (config.design.kind, config.design.models, config.design.heldout) == (kind, models, 0)
    assert run("check", "c.toml", "--no-time").code == 0


@pytest.mark.parametrize(
    ("sides", "resolution"), [([28, 40], 32), ([64, 64], 64), ([500, 100], 96), ([500, 400], 224), ([8, 8], 32)]
)
def test_the_resolution_enlarges_no_images_where_that_is_possible(sides: list[int], resolution: int) -> None:
    assert choose_resolution(sides) == resolution


def test_all_mistakes_in_directories_are_reported_at_once() -> None:
    Path("file").write_text("")
    Path("empty").mkdir()
    message = refused(*arguments(source="nowhere", train="file", test="empty"), code=2, reason="3 problems")
    assert message.splitlines()[-3:] == [
        "  --source: nowhere does not exist",
        "  --train: file is not a directory",
        "  --test: empty has no class folders (one sub-directory per class)",
    ]
    assert not Path("c.toml").exists()


def test_a_directory_one_level_too_high_or_too_low() -> None:
    changes = {"source": "My birds", "train": "pets/train/class-0", "test": "pets"}
    message = refused(*arguments(**changes), code=2, reason="3 problems")
    assert message.splitlines()[-3:] == [
        "  --source: My birds has no class folders: found train and val in it; did you mean My birds/train?",
        "  --train: pets/train/class-0 has no class folders (one sub-directory per class); it has 2 images itself",
        "  --test: pets has no class folders: found train and test in it; did you mean pets/test?",
    ]


def test_empty_classes_other_classes_and_one_directory_twice() -> None:
    Path("pets/train/dog").mkdir()
    refused(*arguments(), code=2, reason="--train: pets/train has an empty class folder (no images in it): dog")
    Path("pets/train/dog").rmdir()
    Image.new("RGB", (9, 9)).save(Path("pets/test/class-2/x.png"))
    Path("pets/test/class-2").rename("pets/test/cat")
    refused(*arguments(), code=2, reason='--test: target "pets": the classes of its training and test images differ')
    refused(*arguments(test="pets/train"), code=2, reason="--train and --test are the same directory")


def test_a_source_of_two_classes_has_no_design() -> None:
    image_folder("two", 2)
    refused(*arguments(source="two"), code=2, reason="--source: a design needs at least 3 groups")


def test_options_that_do_not_go_together() -> None:
    refused("init", "c.toml", "--source", "x", code=2, reason="--train and --test are needed as well")
    refused("init", "c.toml", "--source", "x", "--test", "y", code=2, reason="--train is needed as well")
    refused("init", "c.toml", "--slurm", code=2, reason="--slurm needs --source, --train and --test")
    refused(*arguments(), "--slurm", "--ray", code=2, reason="--slurm and --ray exclude each other")
    refused(*arguments(), "--kind", "npz", code=2, reason="--kind chooses a template")


def test_an_existing_file_is_kept_unless_it_is_forced() -> None:
    Path("c.toml").write_text("mine")
    refused(*arguments(), code=2, reason="c.toml already exists; --force replaces it")
    assert Path("c.toml").read_text() == "mine"
    assert written("--force").run.name == "My-birds"


def test_without_directories_it_writes_the_template() -> None:
    assert run("init", "-").out == run("init", "-", "--kind", "builtin").out
    assert "# steps = 200" in run("init", "-").out
