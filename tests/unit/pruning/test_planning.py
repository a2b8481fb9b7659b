"""From a sweep and what is asked to the pruning that is trained: its ranking, its forecast, its settings, its data."""

from dataclasses import replace

import numpy as np
import pytest

from tests.tui.runs import make_run, say
from tests.unit.pruning.plans import bare
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import rank
from tui_influence.analysis.snapshot import read_snapshot
from tui_influence.config.loader import config_from_json, config_to_json
from tui_influence.config.schema import Config
from tui_influence.datasets import native_shape
from tui_influence.errors import AlreadyRunningError, ConfigError, ResultsError
from tui_influence.influence.types import OutputKind
from tui_influence.pruning import planning
from tui_influence.pruning.arms import default_drop_counts, dropped_groups, with_arms
from tui_influence.pruning.forecast import predict_gain
from tui_influence.pruning.options import ClassList, PruningRequest, describe_weights
from tui_influence.pruning.planning import (
    OtherSettingsError,
    PruningPlan,
    open_sweep_data,
    plan_cost,
    preview_plan,
    pruning_config,
    pruning_directory,
    pruning_names,
    rank_for_pruning,
    refuse_other_ranking,
)
from tui_influence.pruning.target_mix import TargetMix, TargetOutputs, parse_weights, refuse_half_without_examples
from tui_influence.roles import BASELINES, ArmKind
from tui_influence.runs.datasets import open_datasets
from tui_influence.runs.heartbeat import State
from tui_influence.store.examples import Examples
from tui_influence.store.prior_records import PriorMeasures, PriorOutputs
from tui_influence.store.pruning_plan import Stages, write_arms
from tui_influence.store.run_info import IMPORTED, SourceInfo, TargetInfo, read_run_info, write_run_info

GROUPS = 30
PLAIN = PruningRequest(weights={"digits": 1.0}, estimator="difference", output="margin")
MINE = ClassList(ArmKind.DROP, ("class 03",), "mine.txt")


@pytest.fixture(scope="module")
def two_targets(tmp_path_factory):
    """A sweep whose groups help `digits` and hurt `opposite` as much."""
    return make_run(tmp_path_factory.mktemp("sweep") / "run", targets=("digits", "opposite"), models=60)


@pytest.fixture
def sweep(tmp_path):
    return make_run(tmp_path / "run", models=6, name="small")


def begun(sweep, asked=PLAIN, name="main", **stages):
    """A pruning of a sweep that is there, with the arms of dropping three."""
    info, own = read_run_info(sweep.root), pruning_directory(sweep, name)
    made = rank_for_pruning(sweep, info, asked, [3])
    made = with_arms(replace(made, stages=Stages(**{"seeds": 2, **stages})), [3], [], 2)
    write_arms(own, made)
    write_run_info(
        own, replace(info, config=config_to_json(pruning_config(info, own, asked)), models=0, arms=made.n_rows)
    )
    return own


def outline(sweep, own=None, **request):
    return preview_plan(
        sweep, read_run_info(sweep.root), own or pruning_directory(sweep, "main"), PruningRequest(**request)
    )


# What is ranked and predicted


@pytest.mark.parametrize(("estimator", "output"), [("difference", "margin"), ("ridge", "probability")])
def test_a_plan_keeps_the_ranking_of_the_estimate_half(two_targets, estimator, output):
    info = read_run_info(two_targets.root)
    used = rank_for_pruning(
        two_targets, info, PruningRequest(weights={"opposite": 2.0}, estimator=estimator, output=output), [2]
    ).ranking
    question = Question(target="opposite", estimator=estimator, output_kind=output, split="estimate")
    ranked = {
        row.index: row for row in rank(read_snapshot(two_targets, info, "opposite"), question).report.ranking.rows
    }
    for name in ("influence", "low", "high"):
        expected = [getattr(ranked[k], name) for k in range(GROUPS)]
        assert getattr(used, name) == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert (used.targets, used.estimator, used.output) == ({"opposite": 2.0}, estimator, output)
    assert (used.models, used.relative, used.design) == (60, False, "fixed alpha=0.5")


