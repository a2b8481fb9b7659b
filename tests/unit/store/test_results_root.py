"""A results directory is private where it is made, and nothing in it leads a writer out of it."""

import os
import stat

import pytest

from tui_influence.errors import ResultsError
from tui_influence.export.files import write_text_atomically
from tui_influence.runs.control import request_stop
from tui_influence.runs.ownership import Ownership
from tui_influence.store.paths import Paths
from tui_influence.store.results_directory import make_results_directory, refuse_links

LINK = "a link; a results directory may hold none"


@pytest.fixture(autouse=True)
def _umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def sweep(tmp_path) -> Paths:
    """As much of a sweep as makes a results directory."""
    paths = Paths(tmp_path / "sweep")
    make_results_directory(paths.root)
    paths.records_root.mkdir()
    paths.run.write_text("{}")
    return paths


@pytest.fixture
def elsewhere(tmp_path):
    """A directory that is none of the run's, with a file in it."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "stop.json").write_text("precious")
    return folder


def permissions(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_directory_that_is_made_is_private_and_its_parents_are_as_usual(tmp_path):
    root = tmp_path / "results" / "run"
    make_results_directory(root)
    assert permissions(root) == 0o700
    assert permissions(root.parent) == 0o755


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o2775])
def test_a_directory_that_is_there_keeps_its_permissions(tmp_path, mode):
    tmp_path.chmod(mode)
    make_results_directory(tmp_path)
    assert permissions(tmp_path) == mode


def test_a_pruning_is_as_open_as_its_sweep(sweep):
    make_results_directory(sweep.prunings / "main")
    assert permissions(sweep.root) == 0o700
    assert permissions(sweep.prunings / "main") == 0o755


@pytest.mark.parametrize(("mode", "umask", "expected"), [(0o700, 0, 0o600), (0o755, 0, 0o600), (0o770, 0o007, 0o660)])
def test_who_may_not_write_to_a_run_cannot_hold_its_lock(tmp_path, mode, umask, expected):
    """To read a file is enough to lock it."""
    tmp_path.chmod(mode)
    os.umask(umask)
    with Ownership(Paths(tmp_path)):
        assert permissions(Paths(tmp_path).lock) == expected


@pytest.mark.parametrize("name", ["lock", "events.jsonl", "logs/worker-0.log", "cluster/jobs.json"])
def test_a_pipe_that_a_writer_would_wait_for_is_refused(sweep, name):
    path = sweep.root / name
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)
    with pytest.raises(ResultsError, match="neither a file nor a directory"):
        refuse_links(sweep.root)


@pytest.mark.parametrize("name", ["records/estimate/0000/0000003.t0.safetensors", "quarantine/x", "matrix/x/y.npy"])
def test_a_pipe_that_will_be_set_aside_or_removed_is_in_nobodys_way(sweep, name):
    path = sweep.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    refuse_links(sweep.root)


@pytest.mark.parametrize("linked", ["prune", "prune/main"])
def test_a_pruning_that_lies_elsewhere_is_refused_from_the_sweep_on(sweep, elsewhere, linked):
    link = sweep.root / linked
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(elsewhere)
    pruning = sweep.prunings / "main"
    for write in (refuse_links, make_results_directory, lambda root: request_stop(Paths(root))):
        with pytest.raises(ResultsError, match=LINK):
            write(pruning)
    assert [path.name for path in elsewhere.iterdir()] == ["stop.json"]
    assert (elsewhere / "stop.json").read_text() == "precious"


def test_no_run_is_asked_to_stop_through_a_link(sweep, elsewhere):
    sweep.stop.symlink_to(elsewhere / "stop.json")
    with pytest.raises(ResultsError, match=LINK):
        request_stop(sweep)
    assert (elsewhere / "stop.json").read_text() == "precious"


def test_a_link_elsewhere_in_it_keeps_nobody_from_stopping_a_run(sweep, elsewhere):
    (sweep.root / "picture").symlink_to(elsewhere)
    request_stop(sweep)
    assert sweep.stop.exists()


def test_the_lock_is_not_made_through_a_link(sweep, elsewhere):
    sweep.lock.symlink_to(elsewhere / "made")
    with pytest.raises(ResultsError, match="cannot write"), Ownership(sweep):
        pass
    assert not (elsewhere / "made").exists()


def test_a_users_own_way_to_a_run_may_lead_over_links(sweep, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(sweep.root)
    refuse_links(link)
    make_results_directory(link)
    make_results_directory(link / "prune" / "main")
    write_text_atomically(link / "ranking.csv", "text")
    assert (sweep.root / "ranking.csv").read_text() == "text"


def test_a_link_to_a_run_beside_a_file_of_that_name_is_a_users_own(sweep, tmp_path):
    """Any folder may hold a run.json of some other program."""
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "link").symlink_to(sweep.root)
    refuse_links(tmp_path / "link")


@pytest.mark.parametrize("linked", ["ranking.csv", "folder", "folder/deeper"])
def test_nothing_is_exported_over_a_link_inside_a_results_directory(sweep, elsewhere, linked):
    link = sweep.root / linked
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(elsewhere / "stop.json" if linked == "ranking.csv" else elsewhere)
    file = link if linked == "ranking.csv" else link / "stop.json"
    with pytest.raises(ResultsError, match=LINK):
        write_text_atomically(file, "text")
    assert (elsewhere / "stop.json").read_text() == "precious"


def test_a_link_of_ones_own_is_exported_over(tmp_path, elsewhere):
    (tmp_path / "ranking.csv").symlink_to(elsewhere / "stop.json")
    write_text_atomically(tmp_path / "ranking.csv", "text")
    assert (elsewhere / "stop.json").read_text() == "text"
    assert (tmp_path / "ranking.csv").is_symlink()
