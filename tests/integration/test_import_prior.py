"""`tinfl import --clusters` and `--prior`: an imported run answers like a sweep with the same seeds and networks."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.integration.array_files import save
from tests.integration.command_line import refused, run
from tests.integration.test_docs import ROOT, code_blocks
from tests.unit.influence.simulated_sweeps import simulate
from tests.unit.store.npy_contents import claiming
from tui_influence.analysis.snapshot import read_snapshot
from tui_influence.influence.difference import difference
from tui_influence.influence.informed import informed
from tui_influence.influence.outputs import OutputMatrix, mean_outputs_by_label
from tui_influence.influence.prior import class_prior, covariates
from tui_influence.roles import Role
from tui_influence.store.paths import Paths
from tui_influence.store.records import read_record
from tui_influence.store.run_info import read_run_info
from tui_influence.training.prior import map_to_source

MODELS, GROUPS, CLASSES, EXAMPLES, NETWORKS = 24, 20, 5, 60, 3
RNG = np.random.default_rng(0)
EFFECTS = RNG.normal(size=(GROUPS, CLASSES))
LABELS = np.arange(EXAMPLES) % CLASSES
SWEEP = simulate(
    "balanced", MODELS, GROUPS, EXAMPLES, seed=0, noise=1, shared=0.8,
    effects=EFFECTS[:, LABELS] + 0.3 * RNG.normal(size=(GROUPS, EXAMPLES)),
)  # fmt: skip
HINTS = EFFECTS + 0.3 * RNG.normal(size=(NETWORKS, GROUPS, CLASSES))
MAPPING = np.exp(HINTS) / np.exp(HINTS).sum(axis=1, keepdims=True)


@pytest.fixture
def given(tmp_path):
    return (
        "--masks", save(tmp_path, "masks", SWEEP.masks),
        "--outputs", save(tmp_path, "outputs", SWEEP.outputs),
        "--labels", save(tmp_path, "labels", LABELS),
    )  # fmt: skip


@pytest.fixture
def clusters(tmp_path):
    return ("--clusters", save(tmp_path, "clusters", SWEEP.clusters))


@pytest.fixture
def prior(tmp_path):
    np.savez(tmp_path / "prior.npz", mapping=MAPPING, ablation=HINTS)
    return ("--prior", tmp_path / "prior.npz")


def ranked(root, *options):
    return json.loads(run("rank", root, "--json", *options).out)


def snapshot_of(root):
    return read_snapshot(Paths(root), read_run_info(root))


def by_group(document, key):
    values = {row["group"]: row[key] for row in document["rows"]}
    return np.array([values[f"group {k:02d}"] for k in range(GROUPS)])


def test_models_of_a_cluster_are_compared_as_those_of_a_seed(given, clusters, tmp_path):
    outputs = SWEEP.outputs + 5 * np.random.default_rng(1).normal(size=MODELS // 2)[SWEEP.clusters, None]
    options = (*given, "--outputs", save(tmp_path, "seeds", outputs))
    assert run("import", *options, *clusters, tmp_path / "out").code == 0
    assert run("import", *options, tmp_path / "independent").code == 0
    expected = difference(SWEEP.masks, outputs.mean(axis=1), SWEEP.clusters)
    document = ranked(tmp_path / "out", "--split", "all", "--estimator", "difference")
    np.testing.assert_allclose(by_group(document, "influence"), expected.influence[:, 0], atol=2e-3)
    np.testing.assert_allclose(by_group(document, "se"), expected.se[:, 0], rtol=1e-2)
    independent = ranked(tmp_path / "independent", "--split", "all", "--estimator", "difference")
    assert by_group(document, "se").mean() < 0.5 * by_group(independent, "se").mean()


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64, ">i8"])
def test_clusters_are_stored_with_each_model_and_change_the_identity(given, tmp_path, dtype):
    values = (100 - SWEEP.clusters).astype(dtype)
    option = ("--clusters", save(tmp_path, "clusters", values))
    assert run("import", *given, *option, "--heldout", 4, tmp_path / "out").code == 0
    snapshot = snapshot_of(tmp_path / "out")
    assert snapshot.outputs.clusters.tolist() == values[:-4].tolist()
    assert snapshot.heldout.clusters.tolist() == values[-4:].tolist()
    assert read_record(snapshot.paths, Role.ESTIMATE, 3, 0).seed == values[3]
    assert run("import", *given, "--heldout", 4, tmp_path / "without").code == 0
    assert read_run_info(tmp_path / "without").identity != snapshot.info.identity


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (SWEEP.clusters[:-1], "clusters of 23 models, but masks of 24"),
        (SWEEP.clusters[:, None], "(24, 1) int64; clusters must be (m,) integers"),
        (np.array(3), "() int64; clusters must be (m,) integers"),
        (SWEEP.clusters.astype(float), "float64; clusters must be (m,) integers"),
        (np.full(MODELS, np.nan), "float64; clusters must be (m,) integers"),
        (SWEEP.clusters > 3, "bool; clusters must be (m,) integers"),
        (SWEEP.clusters.astype(str), "not a .npy file of plain numbers"),
        (SWEEP.clusters.astype(object), "not a .npy file of plain numbers"),
        (SWEEP.clusters - 1, "-1 at [0]; clusters must be 0 to 9223372036854775807"),
        (np.arange(MODELS, dtype=np.uint64) + np.uint64(2**63 - 3), "9223372036854775808 at [3]"),
        (np.zeros(MODELS, int), "all models have the same cluster"),
        (np.arange(MODELS) // 20, "all models have the same cluster"),
    ],
)
def test_clusters_that_do_not_fit_are_refused(given, tmp_path, array, reason):
    path = save(tmp_path, "clusters", array)
    message = refused(
        "import", *given, "--heldout", 4, "--clusters", path, tmp_path / "made/out", code=2, reason=reason
    )
    assert str(path) in message
    assert len(message.splitlines()) == 1
    assert not (tmp_path / "made").exists()


def test_clusters_that_say_nothing_or_too_much_are_noticed(given, tmp_path):
    own = run("import", *given, "--clusters", save(tmp_path, "own", np.arange(MODELS)), tmp_path / "own")
    assert "warning: no two models have the same cluster: --clusters changes nothing" in own.err
    assert snapshot_of(tmp_path / "own").clusters is None
    masks = np.concatenate([SWEEP.masks[:12]] * 2)
    repeated = run(
        "import", *given, "--masks", save(tmp_path, "masks", masks),
        "--clusters", save(tmp_path, "same", np.arange(MODELS) % 12), tmp_path / "same",
    )  # fmt: skip
    assert "warning: 20 groups the same in all models of each cluster, so that only `difference`" in repeated.err
    assert repeated.code == 0
    assert np.isfinite(by_group(ranked(tmp_path / "same", "--estimator", "difference"), "influence")).all()


def test_an_import_with_a_prior_is_ranked_by_it(given, clusters, prior, tmp_path):
    said = run("import", *given, *clusters, *prior, tmp_path / "out")
    assert said.code == 0
    assert "warning" not in said.err
    assert "24 models, 3 prior networks, 20 groups" in said.err
    document = ranked(tmp_path / "out", "--split", "all")
    assert (document["estimator"], document["n_prior"], document["n_models"]) == ("informed", NETWORKS, MODELS)
    snapshot = snapshot_of(tmp_path / "out")
    assert snapshot.info.prior == len(snapshot.prior) == NETWORKS
    np.testing.assert_allclose(snapshot.prior.mapping, MAPPING, rtol=1e-6)
    np.testing.assert_allclose(snapshot.prior.ablation, HINTS, rtol=1e-6)
    by_class = mean_outputs_by_label(OutputMatrix(SWEEP.outputs), np.arange(EXAMPLES), LABELS, CLASSES)
    expected = informed(
        SWEEP.masks, SWEEP.outputs.mean(axis=1), SWEEP.clusters,
        prior=class_prior(MAPPING, HINTS, by_class).of_mean(LABELS),
    )  # fmt: skip
    np.testing.assert_allclose(by_group(document, "influence"), expected.influence[:, 0], atol=2e-3)
    np.testing.assert_allclose(by_group(document, "se"), expected.se[:, 0], rtol=2e-2)


@pytest.mark.parametrize(
    "command",
    [
        ("status",), ("verify",), ("logs",), ("rank",), ("rank", "--class", "class 2"), ("rank", "--example", "4"),
        ("rank", "--estimator", "difference"), ("rank", "--compare-class", "class 2"), ("show", "--example", "3"),
        ("show", "--source", "group 01"), ("failures",), ("subpops",), ("subpops", "--estimator", "informed"),
    ],
)  # fmt: skip
def test_what_reads_a_sweep_with_a_prior_reads_such_an_import(given, clusters, prior, tmp_path, command):
    assert run("import", *given, *clusters, *prior, tmp_path / "out").code == 0
    said = run(command[0], tmp_path / "out", *command[1:])
    assert said.code == 0, said
    assert said.out
    assert "warning" not in said.err


def test_status_and_verify_count_the_prior_networks(given, prior, tmp_path):
    assert run("import", *given, *prior, tmp_path / "out").code == 0
    status = json.loads(run("status", tmp_path / "out", "--json").out)
    assert status["done"] == {"estimate": MODELS, "heldout": 0, "prior": NETWORKS}
    assert f"{MODELS + NETWORKS} records" in run("verify", tmp_path / "out").out
    path = Paths(tmp_path / "out").record(Role.PRIOR, 1, 0)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert str(path.name) in run("verify", tmp_path / "out").out
    answer = run("rank", tmp_path / "out", "--json")
    assert json.loads(answer.out)["n_prior"] == NETWORKS - 1
    assert "damaged" in answer.err


def test_a_mapping_alone_gives_the_slopes_of_two_covariates(given, clusters, tmp_path):
    np.savez(tmp_path / "prior.npz", mapping=MAPPING)
    assert run("import", *given, *clusters, "--prior", tmp_path / "prior.npz", tmp_path / "out").code == 0
    document = ranked(tmp_path / "out", "--split", "all")
    by_class = mean_outputs_by_label(OutputMatrix(SWEEP.outputs), np.arange(EXAMPLES), LABELS, CLASSES)
    prior = class_prior(MAPPING, np.zeros_like(MAPPING), by_class).of_mean(LABELS)
    two = replace(prior, covariates=covariates(MAPPING, MAPPING)[:, :, :2])
    expected = informed(SWEEP.masks, SWEEP.outputs.mean(axis=1), SWEEP.clusters, prior=two)
    np.testing.assert_allclose(by_group(document, "influence"), expected.influence[:, 0], atol=2e-3)
    np.testing.assert_allclose(by_group(document, "se"), expected.se[:, 0], rtol=2e-2)
    assert document["prior_share"] > 0.5


def test_one_network_and_one_class_are_enough(given, tmp_path):
    np.savez(tmp_path / "prior.npz", mapping=MAPPING[0].mean(axis=1, keepdims=True))
    assert run("import", *given[:4], "--prior", tmp_path / "prior.npz", tmp_path / "out").code == 0
    document = ranked(tmp_path / "out")
    assert (document["estimator"], document["n_prior"]) == ("informed", 1)
    assert np.isfinite(by_group(document, "influence")).all()
    assert document["prior_share"] > 0


def test_a_class_without_examples_needs_no_prior(given, tmp_path):
    mapping = np.concatenate([MAPPING, np.full((NETWORKS, GROUPS, 1), np.nan)], axis=2)
    np.savez(tmp_path / "prior.npz", mapping=mapping)
    (tmp_path / "classes.txt").write_text("".join(f"{name}\n" for name in "abcdef"))
    options = (*given, "--classes", tmp_path / "classes.txt", "--prior", tmp_path / "prior.npz")
    assert run("import", *options, tmp_path / "out").code == 0
    assert np.isfinite(by_group(ranked(tmp_path / "out"), "influence")).all()


def test_the_guide_computes_the_mapping_of_a_sweep(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    logits = 1000 + 3 * np.random.default_rng(2).normal(size=(EXAMPLES, GROUPS))
    (code,) = code_blocks(ROOT / "docs/guide.md", "python")
    exec(code, {"logits": logits, "labels": LABELS})
    mapping = map_to_source(torch.from_numpy(logits), torch.from_numpy(LABELS), CLASSES)
    np.testing.assert_allclose(np.load("prior.npz")["mapping"], mapping.numpy(), rtol=1e-9)
    said = run("import", *given, "--prior", "prior.npz", "out")
    assert said.code == 0
    assert "warning" not in said.err


def test_logits_in_place_of_a_mapping_are_noticed(given, tmp_path):
    np.savez(tmp_path / "prior.npz", mapping=HINTS)
    said = run("import", *given, "--prior", tmp_path / "prior.npz", tmp_path / "out")
    assert "warning: the mapping is negative, or adds up to more than 1 over the groups" in said.err


def test_a_prior_that_does_not_fit_leaves_nothing_behind(given, tmp_path):
    np.savez(tmp_path / "prior.npz", mapping=MAPPING[:, :, :2])
    options = (*given, "--prior", tmp_path / "prior.npz")
    message = refused("import", *options, tmp_path / "made/out", code=2, reason="(networks, 20, 5) for the groups")
    assert len(message.splitlines()) == 1
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("option", ["--clusters", "--prior"])
def test_a_path_that_is_no_file_is_refused_in_one_line(given, tmp_path, option):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "text").write_text("0 1 2")
    (tmp_path / "claim").write_bytes(claiming((10**12,), "<i8"))
    for path, reason in (
        (tmp_path / "pipe", "not a regular file"),
        (tmp_path, "is a directory"),
        (tmp_path / "none", "no such file"),
        (tmp_path / "text", "file of plain numbers"),
        (tmp_path / "claim", "file of plain numbers"),
    ):
        message = refused("import", *given, option, path, tmp_path / "out", code=2, reason=reason)
        assert len(message.splitlines()) == 1
