"""The answers of a run in a notebook are those of the commands, and its arrays are those of the records."""

import json
import sys
import warnings
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

import tui_influence as tinfl
from tests.integration.command_line import run as run_command
from tests.tui.prunings import make_pruning
from tests.tui.runs import make_run
from tests.unit.analysis.sweeps import write_sweep
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.roles import Role
from tui_influence.store.matrix import load_outputs
from tui_influence.store.run_info import read_run_info

NASTY = ["<script>alert(1)</script>", "a & b", "'\"quote", "esc\x1b[31m", "plain"]


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    root = tmp_path_factory.mktemp("api") / "run"
    return make_run(root, models=60, planned=60, groups=8, targets=("digits", "letters"))


@pytest.fixture
def opened(paths):
    return tinfl.open(paths.root)


def document(*arguments):
    result = run_command(*arguments, "--json")
    assert result.code == 0, result.err
    return json.loads(result.out)


QUESTIONS = [
    ({}, []),
    ({"target": "letters", "cls": "y"}, ["--target", "letters", "--class", "y"]),
    ({"example": 3, "estimator": "difference"}, ["--example", 3, "--estimator", "difference"]),
    ({"kind": "probability", "split": "all"}, ["--output-kind", "probability", "--split", "all"]),
]


@pytest.mark.parametrize(("question", "options"), QUESTIONS)
def test_a_ranking_is_that_of_the_command(opened, paths, question, options):
    ranking = opened.ranking(**question)
    assert ranking.to_dict() == document("rank", paths.root, *options)
    assert [row.group for row in ranking] == [row["group"] for row in ranking.to_dict()["rows"]]
    assert len(ranking) == 8
    with pytest.raises(FrozenInstanceError):
        ranking.report = None


@pytest.mark.parametrize(("question", "options"), QUESTIONS)
def test_influences_are_those_of_the_command_in_the_order_of_the_groups(opened, paths, question, options):
    influence = opened.influence(**question)
    rows = {row["group"]: row for row in document("rank", paths.root, *options)["rows"]}
    assert influence.groups == opened.info.groups == tuple(sorted(rows))
    ordered = [rows[group] for group in influence.groups]
    np.testing.assert_array_equal(influence, [row["influence"] for row in ordered])
    np.testing.assert_array_equal(influence.standard_errors, [row["se"] for row in ordered])
    np.testing.assert_array_equal(influence.intervals, [(row["low"], row["high"]) for row in ordered])
    np.testing.assert_array_equal(influence.q, [row["q"] for row in ordered])
    assert np.asarray(influence, dtype=np.float32).dtype == np.float32


def test_failures_and_subpopulations_are_those_of_the_commands(tmp_path):
    labels = np.arange(40) % 2
    effects = np.random.default_rng(0).normal(0, 0.5, (4, 40))
    root = write_sweep(tmp_path / "run", effects, labels, models=60, ease=0.2).root
    run = tinfl.open(root)
    failures = document("failures", root, "--class", "class 1", "--top", 2, "--below", 0.5)
    assert failures["failures"]
    assert run.failures(cls="class 1", top=2, below=0.5) == failures
    assert run.subpopulations(split="all") == document("subpops", root, "--split", "all")
    driven = document("subpops", root, "--split", "all", "--source", "g2")
    assert driven["examples"]
    assert run.subpopulations(split="all", source="g2") == driven


def test_prunings_are_those_of_the_command(tmp_path):
    paths = make_run(tmp_path / "run", models=60, planned=60, groups=12)
    make_pruning(paths, "first")
    damaged = make_pruning(paths, "second", trained=8)
    prunings = tinfl.open(paths.root).prunings
    assert list(prunings) == ["first", "second"]
    assert prunings["first"] == document("prune", paths.root, "--name", "first")
    assert prunings["first"]["results"]
    with pytest.raises(KeyError, match='no pruning "frist"; did you mean "first"'):
        prunings["frist"]
    record = next(iter(sorted((damaged.root / "records").rglob("*.safetensors"))))
    record.write_bytes(b"not a record")
    with pytest.warns(UserWarning, match="1 damaged records were left out"):
        assert prunings["second"]["n_models"] == 7


def test_arrays_are_those_of_the_records(opened, paths):
    info = read_run_info(paths.root)
    for position, target in enumerate(("digits", "letters")):
        outputs = load_outputs(paths, info, Role.ESTIMATE, position)
        np.testing.assert_array_equal(opened.masks, outputs.masks)
        np.testing.assert_array_equal(opened.outputs(target), outputs.margins)
        probability = opened.outputs(target, kind="probability")
        expected = 1 / (1 + np.exp(-outputs.margins.astype(float)))
        np.testing.assert_allclose(probability, expected, rtol=1e-5)
        assert opened.outputs(target).dtype == probability.dtype == np.float32
    correct = opened.outputs(kind="correct")
    predicted = load_outputs(paths, info, Role.ESTIMATE, 0).predicted
    np.testing.assert_array_equal(correct, predicted == opened.examples().labels)


