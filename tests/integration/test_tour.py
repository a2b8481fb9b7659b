"""The pictures of the README and the guide: they are there, and what makes them works."""

import os
import re
import socket
import subprocess
import sys
import xml.etree.ElementTree as ET
from importlib import import_module
from pathlib import Path

import pytest

from tests.tui.runs import make_run
from tui_influence.runs.heartbeat import State
from tui_influence.tui.theme import LIGHT

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", ROOT / "docs/guide.md")
SHOWN = sorted(
    {
        str((page.parent / picture).relative_to(ROOT))
        for page in PAGES
        for picture in re.findall(r"!\[[^]]+\]\(([^)]+)\)", page.read_text())
    }
)
SVG = "{http://www.w3.org/2000/svg}"


def tour(run: Path, folder: Path, images: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "docs/tour.py", str(run), str(folder), "--class", "y", "--images", str(images)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)


def check(picture: Path) -> list[str]:
    """Assert that a picture is self-contained and says nothing of a machine; return its lines of text."""
    text = picture.read_text()
    assert re.findall(r"[a-z]+://[^\"' ]*", text) == ["http://www.w3.org/2000/svg"]
    assert "@font-face" not in text
    assert len(text) < 150_000
    written = [found.text or "" for found in ET.fromstring(text).iter(f"{SVG}text")]
    shown = " ".join(written)
    assert not re.search(r"/(tmp|home|root|work|Users)\b|\bpid \d", shown)
    assert not re.search(rf"\b{re.escape(socket.gethostname())}\b", shown)
    return written


def test_every_picture_of_the_tour_is_shown():
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "docs/tour").iterdir()} == set(SHOWN)
    assert len(SHOWN) >= 4


@pytest.mark.parametrize("picture", SHOWN)
def test_a_picture_is_self_contained(picture):
    assert re.search(r"\bdemo\b", " ".join(check(ROOT / picture))) or picture.endswith("image.svg")


def test_the_tour_shows_what_is_on_the_screens_of_any_run(tmp_path):
    make_run(tmp_path / "run", name="<of & my own>", noise=0.05)
    make_run(tmp_path / "images", groups=[f"a/{place}" for place in range(12)], models=60)
    done = tour(tmp_path / "run", tmp_path / "pictures", tmp_path / "images")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == [Path(name).name for name in SHOWN]
    texts = {path.stem: check(path) for path in (tmp_path / "pictures").iterdir()}
    assert "<of & my own>" in texts["rank"]
    ranked = {text for text in texts["rank"] if re.fullmatch(r"class \d\d", text)}
    assert len(ranked) >= 20
    assert ranked & set(texts["class"])
    assert "40 of 60 models" in texts["sweep"]
    assert "tinfl subpops results/run --class y --top 4" in texts["subpops"]
    assert any(text.startswith('class "y" of target "digits"') for text in texts["subpops"])
    assert "tinfl failures results/run --top 4" in texts["failures"]
    assert len([text for text in texts["failures"] if re.fullmatch(r"example \d+, .+", text)]) == 4
    assert "tinfl leaks results/images --top 4" in texts["leaks"]
    assert [text for text in texts["leaks"] if text.startswith("helped")]
    # Grey images of two tones: both are drawn, as shapes.
    for name in ("class", "failures"):
        fills = re.findall(r'<path fill="(#\w+)"', (tmp_path / f"pictures/{name}.svg").read_text())
        assert {"#000000", "#ffffff"} <= set(fills)


def test_what_a_command_prints_has_every_colour_filled_in(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    printed = import_module("command_output").printed
    make_run(tmp_path / "run")
    lines = printed("failures", tmp_path / "run", ("--top", "1"), dark=False)
    styles = [style for line in lines for text, style, _ in line if text]
    assert all(style.color and style.bgcolor for style in styles)
    assert any(style.dim and style.color.name == LIGHT.variables["quiet"].lower() for style in styles)
    assert "".join(text for text, *_ in lines[-1]).strip()


def test_what_a_command_refuses_is_not_pictured(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    printed = import_module("command_output").printed
    make_run(tmp_path / "run")
    with pytest.raises(SystemExit, match=r"tinfl subpops: .*nobody"):
        printed("subpops", tmp_path / "run", ("--class", "nobody"), dark=True)


def test_a_run_that_is_not_finished_is_refused(tmp_path):
    make_run(tmp_path / "run", state=State.RUNNING)
    make_run(tmp_path / "images", groups=[f"a/{place}" for place in range(12)], models=60)
    done = tour(tmp_path / "run", tmp_path / "pictures", tmp_path / "images")
    assert done.returncode == 1
    assert "not finished" in done.stderr
    assert not (tmp_path / "pictures").exists()
