"""After a screen in which no gene is perturbed twice, genes keep what was measured of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from core.model.start.seen_genes_case import (
    START,
    changes,
    fitted,
    of_genes,
    read_wide,
    start_data,
    unseen_of,
    wide_parts,
)
from safetensors.torch import load_file, save_file

from dygenept.model.estimator import DyGenePTModel
from dygenept.model.start.closed_form import refit_readout, start_in_closed_form
from dygenept.model.start.features import mean_features
from dygenept.model.start.readout import PENALTIES
from dygenept.runs.predict import unknown_targets
from dygenept.testing import toy_data, toy_task
from dygenept.testing.toy import ToyShape
from dygenept.types import Condition, Task
from dygenept_plugins.baselines.linear_loo import LinearLoo, LinearLooConfig
from dygenept_plugins.networks.facets import FacetEncoder


def test_a_gene_that_was_not_perturbed_gets_the_typical_change(singles: Task) -> None:
    model, linear = fitted(singles), LinearLoo(LinearLooConfig())
    linear.fit(singles)
    unseen = unseen_of(singles)
    assert len(unseen) > 1
    # The last two were met later; nothing is known of the last one.
    asked = [of_genes(singles, gene) for gene in (*unseen, "CEBPA", "NOVEL")]
    asked.append(of_genes(singles, unseen[0], "NOVEL"))
    found = changes(model, singles, asked)
    assert np.abs(found).max() > 0.1
    np.testing.assert_array_equal(found, np.broadcast_to(found[0], found.shape))
    np.testing.assert_allclose(found, changes(linear, singles, asked), atol=1e-5)
    spread = model.spread(asked[:1])
    assert spread is not None
    np.testing.assert_allclose(spread, linear.spread(asked[:1]), rtol=1e-5)


def test_a_gene_that_was_perturbed_keeps_its_change_as_in_linear_loo(singles: Task) -> None:
    model, linear = fitted(singles), LinearLoo(LinearLooConfig())
    linear.fit(singles)
    least = min(PENALTIES)
    assert model.chosen["penalty"] == linear.chosen["penalty"] == least
    seen = [of_genes(singles, *of.genes) for of in singles.known]
    found, expected = changes(model, singles, seen), changes(linear, singles, seen)
    # Both are typical + v / (v + penalty) of what is left along the eigenvectors of a kernel
    # relative to its size: v is 1 throughout for one-hot codes, and near 1 for those here.
    data = start_data(model, singles)
    network, cells = model.networks[0], np.arange(len(data.controls.cell_type_codes))
    shared = network.decoder.shared_features(data.encode_cells(network, cells)).mean(dim=0).detach()
    direction = shared.double().numpy() / float(shared.double().norm())
    features = mean_features(network, data, cells)
    features = features - np.outer(features @ direction, direction)
    values = np.linalg.eigvalsh(features @ features.T / np.square(features).sum(axis=1).mean())
    apart = np.abs(values / (values + least) - 1 / (1 + least)).max()
    assert apart < 0.01
    typical = changes(linear, singles, [of_genes(singles, unseen_of(singles)[0])])
    left = (1 + least) * np.linalg.norm(expected - typical)
    assert 1e-6 < np.linalg.norm(found - expected) < apart * left + 1e-5


def test_genes_of_several_cell_types_are_predicted_as_in_linear_loo(singles: Task) -> None:
    task, _ = toy_task(toy_data(ToyShape(n_singles=11, n_doubles=0, n_cell_types=2)))
    model, linear = fitted(task), LinearLoo(LinearLooConfig())
    linear.fit(task)
    for name in ("typical_by_type", "readout_by_type", "penalty"):
        assert model.chosen[name] == pytest.approx(linear.chosen[name])
    unseen = [Condition(of_genes(task, "CEBPA").perturbation, name) for name in task.cell_types]
    for asked, near in ((unseen, 1e-5), (list(task.known), 0.05)):
        found, expected = (each.predict(asked).expression for each in (model, linear))
        types = [task.cell_types.index(of.cell_type) for of in asked]
        size = np.linalg.norm(expected - task.control_means[types])
        assert np.linalg.norm(found - expected) < near * size


def test_a_perturbation_that_changes_nothing_takes_no_other_with_it(singles: Task) -> None:
    means = singles.means.copy()
    means[3] = singles.control_means[0]
    task = replace(singles, means=means)
    model, linear, as_ever = (
        fitted(task),
        LinearLoo(LinearLooConfig()),
        LinearLoo(LinearLooConfig()),
    )
    linear.fit(task)
    as_ever.fit(singles)
    asked = [of_genes(task, unseen_of(task)[0])]
    asked += [of_genes(task, *of.genes) for of in task.known]
    found, expected = changes(model, task, asked), changes(linear, task, asked)
    np.testing.assert_allclose(found[0], expected[0], atol=1e-5)
    size = np.linalg.norm(changes(as_ever, singles, asked[:1]))
    assert np.linalg.norm(found[0]) > 0.8 * size
    # Of itself it is kept that it changes nothing.
    assert np.linalg.norm(found[4]) < 0.1 * size
    assert np.linalg.norm(found - expected) < 0.05 * np.linalg.norm(expected)


def test_combinations_that_share_no_gene_are_predicted_as_in_linear_loo(singles: Task) -> None:
    genes = [of.genes[0] for of in singles.known]
    n_train = len(singles.train)
    known = [of_genes(singles, *genes[:2]), of_genes(singles, *genes[2:5])]
    known += [of_genes(singles, gene) for gene in genes[5:]]
    rows = [0, 2, *range(5, len(genes))]
    task = replace(
        singles,
        train=tuple(known[: n_train - 3]),
        val=tuple(known[n_train - 3 :]),
        means=singles.means[rows],
        n_cells=singles.n_cells[rows],
        de_indices=singles.de_indices[rows],
    )
    model, linear = fitted(task), LinearLoo(LinearLooConfig())
    linear.fit(task)
    unseen = unseen_of(task)[0]
    asked = [*known, of_genes(task, genes[0]), of_genes(task, genes[3])]
    asked += [of_genes(task, genes[0], genes[3], genes[6]), of_genes(task, genes[1], unseen)]
    found, expected = changes(model, task, asked), changes(linear, task, asked)
    typical = changes(linear, task, [of_genes(task, unseen)])
    own = np.linalg.norm(expected - typical, axis=1)
    assert own.min() > 0.1 * np.linalg.norm(typical)
    missed = np.linalg.norm(found - expected, axis=1) / own
    assert missed[: len(known)].max() < 0.01
    # How a measured sum is shared out depends on how large and apart the genes' features are.
    assert missed.max() < 0.1


def test_changes_of_perturbed_genes_add_up(singles: Task) -> None:
    model = fitted(singles)
    first, second, third = (of.genes[0] for of in singles.known[:3])
    genes = ((first,), (second,), (third,), (first, second), (first, second, third))
    unseen = unseen_of(singles)[0]
    asked = [of_genes(singles, *of) for of in (*genes, (first, unseen), (unseen,))]
    one, two, three, pair, triple, with_unseen, typical = changes(model, singles, asked)
    assert np.linalg.norm(one - typical) > 0.3 * np.linalg.norm(typical)
    # The typical change counts once.
    np.testing.assert_allclose(pair, one + two - typical, atol=1e-5)
    np.testing.assert_allclose(triple, one + two + three - 2 * typical, atol=1e-5)
    np.testing.assert_allclose(with_unseen, one, atol=1e-5)
    swept = model.sweeping(model.state.target_genes)(asked).expression
    np.testing.assert_allclose(
        swept - singles.control_means[0], changes(model, singles, asked), atol=1e-5
    )


def test_every_member_of_an_ensemble_keeps_what_was_measured(singles: Task, tmp_path: Path) -> None:
    model, alone = fitted(singles, replace(START, n_members=2)), fitted(singles)
    assert len(model.networks) == 2
    model.save(tmp_path)
    loaded = DyGenePTModel.load(tmp_path, parts=wide_parts(), knowledge=read_wide)
    unseen = [of_genes(singles, gene) for gene in (*unseen_of(singles), "CEBPA", "NOVEL")]
    seen = [of_genes(singles, *of.genes) for of in singles.known]
    for each in (model, loaded):
        found = changes(each, singles, unseen)
        np.testing.assert_array_equal(found, np.broadcast_to(found[0], found.shape))
        expected = changes(alone, singles, seen)
        apart = np.linalg.norm(changes(each, singles, seen) - expected, axis=1)
        assert (apart < 0.01 * np.linalg.norm(expected, axis=1)).all()


def test_which_codes_are_read_is_saved_and_an_older_model_reads_all(
    singles: Task, tmp_path: Path
) -> None:
    model = fitted(singles)
    asked = [of_genes(singles, *of.genes) for of in singles.known]
    asked += [of_genes(singles, gene) for gene in (*unseen_of(singles), "CEBPA")]
    model.save(tmp_path)
    loaded = DyGenePTModel.load(tmp_path, parts=wide_parts(), knowledge=read_wide)
    # One meets CEBPA after it was loaded, the other before.
    np.testing.assert_array_equal(loaded.predict(asked).expression, model.predict(asked).expression)
    tensors = load_file(tmp_path / "model.safetensors")
    name = "member.0.gene_encoder.reads_code"
    n_fitted = len(singles.target_genes)
    assert tensors[name].shape == (n_fitted + 1,)
    save_file({k: v for k, v in tensors.items() if k != name}, tmp_path / "model.safetensors")
    older = DyGenePTModel.load(tmp_path, parts=wide_parts(), knowledge=read_wide)
    assert older.networks[0].state_dict()["gene_encoder.reads_code"].all()
    was, now = (changes(each, singles, asked) for each in (older, loaded))
    np.testing.assert_array_equal(was[: len(singles.known)], now[: len(singles.known)])
    assert np.abs(was - now)[len(singles.known) :].max(axis=1).min() > 1e-3


def test_genes_of_validation_count_where_the_readout_is_fitted_to_them(singles: Task) -> None:
    assert singles.val
    for fits in (True, False):
        model = fitted(singles, replace(START, fit_on_validation=fits))
        unseen, validation, train = changes(
            model,
            singles,
            [
                of_genes(singles, unseen_of(singles)[0]),
                *(of_genes(singles, *of.genes) for of in (singles.val[0], singles.train[0])),
            ],
        )
        assert np.array_equal(unseen, validation) is not fits
        assert not np.array_equal(unseen, train)


def test_of_an_unknown_gene_it_is_said_what_is_predicted_for_it(singles: Task) -> None:
    asked = [of_genes(singles, "NOSUCHGENE"), of_genes(singles, unseen_of(singles)[0])]
    for share, instead in (
        (1.0, "it gets the typical change, as all genes that were not perturbed"),
        (0.9, "the learned null embedding is used instead"),
    ):
        model = fitted(singles, parts=wide_parts(share))
        predicted = changes(model, singles, asked)
        assert np.array_equal(*predicted) is (share == 1.0)
        (note,) = unknown_targets(model, asked)
        assert note == f"nothing is known about NOSUCHGENE; {instead}"


def test_with_shared_genes_or_texts_all_codes_are_read(singles: Task) -> None:
    pairs = toy_task()[0]
    for task, share in ((pairs, 1.0), (singles, 0.9)):
        model = fitted(task, parts=wide_parts(share))
        assert model.networks[0].state_dict()["gene_encoder.reads_code"].all()
        unseen = [of_genes(task, gene) for gene in ("CEBPA", *unseen_of(task))]
        assert len(np.unique(changes(model, task, unseen), axis=0)) == len(unseen)
    data = start_data(model, singles)
    network = model.networks[0]
    started = start_in_closed_form(network, data, np.random.default_rng(0))
    assert started is not None
    refit_readout(network, data, np.random.default_rng(0), started)
    assert network.state_dict()["gene_encoder.reads_code"].all()


def test_an_encoder_that_reads_all_codes_leaves_nearly_the_typical_change(singles: Task) -> None:
    class ReadsAll(FacetEncoder):
        read_codes_of = None  # type: ignore[assignment]

    parts = replace(wide_parts(), gene_encoder=lambda of: ReadsAll(of, identity_share=1.0))
    model = fitted(singles, parts=parts)
    assert model.chosen["penalty"] == max(PENALTIES)
    asked = [of_genes(singles, *of.genes) for of in singles.known]
    found = changes(model, singles, asked)
    assert np.abs(found - found.mean(axis=0)).max() < 1e-3