def test_a_group_of_unknown_influence_has_none_in_the_plan(tmp_path):
    paths = make_run(tmp_path / "run", models=1)
    with pytest.raises(ResultsError, match="1 model recorded: too few to rank by"):
        rank_for_pruning(paths, read_run_info(paths.root), PLAIN, [2])
    two = make_run(tmp_path / "two", models=2)
    used = rank_for_pruning(two, read_run_info(two.root), PLAIN, [2]).ranking
    masks = read_snapshot(two, read_run_info(two.root), "digits").outputs.masks
    assert [value is None for value in used.influence] == (masks[0] == masks[1]).tolist()
    assert set(used.low) == {None}


def test_a_plan_predicts_margin_and_accuracy_for_every_number_that_may_be_dropped(two_targets):
    info = read_run_info(two_targets.root)
    made = rank_for_pruning(two_targets, info, PLAIN, [5])
    assert [one.k for one in made.forecast] == list(range(1, GROUPS - 1))
    reading = read_snapshot(two_targets, info, "digits")
    mixture = TargetMix.from_outputs([TargetOutputs("digits", reading.examples, reading.outputs)], {"digits": 1.0})
    margin, accuracy = (mixture.mean(kind, estimate=True) for kind in (OutputKind.MARGIN, OutputKind.CORRECT))
    ks = list(range(1, GROUPS - 1))
    expected = predict_gain(mixture.masks, margin, np.stack([margin, accuracy], axis=1), None, "difference", ks)
    for place, one in enumerate(made.forecast):
        assert one.margin_over_random == pytest.approx(expected.over_random[:, place, 0])
        assert one.accuracy_over_random == pytest.approx(expected.over_random[:, place, 1])
        assert one.margin == pytest.approx(expected.over_all[:, place, 0])
        assert one.accuracy == pytest.approx(expected.over_all[:, place, 1])
    assert (made.arms, made.stages.seeds, made.shape) == ((), 5, (info.resolution, info.channels))
    assert (made.sweep, made.identity, made.seed) == (info.name, info.identity, info.seed)


def test_prior_networks_of_every_target_anchor_the_forecast(two_targets):
    info = read_run_info(two_targets.root)
    snapshots = [read_snapshot(two_targets, info, name) for name in ("digits", "opposite")]
    examples = snapshots[0].examples
    n, rng = len(examples.labels), np.random.default_rng(0)
    measure = np.zeros((3, GROUPS, 3), np.float32)
    priors = [
        PriorOutputs(
            np.array(indices),
            rng.normal(size=(3, n)).astype(np.float32),
            rng.integers(0, 3, (3, n)).astype(np.uint16),
        )
        for indices in ([0, 1, 3], [1, 2, 3])
    ]
    outputs = [
        TargetOutputs(name, snapshot.examples, snapshot.outputs, PriorMeasures(measure, measure, prior))
        for name, snapshot, prior in zip(("digits", "opposite"), snapshots, priors, strict=True)
    ]
    mix = TargetMix.from_outputs(outputs, {"digits": 3.0, "opposite": 1.0})
    half = examples.estimate
    margins = (
        priors[0].margins[1:][:, half].mean(axis=1) * 0.75 + priors[1].margins[[0, 2]][:, half].mean(axis=1) * 0.25
    )
    np.testing.assert_allclose(mix.anchors(OutputKind.MARGIN), margins, rtol=1e-6)
    correct = [(prior.predicted == examples.labels)[:, half].mean(axis=1) for prior in priors]
    expected = correct[0][1:] * 0.75 + correct[1][[0, 2]] * 0.25
    np.testing.assert_allclose(mix.anchors(OutputKind.CORRECT), expected)
    without = replace(outputs[1], prior=None)
    assert TargetMix.from_outputs([outputs[0], without], {"digits": 1.0, "opposite": 1.0}).anchors("margin") is None


