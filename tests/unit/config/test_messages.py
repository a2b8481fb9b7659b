"""What is said about each mistake, and where it is said to be."""

import pytest

from tests.unit.config.configs import VALID
from tui_influence.config.errors import InvalidConfigError, Problem
from tui_influence.config.loader import parse_config
from tui_influence.config.messages import section_keys

FOLDER = 'kind = "folder"\npath = "x"\n'


def problems(text: str) -> list[Problem]:
    with pytest.raises(InvalidConfigError) as caught:
        parse_config(text, "sweep.toml")
    return list(caught.value.problems)


def only(text: str) -> Problem:
    (problem,) = problems(text)
    return problem


def source(content: str) -> str:
    return VALID.replace('kind = "builtin"\n', content, 1)


def target(content: str) -> str:
    before, _, after = VALID.rpartition('kind = "builtin"\n')
    return before + content + after


VALUES = [
    ('[train]\nepochs = "eight"', 'train.epochs must be an integer, not the text "eight"', None),
    ('[train]\nepochs = "8"', 'train.epochs must be an integer, not the text "8"', "without quotes: 8"),
    ("[train]\nepochs = 1.5", "train.epochs must be an integer, not the number 1.5", None),
    ("[train]\nepochs = true", "train.epochs must be an integer, not true", None),
    ("[train]\nepochs = []", "train.epochs must be an integer, not an empty list", None),
    ("[train]\nepochs = 2020-01-01", "train.epochs must be an integer, not a date or a time", None),
    ("[train]\nepochs = 0", "train.epochs must be at least 1 (got 0)", None),
    ("[train]\nsteps = 0", "train.steps must be at least 1 (got 0)", None),
    ("[train]\nsteps = -3", "train.steps must be at least 1 (got -3)", None),
    ("[train]\nsteps = 1.5", "train.steps must be an integer, not the number 1.5", None),
    ("[train]\nlr = 0", "train.lr must be above 0 (got 0)", None),
    ("[train]\nlr = nan", "train.lr must be a finite number (got nan)", None),
    ('[train]\nlr = "fast"', 'train.lr must be a number, not the text "fast"', None),
    ("[train]\nmomentum = 1.0", "train.momentum must be below 1 (got 1.0)", None),
    ("[train]\ncrop = 65", "train.crop must be at most 64 (got 65)", None),
    ("[compute.slurm]\ngpus_per_task = -1", "compute.slurm.gpus_per_task must be at least 0 (got -1)", None),
    (
        '[compute.slurm]\ntime_limit = "0:00"',
        'compute.slurm.time_limit must be longer than 0 minutes (got "0:00")',
        None,
    ),
    (
        '[compute.slurm]\ntime_limit = "2"',
        'compute.slurm.time_limit must be longer than warn_seconds, 120 s, or no model is started (got "2")',
        None,
    ),
    (
        '[compute.slurm]\ntime_limit = "soon"',
        'compute.slurm.time_limit must be a time as Slurm writes it, such as "90" (minutes), "4:00:00" or "2-12:00:00" '
        '(got "soon")',
        None,
    ),
    ("[train]\nflip = 1", "train.flip must be true or false, not the number 1", None),
    ('[train]\nflip = "True"', 'train.flip must be true or false, not the text "True"', "without quotes: true"),
    (
        '[train]\nprecision = "fp23"',
        'train.precision must be "auto", "fp32", "bf16" or "fp16", not "fp23"',
        'did you mean "fp32"?',
    ),
    ("[train]\nprecision = 32", 'train.precision must be "auto", "fp32", "bf16" or "fp16", not the number 32', None),
    ('[model]\narch = "ResNet-9"', 'model.arch must be spelt "resnet9" (got "ResNet-9")', None),
    (
        '[compute]\ndevices = "cuda:0"',
        'compute.devices must be "auto" or a list, not the text "cuda:0"',
        'write a list in brackets: ["cuda:0"]',
    ),
    ("[compute]\ndevices = []", 'compute.devices must be "auto" or a list, not an empty list', None),
    (
        "[compute]\nworkers_per_device = 0",
        'compute.workers_per_device must be an integer of at least 1 or "auto", not the number 0',
        None,
    ),
    (
        "[compute]\nworkers_per_device = [2]",
        'compute.workers_per_device must be an integer of at least 1 or "auto", not a list',
        None,
    ),
    ("[train]\nepochs = 1_000_000_001", "train.epochs must be at most 1000000000 (got 1000000001)", None),
]