def test_rows_are_the_models_that_every_target_has_and_none_that_comes_later(tmp_path):
    paths = make_run(tmp_path / "run", models=12, planned=12, groups=4, targets=("digits", "letters"))
    for number, target in ((3, 0), (7, 1)):
        paths.record(Role.ESTIMATE, number, target).unlink()
    run = tinfl.open(paths.root)
    assert run.indices.tolist() == [0, 1, 2, 4, 5, 6, 8, 9, 10, 11]
    assert run.masks.shape == (10, 4)
    assert run.outputs("digits").shape == run.outputs("letters").shape == (10, 12)
    every = load_outputs(paths, read_run_info(paths.root), Role.ESTIMATE, 0)
    np.testing.assert_array_equal(run.outputs("digits"), every.margins[every.indices != 7])
    paths.record(Role.ESTIMATE, 0, 0).unlink()
    assert run.masks.shape == (10, 4)
    assert tinfl.open(paths.root).masks.shape == (9, 4)


def test_a_run_says_what_it_is(opened):
    info = opened.info
    assert (info.name, info.groups[:2], dict(info.targets)["letters"]) == (
        "small", ("class 00", "class 01"), ("x", "y", "z"),
    )  # fmt: skip
    assert (info.planned["estimate"], info.recorded["estimate"], info.failed["estimate"]) == (60, 60, 0)
    assert repr(opened).startswith("Run('")


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ({"target": "leters"}, 'no target "leters".*did you mean "letters"'),
        ({"cls": "xx"}, 'has no class "xx"; did you mean "x"'),
        ({"estimator": "rigde"}, "unknown estimator 'rigde'.*did you mean \"ridge\""),
        ({"kind": "margn"}, "unknown output kind 'margn'.*did you mean \"margin\""),
        ({"split": "half"}, 'unknown split "half": one of estimate, evaluate, all'),
        ({"example": 99}, "no example 99"),
    ],
)
def test_wrong_names_are_refused_with_the_nearest(opened, question, reason):
    with pytest.raises(ConfigError, match=reason):
        opened.ranking(**question)


def test_a_source_group_and_a_pruning_that_are_not_there(opened):
    with pytest.raises(ConfigError, match='no class "class 0"; did you mean "class 0'):
        opened.subpopulations(source="class 0")
    with pytest.raises(KeyError, match='no pruning "main"'):
        opened.prunings["main"]
    assert len(opened.prunings) == 0


def test_no_results_directory_is_an_error(tmp_path):
    with pytest.raises(ResultsError, match="no such results directory"):
        tinfl.open(tmp_path / "nowhere")
    paths = make_run(tmp_path / "run", models=0)
    with pytest.raises(ResultsError, match="no model has been recorded yet"):
        tinfl.open(paths.root).ranking()
    assert tinfl.open(paths.root).masks.shape == (0, 30)


def test_what_a_command_warns_of_is_a_warning_where_the_run_is_asked(tmp_path):
    paths = make_run(tmp_path / "run", models=30, planned=31, groups=4)
    with pytest.warns(UserWarning, match="1 of 31 models are missing") as caught:
        ranking = tinfl.open(paths.root).ranking()
    assert caught[0].filename == __file__
    assert any("1 of 31 models are missing" in text for text in ranking.warnings)


def test_no_name_is_markup_or_moves_a_cursor(tmp_path):
    paths = make_run(tmp_path / "run", models=30, planned=30, groups=NASTY)
    ranking = tinfl.open(paths.root).ranking()
    page = ranking._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "a &amp; b" in page
    for text in (page, repr(ranking), str(ranking)):
        assert "\x1b" not in text
        assert "plain" in text
    assert "Influence of 5 classes" in str(ranking)


def test_a_long_ranking_is_a_small_table_in_html(tmp_path):
    paths = make_run(tmp_path / "run", models=20, planned=20, groups=60)
    page = tinfl.open(paths.root).ranking()._repr_html_()
    assert "36 more" in page
    assert page.count("<tr>") == 1 + 24 + 1


def test_data_frames_hold_the_rows_with_their_types(opened):
    ranking = opened.ranking(estimator="difference")
    pandas, polars, arrow = ranking.to_pandas(), ranking.to_polars(), ranking.to_pyarrow()
    rows = ranking.to_dict()["rows"]
    assert pandas.to_dict("records") == polars.to_dicts() == arrow.to_pylist() == rows
    assert str(pandas["influence"].dtype) == "float64"
    assert str(pandas["n_with"].dtype) == "int64"
    assert json.loads(arrow.schema.metadata[b"tinfl"])["target"] == "digits"


def test_unknown_numbers_are_empty_in_data_frames(tmp_path):
    ranking = tinfl.open(make_run(tmp_path / "run", models=1, planned=1, groups=3).root).ranking()
    assert ranking.to_pandas()["se"].isna().all()
    assert ranking.to_polars()["se"].null_count() == 3
    assert ranking.to_pyarrow()["se"].null_count == 3
    assert str(ranking.to_pyarrow()["se"].type) == "double"


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_a_library_that_is_absent_is_named(opened, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=f"needs {library}, which cannot be imported.*pip install"):
        getattr(opened.ranking(), f"to_{library}")()


def test_what_the_package_offers_is_listed_and_nothing_else(opened):
    assert {"open", "Run", "__version__"} <= set(dir(tinfl))
    assert isinstance(opened, tinfl.Run)
    with pytest.raises(AttributeError, match="no attribute 'opn'"):
        tinfl.opn  # noqa: B018


def test_a_complete_run_is_opened_without_warnings(opened):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opened.ranking()
