"""`--set section.key=value`: settings of the command line in place of those of the file."""

from pathlib import Path

import pytest

from tests.integration.command_line import run
from tests.unit.config.configs import VALID
from tui_influence.config.errors import InvalidConfigError
from tui_influence.config.loader import check_data_paths, load_config
from tui_influence.config.schema import Config
from tui_influence.errors import ConfigError

TEXT = VALID + "[train]\nepochs = 3\n"


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "a.toml"
    path.write_text(TEXT)
    return path


def problems(path: Path, *settings: str) -> list[tuple[str, str]]:
    """Place and message of each problem."""
    with pytest.raises(InvalidConfigError) as caught:
        load_config(path, settings)
    return [(problem.location("a.toml"), problem.message) for problem in caught.value.problems]


def value(config: Config, path: str) -> object:
    result: object = config
    for step in path.split("."):
        result = result[int(step)] if isinstance(result, list) else getattr(result, step)
    return result


@pytest.mark.parametrize(
    ("setting", "path", "expected"),
    [
        ("train.epochs=8", "train.epochs", 8),
        (" train . epochs = 8 ", "train.epochs", 8),
        ("train.lr=1e-2", "train.lr", 0.01),
        ("train.flip=true", "train.flip", True),
        ("train.resized_crop=[0.5, 1.0]", "train.resized_crop", [0.5, 1.0]),
        ("run.name=other.run", "run.name", "other.run"),
        ('run.name="8"', "run.name", "8"),
        ("run.output=results/x=y", "run.output", "results/x=y"),
        ("model.resolution=20", "model.resolution", 20),
        ("compute.slurm.partition=long", "compute.slurm.partition", "long"),
        ("target.digits.probe_l2=0.5", "target.0.probe_l2", 0.5),
        ("target.1.probe_l2=0.5", "target.0.probe_l2", 0.5),
    ],
)
def test_a_setting_takes_the_place_of_that_in_the_file(
    config_file: Path, setting: str, path: str, expected: object
) -> None:
    changed = value(load_config(config_file, [setting]), path)
    assert list(changed) == expected if isinstance(changed, tuple) else changed == expected
    assert value(load_config(config_file), path) != expected


def test_the_last_setting_of_a_key_counts_and_one_without_a_value_removes_it(config_file: Path) -> None:
    assert load_config(config_file, ["train.epochs=8", "train.epochs=9"]).train.epochs == 9
    config = load_config(config_file, ["train.steps=50", "train.epochs="])
    assert (config.train.steps, config.train.epochs) == (50, None)
    assert load_config(config_file, ["train.epochs=", "compute.threads="]).train.epochs == 8


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train.epochs=x", 'train.epochs must be an integer, not the text "x"'),
        ("train.epochs=[1, 2", 'train.epochs must be an integer, not the text "[1, 2"'),
        ("train.epochs=1\ntrain.lr=2", "train.epochs must be an integer, not the text"),
        ("train.epoch=3", 'unknown key "epoch" in [train]'),
        ("trian.epochs=3", "unknown section [trian]"),
        ("compute.slurm.partitions=x", 'unknown key "partitions" in [compute.slurm]'),
        ("target.digits.probe_l2=x", "target.probe_l2 must be"),
        ("train.steps=5", "train.epochs and train.steps both say"),
    ],
)
def test_a_mistake_names_the_setting(config_file: Path, setting: str, message: str) -> None:
    ((place, text),) = problems(config_file, setting)
    assert place == f"--set {setting}".replace("\n", "\\x0a")
    assert text.startswith(message)


def test_mistakes_of_file_and_settings_are_reported_together(config_file: Path) -> None:
    config_file.write_text(TEXT.replace("epochs = 3", "epochs = 0"))
    reported = problems(config_file, "train.lr=x", "model.resolution=0")
    assert [place for place, _ in reported] == ["a.toml:13:10", "--set model.resolution=0", "--set train.lr=x"]


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("epochs=3", "write section.key=value"),
        ("train.epochs", "write section.key=value"),
        ("=3", "write section.key=value"),
        ("train..epochs=3", "write section.key=value"),
        ("a b.c=3", "write section.key=value"),
        ("train.epochs.x=3", "train.epochs is a value, not a section"),
        ("target.letters.probe_l2=1", 'there is no target "letters"; the config has digits'),
        ("target.2.probe_l2=1", 'there is no target "2"; the config has digits'),
        ("target.probe_l2=1", "name the target, as in target.NAME.key=value; the config has digits"),
        ("\x1b[2J", r"--set \x1b[2J: write"),
    ],
)
def test_what_is_no_setting_is_refused_in_one_line(config_file: Path, setting: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(config_file, [setting])
    assert reason in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_path_that_is_not_there_names_its_setting(config_file: Path, tmp_path: Path) -> None:
    settings = ["source.kind=folder", "source.name=", f"source.path={tmp_path / 'none'}"]
    with pytest.raises(InvalidConfigError, match=r"^--set source\.path=.*none: source\.path does not exist"):
        check_data_paths(config_file, settings)


def test_check_repeats_the_settings_in_the_command_that_comes_next(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(VALID)
    said = run("check", path, "--no-time", "--set", "run.name=a b'c", "--set", "design.models=6")
    assert said.code == 2  # a name has no blank
    said = run("check", path, "--no-time", "--set", f"run.output={tmp_path / 'a b'}", "--set", "design.models=6")
    assert said.err.splitlines()[-1] == (
        f"next: tinfl sweep {path} --set 'run.output={tmp_path / 'a b'}' --set design.models=6"
    )


def test_commands_take_settings(config_file: Path) -> None:
    for command in ("check", "sweep"):
        said = run(command, config_file, "--set", "train.lr=x", "--set", "train.epochs=0")
        assert said.code == 2
        assert "2 problems" in said.err
        assert "--set train.lr=x: train.lr must be" in said.err