def test_of_very_many_numbers_some_are_predicted_and_those_asked_for_among_them(tmp_path):
    paths = make_run(tmp_path / "run", models=270, planned=270, groups=243, pictures=False)
    found = [one.k for one in rank_for_pruning(paths, read_run_info(paths.root), PLAIN, [2, 77]).forecast]
    assert {1, 2, 77, 241} <= set(found)
    assert 200 <= len(found) <= 202
    assert found == sorted(found)
    assert max(np.diff(found)) <= 3


def test_from_few_models_nothing_is_predicted(sweep):
    assert rank_for_pruning(sweep, read_run_info(sweep.root), PLAIN, [3]).forecast == ()


# What it is called, and what it is trained by


@pytest.mark.parametrize("name", ["..", "a/b", "", ".x", "a" * 101, "a\x1bb"])
def test_a_pruning_cannot_have_any_name(sweep, name):
    with pytest.raises(ConfigError, match="must be letters, digits") as refused:
        pruning_directory(sweep, name)
    assert str(refused.value).isprintable()


def test_prunings_are_listed_by_name_once_they_have_begun(sweep):
    assert pruning_names(sweep) == []
    for name in ("second", "first"):
        begun(sweep, name=name)
    pruning_directory(sweep, "planned").root.mkdir()
    assert pruning_names(sweep) == ["first", "second"]
    assert pruning_directory(sweep, "first").root == sweep.prunings / "first"


def test_a_pruning_is_trained_as_its_sweep_with_what_is_asked_instead(two_targets):
    info = read_run_info(two_targets.root)
    settings = {"train.epochs": 3, "model.arch": "resnet9", "transfer": "full-network"}
    config = pruning_config(info, pruning_directory(two_targets, "main"), replace(PLAIN, settings=settings))
    before = config_from_json(info.config)
    assert [target.name for target in config.target] == ["digits"]
    assert (config.train.epochs, config.model.arch, config.target[0].transfer) == (3, "resnet9", "full-network")
    assert config.train.model_copy(update={"epochs": before.train.epochs}) == before.train
    assert (config.run.name, config.run.output) == ("small-main", str(two_targets.prunings / "main"))
    both = pruning_config(
        info, pruning_directory(two_targets, "main"), replace(PLAIN, weights={"digits": 1, "opposite": 1})
    )
    assert [(target.name, target.transfer) for target in both.target] == [
        ("digits", "fixed-feature"),
        ("opposite", "fixed-feature"),
    ]


def test_the_name_of_a_pruning_of_a_long_name_is_cut_to_what_a_name_may_be(sweep):
    info = replace(read_run_info(sweep.root), name="n" * 99)
    assert pruning_config(info, pruning_directory(sweep, "main"), PLAIN).run.name == "n" * 99 + "-"


def test_a_wrong_setting_is_refused_by_its_key(sweep):
    info = read_run_info(sweep.root)
    with pytest.raises(ConfigError, match="epochs"):
        pruning_config(info, pruning_directory(sweep, "main"), replace(PLAIN, settings={"train.epochs": 0}))


def test_a_pruning_goes_on_with_the_settings_that_it_began_with(sweep):
    longer = replace(PLAIN, settings={"train.epochs": 3})
    own = begun(sweep, longer)
    info = read_run_info(sweep.root)
    assert pruning_config(info, own, PLAIN).train.epochs == 3
    assert pruning_config(info, own, longer).train.epochs == 3
    with pytest.raises(OtherSettingsError, match="holds a pruning with other settings; choose another --name") as found:
        pruning_config(info, own, replace(PLAIN, settings={"train.epochs": 4}))
    assert [line for line in found.value.details if "epochs" in line and "3" in line and "4" in line]


# What the trainings of all arms have in common


def by_steps(sweep, steps):
    """The sweep's description, whose models take so many steps."""
    info = read_run_info(sweep.root)
    info = replace(info, config=info.config | {"train": {"steps": steps}})
    write_run_info(sweep, info)
    return info


def refused(info, paths, **request):
    with pytest.raises(ConfigError) as caught:
        pruning_config(info, paths, replace(PLAIN, **request))
    return caught.value


