"""After a screen in which no gene is perturbed twice, genes keep what was measured of them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from entmax import sparsemax
from safetensors.torch import load_file, save_file

from dygenept.model import fitting, judged_steps
from dygenept.model.conditions import condition_set
from dygenept.model.control_pool import control_cells
from dygenept.model.estimator import DyGenePTModel
from dygenept.model.network import DyGenePT, Parts
from dygenept.model.start import facet_tuning
from dygenept.model.start.closed_form import refit_readout, start_in_closed_form
from dygenept.model.start.features import StartData, mean_features
from dygenept.model.start.readout import PENALTIES
from dygenept.model.training.loop import Trainer
from dygenept.model.training.options import TrainingOptions
from dygenept.runs.predict import unknown_targets
from dygenept.testing import toy_data, toy_knowledge, toy_task
from dygenept.testing.toy import ToyShape
from dygenept.types import Condition, DoubleArray, GeneKnowledge, Perturbation, Runtime, Task
from dygenept_plugins.baselines.linear_loo import LinearLoo, LinearLooConfig
from dygenept_plugins.networks.attention import FacetAttention
from dygenept_plugins.networks.cell_states import MlpCellState
from dygenept_plugins.networks.facets import FacetEncoder
from dygenept_plugins.networks.latent_arithmetic import LatentArithmetic

# Codes of all toy genes and their features fit in whole.
WIDTH = 64
CPU = torch.device("cpu")
START = TrainingOptions(
    target="pseudobulk",
    warm_start=True,
    fit_on_validation=True,
    patience=0,
    epochs=0,
    clamp_min_zero=False,
)


def singles_task() -> tuple[Task, tuple[Condition, ...]]:
    """Return a task of single perturbations, and those held out. All have facets."""
    return toy_task(toy_data(ToyShape(n_singles=11, n_doubles=0)))


def wide_parts(identity_share: float | None = 1.0) -> Parts:
    return Parts(
        gene_encoder=lambda context: FacetEncoder(
            context, facet_signs=True, identity_share=identity_share
        ),
        cell_encoder=lambda context: MlpCellState(
            n_genes=len(context.gene_symbols), width=context.width, hidden_dims=(8,), dropout=0.0
        ),
        attention=lambda width: FacetAttention(
            width=width, num_heads=4, normalise=partial(sparsemax, dim=-1)
        ),
        decoder=lambda context: LatentArithmetic(
            width=context.width,
            n_genes=context.n_genes,
            hidden_dims=(128,),
            dropout=0.0,
            interaction_rank=4,
        ),
    )


def read_wide(genes: tuple[str, ...], runtime: Runtime) -> GeneKnowledge:
    """Return facets of toy targets, of text width 64; nothing of other genes."""
    known = toy_knowledge(text_width=WIDTH)
    rows = np.array([known.genes.index(gene) if gene in known.genes else -1 for gene in genes])
    return replace(
        known,
        genes=tuple(genes),
        values=np.where(rows[:, None, None] >= 0, known.values[rows], 0).astype(np.float32),
        confidence=np.where(rows[:, None] >= 0, known.confidence[rows], 0).astype(np.float32),
    )


def wide_model(options: TrainingOptions = START, parts: Parts | None = None) -> DyGenePTModel:
    return DyGenePTModel(
        parts=wide_parts() if parts is None else parts,
        knowledge=read_wide,
        width=WIDTH,
        options=options,
    )


def of_genes(task: Task, *genes: str) -> Condition:
    return Condition(
        Perturbation("+".join(sorted(genes)), tuple(sorted(genes))), task.cell_types[0]
    )


def fitted(
    task: Task, options: TrainingOptions = START, parts: Parts | None = None
) -> DyGenePTModel:
    model = wide_model(options, parts)
    model.fit(task)
    return model


def changes(model: DyGenePTModel | LinearLoo, task: Task, of: list[Condition]) -> DoubleArray:
    return model.predict(of).expression - task.control_means[0]


@pytest.fixture
def singles(monkeypatch: pytest.MonkeyPatch) -> Task:
    """Return single perturbations, whose facets are not tuned."""
    monkeypatch.setattr(facet_tuning, "MIN_CONDITIONS", 10**6)
    return singles_task()[0]


def start_data(model: DyGenePTModel, task: Task) -> StartData:
    """Return the known conditions and control cells, which the network is prepared with."""
    assert task.cells is not None
    controls = control_cells(task.cells, n_cell_types=1)
    model.networks[0].prepare(controls.pool(task.gene_symbols))
    return StartData(condition_set(task, slice(None), task.target_genes), controls, CPU)


def unseen_of(task: Task) -> list[str]:
    return sorted(set(task.target_genes) - {gene for of in task.known for gene in of.genes})


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


def test_gradient_steps_leave_unperturbed_genes_alike(singles: Task) -> None:
    options = replace(
        START,
        epochs=2,
        steps_per_epoch=5,
        lr=1e-2,
        warmup_steps=1,
        batch_size=8,
        keep_steps="always",
    )
    model = fitted(singles, options)
    start = fitted(singles)
    network = model.networks[0]
    asked = [of_genes(singles, gene) for gene in unseen_of(singles)]
    found = changes(model, singles, asked)
    np.testing.assert_array_equal(found, np.broadcast_to(found[0], found.shape))
    seen = [of_genes(singles, *of.genes) for of in singles.known]
    for of in (asked, seen):
        assert np.abs(changes(model, singles, of) - changes(start, singles, of)).max() > 0.01
    places = torch.tensor([singles.target_genes.index(gene) for gene in unseen_of(singles)])
    data = start_data(model, singles)
    with torch.no_grad():
        attended = network.attend(
            places[:, None], data.encode_cells(network, np.arange(len(places)))
        )
    assert not attended.embedding.any()


def test_genes_keep_their_change_beyond_what_steps_have_made_of_their_codes(
    singles: Task,
) -> None:
    options = replace(
        START, epochs=2, steps_per_epoch=30, lr=1e-2, warmup_steps=1, keep_steps="always"
    )
    known = [of_genes(singles, *of.genes) for of in singles.known]
    measured = singles.means[: len(known)] - singles.control_means[0]
    missed = changes(fitted(singles, options), singles, known) - measured
    own = measured - measured.mean(axis=0)
    # Even after steps as long as these: 0.18 of it, and 1.9 were their part in it left out.
    assert np.square(missed).mean() < 0.5 * np.square(own).mean()


def test_what_is_kept_of_perturbed_genes_moves_no_other(
    singles: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, _ = toy_task(toy_data(ToyShape(n_singles=11, n_doubles=0, n_cell_types=2)))
    perturbation = of_genes(task, unseen_of(task)[0]).perturbation
    asked = [Condition(perturbation, name) for name in task.cell_types]
    options = replace(
        START, epochs=2, steps_per_epoch=10, lr=2e-5, warmup_steps=2, keep_steps="always"
    )
    with_kept = fitted(task, options).predict(asked).expression
    monkeypatch.setattr(fitting, "keep_measured_of", lambda *given, **named: None)
    without = fitted(task, options).predict(asked).expression
    # Steps have told cell types apart, and bent what was linear at the start.
    moved = np.linalg.norm(with_kept - without, axis=1)
    assert (moved < 1e-3 * np.linalg.norm(without - task.control_means, axis=1)).all()


def test_steps_are_taken_and_judged_without_codes(
    singles: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    scores = judged_steps._scores

    def seen(network: DyGenePT, trainer: Trainer, held: StartData, *, spares: bool) -> DoubleArray:
        read.append(int(network.state_dict()["gene_encoder.reads_code"].sum()))
        return scores(network, trainer, held, spares=spares)

    monkeypatch.setattr(judged_steps, "_scores", seen)
    options = replace(START, epochs=1, steps_per_epoch=1, keep_steps="if_better")
    model = fitted(singles, options)
    assert read == [0] * 8
    network = model.networks[0]
    assert isinstance(network.gene_encoder, FacetEncoder)
    codes = network.gene_encoder.codes_read()
    assert codes is not None
    known = {gene for of in singles.known for gene in of.genes}
    assert {singles.target_genes[place] for place in codes.tolist()} == known


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