@pytest.mark.parametrize(("text", "message", "hint"), VALUES, ids=lambda part: str(part)[:30])
def test_a_wrong_value_is_named_with_what_it_must_be(text: str, message: str, hint: str | None) -> None:
    problem = only(VALID + text)
    key = text.split("\n")[1].split(" = ")[0]
    assert (problem.message, problem.hint) == (message, hint)
    assert (problem.line, problem.column) == (13, len(key) + 4)
    assert problem.source_line == text.split("\n")[1]


def test_epochs_and_steps_exclude_each_other() -> None:
    problem = only(VALID + "[train]\nepochs = 8\nlr = 0.1\nsteps = 200")
    assert problem.message == (
        "train.epochs and train.steps both say how long a model is trained; only one of them may be given"
    )
    assert problem.hint == (
        "leave out epochs to train every model for so many steps, or steps to train it for so many epochs"
    )
    assert (problem.line, problem.source_line) == (15, "steps = 200")


CROSSED = [
    (
        "[train]\ncrop = 2\nresized_crop = [0.3, 1.0]",
        "train.crop and train.resized_crop both say how images are cut; only one of them may be given",
        (14, 1),
    ),
    (
        "[train]\nresized_crop = [0.6, 0.3]",
        "train.resized_crop must begin with the smaller number (got a list)",
        (13, 16),
    ),
    (
        "[model]\nstored_side = 64",
        "model.stored_side needs model.resolution, the side of the images in transfers and tests (got 64)",
        (13, 15),
    ),
    (
        "[train]\nresolutions = [32]",
        "train.resolutions needs model.resolution, the side of the images in transfers and tests (got a list)",
        (13, 15),
    ),
    (
        "[model]\nresolution = 32\nstored_side = 16",
        "model.stored_side must be at least 32, the largest resolution (got 16)",
        (14, 15),
    ),
    (
        "[model]\nresolution = 32\n[train]\nresolutions = [16, 64]",
        "model.stored_side must be set, to 64 or more: train.resolutions goes beyond resolution",
        (15, 15),
    ),
]


@pytest.mark.parametrize(("text", "message", "position"), CROSSED, ids=lambda part: str(part)[:30])
def test_settings_of_images_that_exclude_each_other_are_named(
    text: str, message: str, position: tuple[int, int]
) -> None:
    problem = only(VALID + text)
    assert problem.message == message
    assert (problem.line, problem.column) == position


def test_a_target_is_cut_in_one_way_too() -> None:
    problem = only(VALID.replace("[design]", "crop = 1\nresized_crop = [0.3, 1.0]\n[design]"))
    assert problem.message.startswith("target.crop and target.resized_crop both say how images are cut")


def test_that_both_are_given_is_reported_beside_other_mistakes() -> None:
    messages = [problem.message for problem in problems(VALID + "[train]\nepochs = 0\nsteps = 200\nlr = 0")]
    assert len(messages) == 3
    assert "train.epochs must be at least 1 (got 0)" in messages
    assert "train.lr must be above 0 (got 0)" in messages