def test_at_the_same_steps_every_arm_takes_those_of_keeping_everything(sweep):
    info, paths = read_run_info(sweep.root), pruning_directory(sweep, "main")
    before = config_from_json(info.config).train
    config = pruning_config(info, paths, replace(PLAIN, same="steps"))
    assert config.train.steps == before.source_steps(info.source.images) > 0
    assert config.train.epochs is None
    longer = pruning_config(info, paths, replace(PLAIN, same="steps", settings={"train.epochs": 2 * before.epochs}))
    assert longer.train.steps == before.model_copy(update={"epochs": 2 * before.epochs}).source_steps(
        info.source.images
    )
    for same in ("epochs", None):
        assert pruning_config(info, paths, replace(PLAIN, same=same)).train == before


def test_a_number_of_steps_replaces_epochs_and_epochs_replace_steps(sweep):
    paths = pruning_directory(sweep, "main")
    config = pruning_config(read_run_info(sweep.root), paths, replace(PLAIN, settings={"train.steps": 70}))
    assert (config.train.epochs, config.train.steps) == (None, 70)
    config = pruning_config(by_steps(sweep, 50), paths, replace(PLAIN, settings={"train.epochs": 3}))
    assert (config.train.epochs, config.train.steps) == (3, None)


def test_a_recipe_of_steps_has_the_same_steps_and_no_epochs_to_compare_at(sweep):
    info, paths = by_steps(sweep, 50), pruning_directory(sweep, "main")
    assert pruning_config(info, paths, replace(PLAIN, same="steps")).train.steps == 50
    assert pruning_config(info, paths, PLAIN).train.steps == 50
    message = str(refused(info, paths, same="epochs"))
    assert message == ("--same epochs: every arm would train for 50 steps, whatever it keeps; add --epochs COUNT")
    assert pruning_config(info, paths, replace(PLAIN, same="epochs", settings={"train.epochs": 3})).train.epochs == 3


def test_a_pruning_does_not_go_on_at_the_same_steps_instead_of_epochs_or_the_other_way_round(sweep):
    info = read_run_info(sweep.root)
    by_epochs, at_steps = begun(sweep), begun(sweep, replace(PLAIN, same="steps"), name="steps")
    epochs = config_from_json(info.config).train.epochs
    steps = pruning_config(info, at_steps, PLAIN).train.steps
    assert steps == pruning_config(info, at_steps, replace(PLAIN, same="steps")).train.steps
    error = refused(info, by_epochs, same="steps")
    assert error.details == (f"train.epochs: {epochs} -> not set", f"train.steps: not set -> {steps}")
    error = refused(info, at_steps, same="epochs")
    assert isinstance(error, OtherSettingsError)
    assert error.details == ("same: steps -> epochs",)
    again = replace(PLAIN, same="steps", settings={"train.epochs": epochs})
    assert pruning_config(info, at_steps, again).train.steps == steps


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"weights": {"other": 1.0}}, "target: digits -> other"),
        ({"estimator": "ridge"}, "estimator: difference -> ridge"),
        ({"output": "correct"}, "output: margin -> correct"),
    ],
)
def test_a_pruning_does_not_go_on_with_another_question(tmp_path, sweep, other, words):
    own = pruning_directory(sweep, "main")
    refuse_other_ranking(own, bare(), PLAIN)
    refuse_other_ranking(own, bare(), replace(PLAIN, weights={"digits": 5.0}))  # of one target a weight says nothing
    with pytest.raises(OtherSettingsError) as found:
        refuse_other_ranking(own, bare(), replace(PLAIN, **other))
    assert found.value.details == (words,)


# What is asked for, and what follows where nothing is


def test_where_nothing_is_said_a_pruning_is_as_the_sweep_suggests(sweep):
    pruning, config = outline(sweep)
    assert sorted({arm.k for arm in pruning.arms if arm.kind is ArmKind.LOWEST}) == list(default_drop_counts(GROUPS))
    assert (pruning.ranking.targets, pruning.ranking.estimator) == ({"digits": 1.0}, "ridge")
    assert pruning.ranking.output == "margin"
    assert pruning.stages == Stages(5, BASELINES, 0.01, 20)
    assert {len(arm.rows) for arm in pruning.arms} == {5}
    assert config.run.name == "small-main"
    assert list(sweep.root.glob("prune/*")) == []


