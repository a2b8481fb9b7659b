"""`tinfl show`: the picture is the image, the words are those of `tinfl rank`, and nothing of a run is trusted."""

import json
import os
import re

import numpy as np
import pytest
from rich.cells import cell_len

from tests.e2e.program import tinfl
from tests.integration.command_line import refused, run
from tests.requirements import require
from tests.tui.runs import make_run, spoil
from tests.unit.images.test_graphics import assert_enlarged, parse_iterm2, parse_kitty
from tui_influence.store.examples import write_source_thumbnails

EXAMPLES, SIDE = 12, 8
GROUPS = ["ostrich", "penguin", "zebra", "-1"]
HALF_BLOCKS = re.compile(r"\x1b\[(?:38;2;(\d+);(\d+);(\d+);)?48;2;(\d+);(\d+);(\d+)m([ ▀]+)\x1b\[0m")


def noise(count: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, channels), dtype=np.uint8)


def keep_pictures(paths, channels: int = 3) -> np.ndarray:
    """Give a run pictures: of its test examples, and three of each source class."""
    pixels = noise(EXAMPLES, channels)
    np.save(paths.target(0) / "thumbnails.npy", pixels)
    groups = np.repeat(np.arange(len(GROUPS), dtype=np.int32), 3)
    write_source_thumbnails(paths, noise(len(groups), channels), groups)
    return pixels


@pytest.fixture
def paths(tmp_path):
    made = make_run(tmp_path / "run", groups=GROUPS, targets=("digits", "letters"), planned=40)
    keep_pictures(made)
    return made


def blocks(text: str) -> np.ndarray:
    """Return the pixels of the half blocks at the beginning of each line, as far as there are any."""
    rows = []
    for line in text.splitlines():
        upper, lower, at = [], [], 0
        while found := HALF_BLOCKS.match(line, at):
            *foreground, red, green, blue, cells = found.groups()
            background = [int(red), int(green), int(blue)]
            lower += [background] * len(cells)
            upper += [[int(part) for part in foreground] if cell == "▀" else background for cell in cells]
            at = found.end()
        if upper:
            rows += [upper, lower]
    return np.array(rows, dtype=np.uint8)


def escapes(text: str) -> list[str]:
    return [character for character in text if ord(character) < 32 and character != "\n"]


def test_an_example_is_shown_with_what_the_run_says_about_it(paths):
    said = run("show", paths.root, "--example", 4)

    assert said.code == 0
    assert said.err == ""
    assert not escapes(said.out)
    assert 'example 4 of target "digits"' in said.out
    assert re.search(r"label +y \(estimate half\)", said.out)
    assert "of 40 models" in said.out
    assert "ostrich" in said.out
    assert "Reliability" in said.out
    assert set(said.out) & set("░▒▓█▀▄")


def test_numbers_are_those_of_the_records_and_the_ranking_that_of_rank(paths):
    found = json.loads(run("show", paths.root, "--example", 4, "--target", "letters", "--json").out)
    ranked = json.loads(run("rank", paths.root, "--example", 4, "--target", "letters", "--json").out)

    assert found["ranking"] == ranked
    assert found["label"] == "y"
    assert found["split"] == "estimate"
    assert sum(vote["share"] for vote in found["predicted"]) == pytest.approx(1)
    assert {vote["label"]: vote["share"] for vote in found["predicted"]}.get("y", 0.0) == found["accuracy"]
    assert found["image"] == [SIDE, SIDE, 1]
    assert found["image_problem"] == ""


def test_estimator_and_output_are_those_asked_for(paths):
    options = ("--estimator", "ridge", "--output-kind", "probability")
    found = json.loads(run("show", paths.root, "--example", 2, "--json", *options).out)
    assert found["ranking"] == json.loads(run("rank", paths.root, "--example", 2, "--json", *options).out)


def test_a_source_class_is_shown_with_its_images_and_its_place_in_the_ranking(paths):
    asked = ("--source", "zebra", "--class", "x", "--split", "all")
    said = run("show", paths.root, *asked, "--color", "truecolor", "--columns", SIDE)
    found = json.loads(run("show", paths.root, *asked, "--json").out)
    ranked = json.loads(run("rank", paths.root, "--class", "x", "--split", "all", "--json").out)

    assert said.code == 0
    assert re.search(r"^zebra +[▲▼] [-+]", re.sub(r"\x1b\[[^m]*m", "", said.out), re.MULTILINE)
    assert "2, 3 of them shown" in said.out
    assert np.array_equal(blocks(said.out), noise(12)[6])  # the first of the row
    assert found["samples"] == [3, SIDE, SIDE, 3]
    assert [found["influence"]] == [row for row in ranked["rows"] if row["group"] == "zebra"]
    assert found["ranking"] | {"rows": ranked["rows"]} == ranked


