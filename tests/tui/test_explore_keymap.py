"""A user's own keys: what is wrong with them, and that they are what does, shows and explains."""

import json
import tomllib

import pytest
from textual.command import CommandList
from textual.widgets import Static

from tests.integration.command_line import run
from tests.tui.runs import exploring, make_run, ranked, screen_text, until, words
from tui_influence.config.errors import InvalidConfigError
from tui_influence.config.user import user_config_path
from tui_influence.errors import ConfigError
from tui_influence.tui.actions import ACTIONS
from tui_influence.tui.keymap import Keys, shown_key, user_keys


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Write a user's config."""

    def write(text: str, *, section: str = "[keys]\n") -> None:
        (tmp_path / "config.toml").write_text(section + text)
        monkeypatch.setenv("TINFL_CONFIG", str(tmp_path / "config.toml"))

    return write


def test_there_need_not_be_a_config(tmp_path, monkeypatch):
    monkeypatch.delenv("TINFL_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert user_config_path() == tmp_path / "tinfl" / "config.toml"
    assert user_keys().changed == {}
    (tmp_path / "tinfl").mkdir()
    (tmp_path / "tinfl" / "config.toml").write_text('[keys]\n"rank.filter" = "f"\n')
    assert user_keys().changed == {"rank.filter": "f"}


def test_the_environment_says_where_it_is_and_empty_that_there_is_none(tmp_path, monkeypatch, config):
    config('"rank.sort" = "f2"')
    assert user_keys().changed == {"rank.sort": "f2"}
    monkeypatch.setenv("TINFL_CONFIG", "")
    assert user_keys().changed == {}
    monkeypatch.setenv("TINFL_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(ConfigError, match="no such file"):
        user_keys()


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ('"rank.filter" = "f"', {"rank.filter": "f"}),
        ('rank.filter = "f"', {"rank.filter": "f"}),
        ('"rank.filter" = "f, /"', {"rank.filter": "f,slash"}),
        ('"rank.mark" = "+"', {"rank.mark": "plus"}),
        ('"rank.mark" = "comma,space"', {"rank.mark": "comma,space"}),
        ('"rank.sort" = "t"\n"rank.target" = "s"', {"rank.sort": "t", "rank.target": "s"}),
        ('"rank.sort" = "n"', {"rank.sort": "n"}),  # a key of other screens
        ('"app.quit" = "ctrl+q"', {"app.quit": "ctrl+q"}),
        ('"rank.mark" = "ä"', {"rank.mark": "ä"}),
        ("", {}),
    ],
)
def test_keys_are_written_as_people_write_them(config, text, changed):
    config(text)
    assert user_keys().changed == changed


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ('"rank.filtre" = "f"', "2:1", "unknown action rank.filtre; did you mean rank.filter?"),
        ('"whatever" = "f"', "2:1", "unknown action whatever; `tinfl keys` lists them"),
        ('"rank.mark" = "escpae"', "2:1", 'rank.mark: no key is called "escpae"; did you mean escape?'),
        ('"rank.mark" = "ctlr+b"', "2:1", 'rank.mark: no key is called "ctlr+b"'),
        ('"rank.mark" = "shift+b"', "2:1", "rank.mark: shift+b is written B"),
        ('"rank.mark" = ""', "2:1", "rank.mark has an empty key"),
        ('"rank.mark" = "a,,b"', "2:1", "rank.mark has an empty key"),
        ('"rank.mark" = 3', "2:15", "the keys of rank.mark must be text"),
        ('"rank.sort" = "t"', "2:1", "rank.sort and rank.target have the same key: t"),
        ('"rank.sort" = "j"', "2:1", "rank.sort and table.down have the same key: j"),
        ('"rank.sort" = "q"', "2:1", "rank.sort and app.quit have the same key: q"),
        ('"rank.sort" = "x"\nrank.mark = "f2,x"', "3:6", "rank.mark and rank.sort have the same key: x"),
        ('"app.help" = "r"', "2:1", "app.help and picker.again have the same key: r"),
        ('"rank.mark" = "ctrl+q"', "2:1", "rank.mark: ctrl+q always leaves"),
        ('"app.back" = "x"', "2:1", "app.back: x could not be typed into a field any more"),
        ('"choose.down" = "space"', "2:1", "choose.down: space could not be typed into a field any more"),
        ('"rank.mark" = x', "2:15", "not valid TOML: invalid value"),
        ('"rank.mark" = "x', "2:17", "not valid TOML"),
        ("a.b = 1\na.b.c = 2", "3:", "not valid TOML"),
        ('rank.mark = "x"\n"rank.mark" = "y"', "3:1", "rank.mark is set twice"),
        ("[other]\na = 1", "2:2", 'unknown section "other"'),
        ('"\\u001b[2J" = "x"', "2:1", "unknown action \\x1b[2J"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place_and_exit_code_2(tmp_path, config, text, place, reason):
    config(text)
    with pytest.raises(InvalidConfigError) as raised:
        user_keys()
    assert str(raised.value).startswith(f"{tmp_path}/config.toml:{place}")
    assert reason in str(raised.value)
    assert raised.value.exit_code == 2


def test_everything_that_is_wrong_is_said_at_once(config):
    config('"rank.filtre" = "f"\n"rank.sort" = "t"\n"app.back" = "x"')
    with pytest.raises(InvalidConfigError) as raised:
        user_keys()
    assert [problem.line for problem in raised.value.problems] == [2, 3, 4]


def test_keys_that_are_no_section_are_refused(config):
    config('keys = "f"', section="")
    with pytest.raises(InvalidConfigError, match="is a section with lines"):
        user_keys()


def test_the_command_lists_keys_that_can_be_read_back(config, tmp_path):
    config('"rank.filter" = "f,slash"')
    said = run("keys")
    assert tomllib.loads(said.out) == {"keys": {"rank.filter": "f,slash"}}
    everything = said.out.replace("\n# ", "\n")
    listed = tomllib.loads(everything)["keys"]
    assert list(listed) == [action.id for action in ACTIONS]
    config(everything.removeprefix("# Take").partition("[keys]\n")[2])
    assert user_keys().changed.keys() == listed.keys()  # which all go together


def test_the_command_lists_the_usual_keys_where_the_user_s_are_wrong(config):
    config('"rank.filtre" = "f"')
    said = run("keys", "--json")
    assert said.code == 2
    assert "did you mean rank.filter?" in said.err
    assert {row["action"] for row in json.loads(said.out)} == {action.id for action in ACTIONS}


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("slash", "/"), ("question_mark", "?"), ("escape", "esc"), ("space", "space"), ("minus", "-"), ("G", "G"),
        ("ctrl+t", "ctrl+t"), ("ctrl+slash", "ctrl+/"), ("left", "left"), ("f1", "f1"), ("comma", ","),
    ],
)  # fmt: skip
def test_keys_are_shown_as_people_write_them(key, shown):
    assert shown_key(key) == shown