def test_where_seeds_are_said_no_more_of_an_arm_follow(sweep):
    assert outline(sweep, seeds=3)[0].stages == Stages(3, BASELINES, 0.0, 12)
    assert outline(sweep, seeds=3, ci_half_width=0.02, max_seeds=9)[0].stages == Stages(3, BASELINES, 0.02, 9)
    assert outline(sweep, ci_half_width=0)[0].stages == Stages(5, BASELINES, 0.0, 20)
    assert outline(sweep, seeds=3, max_seeds=3)[0].stages.most == 3
    with pytest.raises(ConfigError, match="--max-seeds 2 is less than the 3 seeds"):
        outline(sweep, seeds=3, max_seeds=2)


def test_a_list_is_pruned_without_the_numbers_that_nobody_asked_for(sweep):
    pruning, _ = outline(sweep, lists=(MINE,), seeds=1)
    assert [arm.kind for arm in pruning.arms] == [ArmKind.ALL, ArmKind.DROP, ArmKind.RANDOM]
    assert {arm.k for arm in outline(sweep, lists=(MINE,), drop_counts=(4,), seeds=1)[0].arms} == {0, 1, 4}


def test_baselines_are_those_that_are_named_and_of_classes_only(sweep):
    assert outline(sweep, baselines=(ArmKind.FEATURES,))[0].stages.baselines == (ArmKind.FEATURES,)
    assert outline(sweep, baselines=BASELINES[::-1])[0].stages.baselines == BASELINES
    assert outline(sweep, baselines=())[0].stages.baselines == ()
    info = read_run_info(sweep.root)
    write_run_info(sweep, replace(info, source=replace(info.source, classes=["a", "b"])))
    assert outline(sweep)[0].stages.baselines == ()
    with pytest.raises(ConfigError, match="label-mapping: single-model baselines rank source classes"):
        outline(sweep, baselines=(ArmKind.LABELS,))
    assert outline(sweep, baselines=())[0].stages.baselines == ()


def test_more_of_a_pruning_that_is_there_keeps_what_it_has(sweep):
    own = begun(sweep, baselines=(ArmKind.LABELS,), within=0.03, most=6)
    pruning, _ = outline(sweep, own)
    assert pruning.stages == Stages(2, (ArmKind.LABELS,), 0.03, 6)
    assert {arm.k for arm in pruning.arms} == {0, 3}
    assert outline(sweep, own, seeds=1)[0].stages.seeds == 2
    grown, _ = outline(sweep, own, seeds=4, drop_counts=(5,), baselines=(ArmKind.FEATURES,))
    assert grown.stages == Stages(4, BASELINES, 0.03, 6)
    assert grown.arms[1].rows[:2] == pruning.arms[1].rows
    assert {len(arm.rows) for arm in grown.arms} == {4}
    assert outline(sweep, own, seeds=9)[0].stages.most == 9
    with pytest.raises(ConfigError, match="less than the 2"):
        outline(sweep, own, max_seeds=1)


def test_the_question_of_a_pruning_that_is_there_need_not_be_asked_again(two_targets):
    own = begun(
        two_targets, PruningRequest(weights={"opposite": 1.0}, estimator="ridge", output="correct"), name="asked"
    )
    used = outline(two_targets, own)[0].ranking
    assert (used.targets, used.estimator, used.output) == ({"opposite": 1.0}, "ridge", "correct")
    with pytest.raises(OtherSettingsError):
        outline(two_targets, own, estimator="difference")


def test_what_was_planned_but_never_began_is_planned_anew(sweep):
    own = begun(sweep)
    own.run.unlink()
    assert {arm.k for arm in outline(sweep, own, drop_counts=(5,))[0].arms} == {0, 5}


def test_a_pruning_that_is_being_run_is_left_alone(sweep):
    own = begun(sweep)
    say(own, State.RUNNING)
    with pytest.raises(AlreadyRunningError):
        outline(sweep, own)