@pytest.mark.parametrize("value", ["0x" + "f" * 9000, "1e999", "1" * 4000])
@pytest.mark.parametrize(
    "key", [key for key, field in section_keys("train").items() if field.annotation in (int, float)]
)
def test_no_number_is_too_large_to_be_explained(key: str, value: str) -> None:
    problem = only(VALID + f"[train]\n{key} = {value}")
    assert problem.key == f"train.{key}"
    assert len(problem.message) < 120


def test_the_items_of_a_list_have_their_own_places() -> None:
    gpu, number = problems(VALID + '[compute]\ndevices = ["cpu", "gpu:0",\n  3]')
    assert gpu.message.startswith('an item of compute.devices must be "cpu", "cuda", "mps", or a numbered device')
    assert (gpu.line, gpu.column, number.line, number.column) == (13, 19, 14, 3)
    assert number.message == "an item of compute.devices must be text, not the number 3"


@pytest.mark.parametrize("alpha", ["0", "1", "1.0", "-0.5"])
def test_alpha_is_inside_its_range(alpha: str) -> None:
    problem = only(VALID + f"alpha = {alpha}")
    assert problem.message in (
        f"design.alpha must be below 1 (got {alpha})",
        f"design.alpha must be above 0 (got {alpha})",
    )
    assert (problem.line, problem.column) == (12, 9)


def test_a_balanced_design_keeps_half_even_if_other_things_are_wrong() -> None:
    alpha, epochs = problems(VALID + 'kind = "balanced"\nalpha = 0.3\n[train]\nepochs = 0')
    assert alpha.message == "design.alpha must be 0.5: a balanced design keeps half of the groups (got 0.3)"
    assert (alpha.line, alpha.column) == (13, 9)
    assert epochs.key == "train.epochs"


def test_repeats_are_among_the_held_out_models_even_if_other_things_are_wrong() -> None:
    repeats, epochs = problems(VALID + "heldout = 3\nheldout_repeats = 4\n[train]\nepochs = 0")
    assert repeats.message == "design.heldout_repeats must be at most heldout, 3 (got 4)"
    assert (repeats.line, repeats.column) == (13, 19)
    assert epochs.key == "train.epochs"


