"""The removal curve as a figure: the numbers that it shows, and what its file is."""

import re
import sys
import warnings
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from PIL import Image

from tests.unit.pruning.plans import bare
from tests.unit.pruning.test_curve import measured
from tests.unit.pruning.test_results import pruned
from tui_influence.errors import ConfigError, ExitCode, ResultsError
from tui_influence.export.figure import figure_format, removal_figure
from tui_influence.pruning.arms import with_arms
from tui_influence.pruning.curve import removal_curves
from tui_influence.pruning.options import ClassList
from tui_influence.roles import ArmKind

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def found(tmp_path):
    return measured(tmp_path)


def elements(svg):
    """What is drawn, by name."""
    return {one.get("id"): one for one in ElementTree.fromstring(svg).iter(f"{SVG}g") if one.get("id")}


def texts(svg):
    return [one.text for one in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def line(element):
    """(p, 2) x and y of a line."""
    return np.array(re.findall(r"[ML] (\S+) (\S+)", element.find(f"{SVG}path").get("d")), dtype=float)


def marks(element):
    """(p, 2) x and y of markers."""
    return np.array([(float(use.get("x")), float(use.get("y"))) for use in element.iter(f"{SVG}use")])


def band(element):
    """(p, 2) x and y of the corners of a band."""
    (use,) = element.iter(f"{SVG}use")
    corners = re.findall(r"[ML] (\S+) (\S+)", element.find(f".//{SVG}path").get("d"))
    return np.array(corners, dtype=float) + np.array([float(use.get("x")), float(use.get("y"))])


@pytest.mark.parametrize("quantity", ["accuracy", "margin"])
def test_points_and_bands_are_where_they_were_measured(found, quantity):
    """One scale for k and one for the quantity turn every measured number into the place where it is drawn."""
    curves = removal_curves(found, quantity)
    drawn = elements(removal_figure(found, "svg"))
    lines = {kind: line(drawn[f"{quantity}-{kind}"]) for kind in curves.by_kind}
    whole = {kind: [curves.everything, *points] for kind, points in curves.by_kind.items()}
    values = np.array([(point.k, point.mean.value) for points in whole.values() for point in points])
    places = np.concatenate([lines[kind] for kind in whole])
    scales = [np.polyfit(values[:, axis], places[:, axis], 1) for axis in (0, 1)]

    def place(k, value):
        return np.polyval(scales[0], k), np.polyval(scales[1], value)

    assert scales[0][0] > 0 > scales[1][0]
    np.testing.assert_allclose(places, [place(*value) for value in values], atol=1e-3)
    for kind, points in whole.items():
        expected = [place(point.k, end) for point in points for end in (point.mean.low, point.mean.high)]
        np.testing.assert_allclose(
            np.unique(band(drawn[f"{quantity}-{kind}-band"]).round(2), axis=0),
            np.unique(np.round(expected, 2), axis=0),
            atol=0.011,
        )
        np.testing.assert_allclose(marks(drawn[f"{quantity}-{kind}"]), lines[kind][1:], atol=1e-3)
    label, point = curves.lists[0]
    np.testing.assert_allclose(marks(drawn[f"{quantity}-list-1"]), [place(point.k, point.mean.value)], atol=1e-3)
    assert label in texts(removal_figure(found, "svg"))


def test_text_stays_text_and_says_what_is_shown(found):
    shown = texts(removal_figure(found, "svg"))
    assert {
        "accuracy (%)",
        "margin (nats)",
        "source classes dropped, of 12",
        "digits (fixed-feature); evaluate half",
        "mean and 95% interval, 3 seeds",
        "lowest",
        "random",
        "highest",
        "label mapping",
        "keep everything",
    } <= set(shown)


@pytest.mark.parametrize("form", ["svg", "pdf", "png"])
def test_the_same_results_make_the_same_bytes_whatever_the_users_style(found, form):
    content = removal_figure(found, form)
    assert content.startswith({"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG"}[form])
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 30, "text.usetex": True, "svg.hashsalt": None}):
        assert removal_figure(found, form) == content
        assert matplotlib.rcParams["font.size"] == 30
    assert "matplotlib.pyplot" not in sys.modules


