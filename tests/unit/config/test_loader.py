import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from tests.unit.config.configs import VALID, configs, tables, written
from tui_influence.config.errors import InvalidConfigError
from tui_influence.config.loader import config_from_json, config_to_json, load_config, parse_config
from tui_influence.config.schema import Config
from tui_influence.config.template import config_to_toml
from tui_influence.config.toml_file import MAX_BYTES
from tui_influence.errors import ConfigError, ExitCode, ResultsError


def test_what_is_left_out_has_its_default() -> None:
    config = parse_config(VALID, "a.toml")
    assert (config.run.seed, config.design.kind, config.design.alpha, config.train.epochs) == (0, "fixed", 0.5, 8)
    assert config.target[0].name == "digits"
    assert config.output == Path("results/a")


def test_an_integer_will_do_where_a_number_is_needed() -> None:
    assert parse_config(VALID + "[train]\nlr = 1\n", "a.toml").train.lr == 1.0


@pytest.mark.parametrize("text", ["\ufeff" + VALID, VALID.replace("\n", "\r\n")], ids=["byte order mark", "windows"])
def test_files_of_other_editors_are_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sweep.toml"
    path.write_bytes(text.encode())
    assert load_config(path) == parse_config(VALID, "")


@settings(max_examples=60, deadline=None)
@given(tables())
def test_what_a_file_says_is_what_the_config_holds(data: dict[str, Any]) -> None:
    assert parse_config(written(data), "a.toml") == Config.model_validate(data)


def test_a_run_of_a_version_without_prior_networks_has_none() -> None:
    config = parse_config(VALID, "a.toml")
    assert config.design.prior == config.n_prior == 8
    saved = config_to_json(config)
    del saved["design"]["prior"]
    assert config_from_json(saved).design.prior == 0


def test_a_run_of_a_version_without_repeats_has_none() -> None:
    config = parse_config(VALID, "a.toml")
    assert config.design.heldout_repeats == 2
    saved = config_to_json(config)
    del saved["design"]["heldout_repeats"]
    assert config_from_json(saved).design.heldout_repeats == 1


def test_a_run_of_a_version_without_class_clusters_has_none() -> None:
    saved = config_to_json(parse_config(VALID, "a.toml"))
    assert config_from_json(saved).n_clusters(200) == 25
    del saved["design"]["clusters"]
    assert config_from_json(saved).n_clusters(200) == 0


@pytest.mark.parametrize(
    ("line", "classes", "clusters"),
    [("", 100, 0), ("", 101, 13), ("", 200, 25), ("", 5000, 0), ("prior = 0", 200, 0), ("clusters = 9", 36, 9),
     ("clusters = 0", 200, 0)],
)  # fmt: skip
def test_hundreds_of_classes_are_clustered_by_eights(line: str, classes: int, clusters: int) -> None:
    assert parse_config(VALID + line, "a.toml").n_clusters(classes) == clusters


@pytest.mark.parametrize("groups", ["example", "parts.csv"])
def test_other_groups_are_never_clustered(groups: str) -> None:
    text = VALID.replace("[[target]]", f'groups = "{groups}"\n\n[[target]]')
    assert parse_config(text, "a.toml").n_clusters(200) == 0


@settings(max_examples=60, deadline=None)
@given(configs())
def test_a_config_survives_being_written_as_toml(config: Config) -> None:
    assert parse_config(config_to_toml(config), "written.toml") == config


@settings(max_examples=60, deadline=None)
@given(configs())
def test_a_config_survives_json_exactly(config: Config) -> None:
    saved = config_to_json(config)
    again = config_from_json(json.loads(json.dumps(saved)))
    assert again == config
    assert json.dumps(config_to_json(again)) == json.dumps(saved)


def test_a_saved_config_names_every_default() -> None:
    saved = config_to_json(parse_config(VALID, "a.toml"))
    assert saved["train"]["epochs"] == 8
    assert saved["train"]["steps"] is None
    assert saved["compute"]["devices"] == "auto"
    assert saved["target"][0]["transfer"] == "fixed-feature"


def test_a_config_has_epochs_unless_it_has_steps() -> None:
    train = parse_config(VALID + "[train]\nsteps = 200\n", "a.toml").train
    assert (train.epochs, train.steps) == (None, 200)
    train = parse_config(VALID + "[train]\nlr = 0.1\n", "a.toml").train
    assert (train.epochs, train.steps) == (8, None)


def test_a_saved_config_of_a_version_without_steps_has_its_epochs() -> None:
    saved = config_to_json(parse_config(VALID + "[train]\nepochs = 3\n", "a.toml"))
    del saved["train"]["steps"]
    assert config_from_json(saved) == parse_config(VALID + "[train]\nepochs = 3\n", "a.toml")


@pytest.mark.parametrize("train", [{"epochs": 8, "steps": 200}, {"epochs": None, "steps": 0}, {"steps": "200"}])
def test_a_saved_config_with_a_wrong_length_of_training_is_damaged(train: dict[str, object]) -> None:
    saved = config_to_json(parse_config(VALID, "a.toml"))
    saved["train"] |= train
    with pytest.raises(ResultsError, match=r"the saved config is damaged.*steps"):
        config_from_json(saved)


def test_neither_text_nor_saved_values_are_changed_by_reading() -> None:
    saved = config_to_json(parse_config(VALID, "a.toml")) | {"trian": {}}
    before = json.dumps(saved)
    with pytest.raises(ResultsError):
        config_from_json(saved)
    assert json.dumps(saved) == before


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert not isinstance(caught.value, InvalidConfigError)
    assert caught.value.exit_code == ExitCode.USAGE
    assert str(caught.value).startswith(str(path).split("\n")[0].split("\0")[0])
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "sweep.toml")


def test_a_directory_is_no_config(tmp_path: Path) -> None:
    assert "is a directory" in refused(tmp_path)


def test_a_path_through_a_file_is_no_config(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be read: Not a directory" in refused(tmp_path / "file" / "sweep.toml")


def test_a_pipe_without_a_writer_does_not_hang(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert "not a regular file" in refused(path)


def test_other_encodings_are_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "sweep.toml"
    path.write_bytes(b'[run]\nname = "\xe9"\n')
    assert "not UTF-8 text (line 2)" in refused(path)


def test_a_large_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sweep.toml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    assert "larger than 256 KiB" in refused(path)


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31m", "a\0b"], ids=ascii)
def test_strange_file_names_are_made_safe(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / name)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "data", [None, [], "x", {}, {"run": None}, {"run": {"name": "a\ud800"}}, {"\ud800": {}}, {"target": {}}], ids=ascii
)
def test_a_damaged_saved_config_is_a_matter_of_the_results(data: Any) -> None:
    with pytest.raises(ResultsError, match="the saved config is damaged") as caught:
        config_from_json(data)
    assert str(caught.value).isprintable()


def test_a_saved_config_of_a_newer_version_names_the_key() -> None:
    saved = config_to_json(parse_config(VALID, "a.toml"))
    saved["train"]["novelty"] = 1
    with pytest.raises(ResultsError, match=r'unknown key "novelty" in \[train\]'):
        config_from_json(saved)