@pytest.mark.parametrize(("heldout", "repeats"), [(0, 9), (1, 2), (2, 2), (20, 3)])
def test_repeats_that_there_is_room_for_are_taken(heldout: int, repeats: int) -> None:
    design = parse_config(f"{VALID}heldout = {heldout}\nheldout_repeats = {repeats}", "a.toml").design
    assert design.heldout_masks == -(-heldout // repeats)


def test_repeats_of_the_wrong_type_are_reported_once() -> None:
    (problem,) = problems(VALID + 'heldout = 3\nheldout_repeats = "4"')
    assert problem.message == 'design.heldout_repeats must be an integer, not the text "4"'


def test_clusters_of_classes_need_prior_networks() -> None:
    clusters, epochs = problems(VALID + "prior = 0\nclusters = 25\n[train]\nepochs = 0")
    assert clusters.message.startswith("design.clusters needs prior networks")
    assert clusters.hint == "set prior to 1 or more (8 by default), or clusters to 0"
    assert (clusters.line, clusters.column) == (13, 12)
    assert epochs.key == "train.epochs"


@pytest.mark.parametrize("groups", ["example", "parts.csv"])
def test_clusters_are_of_classes_alone(groups: str) -> None:
    problem = only(VALID.replace("[[target]]", f'groups = "{groups}"\n\n[[target]]') + "clusters = 25")
    assert problem.message == f'design.clusters are clusters of classes, and source.groups is "{groups}"'
    assert problem.hint == 'set groups to "class", or clusters to 0'


@pytest.mark.parametrize("count", [1, 3])
def test_fewer_than_four_clusters_are_none_at_all(count: int) -> None:
    problem = only(VALID + f"clusters = {count}")
    assert problem.message == f"design.clusters must be at least 4, or 0 for none (got {count})"


def test_groups_that_are_clusters_are_a_setting_of_the_design() -> None:
    problem = only(VALID.replace("[[target]]", 'groups = "clusters"\n\n[[target]]'))
    assert 'leave groups = "class" and set [design] clusters' in problem.message


NAMES = [
    ("[train]\nepoch = 1", 'unknown key "epoch" in [train]', "did you mean epochs?"),
    ("[train]\nbatchsize = 2", 'unknown key "batchsize" in [train]', "did you mean batch_size?"),
    ("epochs = 1", 'unknown key "epochs" in [design]', "epochs belongs in [train]"),
    ('[train]\nname = "x"', 'unknown key "name" in [train]', "name belongs in [run], [source] or [[target]]"),
    (
        "[compute]\nnonsense = 1",
        'unknown key "nonsense" in [compute]',
        "[compute] has devices, workers_per_device, threads, images, attempts, model_deadline, executor, "
        "block_minutes, slurm, ray",
    ),
    ('[compute]\npartition = "x"', 'unknown key "partition" in [compute]', "partition belongs in [compute.slurm]"),
    ('[compute.slurm]\npartiton = "x"', 'unknown key "partiton" in [compute.slurm]', "did you mean partition?"),
    ('[slurm]\nmem = "4G"', "unknown section [slurm]", "write [compute.slurm]"),
    ("[train]\nslurm = { name = 1 }", 'unknown key "slurm" in [train]', "slurm belongs in [compute]"),
    ("[train]\nepoch = { name = 1 }", 'unknown key "epoch" in [train]', "did you mean epochs?"),
    ("[trian]\nepochs = 1", "unknown section [trian]", "did you mean [train]?"),
    (
        "[zzz]\nepochs = 1",
        "unknown section [zzz]",
        "the sections are [run], [source], [[target]], [design], [model], [train], [compute]",
    ),
    ("[epochs]\nx = 1", "unknown section [epochs]", "epochs is a key of [train]"),
    (
        '"\\u001b[31m" = 1',
        'unknown key "\\x1b[31m" in [design]',
        "[design] has models, kind, alpha, heldout, heldout_repeats, prior, clusters, until, max_models",
    ),
]


@pytest.mark.parametrize(("text", "message", "hint"), NAMES, ids=lambda part: str(part)[:30])
def test_an_unknown_name_is_named_with_what_was_probably_meant(text: str, message: str, hint: str) -> None:
    problem = only(VALID + text)
    assert problem.message == message
    assert problem.hint is not None
    assert sorted(problem.hint.replace(",", "").split()) == sorted(hint.replace(",", "").replace("kind ", "").split())


GROWTH = [
    ("until = 0.9", "design.until needs max_models, the most models to train for it (got 0.9)"),
    (
        "until = 0.9\nmax_models = 4",
        "design.max_models must be more than models, 4, the least number (got 4)",
    ),
    (
        "until = 0.9\nmax_models = 3",
        "design.max_models must be more than models, 4, the least number (got 3)",
    ),
    ("max_models = 8", "design.max_models must be left out without until, which it limits (got 8)"),
    ("until = 1\nmax_models = 8", "design.until must be below 1 (got 1)"),
    ("until = 1.5\nmax_models = 8", "design.until must be below 1 (got 1.5)"),
    ("until = 0\nmax_models = 8", "design.until must be above 0 (got 0)"),
    ("until = -0.1\nmax_models = 8", "design.until must be above 0 (got -0.1)"),
    ("until = nan\nmax_models = 8", "design.until must be a finite number (got nan)"),
    ('until = "0.9"\nmax_models = 8', 'design.until must be a number, not the text "0.9"'),
    ("until = 0.9\nmax_models = 0", "design.max_models must be at least 1 (got 0)"),
    ("until = 0.9\nmax_models = 8.0", "design.max_models must be an integer, not the number 8.0"),
]


@pytest.mark.parametrize(("text", "message"), GROWTH, ids=lambda part: part[:30])
def test_a_goal_needs_a_limit_that_it_can_grow_to(text: str, message: str) -> None:
    problem = only(VALID + text)
    assert problem.message == message
    assert problem.line is not None


def test_single_images_have_no_goal() -> None:
    problem = only(
        VALID.replace("[design]", "[design]\nuntil = 0.9\nmax_models = 8").replace(
            "[source]", '[source]\ngroups = "example"'
        )
    )
    assert problem.message.startswith("design.until must be left out where single images are the groups")


def test_a_goal_is_accepted_with_a_limit() -> None:
    design = parse_config(VALID + "until = 0.9\nmax_models = 8", "a.toml").design
    assert (design.until, design.max_models) == (0.9, 8)


def test_a_key_above_the_first_section_belongs_in_one() -> None:
    problem = only("epochs = 3\n" + VALID)
    assert (problem.message, problem.hint) == (
        'unknown key "epochs" outside of any section',
        "epochs belongs in [train]",
    )
    assert (problem.line, problem.column) == (1, 1)


def test_a_misspelt_section_is_checked_as_the_one_that_was_meant() -> None:
    section, key = problems(VALID.replace("[design]", "[desing]").replace("models = 4", "models = 0"))
    assert section.hint == "did you mean [design]?"
    assert (key.message, key.line) == ("design.models must be at least 1 (got 0)", 11)


def test_a_misspelt_key_that_is_needed_is_not_called_missing_too() -> None:
    assert only(VALID.replace("models", "modles")).hint == "did you mean models?"


def test_a_key_that_is_needed_is_not_called_missing_when_it_stands_elsewhere() -> None:
    text = VALID.replace("models = 4\n", "heldout = 4\n[model]\nmodels = 4\n")
    assert only(text).hint == "models belongs in [design]"


def test_the_kind_decides_which_keys_there_are() -> None:
    problem = only(source(FOLDER + 'root = "x"\n'))
    assert problem.message == 'unknown key "root" in [source] of kind "folder"'
    assert problem.hint is not None
    assert problem.hint.startswith('root is for kind "torchvision"; kind "folder" has ')
    assert "path" in problem.hint


def test_a_missing_key_is_shown_at_the_header_with_an_example() -> None:
    problem = only(source('kind = "folder"\n'))
    assert problem.message == "path is missing in [source]"
    assert problem.hint == 'for example: path = "data/source/train" (kind "folder" needs it)'
    assert (problem.line, problem.column, problem.source_line) == (4, 2, "[source]")


def test_a_missing_kind_is_asked_for() -> None:
    problem = only(target(""))
    assert problem.message == "kind is missing in [[target]]; it decides which other keys there are"
    assert problem.line == 7
    kinds = '"builtin", "folder", "npz", "torchvision", "huggingface" or "webdataset"'
    assert problem.hint == f'for example: kind = "folder" (it may be {kinds})'


@pytest.mark.parametrize(
    ("kind", "said", "hint"),
    [
        ('"foldr"', '"foldr"', 'did you mean "folder"?'),
        ('"imagenet"', '"imagenet"', "the kind decides which other keys there are"),
        ("3", "the number 3", None),
        ("[]", "an empty list", None),
    ],
)
def test_an_unknown_kind_is_answered_with_the_known_ones(kind: str, said: str, hint: str | None) -> None:
    problem = only(source(f'kind = {kind}\npath = "x"\n'))
    assert (
        problem.message
        == f'source.kind must be "builtin", "folder", "npz", "torchvision", "huggingface" or "webdataset", not {said}'
    )
    assert (problem.line, problem.column, problem.hint) == (5, 8, hint)


def test_below_an_unknown_kind_what_every_kind_has_is_checked_nevertheless() -> None:
    kind, transfer, key = problems(target('kind = "what"\ntransfer = "x"\nnonsense = 1\ndataset = 3\n'))
    assert kind.key == "target[1].kind"
    assert (transfer.key, key.key) == ("target[1].transfer", "target[1].nonsense")


def test_single_brackets_around_target_are_explained_and_what_is_inside_is_checked() -> None:
    shape, transfer = problems(VALID.replace("[[target]]", "[target]").replace("[design]", "transfer = 1\n[design]"))
    assert shape.message == "a target is written [[target]], with two brackets, as there may be several"
    assert (shape.line, shape.column) == (7, 2)
    assert transfer.message == 'target.transfer must be "fixed-feature" or "full-network", not the number 1'
    assert (transfer.line, transfer.column) == (10, 12)


def test_double_brackets_around_another_section_are_explained() -> None:
    shape, epochs = problems(VALID + "[[train]]\nepochs = 0")
    assert shape.message == "a config has one train, which is written [train]"
    assert (epochs.line, epochs.column) == (13, 10)


@pytest.mark.parametrize("value", ["3", '"x"', "[]", "[1]", "true"])
def test_a_section_that_is_no_section_is_refused(value: str) -> None:
    problem = only(f"train = {value}\n" + VALID)
    assert problem.message.startswith("train must be a section, not ")
    assert problem.line == 1


@pytest.mark.parametrize("value", ["[]", "3"])
def test_targets_that_are_none_are_refused(value: str) -> None:
    problem = only(f"target = {value}\n" + VALID.replace('[[target]]\nkind = "builtin"\n', ""))
    assert problem.line == 1


def test_the_second_of_two_targets_of_one_name_is_the_wrong_one() -> None:
    folder = '[[target]]\nname = "{}"\nkind = "folder"\ntrain = "a"\ntest = "b"\n'
    problem = only(VALID + folder.format("x") + "# again\n" + folder.format("X"))
    assert problem.message == (
        'target.name must differ from the names of the other targets, and "X" is another\'s (that of line 12)'
    )
    assert (problem.line, problem.column) == (19, 8)


def test_two_builtin_targets_have_one_name_without_saying_so() -> None:
    assert only(VALID + '[[target]]\nkind = "builtin"\n').line == 12


def test_an_empty_file_lacks_the_sections_that_are_needed() -> None:
    assert [problem.message for problem in problems("")] == [
        "section [run] is missing",
        "section [source] is missing",
        "at least one [[target]] is needed",
        "section [design] is missing",
    ]


SIX = """\
[run]
name = "has a blank"

[source]
kind = "folder"

[[target]]
kind = "builtin"
transfer = "full network"

[train]
epochs = "eight"
epoch = 3

[design]
models = 4
alpha = 1.0
"""


def test_six_mistakes_are_six_problems_in_the_order_of_the_file() -> None:
    found = problems(SIX)
    assert [(problem.line, problem.key) for problem in found] == [
        (2, "run.name"),
        (4, "source.path"),
        (9, "target[1].transfer"),
        (12, "train.epochs"),
        (13, "train.epoch"),
        (17, "design.alpha"),
    ]


def test_an_item_of_a_list_is_pointed_at() -> None:
    problem = only(VALID + '[compute.slurm]\nsbatch = ["--qos=low", "qos"]')
    assert problem.message == (
        'an item of compute.slurm.sbatch must be an option of sbatch such as "--qos=low" (got "qos")'
    )
    assert (problem.line, problem.column) == (13, 24)


def test_options_that_are_given_by_us_are_refused_however_they_are_written() -> None:
    for option in ("--job=mine", "-J mine", "--array=1-3", "-W", "--wait"):
        problem = only(VALID + f'[compute.slurm]\nsbatch = ["{option}"]')
        assert "jobs are named, cut into arrays, sent to files and not waited for by us" in problem.message
    fine = '["--wait-all-nodes=1", "--constraint=a100", "-C a100", "--no-requeue"]'
    parse_config(VALID + f"[compute.slurm]\nsbatch = {fine}", "sweep.toml")