def test_a_placeholder_of_no_action_stays():
    assert Keys({"rank.filter": "f"}).put_into("<rank.filter> <rank.sort> <x.y> a<b") == "f s <x.y> a<b"


OWN = Keys({"rank.filter": "f", "rank.sort": "x,f3", "table.down": "d", "app.rank": "f2", "app.help": "f4"})


async def opened(app, pilot) -> None:
    await pilot.press("f2")
    await ranked(app, pilot)
    await pilot.pause()


async def test_the_user_s_keys_do_what_they_say_and_the_usual_ones_no_longer_do(tmp_path):
    make_run(tmp_path / "run")
    async with exploring(tmp_path / "run", keys=OWN) as (app, pilot):
        await pilot.press("2")
        assert app.current_mode == "sweep"
        await opened(app, pilot)
        for key, order in (("s", "helpful"), ("x", "harmful"), ("f3", "strongest")):
            await pilot.press(key)
            await until(pilot, lambda order=order: f"{order} first" in screen_text(app))
        table = app.screen.query_one("RankingTable")
        await pilot.press("d", "d", "j")
        assert table._cursor == 2
        await pilot.press("slash")
        assert not app.screen.query_one("#filter").display
        await pilot.press("f", *"fxd")
        assert app.screen.query_one("#filter").value == "fxd"  # as letters, in a field


async def test_footer_bar_hint_help_and_palette_show_the_user_s_keys(tmp_path):
    make_run(tmp_path / "run")
    async with exploring(tmp_path / "run", (100, 30), keys=OWN) as (app, pilot):
        await until(pilot, lambda: "f2 shows which classes help or hurt" in screen_text(app))
        await opened(app, pilot)
        await until(pilot, lambda: "x Sort" in words(app))
        footer = screen_text(app).splitlines()[-1]
        assert "f Filter" in footer
        assert "f4 Help" in footer
        assert "/ Filter" not in footer
        assert "f2 Rank" in screen_text(app).splitlines()[0]
        await pilot.press("f4")
        await until(pilot, lambda: any("Keys: Rank" in str(part.content) for part in app.screen.query(Static)))
        said = "\n".join(str(part.content) for part in app.screen.query(Static))
        assert "f        Filter as you type" in said
        assert "x f3     Next order" in said
        assert "d        The line below" in said
        assert "f leaves some out, x orders them" in said
        await pilot.press("escape", "ctrl+p")
        await until(pilot, lambda: app.screen.query(CommandList))
        commands = app.screen.query_one(CommandList)
        await until(pilot, lambda: "Filter (f)" in [str(option.hit.text) for option in commands.options])


async def test_keys_can_change_places(tmp_path):
    make_run(tmp_path / "run")
    async with exploring(tmp_path / "run", keys=Keys({"rank.sort": "m", "rank.estimator": "s"})) as (app, pilot):
        await pilot.press("2")
        await ranked(app, pilot)
        await pilot.press("m")
        await until(pilot, lambda: "most harmful first" in screen_text(app))
        await pilot.press("s")
        await until(pilot, lambda: "difference" in screen_text(app))
        assert "most harmful first" in screen_text(app)