def test_an_imported_sweep_has_nothing_to_retrain_by(sweep):
    info = read_run_info(sweep.root)
    write_run_info(sweep, replace(info, config=info.config | {IMPORTED: True}))
    with pytest.raises(ConfigError):
        outline(sweep)


def test_the_code_of_a_sweep_is_run_only_if_it_is_named(sweep):
    info = read_run_info(sweep.root)
    write_run_info(sweep, replace(info, config=info.config | {"model": {"arch": "evil:Net"}}))
    with pytest.raises(ConfigError, match="allow it with --arch evil:Net"):
        outline(sweep)
    assert outline(sweep, settings={"model.arch": "evil:Net"})[1].model.arch == "evil:Net"
    assert outline(sweep, settings={"model.arch": "resnet9"})[1].model.arch == "resnet9"


def test_a_pickle_of_weights_is_read_only_if_it_is_named(sweep, monkeypatch):
    checked = []
    monkeypatch.setattr(planning, "check_network", lambda model, shape=None: checked.append((model.weights, shape)))
    info = read_run_info(sweep.root)
    write_run_info(sweep, replace(info, config=info.config | {"model": {"weights": "/evil.pt"}}))
    for settings in ({}, {"model.arch": "resnet9"}, {"model.arch": "mine:Net"}):
        with pytest.raises(ConfigError, match=r"are a pickle .*allows it with --weights /evil\.pt"):
            outline(sweep, settings=settings)
    assert checked == []
    shape = (len(info.source.classes), info.channels, info.resolution)
    for weights in ("/evil.pt", "/mine.safetensors"):
        assert outline(sweep, settings={"model.weights": weights})[1].model.weights == weights
        assert checked.pop() == (weights, shape)
    assert outline(sweep, settings={"model.weights": None})[1].model.weights is None
    assert checked == []


def test_weights_are_checked_against_another_network_and_another_size_of_images(sweep, monkeypatch):
    checked = []
    monkeypatch.setattr(planning, "check_network", lambda model, shape=None: checked.append((model.arch, shape)))
    info = read_run_info(sweep.root)
    write_run_info(sweep, replace(info, config=info.config | {"model": {"weights": "/w.safetensors"}}))
    outline(sweep)
    assert checked == []
    for settings, arch, side in (
        ({"model.arch": "resnet9"}, "resnet9", info.resolution),
        ({"model.resolution": 24}, "small-cnn", 24),
    ):
        outline(sweep, settings=settings)
        assert checked.pop() == (arch, (len(info.source.classes), info.channels, side))


def test_progress_is_told_where_it_takes_a_while(sweep):
    told = []
    info = read_run_info(sweep.root)
    preview_plan(sweep, info, pruning_directory(sweep, "new"), PruningRequest(), lambda *what: told.append(what))
    preview_plan(sweep, info, begun(sweep), PruningRequest(), lambda *what: told.append(what))
    assert told == [("ranking the groups and forecasting the gains", 0, 0)]


def test_the_cost_is_measured_on_a_model_of_the_mean_size(sweep, monkeypatch):
    pruning, config = outline(sweep, drop_counts=(3, 12), seeds=2, devices=["cpu"])
    config = config.model_copy(update={"compute": config.compute.model_copy(update={"workers_per_device": 3})})
    asked = []
    monkeypatch.setattr(planning, "estimate_cost", lambda *what: asked.append(what))
    plan_cost(PruningPlan(pruning, config, "data"))
    ((measured, data, workers),) = asked
    kept = np.mean([row.mask.mean() for row in pruning.rows()])
    assert kept == pytest.approx(1 - np.mean([arm.k for arm in pruning.arms]) / GROUPS)
    assert (measured.design.kind, measured.design.alpha) == ("fixed", pytest.approx(kept))
    assert (measured.design.models, measured.design.heldout) == (pruning.n_rows, 0)
    assert (data, workers) == ("data", ["cpu"] * 3)
    alone = replace(pruning, arms=tuple(replace(arm, rows=arm.rows[:2]) for arm in pruning.arms[:1]))
    plan_cost(PruningPlan(alone, config, "data"))
    assert asked[1][0].design.alpha == pytest.approx(29 / 30)  # a design leaves one out at least
    assert asked[1][2] == ["cpu"] * 2


