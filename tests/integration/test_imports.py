"""The import rules, held against what really gets loaded."""

import subprocess
import sys
from pathlib import Path

import pytest

from tui_influence import render

HEAVY = ("torch", "torchvision", "textual", "rich", "term_image", "pandas")


def loaded(code: str) -> set[str]:
    """Return the top-level modules that are loaded after running some code in a fresh Python."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "module",
    [
        "influence.ranking",
        "designs",
        "store.matrix",
        "store.records",
        "config.loader",
        "config.template",
        "datasets",
        "runs.supervisor",
        "runs.launch",
        "analysis.ranking",
        "pruning.planning",
        "analysis.duplicates",
        "analysis.leakage",
        "analysis.image_sweep",
        "export.csv",
        "export.json",
        "runs.devices",
        "export.data_frame",
    ],
)
def test_reading_and_ranking_need_no_torch_and_no_screen(module):
    assert not loaded(f"import tui_influence.{module}") & set(HEAVY)


def test_the_package_itself_loads_nothing_and_a_run_is_read_without_torch_and_data_frames():
    assert not loaded("import tui_influence") & {*HEAVY, "numpy", "pydantic", "scipy", "PIL", "typer"}
    code = "import tui_influence; tui_influence.open"
    assert not loaded(code) & {"torch", "torchvision", "textual", "typer", "pandas", "polars", "pyarrow", "term_image"}


def test_rendering_results_needs_neither_numbers_nor_a_screen():
    modules = sorted(path.stem for path in Path(render.__path__[0]).glob("[a-z]*.py"))
    code = "; ".join(f"import tui_influence.render.{module}" for module in modules)
    assert len(modules) > 15
    assert not loaded(code) & {"numpy", "pydantic", "scipy", "textual", "torch", "term_image"}


def test_training_never_loads_what_replaces_its_processes():
    assert not loaded("import tui_influence.runs.worker") & {"term_image", "textual", "rich", "typer"}


def test_pictures_load_what_draws_them_only_to_draw():
    assert not loaded("import tui_influence.images.text_image") & {"numpy", "PIL", "term_image", "textual"}


DRAW = """
import numpy as np
from tui_influence.images.text_image import Ink, draw_image
for ink in Ink:
    assert draw_image(np.zeros((8, 8, 3), np.uint8), 8, ink)
"""


def test_text_is_drawn_without_what_writes_graphics():
    assert not loaded(DRAW) & {"term_image", "requests", "textual"}


def running(*arguments: object) -> str:
    """Code that runs the command line to its end."""
    argv = ["tinfl", *map(str, arguments)]
    return (
        f"import sys; sys.argv = {argv!r}\n"
        "try:\n    from tui_influence.cli import main; main()\nexcept SystemExit: pass"
    )


def test_help_loads_next_to_nothing():
    assert not loaded(running("--help")) & {*HEAVY, "numpy", "pydantic", "scipy", "PIL"}


def test_a_picture_needs_neither_torch_nor_the_app(finished):
    assert not loaded(running("show", finished, "--example", 0)) & {"torch", "torchvision", "textual", "pandas"}


def test_copies_are_found_without_torch(finished):
    assert not loaded(running("leaks", finished, "--duplicates")) & {"torch", "torchvision", "textual", "pandas"}


def test_results_are_verified_without_torch(finished):
    assert not loaded(running("verify", finished, "--cache")) & {"torch", "torchvision", "textual", "pandas"}


def test_status_needs_no_numpy(finished):
    assert not loaded(running("status", finished)) & {*HEAVY, "numpy", "scipy", "PIL"}