def test_the_width_is_one_column(found):
    assert 'width="244.8pt"' in removal_figure(found, "svg").decode()
    image = Image.open(BytesIO(removal_figure(found, "png")))
    assert image.width / image.info["dpi"][0] == pytest.approx(3.4, abs=0.01)


def test_numbers_on_the_axis_keep_a_distance_and_small_ticks_mark_the_others(tmp_path):
    found = measured(tmp_path, (2, 3, 4, 20, 30), groups=36, seeds=2)
    ticks = [one for name, one in elements(removal_figure(found, "svg")).items() if name.startswith("xtick")]
    numbered = [text.text for tick in ticks for text in tick.iter(f"{SVG}text")]
    assert numbered == ["0", "3", "20", "30"]  # 0.07 of the axis is 2.1
    assert len({name for name in elements(removal_figure(found, "svg")) if name.startswith("xtick")}) >= 4 + 3


def test_names_are_neither_formulas_nor_control_characters(tmp_path):
    names = {r"$\frac{a}{b}$.txt", "\x1b[2J\u202e.txt", "$x^.txt", "<&>.txt", "狮.txt", "long" * 40}
    chosen = [ClassList(ArmKind.DROP, (f"class {n}",), name) for n, name in enumerate(sorted(names))]
    pruning = with_arms(replace(bare(), sweep="$x"), [3], chosen, 2)
    pruning = replace(pruning, ranking=replace(pruning.ranking, targets={"$_{\x07": 1.0}))
    found = pruned(tmp_path, pruning, lambda arm, row, target: np.full(240, 0.1 * row.repeat), targets=("$_{\x07",))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for form in ("svg", "pdf", "png"):
            content = removal_figure(found, form)
            if form == "svg":
                shown = texts(content)
    assert all(text.isprintable() for text in shown)
    assert {r"drop $\frac{a}{b}$.txt", r"drop \x1b[2J\u202e.txt", "drop $x^.txt", "drop <&>.txt"} <= set(shown)
    assert r"drop \u72ee.txt" in shown
    assert any(text.startswith("drop long") and text.endswith("…") for text in shown)
    assert r"$_{\x07 (fixed-feature); evaluate half" in shown


def test_many_lists_of_one_name_are_told_apart_and_leave_the_panels_their_room(tmp_path):
    def panel(count):
        """The texts, and how high a marker of the curve of random is above another."""
        plan = bare(36)
        chosen = [ClassList(ArmKind.DROP, (f"class {number}",), "mine.txt") for number in range(count)]
        arms = with_arms(plan, [3], chosen, 2)
        found = pruned(tmp_path / str(count), arms, lambda arm, row, target: np.full(240, 0.1 - len(row.dropped)))
        svg = removal_figure(found, "svg")
        return texts(svg), np.ptp(line(elements(svg)["margin-random"])[:, 1])

    (_, few), (shown, many) = panel(1), panel(30)
    assert {"drop mine.txt", "drop mine.txt (2)", "drop mine.txt (3)", "drop mine.txt (30)"} <= set(shown)
    assert many > 0.9 * few


def test_a_pruning_under_way_is_drawn_as_far_as_it_is(tmp_path):
    with pytest.raises(ResultsError, match="no figure yet"):
        removal_figure(measured(tmp_path / "one", only=[0]), "svg")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        some = removal_figure(measured(tmp_path / "some", only=[0, 1, 2, 3, 11]), "svg")
        without = removal_figure(measured(tmp_path / "without", only=[1, 2, 3, 4]), "svg")
    assert "mean and 95% interval, 1 to 2 seeds" in texts(some)
    assert "mean and 95% interval, 1 seed" in texts(without)
    assert "accuracy-all" not in elements(without)


@pytest.mark.parametrize("name", ["curve.jpg", "curve", "svg", "-", "curve.svg.gz", "\x1b.x"])
def test_another_suffix_is_refused_in_one_line(name):
    with pytest.raises(ConfigError, match=r"a figure is \.svg, \.pdf or \.png") as raised:
        figure_format(Path(name))
    assert str(raised.value).isprintable()
    assert figure_format(Path("a.b/Curve.SVG")) == "svg"


def test_without_matplotlib_the_extra_is_named(found, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.style", raising=False)
    with pytest.raises(ConfigError, match=r"pip install matplotlib") as raised:
        removal_figure(found, "svg")
    assert raised.value.exit_code == ExitCode.USAGE
