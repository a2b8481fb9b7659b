"""Whatever is in a file, its user gets reasons, never a traceback and never a control character."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.config.configs import VALID, half_valid, tables, written
from tests.unit.config.toml_documents import documents
from tui_influence.config.errors import InvalidConfigError
from tui_influence.config.loader import config_from_json, config_to_json, load_config, parse_config
from tui_influence.config.messages import as_toml, as_toml_key
from tui_influence.config.schema import Config
from tui_influence.config.toml_file import normalize_newlines
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.text import printable

thorough = settings(max_examples=70, deadline=None, suppress_health_check=list(HealthCheck))


def outcome(text: str) -> Config | InvalidConfigError:
    """Return the config, or its problems after a look at them."""
    try:
        return parse_config(text, "sweep.toml")
    except InvalidConfigError as error:
        refused = error
    lines = normalize_newlines(text).split("\n")
    assert refused.problems
    for block in (str(refused), refused.render(), *refused.details):
        assert all(printable(line) == line for line in block.split("\n"))
    known = [(problem.line, problem.column) for problem in refused.problems if problem.line and problem.column]
    assert known == sorted(known)
    for problem in refused.problems:
        assert len(problem.message) < 600
        if problem.line and problem.column:
            assert problem.source_line == lines[problem.line - 1]
            assert 1 <= problem.column <= len(problem.source_line) + 1
    return refused


@thorough
@given(st.text())
def test_any_text(text: str) -> None:
    assert isinstance(outcome(text), InvalidConfigError)


@settings(thorough, max_examples=20)
@given(documents())
def test_any_toml(text: str) -> None:
    assert isinstance(outcome(text), InvalidConfigError)


@thorough
@given(tables().map(written), st.data())
def test_a_config_with_pieces_missing_doubled_or_exchanged(text: str, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 12)))
        text = (
            text[:start]
            + data.draw(st.one_of(st.text(max_size=4), st.sampled_from([text[start:end] * 2])))
            + text[end:]
        )
    outcome(text)


@thorough
@given(half_valid())
def test_any_values_under_the_keys_of_a_config(data: dict[str, Any]) -> None:
    text = "\n".join(f"{as_toml_key(key)} = {as_toml(value)}" for key, value in data.items())
    result = outcome(text)
    if isinstance(result, InvalidConfigError) and "not valid TOML" not in result.problems[0].message:
        assert all(p.line or "is missing" in p.message or "is needed" in p.message for p in result.problems)


@thorough
@given(half_valid())
def test_any_json_as_a_saved_config(data: dict[str, Any]) -> None:
    try:
        config = config_from_json(data)
    except ResultsError as error:
        shown = str(error)
    else:
        shown = ""
        assert config_from_json(config_to_json(config)) == config
    assert printable(shown) == shown


@settings(thorough, max_examples=100)
@given(tables().map(written), st.lists(st.sampled_from(["\n", "\r\n", "\r\r\n", "\r\r\r\n"]), min_size=1))
def test_line_ends_of_any_kind_change_nothing(tmp_path: Path, text: str, ends: list[str]) -> None:
    lines = text.split("\n")
    path = tmp_path / "sweep.toml"
    path.write_bytes("".join(line + ends[i % len(ends)] for i, line in enumerate(lines)).encode())
    assert load_config(path) == parse_config(text, "sweep.toml")


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=60))
def test_any_bytes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sweep.toml"
    path.write_bytes(VALID.encode() + content)
    shown = ""
    try:
        load_config(path)
    except ConfigError as error:
        shown = str(error)
    assert printable(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 3000,
        "x = " + "[" * 400 + "]" * 400,
        "x = " + "[" * 300 + "]" * 300,
        "x = " + "{a=" * 320 + "1" + "}" * 320,
        "a." * 1000 + "b = 1",
        "[" + "a." * 1000 + "b]",
        "[run]\nname = " + "9" * 5000,
        "[run]\nname = 0x" + "f" * 50_000,
        "[train]\nlr = 0x" + "f" * 50_000,
        "[train]\nepochs = -0x1",
        "[train]\nepochs = 0x" + "f" * 50_000,
        "[design]\nalpha = 0x" + "f" * 50_000,
        "[source]\nkind = []",
        "[source]\nkind = {}",
        "[source]\nkind = 'torchvision'\narguments.a = " + "[" * 100 + "]" * 100,
        "[source]\nkind = 'torchvision'\narguments." + "a." * 1000 + "b = 1",
        "[run]\nname = '" + "x" * 200_000 + "'",
        "".join(f"k{i}=1\n" for i in range(15_000)),
        "[train]\n" + "".join(f"k{i}=1\n" for i in range(15_000)),
        "[[target]]\n" * 5_000,
        "[[target]]\nkind='builtin'\n" * 5_000,
        "target = [" + "{}," * 10_000 + "]",
        "compute.devices = [" + "'x'," * 20_000 + "]",
        'x = """' + '"a' * 50_000 + '"""',
        "[\x00]",
        "\ufeff\ufeff",
        "a = 1\rb = 2",
        "a = 1\r\r\r\nb = 2\r\r\n",
        "x = '\u2028'\ny = \x0c",
    ],
    ids=lambda text: repr(text[:24]),
)
def test_what_was_made_to_hurt(text: str) -> None:
    assert isinstance(outcome(text), InvalidConfigError)
