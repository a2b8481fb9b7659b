from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from tests.tui.runs import make_run
from tests.unit.store.conftest import make_record
from tui_influence.analysis import leakage
from tui_influence.analysis.leakage import find_leaks, groups_of_class, rows_of_groups
from tui_influence.analysis.names import groups_are_images, source_class_of
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import rank
from tui_influence.analysis.snapshot import read_snapshot
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.influence.difference import difference
from tui_influence.influence.strongest_pairs import min_detectable_influence, models_needed
from tui_influence.store.records import as_margins, write_record
from tui_influence.store.run_info import read_run_info

IMAGES = [f"{name}/{place}" for name in "ab" for place in range(10)]
LEAKS, MISLEADS, HELPS_ALL = 3, 12, 7
LEAKED, MISLED = 4, 5


def usual_margins(mask, rng):
    found = rng.normal() + 0.3 * rng.normal(size=12)  # what a model gets wrong, it gets wrong everywhere
    found[LEAKED] += mask[LEAKS]
    found[MISLED] -= mask[MISLEADS]
    found[np.arange(12) % 3 == 0] += 2 * mask[HELPS_ALL]
    return found


def sweep(root, models: int, margins=usual_margins):
    """A run over 20 images: one leaks to one test example, one misleads another, one helps a whole class."""
    paths = make_run(root, groups=IMAGES, models=0, planned=models)
    info = read_run_info(paths.root)
    for index in range(models):
        rng = np.random.default_rng(index)
        mask = rng.random(len(IMAGES)) < 0.5
        write_record(paths, make_record(index, mask=mask, margins=as_margins(margins(mask, rng))))
    described = replace(info, source=replace(info.source, classes=["a", "b"], sizes=[1] * len(IMAGES)))
    return read_snapshot(paths, described)


@pytest.fixture(scope="module")
def reading(tmp_path_factory):
    return sweep(tmp_path_factory.mktemp("sweep") / "run", 80)


def test_the_image_that_leaks_and_the_one_that_misleads_come_first(reading):
    found = find_leaks(reading, Question(split="all"))
    assert (found.helped[0].group, found.helped[0].example) == (LEAKS, LEAKED)
    assert (found.hurt[0].group, found.hurt[0].example) == (MISLEADS, MISLED)
    assert found.helped[0].q < 1e-6
    assert found.helped[0].low < 1 < found.helped[0].high


def test_what_helps_all_of_a_class_is_no_leak(reading):
    found = find_leaks(reading, Question(split="all"))
    beyond = [(pair.group, pair.example) for pair in found.helped if pair.q < 0.05]
    assert (LEAKS, LEAKED) in beyond
    assert all(group != HELPS_ALL for group, _ in beyond)


def test_examples_keep_their_numbers_in_a_half_a_class_and_alone(reading):
    half = find_leaks(reading, Question(split="estimate"))
    assert (half.n_examples, half.n_tested) == (6, 6 * len(IMAGES))
    assert (half.helped[0].group, half.helped[0].example) == (LEAKS, LEAKED)
    assert {pair.example for pair in find_leaks(reading, Question(target_class="y", split="all")).helped} <= {
        1,
        4,
        7,
        10,
    }
    assert {pair.example for pair in find_leaks(reading, Question(example=MISLED)).hurt} == {MISLED}


def test_an_influence_does_not_depend_on_what_else_is_asked(reading):
    whole = {(pair.group, pair.example): pair for pair in find_leaks(reading, Question(split="all")).helped}
    alone = find_leaks(reading, Question(example=LEAKED)).helped
    for pair in alone:
        assert pair.influence == pytest.approx(whole[pair.group, pair.example].influence, rel=1e-4)


def test_pairs_beyond_chance_that_are_not_kept_are_counted(reading, monkeypatch):
    whole = find_leaks(reading, Question(split="all"))
    assert whole.n_excluded == 0
    assert whole.n_helped + whole.n_hurt > 2
    monkeypatch.setattr(leakage, "MAX_PAIRS", 1)
    assert find_leaks(reading, Question(split="all")).n_excluded == whole.n_helped + whole.n_hurt - 2


def test_the_images_of_a_class_alone(reading):
    found = find_leaks(reading, Question(split="all"), groups_of_class(reading.info, "b"))
    assert found.n_tested == 12 * 10
    assert all(IMAGES[pair.group].startswith("b/") for pair in (*found.helped, *found.hurt))


def test_too_few_models_are_refused_with_how_many_it_takes(tmp_path):
    with pytest.raises(ResultsError, match=r"9 models recorded: too few to tell 240 pairs .* takes at least (\d\d)"):
        find_leaks(sweep(tmp_path / "run", 9), Question(split="all"))


def test_outputs_that_are_no_numbers_are_refused(tmp_path):
    reading = sweep(tmp_path / "run", 40)
    spoilt = reading.outputs.margins.copy()
    spoilt[3, 2] = np.nan
    with pytest.raises(ResultsError, match="NaN"):
        find_leaks(replace(reading, outputs=replace(reading.outputs, margins=spoilt)), Question(split="all"))


def test_a_class_without_single_images_is_refused(reading):
    with pytest.raises(ConfigError, match='no class "c"'):
        groups_of_class(reading.info, "c")
    of_classes = replace(reading.info, source=replace(reading.info.source, sizes=[5] * len(IMAGES)))
    with pytest.raises(ConfigError, match="not single images"):
        groups_of_class(of_classes, "a")


def test_an_image_has_the_class_that_its_name_begins_with(reading):
    assert groups_are_images(reading.info)
    assert source_class_of(reading.info, "a/3") == "a"
    assert source_class_of(reading.info, "zebra") is None