def test_a_source_class_is_shown_with_the_classes_and_examples_it_moves(paths):
    said = run("show", paths.root, "--source", "ostrich", "--target", "digits")
    found = json.loads(run("show", paths.root, "--source", "ostrich", "--target", "digits", "--json").out)
    assert "effect on each class of the target" in said.out
    assert "helped most" in said.out
    best = found["helped"][0]
    assert f"example {best['example']}" in said.out
    row = json.loads(run("rank", paths.root, "--example", best["example"], "--json").out)["rows"]
    (direct,) = [line for line in row if line["group"] == "ostrich"]
    assert best["influence"] == pytest.approx(direct["influence"], rel=1e-3)
    assert best["low"] < best["influence"] < best["high"]
    ranked = json.loads(run("rank", paths.root, "--class", "y", "--json").out)["rows"]
    (on_y,) = [line["influence"] for line in found["classes"] if line["group"] == "y"]
    assert on_y == pytest.approx(next(line["influence"] for line in ranked if line["group"] == "ostrich"), rel=1e-3)
    assert all(example["example"] % 2 == 0 for example in (*found["helped"], *found["hurt"]))  # the estimate half


def test_a_class_whose_name_looks_like_an_option_can_be_shown(paths):
    assert run("show", "--source=-1", "--", paths.root).code == 0


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_in_colour_is_the_image(paths, channels):
    pixels = keep_pictures(paths, channels)

    said = run("show", paths.root, "--example", 4, "--color", "truecolor", "--columns", 2 * SIDE)

    assert_enlarged(blocks(said.out), np.broadcast_to(pixels[4], (SIDE, SIDE, 3)))


def test_without_being_told_a_size_pixels_are_all_equally_large(paths):
    said = run("show", paths.root, "--example", 4, "--color", "truecolor")
    assert_enlarged(blocks(said.out), noise(EXAMPLES)[4])


@pytest.mark.parametrize(
    ("options", "environment", "there", "absent"),
    [
        (("--color", "256"), {}, "48;5;", "[34]8;2;"),
        (("--color", "truecolor"), {}, "48;2;", "[34]8;5;"),
        (("--color", "truecolor"), {"NO_COLOR": "1"}, "48;2;", "[34]8;5;"),
        (("--color", "none"), {"COLORTERM": "truecolor"}, "▓", "\x1b"),
        ((), {"COLORTERM": "truecolor", "TERM": "xterm-kitty"}, "▓", "\x1b"),
    ],
    ids=str,
)
def test_a_pipe_gets_escapes_only_when_they_are_asked_for(paths, options, environment, there, absent):
    # A process each: rich remembers of a style how it was first written.
    out = tinfl("show", paths.root, "--example", 4, *options, **environment).stdout
    assert there in out
    assert not re.search(absent, out)


def graphics_and_words(text: str) -> tuple[str, str]:
    """Split what is printed after the last escape sequence of an image."""
    end = max(match.end() for match in re.finditer(r"\x1b\\|\x1b\[\d+C", text))
    return text[:end], text[end:]


@pytest.mark.parametrize(("protocol", "parse"), [("kitty", parse_kitty), ("iterm2", parse_iterm2)])
def test_the_terminals_own_graphics_get_the_image(paths, protocol, parse):
    require("term-image")
    said = run("show", paths.root, "--example", 4, "--protocol", protocol)

    written, words = graphics_and_words(said.out)
    _, shown = parse(written)
    assert_enlarged(shown, noise(EXAMPLES)[4])
    assert not escapes(words)
    assert 'example 4 of target "digits"' in words


def test_the_terminals_own_graphics_get_a_source_class_as_one_sheet(paths):
    require("term-image")
    said = run("show", paths.root, "--source", "zebra", "--protocol", "kitty")

    written, _ = graphics_and_words(said.out)
    _, sheet = parse_kitty(written)
    times = sheet.shape[0] // SIDE
    small = sheet[::times, ::times]
    gap = (small.shape[1] - 3 * SIDE) // 2
    for place in range(3):
        start = place * (SIDE + gap)
        assert np.array_equal(small[:, start : start + SIDE], noise(12)[6 + place])
    assert not small[:, SIDE : SIDE + gap].any()


def test_without_term_image_its_graphics_are_refused_with_what_installs_it(paths, monkeypatch):
    monkeypatch.setattr("tui_influence.cli.images.library_problem", lambda: "term-image is not installed")

    reason = "--protocol kitty: term-image is not installed; remedy: pip install requests && pip install --no-deps"
    refused("show", paths.root, "--example", 4, "--protocol", "kitty", code=2, reason=reason)


@pytest.mark.parametrize("installed", [True, False])
def test_a_terminal_that_is_known_gets_its_graphics_if_term_image_is_there_and_half_blocks_if_not(
    paths, monkeypatch, installed
):
    require("term-image")
    monkeypatch.setattr("tui_influence.cli.images.output.is_terminal", lambda: True)
    monkeypatch.setenv("TERM", "xterm-kitty")
    monkeypatch.delenv("TMUX", raising=False)
    monkeypatch.delenv("STY", raising=False)
    if not installed:
        monkeypatch.setattr("tui_influence.cli.images.library_problem", lambda: "term-image is not installed")

    said = run("show", paths.root, "--example", 4, "--color", "truecolor")

    assert said.code == 0
    assert ("\x1b_G" in said.out) is installed
    assert ("48;2;" in said.out) is not installed


