"""A fitted model of a table: kept in a folder, read again, asked for new genes, explained."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from dygenept.errors import ConfigError, DataError
from dygenept.knowledge.likeness import FACETS_NAME, FacetCentre, Likeness
from dygenept.model.effects.explanation import explained_starts
from dygenept.model.effects.fitted_start import FittedStart, source_shares
from dygenept.model.effects.kept_table import is_kept_table
from dygenept.model.effects.recipe import INFINITE, Recipe, combined
from dygenept.model.effects.table_model import TableModel, TableParts
from dygenept.model.network import Parts
from dygenept.model.training.options import TableOptions
from dygenept.types import (
    Condition,
    EffectControls,
    KnownEffects,
    Perturbation,
    Runtime,
    Task,
)

N_GENES = 12
N_KNOWN = 40
OPTIONS = TableOptions(
    epochs=3, lr=1e-2, width=16, batch_size=128, patience=3, weight_decay=0.0, least_steps=1
)


def code_of(gene: str) -> np.ndarray:
    rng = np.random.default_rng(sum(ord(letter) * 31**at for at, letter in enumerate(gene)))
    drawn: np.ndarray = rng.standard_normal(6).astype(np.float32)
    return drawn / np.linalg.norm(drawn)


def likeness(genes: Sequence[str], task: Task | None = None) -> Likeness:
    """One facet of perturbed genes, and a graph of groups that output genes are in as well."""
    facets = np.stack([code_of(gene) * gene.startswith("PERT") for gene in genes])
    groups = np.eye(3, dtype=np.float32)[[sum(map(ord, gene)) % 3 for gene in genes]]
    return Likeness(
        tuple(genes),
        {
            FACETS_NAME: (facets.astype(np.float32),),
            "string": (sparse.csr_matrix(groups),),
        },
        (FacetCentre("Function", np.zeros(6, dtype=np.float32)),),
    )


def more(like: Likeness, genes: Sequence[str], runtime: Runtime) -> Likeness:
    return likeness(genes)


def condition(label: str, cell_type: str = "K562") -> Condition:
    return Condition(Perturbation(label, tuple(label.split("+"))), cell_type)


@pytest.fixture
def task() -> Task:
    """A perturbation moves all genes alike; two cell types, controls of both."""
    rng = np.random.default_rng(3)
    types = ("K562", "RPE1")
    known = tuple(condition(f"PERT{n}", types[n % 2]) for n in range(N_KNOWN))
    moved = np.array([code_of(item.label)[0] for item in known])[:, None]
    seen = np.repeat(moved, N_GENES, axis=1) + 0.3 * rng.standard_normal((N_KNOWN, N_GENES))
    is_observed = rng.random(seen.shape) < 0.6
    means = np.zeros((2, N_GENES))
    cells = sparse.csr_matrix(rng.uniform(0, 2, (8, 3)).astype(np.float32))
    controls = EffectControls(cells, ("KLF1", "OUT3", "MYC"), np.repeat([0, 1], 4).astype(np.int32))
    outputs = tuple(f"OUT{n}" for n in range(N_GENES))
    return Task(
        dataset="toy",
        is_simulated=False,
        gene_ids=tuple(f"ID{n}" for n in range(N_GENES)),
        gene_symbols=outputs,
        target_genes=tuple(sorted({item.label for item in known})),
        cell_types=types,
        control_means=np.zeros((2, N_GENES)),
        train=known,
        val=(),
        means=np.where(is_observed, seen, 0.0),
        n_cells=is_observed.sum(axis=1).astype(np.int32),
        de_indices=np.full((N_KNOWN, 20), -1, dtype=np.int32),
        effects=KnownEffects("values", is_observed, None, means, controls),
    )


@pytest.fixture
def made_of(make_parts: Callable[..., Parts]) -> TableParts:
    return TableParts(make_parts(), likeness, OPTIONS, more)


def asked() -> list[Condition]:
    return [condition("PERT1+PERT2"), condition("PERT7", "RPE1"), condition("PERTNEW")]


def with_steps(model: TableModel) -> TableModel:
    """Add half of what the networks add, whether or not validation would."""
    if not model.fitted.weights:
        network = model._built(model.fitted.plan, model.fitted.start.likeness)
        network.scale.data.fill_(0.7)
        network.own.data.normal_()
        weights = {name: value.clone() for name, value in network.state_dict().items()}
        model._fitted = replace(model.fitted, weights=(weights, weights))
    model._fitted = replace(model.fitted, share=0.5)
    return model


@pytest.mark.parametrize("has_steps", [False, True])
def test_a_kept_model_predicts_the_same_to_the_last_digit(
    made_of: TableParts, task: Task, tmp_path: Path, has_steps: bool
) -> None:
    model = TableModel(made_of)
    model.fit(task)
    model._fitted = replace(model.fitted, share=0.0)
    start = model.predict(asked()).expression
    if has_steps:
        model = with_steps(model)
    expected = model.predict(asked()).expression
    assert np.array_equal(expected, start) != has_steps
    # After a gene that it had not met; the folder keeps only what it was fitted with.
    model.save(tmp_path)
    assert is_kept_table(tmp_path)
    again = TableModel.load(tmp_path, made_of, Runtime())
    assert "PERTNEW" not in again.fitted.start.likeness.genes
    np.testing.assert_array_equal(again.predict(asked()).expression, expected)
    assert again.chosen == dict(model.chosen)
    again.save(tmp_path / "again")
    for name in ("model.json", "model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_a_gene_met_later_is_read_as_it_would_have_been_before(
    made_of: TableParts, task: Task
) -> None:
    before = TableModel(made_of)
    before.fit(replace(task, target_genes=(*task.target_genes, "PERTNEW")))
    later = TableModel(made_of)
    later.fit(task)
    assert later.known_genes(("PERTNEW", "PERT1")) == ("PERTNEW", "PERT1")
    for model in (before, later):
        model._fitted = replace(model.fitted, share=0.0)
    found = [model.predict(asked()[2:]).expression for model in (before, later)]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-6)
    assert np.abs(found[0] - later.fitted.start.gene_means[0]).max() > 1e-3
    # Without a reader of new genes it is like nothing.
    alone = TableModel(replace(made_of, more=None))
    alone.fit(task)
    alone._fitted = replace(alone.fitted, share=0.0)
    np.testing.assert_array_equal(
        alone.predict(asked()[2:]).expression, task.effects.gene_means[:1]
    )


def test_attention_over_facets_sums_to_one_where_something_is_known(
    made_of: TableParts, task: Task
) -> None:
    model = TableModel(made_of)
    model.fit(task)
    model._fitted = replace(model.fitted, share=0.0)
    assert model.attention(asked())[0] == ()
    names, weights = with_steps(model).attention(asked())
    assert names == ("Function", "string")
    assert weights.shape == (3, 2, 2)
    sums = weights.sum(axis=2)
    np.testing.assert_allclose(sums, [[1, 1], [1, 0], [1, 0]], atol=1e-5)


def test_a_cell_type_that_the_table_lacks_is_refused(made_of: TableParts, task: Task) -> None:
    model = TableModel(made_of)
    model.fit(task)
    with pytest.raises(DataError, match="cell type 'HepG2' was not in the table"):
        model.predict([condition("PERT1", "HepG2")])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": "much"}, "scale"),
        ({"known": []}, "start.weights has shape"),
        ({"n_networks": 3}, "other parts or sizes"),
        ({"known": [{"perturbation": "X", "genes": [], "cell_type": "K562"}]}, "has no genes"),
        ({"recipe": {"weights": {}, "power": 1, "penalty": 1, "mixing": 0, "across": 1}}, "recipe"),
    ],
)
def test_a_damaged_folder_is_refused(
    made_of: TableParts, task: Task, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    model = TableModel(made_of)
    model.fit(task)
    model._fitted = replace(model.fitted, weights=())
    with_steps(model).save(tmp_path)
    path = tmp_path / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises((DataError, ConfigError), match=message):
        TableModel.load(tmp_path, made_of, Runtime())


def start_of(power: int, weights: dict[str, float]) -> FittedStart:
    known = tuple(condition(f"PERT{n}") for n in range(6))
    genes = [*(f"PERT{n}" for n in range(8)), "OUT0", "OUT1"]
    return FittedStart(
        known=known,
        cell_types=("K562",),
        gene_symbols=("OUT0", "OUT1"),
        gene_means=np.zeros((1, 2)),
        likeness=likeness(genes),
        recipe=Recipe(weights, power=power, penalty=INFINITE),
        weights=np.ones((6, 2), dtype=np.float32),
        scale=1.0,
    )


@pytest.mark.parametrize("power", [1, 2, 3])
def test_what_sources_add_sums_to_the_likeness_that_predictions_use(power: int) -> None:
    start = start_of(power, {FACETS_NAME: 1.0, "string": 3.0})
    conditions = [condition("PERT6"), condition("PERT2")]
    parts = start.parts_of_likeness(conditions)
    whole = combined(start.kernels(conditions), start.recipe)
    np.testing.assert_allclose(sum(parts.values()), whole, atol=1e-6)
    # With weights of ones, a prediction is the sum of the likeness.
    np.testing.assert_allclose(start.of(conditions).changes[:, 0], whole.sum(axis=1), rtol=1e-5)
    first, second = explained_starts(start, conditions)
    assert sum(first.shares.values()) == pytest.approx(1.0)
    likenesses = [of.likeness for of in first.neighbours]
    assert likenesses == sorted(likenesses, reverse=True)
    assert likenesses[0] == pytest.approx(float(whole[0].max()), rel=1e-6)
    assert sum(first.neighbours[0].sources.values()) == pytest.approx(likenesses[0])
    # A perturbation is not its own neighbour.
    assert "PERT2" not in {of.perturbation for of in second.neighbours}


def test_what_is_like_nothing_has_no_shares_and_no_neighbours() -> None:
    start = start_of(2, {FACETS_NAME: 1.0, "string": 0.0})
    (found,) = explained_starts(start, [condition("OUT1")])
    assert (found.shares, found.neighbours) == ({}, ())


def test_shares_of_sources_that_are_alike_nowhere_are_those_of_their_weights() -> None:
    kernels = {name: np.eye(3, dtype=np.float32) for name in ("identity", "string", "go")}
    recipe = Recipe({"identity": 1.0, "string": 3.0, "go": 0.0}, power=2)
    apart = ~np.eye(3, dtype=np.bool_)
    assert source_shares(kernels, recipe, apart) == {"identity": 0.25, "string": 0.75}
    shares = source_shares(kernels | {"string": np.ones((3, 3), np.float32)}, recipe, apart)
    assert shares == {"identity": 0.0, "string": 1.0}


def test_a_source_that_makes_conditions_less_alike_counts_by_its_size() -> None:
    kernels = {
        "facets": np.full((3, 3), -0.1, dtype=np.float32),
        "string": np.full((3, 3), 0.5, dtype=np.float32),
    }
    recipe = Recipe({"facets": 1.0, "string": 1.0}, power=1)
    shares = source_shares(kernels, recipe, ~np.eye(3, dtype=np.bool_))
    assert shares == pytest.approx({"facets": 1 / 6, "string": 5 / 6})
    # What one source takes away may be more than another adds, and shares stay shares.
    start = start_of(3, {FACETS_NAME: 1.0, "string": 3.0})
    parts = start.parts_of_likeness([condition("PERT6")])
    assert min(float(part.min()) for part in parts.values()) < 0
    (found,) = explained_starts(start, [condition("PERT6")])
    assert all(0.0 <= share <= 1.0 for share in found.shares.values())
    sizes = {name: float(np.abs(part).sum()) for name, part in parts.items()}
    whole = sum(sizes.values())
    assert found.shares == pytest.approx({name: size / whole for name, size in sizes.items()})
