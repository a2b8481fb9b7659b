from collections.abc import Callable
from pathlib import Path

import pytest
from image_files import image_folder

from tui_influence.datasets import batch


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return image_folder(tmp_path / "data")


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images decoded so far."""
    names: list[str] = []
    render: Callable[..., object] = batch.render_sample

    def counted(sample: object, *rest: object) -> object:
        names.append(sample.name)  # type: ignore[attr-defined]
        return render(sample, *rest)

    monkeypatch.setattr(batch, "render_sample", counted)
    return names