def test_ascii_is_ascii(paths):
    for asked in (("--example", 4), ("--source", "zebra")):
        assert run("show", paths.root, *asked, "--ascii").out.isascii()


def test_what_to_show_must_be_said_and_be_there(paths):
    refused("show", paths.root, code=2, reason="either --example NUMBER or --source CLASS")
    refused("show", paths.root, "--example", 1, "--source", "zebra", code=2, reason="either --example")
    refused("show", paths.root, "--example", 12, code=2, reason="has 12, numbered 0 to 11")
    refused("show", paths.root, "--example=-1", code=2, reason="no example -1")
    refused("show", paths.root, "--example", 1, "--class", "x", code=2, reason="cannot be combined")
    refused("show", paths.root, "--source", "zebar", code=2, reason='no class "zebar"; did you mean "zebra"?')
    refused("show", paths.root, "--source", "q" * 300, code=2, reason="no class")
    refused("show", paths.root, "--source", "zebra", "--class", "v", code=2, reason='has no class "v"')
    refused("show", paths.root, "--example", 1, "--target", "digit", code=2, reason='no target "digit"')


def test_a_directory_that_is_no_run_or_has_no_model_yet(tmp_path):
    refused("show", tmp_path / "none", "--example", 1, code=3, reason="no such results directory")
    refused("show", tmp_path, "--example", 1, code=3, reason="no run.json")
    empty = make_run(tmp_path / "empty", models=0)
    refused("show", empty.root, "--example", 1, code=3, reason="no model has been recorded yet")


def remove(path):
    path.unlink()


def damage(path):
    path.write_bytes(path.read_bytes()[:-1])


def pickle(path):
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)


def other_type(path):
    np.save(path, noise(EXAMPLES).astype(np.float32))


def fewer(path):
    np.save(path, noise(EXAMPLES - 1))


def endless(path):
    np.save(path, np.zeros((EXAMPLES, 100_000, 1, 1), np.uint8))


def nothing_in_them(path):
    np.save(path, np.zeros((EXAMPLES, 0, 0, 3), np.uint8))


def pipe(path):
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("spoilt", [remove, damage, pickle, other_type, fewer, endless, nothing_in_them, pipe])
@pytest.mark.parametrize("asked", [("--example", 4), ("--source", "zebra")])
def test_words_are_shown_where_images_are_gone(paths, asked, spoilt):
    spoilt((paths.source if asked[0] == "--source" else paths.target(0)) / "thumbnails.npy")

    said = run("show", paths.root, *asked)
    found = json.loads(run("show", paths.root, *asked, "--json").out)

    assert said.code == 0
    assert said.err.startswith("warning: no image: ")
    assert len(said.err.splitlines()) == 1
    assert "Reliability" in said.out
    assert not set(said.out) & set("░▒▓█▀▄")
    assert (found.get("image"), found.get("samples")) == (None, None)
    assert found["image_problem"]


def test_images_of_groups_that_are_not_there_are_nobodys(paths):
    write_source_thumbnails(paths, noise(2), np.array([99, -1], dtype=np.int32))
    said = run("show", paths.root, "--source", "zebra")
    assert "no image: the run stores no image of zebra" in said.err


def test_names_from_outside_move_no_cursor_and_break_no_line(tmp_path):
    names = ["\x1b[2J\x1b]0;owned\x07", "漢字" * 150, "x" * 300, "‮gnp.exe", "a\nb"]
    paths = make_run(tmp_path / "run", groups=names)
    keep_pictures(paths)
    classes = ["\x1b[31mred", "y" * 300, "z"]
    described = json.loads(paths.run.read_text())["targets"]
    spoil(paths, targets=[described[0] | {"classes": classes}], name="\x07run")

    for asked in (("--example", 4), ("--example", 0), *(("--source", name) for name in names)):
        said = run("show", paths.root, *asked)
        assert said.code == 0, said.err
        assert not escapes(said.out)
        assert "\u202e" not in said.out
        assert max(cell_len(line.rstrip()) for line in said.out.splitlines()) <= 80


def test_a_run_with_a_single_model(tmp_path):
    paths = make_run(tmp_path / "run", groups=GROUPS, models=1)
    keep_pictures(paths)

    said = run("show", paths.root, "--example", 4)

    assert said.code == 0
    assert re.search(r"(0|100)% of 1 model\b", said.out)
    assert "Reliability unknown" in said.out


def test_a_target_with_a_thousand_classes(tmp_path):
    paths = make_run(tmp_path / "run", groups=GROUPS)
    keep_pictures(paths)
    described = json.loads(paths.run.read_text())["targets"]
    spoil(paths, targets=[described[0] | {"classes": [f"class {number}" for number in range(1000)]}])
    assert run("show", paths.root, "--example", 4).code == 0