# The data


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Two small targets, one of them in colour."""
    home = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for name, channels in (("source", 1), ("grey", 1), ("colour", 3)):
        images = rng.integers(0, 256, (8, 8, 8, channels), dtype=np.uint8)
        np.savez(home / f"{name}.npz", x=images, y=np.arange(8) % 4)
    targets = [
        {"kind": "npz", "name": name, "train": str(home / f"{name}.npz"), "test": str(home / f"{name}.npz")}
        for name in ("grey", "colour")
    ]
    return Config.model_validate(
        {
            "run": {"name": "small"},
            "source": {"kind": "npz", "path": str(home / "source.npz")},
            "target": targets,
            "design": {"models": 4},
        }
    )


@pytest.fixture(scope="module")
def info(config, two_targets):
    """The run that was made of these data."""
    data = open_datasets(config)
    described = [
        TargetInfo(
            section.name, "fixed-feature", ["x"] * 4, 8, 8, [images.train.fingerprint, images.test.fingerprint], 0, {}
        )
        for section, images in zip(config.target, data.targets, strict=True)
    ]
    source = SourceInfo(["x"] * 4, list(data.groups.names), [2] * 4, 8, data.source.fingerprint, 0)
    return replace(
        read_run_info(two_targets.root),
        source=source,
        targets=described,
        resolution=data.resolution,
        channels=data.channels,
    )


def test_the_data_of_a_pruning_are_packed_as_its_sweep_packed_them(config, info):
    assert info.channels == 3 > native_shape(config.target[0]).channels
    grey = config.model_copy(update={"target": config.target[:1]})
    data = open_sweep_data(grey, info)
    assert (data.resolution, data.channels) == (info.resolution, 3)
    assert [images.test.fingerprint for images in data.targets] == [info.targets[0].fingerprints[1]]


def test_the_data_of_a_pruning_of_another_resolution_are_packed_at_it_once_they_are_those_of_the_sweep(config, info):
    finer = config.model_copy(update={"model": config.model.model_copy(update={"resolution": 12})})
    data = open_sweep_data(finer, info)
    assert (data.resolution, data.channels, data.source.images.shape[1:]) == (12, 3, (12, 12, 3))
    with pytest.raises(ConfigError, match="the data changed since the sweep"):
        open_sweep_data(finer, replace(info, source=replace(info.source, fingerprint="0" * 32)))


def test_a_pruning_has_the_resolution_that_is_requested_and_keeps_it(sweep):
    info = read_run_info(sweep.root)
    assert outline(sweep)[0].shape == (info.resolution, info.channels)
    assert outline(sweep, settings={"model.resolution": 40})[0].shape == (40, info.channels)
    finer = begun(sweep, replace(PLAIN, settings={"model.resolution": 40}))
    assert outline(sweep, finer)[0].shape == (40, info.channels)
    with pytest.raises(OtherSettingsError):
        outline(sweep, finer, settings={"model.resolution": 20})


def test_data_that_changed_since_the_sweep_are_named(config, info):
    def message(**changes):
        with pytest.raises(ConfigError) as refused:
            open_sweep_data(config, replace(info, **changes))
        return str(refused.value)

    source = replace(info.source, fingerprint="0" * 32)
    targets = [info.targets[0], replace(info.targets[1], fingerprints=[info.targets[1].fingerprints[0], "0"])]
    tail = "); its ranking no longer applies"
    assert message(source=source) == f"the data changed since the sweep (the source{tail}"
    assert message(targets=targets) == f"the data changed since the sweep (target colour{tail}"
    assert (
        message(source=source, targets=targets) == f"the data changed since the sweep (the source, target colour{tail}"
    )
    regrouped = replace(info.source, groups=info.source.groups[::-1])
    assert message(source=regrouped) == f"the data changed since the sweep (the grouping of the source{tail}"


# Mixes of targets


def test_a_mix_is_the_weighted_mean_over_the_models_that_have_every_target(two_targets):
    info = read_run_info(two_targets.root)
    readings = [read_snapshot(two_targets, info, name) for name in ("digits", "opposite")]
    sides = [
        TargetOutputs(name, one.examples, one.outputs)
        for name, one in zip(("digits", "opposite"), readings, strict=True)
    ]
    shorter = replace(sides[1], outputs=_without(sides[1].outputs, [4, 9]))
    mixture = TargetMix.from_outputs([sides[0], shorter], {"digits": 3.0, "opposite": 1.0})
    rows = [index for index in range(60) if index not in (4, 9)]
    assert mixture.indices.tolist() == rows
    assert mixture.weights == (0.75, 0.25)
    assert np.array_equal(mixture.masks, sides[0].outputs.masks[rows])
    for half in (True, False):
        means = [
            np.asarray(side.outputs.margins[rows], np.float64)[:, side.examples.estimate == half].mean(axis=1)
            for side in sides
        ]
        expected = 0.75 * means[0] + 0.25 * means[1]
        assert mixture.mean(OutputKind.MARGIN, estimate=half) == pytest.approx(expected, rel=1e-5)
    assert mixture.clusters is None


def _without(outputs, rows):
    kept = np.setdiff1d(np.arange(len(outputs)), rows)
    return replace(
        outputs,
        **{name: getattr(outputs, name)[kept] for name in ("indices", "masks", "clusters", "margins", "predicted")},
    )


def test_models_that_share_a_seed_are_a_cluster_of_a_mix(two_targets):
    reading = read_snapshot(two_targets, read_run_info(two_targets.root), "digits")
    paired = replace(reading.outputs, clusters=reading.outputs.indices // 2)
    mixture = TargetMix.from_outputs([TargetOutputs("digits", reading.examples, paired)], {"digits": 1.0})
    assert mixture.clusters.tolist() == [index // 2 for index in range(60)]


def test_equal_mixes_have_equal_words():
    assert (
        describe_weights({"cars": 1.0, "birds": 3.0})
        == describe_weights({"birds": 0.6, "cars": 0.2})
        == "birds 75%, cars 25%"
    )
    assert describe_weights({"a": 1.0, "b": 2.0}) == "a 33.3%, b 66.7%"
    assert describe_weights({"birds": 0.2}) == "birds"


def test_weights_are_one_unless_they_are_said(two_targets):
    info = read_run_info(two_targets.root)
    assert parse_weights([], info) == {"digits": 1.0}
    assert parse_weights(["opposite", "digits=2.5"], info) == {"opposite": 1.0, "digits": 2.5}
    assert parse_weights(["digits=1e-9"], info) == {"digits": 1e-9}


@pytest.mark.parametrize("text", ["digits=0", "digits=-1", "digits=x", "digits=inf", "digits=nan"])
def test_a_weight_is_a_positive_number(two_targets, text):
    with pytest.raises(ConfigError, match="is not a weight"):
        parse_weights([text], read_run_info(two_targets.root))


def test_a_target_needs_examples_to_rank_by_and_others_to_be_measured_on():
    for estimate, half in (([False, False], "estimate"), ([True, True], "evaluate")):
        side = TargetOutputs("digits", Examples(np.zeros(2, np.int64), np.array(estimate), ("a", "b")), None)
        with pytest.raises(ResultsError, match=f"no test examples in its {half} half"):
            refuse_half_without_examples(side)
    refuse_half_without_examples(
        TargetOutputs("d", Examples(np.zeros(2, np.int64), np.array([True, False]), ("a", "b")), None)
    )


def test_a_choice_of_the_users_says_what_it_drops():
    groups = ("a", "b", "c", "d")
    drop, keep = ClassList(ArmKind.DROP, ("a", "c", "a"), "x"), ClassList(ArmKind.KEEP, ("a", "c"), "x")
    assert (drop.label, dropped_groups(drop, groups)) == ("drop x", (0, 2))
    assert (keep.label, dropped_groups(keep, groups)) == ("keep x", (1, 3))
    with pytest.raises(ConfigError, match="x leaves 1 of 4 groups: at least 2 must stay"):
        dropped_groups(ClassList(ArmKind.DROP, ("a", "b", "c"), "x"), groups)