def test_a_group_that_only_helps_less_than_it_helps_the_class_misleads_nobody(tmp_path):
    def margins(mask, rng):
        found = 0.1 * rng.normal(size=12)
        found[np.arange(12) % 3 == 0] += 2 * mask[HELPS_ALL]
        found[3] -= 1.5 * mask[HELPS_ALL]  # of the same class: it is helped by 0.5
        found[MISLED] -= mask[MISLEADS]
        return found

    found = find_leaks(sweep(tmp_path / "run", 80, margins), Question(split="all"))
    assert (HELPS_ALL, 3) not in [(pair.group, pair.example) for pair in found.hurt if pair.q < 0.05]
    assert (found.hurt[0].group, found.hurt[0].example) == (MISLEADS, MISLED)
    assert found.hurt[0].on_example == pytest.approx(-1, abs=0.1)
    assert all(pair.on_example * pair.influence > 0 for pair in (*found.helped, *found.hurt) if pair.influence)


def alone(reading, group, example):
    """By `difference`: influence of a group on an example, and on that less the mean of the others of its class."""
    margins = np.asarray(reading.outputs.margins, dtype=np.float64)
    others = [other for other in range(12) if other % 3 == example % 3 and other != example]
    beyond = margins[:, example] - margins[:, others].mean(axis=1)
    found = difference(
        reading.outputs.masks, np.stack([margins[:, example], beyond], axis=1), only=np.array([group]), pooled=True
    )
    return found.influence[0], found.se[0, 1], found.df


@pytest.mark.parametrize("groups", [None, [17, LEAKS, 5, MISLEADS, 8]])
def test_every_pair_has_the_influence_beyond_its_class_and_that_on_its_example(reading, groups):
    groups = None if groups is None else np.sort(groups)
    found = find_leaks(reading, Question(split="evaluate"), groups)
    assert all(not reading.examples.estimate[pair.example] for pair in (*found.helped, *found.hurt))
    assert len(found.helped) + len(found.hurt) > 10
    for pair in (*found.helped, *found.hurt):
        (on_example, beyond), se, df = alone(reading, pair.group, pair.example)
        assert pair.influence == pytest.approx(beyond, abs=1e-3)
        assert pair.on_example == pytest.approx(on_example, abs=1e-3)
        assert pair.se == pytest.approx(se, rel=1e-2)
        half = stats.t.ppf(0.975, df) * pair.se
        assert (pair.low, pair.high) == pytest.approx((pair.influence - half, pair.influence + half))
    assert found.models == 80


def test_the_smallest_influence_found_is_that_of_a_usual_example_and_image(reading):
    found = find_leaks(reading, Question(split="all"))
    margins = np.asarray(reading.outputs.margins, dtype=np.float64)
    sums = np.stack([margins[:, label::3].sum(axis=1) for label in range(3)], axis=1)[:, np.arange(12) % 3]
    spread = np.median((margins - (sums - margins) / 3).std(axis=0))
    share = np.median(reading.outputs.masks.mean(axis=0))
    assert found.detectable_influence == pytest.approx(
        min_detectable_influence(found.n_tested, spread, 80, share), rel=1e-2
    )
    some = find_leaks(reading, Question(split="all"), np.array([LEAKS]))
    share = reading.outputs.masks[:, LEAKS].mean()
    assert some.detectable_influence == pytest.approx(min_detectable_influence(12, spread, 80, share), rel=1e-2)


@pytest.mark.parametrize("most_have_it", [True, False])
def test_where_most_groups_never_vary_one_of_all_models_counts_as_the_usual_share(reading, most_have_it):
    masks = np.full_like(reading.outputs.masks, most_have_it)
    masks[:, 0] = np.arange(80) % 2 == 0
    found = find_leaks(replace(reading, outputs=replace(reading.outputs, masks=masks)), Question(split="all"))
    half = find_leaks(reading, Question(split="all"))
    share = np.median(reading.outputs.masks.mean(axis=0))
    scale = min_detectable_influence(240, 1.0, 80, share) / half.detectable_influence
    assert found.n_tested == 12
    assert found.detectable_influence * scale == pytest.approx(min_detectable_influence(12, 1.0, 80, 1 / 80))


def test_pairs_left_out_are_those_beyond_chance_that_are_not_kept():
    made = leakage.Leaks(
        (1, 2), (3,), n_helped=5, n_hurt=1, n_tested=9, n_examples=3, models=9, detectable_influence=1.0
    )
    assert made.n_excluded == 3
    assert replace(made, n_helped=1, n_hurt=4).n_excluded == 3


def test_as_many_models_as_it_takes_are_enough(tmp_path):
    needed = models_needed(240)
    assert find_leaks(sweep(tmp_path / "run", needed), Question(split="all")).models == needed
    with pytest.raises(ResultsError, match=f"{needed - 1} models recorded.*at least {needed}; more `models`"):
        find_leaks(sweep(tmp_path / "few", needed - 1), Question(split="all"))


def test_the_images_of_a_class_are_its_groups_and_their_rows_those_that_are_known(reading):
    assert groups_of_class(reading.info, "b").tolist() == list(range(10, 20))
    ranking = rank(reading, Question()).report.ranking
    some = rows_of_groups(ranking, np.array([4, 2]))
    assert [row.index for row in some] == [row.index for row in ranking.rows if row.index in (2, 4)]
    unknown = replace(ranking, rows=tuple(replace(row, influence=np.nan) for row in ranking.rows))
    assert rows_of_groups(unknown, np.array([4, 2])) == ()
    without = replace(reading.info, source=replace(reading.info.source, classes=["a", "b", "c"]))
    with pytest.raises(ConfigError, match='no single image of class "c"'):
        groups_of_class(without, "c")
    mixed = replace(reading.info, source=replace(reading.info.source, sizes=[1] * 19 + [2]))
    assert not groups_are_images(mixed)
