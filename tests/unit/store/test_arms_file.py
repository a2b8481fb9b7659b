"""`arms.json` comes back as it was written, and says nothing impossible: both sides of everything that is checked."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from tests.unit.pruning.plans import bare
from tests.unit.store.conftest import make_info
from tui_influence.errors import ResultsError
from tui_influence.pruning.arms import with_arms
from tui_influence.pruning.options import ClassList
from tui_influence.roles import BASELINES, ArmKind, Role
from tui_influence.store.files import AlteredFileError
from tui_influence.store.pruning_plan import (
    Arm,
    ArmRow,
    GainForecast,
    Stages,
    arms_from_json,
    arms_to_json,
    check_arms,
    read_arms,
    write_arms,
)
from tui_influence.store.run_info import SourceInfo, TargetInfo

GROUPS = 6
GAIN = (0.5, 0.25, 0.75)


def made():
    """Every kind of arm, a group of unknown influence, and forecasts with and without what masks cannot tell."""
    plan = bare(GROUPS)
    groups = plan.groups
    lists = [ClassList(ArmKind.DROP, tuple(groups[1:2]), "x"), ClassList(ArmKind.KEEP, tuple(groups[:4]), "y")]
    pruning = with_arms(replace(plan, stages=Stages(2, BASELINES[:1], 0.25, 5)), [2], lists, 2)
    influence = (None, *plan.ranking.influence[1:])
    return replace(
        pruning,
        ranking=replace(pruning.ranking, influence=influence, relative=True),
        forecast=(GainForecast(1, GAIN, GAIN, None, None), GainForecast(GROUPS, GAIN, GAIN, GAIN, GAIN)),
    )


def changed(*steps_and_value):
    """The JSON values with one of them replaced; a step is a key or a position."""
    *steps, value = steps_and_value
    values = json.loads(json.dumps(arms_to_json(made())))
    place = values
    for step in steps[:-1]:
        place = place[step]
    place[steps[-1]] = value
    return values


def test_what_is_written_is_read_back(paths):
    write_arms(paths, made())
    assert read_arms(paths) == made()
    assert arms_from_json(json.loads(json.dumps(arms_to_json(made()))), "x") == made()


def test_arms_that_do_not_match_their_digest_are_refused_and_those_of_a_version_without_one_are_read(paths):
    write_arms(paths, made())
    values = json.loads(paths.arms.read_text())
    first, second = values["arms"][1], values["arms"][2]
    first["label"], second["label"] = second["label"], first["label"]
    paths.arms.write_text(json.dumps(values))
    with pytest.raises(AlteredFileError, match=r"arms\.json: its content does not match its digest.*copy it again"):
        read_arms(paths)
    del values["digest"]
    paths.arms.write_text(json.dumps(values))
    assert read_arms(paths).n_rows == made().n_rows


LOWEST, RANDOM, DROP = 1, 2, 4
"""Positions of some arms; the first keeps everything."""


@pytest.mark.parametrize(
    "values",
    [
        changed("seed", 2**63 - 1),
        changed("arms", 0, "rows", 0, "seed", 2**63 - 1),
        changed("stages", {"seeds": 100_000, "baselines": [], "within": 1, "most": 100_000}),
        changed("stages", {"seeds": 0, "baselines": ["feature-mapping"], "within": 0, "most": 0}),
        changed("ranking", "targets", {"digits": 1e-9}),
        changed("forecast", []),
    ],
)
def test_what_is_just_possible_is_read(values):
    assert arms_from_json(values, "x").n_rows == made().n_rows


@pytest.mark.parametrize(
    "values",
    [
        changed("seed", 2**63),
        changed("seed", -1),
        changed("shape", [8]),
        changed("arms", 0, "kind", "lowest"),
        changed("arms", LOWEST, "kind", "all"),
        changed("arms", 0, "rows", 0, "seed", 2**63),
        changed("arms", 0, "rows", []),
        changed("arms", 0, "rows", 0, "repeat", 1),
        changed("arms", 0, "rows", 1, "repeat", 0),
        changed("arms", 0, "rows", 0, "index", 99),
        changed("arms", 0, "rows", 0, "index", 1),
        changed("arms", LOWEST, "rows", 0, "dropped", [0, GROUPS]),
        changed("arms", LOWEST, "rows", 0, "dropped", [1, 0]),
        changed("arms", LOWEST, "rows", 0, "dropped", [0, 0]),
        changed("arms", LOWEST, "rows", 1, "dropped", [0, 1, 2]),
        changed("arms", LOWEST, "k", 3),
        changed("arms", LOWEST, "k", 0),
        changed("arms", RANDOM, "kind", "lowest"),
        changed("stages", "seeds", 100_001),
        changed("stages", "most", 100_001),
        changed("stages", "within", 1.01),
        changed("stages", "within", -0.01),
        changed("stages", "baselines", ["lowest"]),
        changed("ranking", "targets", {}),
        changed("ranking", "targets", {"digits": 0}),
        changed("ranking", "targets", {"digits": 1, "cars": -1}),
        changed("ranking", "relative", 1),
        changed("ranking", "influence", [0] * (GROUPS + 1)),
        changed("ranking", "low", [0] * (GROUPS - 1)),
        changed("ranking", "high", []),
        changed("ranking", "high", 0, "x"),
        changed("forecast", 0, "k", 0),
        changed("forecast", 1, "k", GROUPS + 1),
        changed("forecast", 0, "margin", [1, 2]),
    ],
    ids=lambda values: "",
)
def test_what_is_impossible_is_refused_in_a_line(values):
    with pytest.raises(ResultsError, match=r"^x: damaged \(.+\)$"):
        arms_from_json(values, "x")


@pytest.mark.parametrize(
    ("values", "reason"), [({}, '"schema" is missing'), (None, "an object expected, not null")], ids=str
)
def test_damage_is_described_by_the_field_or_the_kind(values, reason):
    with pytest.raises(ResultsError) as error:
        arms_from_json(values, "x")
    assert str(error.value) == f"x: damaged ({reason})"


def test_a_list_may_leave_two_groups_and_not_one():
    rows = (ArmRow(0, 0, 1, ()),)
    everything = Arm(ArmKind.ALL, "all", 0, rows)

    def with_list(dropped):
        return replace(
            bare(GROUPS), arms=(everything, Arm(ArmKind.DROP, "x", len(dropped), (ArmRow(1, 0, 1, dropped),)))
        )

    for dropped, is_sound in (((0, 1, 2, 3), True), ((0, 1, 2, 3, 4), False), ((), False)):
        values = json.loads(json.dumps(arms_to_json(with_list(dropped))))
        if is_sound:
            assert arms_from_json(values, "x").arms[1].k == 4
        else:
            with pytest.raises(ResultsError, match="drop"):
                arms_from_json(values, "x")


@pytest.mark.parametrize(("schema", "words"), [(1, "made by an older version"), (3, "made by a newer version")])
def test_another_layout_is_refused_by_its_age(schema, words):
    with pytest.raises(ResultsError, match=words):
        arms_from_json(changed("schema", schema), "x")


def test_both_files_of_a_pruning_are_of_one_pruning(paths):
    pruning = made()
    groups = list(pruning.groups)
    info = make_info(
        source=SourceInfo(groups, groups, [2] * GROUPS, 12, "f0", 0),
        targets=[TargetInfo("digits", "fixed-feature", ["x"], 3, 3, ["f"], 0, {})],
        arms=pruning.n_rows,
    )
    check_arms(paths, pruning, info)
    check_arms(paths, pruning, replace(info, arms=pruning.n_rows - 1))  # it has been extended
    for wrong, words in (
        ({"arms": pruning.n_rows + 1}, f"{pruning.n_rows} rows, where run.json has {pruning.n_rows + 1}"),
        ({"targets": [replace(info.targets[0], name="cars")]}, "its targets are not those"),
        ({"source": replace(info.source, groups=groups[::-1])}, "its groups are not those"),
    ):
        with pytest.raises(ResultsError, match=words):
            check_arms(paths, pruning, replace(info, **wrong))


def test_the_plan_is_in_the_order_of_the_repeats_and_masks_keep_what_is_not_dropped():
    rows = made().rows()
    by_index = {row.index: (row, arm) for arm in made().arms for row in arm.rows}
    assert [by_index[row.index][0].repeat for row in rows] == [0] * len(made().arms) + [1] * len(made().arms)
    for row in rows:
        planned, _ = by_index[row.index]
        assert (row.role, row.seed, row.cluster) == (Role.ARM, planned.seed, row.index)
        assert np.flatnonzero(~row.mask).tolist() == list(planned.dropped)
    assert len(rows) == made().n_rows == 2 * len(made().arms)
    assert made().drops_lowest
    assert not replace(made(), arms=made().arms[4:]).drops_lowest


@pytest.mark.parametrize(
    ("stages", "lowest", "kept"),
    [
        (Stages(2), 2, 2),
        (Stages(2, within=0.1, most=5), 5, 5),
        (Stages(2, within=0.0, most=5), 2, 2),
        (Stages(3, within=0.1, most=1), 3, 3),
        (Stages(1), 2, 2),
    ],
)
def test_at_most_so_many_rows_follow(stages, lowest, kept):
    """Of keeping everything, the lowest and lists as many as are allowed; of the others what there is."""
    pruning = replace(made(), stages=stages)
    grown = [kept if arm.kind in (ArmKind.ALL, ArmKind.KEEP, ArmKind.DROP) else 2 for arm in pruning.arms]
    grown[LOWEST] = lowest
    assert pruning.max_rows == sum(grown)
    for baselines in (BASELINES[:1], BASELINES):
        with_baselines = replace(pruning, stages=replace(stages, baselines=baselines))
        assert with_baselines.max_rows == sum(grown) + len(baselines) * lowest
    there = with_arms(pruning, [], [], 2, {ArmKind.LABELS: [np.arange(float(GROUPS))] * 2})
    assert there.max_rows == sum(grown) + lowest
    assert asdict(there)["arms"][-1]["kind"] == "label-mapping"
