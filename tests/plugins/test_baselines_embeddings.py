"""Linear, ridge, knn and gp against direct transcriptions of their formulas and scikit-learn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from sklearn.linear_model import Ridge as SklearnRidge

from dygenept.model.start.readout import PENALTIES
from dygenept.plugin.environment import Environment
from dygenept.plugin.interfaces import Model
from dygenept.plugin.specs import BaselineSpec
from dygenept.testing.toy import toy_task
from dygenept.types import Condition, DoubleArray, Perturbation, Task
from dygenept_plugins.baselines import gp, knn, linear, linear_loo, ridge
from dygenept_plugins.baselines._embedding_regression import Choice, Solver
from dygenept_plugins.baselines.knn import neighbor_weights

SPECS: dict[str, BaselineSpec] = {
    spec.name: spec
    for module in (linear, linear_loo, ridge, knn, gp)
    for spec in module.dygenept_baselines()
}
VALIDATED = ("ridge", "knn", "gp")
SOLVERS: dict[str, type[Solver]] = {
    "ridge": ridge.RidgeSolver,
    "knn": knn.KnnSolver,
    "gp": gp.GpSolver,
}


def fitted(name: str, task: Task, **options: object) -> Model:
    spec = SPECS[name]
    model = spec.factory(spec.config.model_validate(options))
    model.fit(task)
    return model


def features_of(conditions: tuple[Condition, ...], task: Task) -> DoubleArray:
    """One-hot sums, centred over the target genes as the baselines do."""
    codes = np.eye(len(task.target_genes))
    codes -= codes.mean(axis=0)
    rows = {gene: codes[number] for number, gene in enumerate(task.target_genes)}
    return np.array([sum(rows[gene] for gene in item.genes) for item in conditions])


def test_linear_is_the_published_formula() -> None:
    task, held_out = toy_task()
    y = task.means.T
    b = y.mean(axis=1, keepdims=True)
    centred = y - y.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    g = (u * s)[:, :10]
    row = {symbol: g[number] for number, symbol in enumerate(task.gene_symbols)}
    zero = np.zeros(10)
    p = np.array([sum((row.get(gene, zero) for gene in c.genes), zero) for c in task.known])
    i = np.eye(10)
    w = np.linalg.inv(g.T @ g + 0.1 * i) @ g.T @ (y - b) @ p @ np.linalg.inv(p.T @ p + 0.1 * i)
    p_new = np.array([sum((row.get(gene, zero) for gene in c.genes), zero) for c in held_out])
    expected = (g @ w @ p_new.T + b).T
    predicted = fitted("linear", task).predict(held_out).expression
    np.testing.assert_allclose(predicted, expected, atol=1e-9)
    assert np.abs(predicted - task.means.mean(axis=0)).max() > 0.05


def test_linear_without_a_row_for_the_target_is_the_mean_of_the_train_perturbations() -> None:
    task, _ = toy_task()
    stranger = Condition(Perturbation("NOSUCH+ctrl", ("NOSUCH",)), task.cell_types[0])
    predicted = fitted("linear", task).predict((stranger,)).expression
    np.testing.assert_allclose(predicted[0], task.means.mean(axis=0), atol=1e-12)


def test_linear_adds_up_combinations() -> None:
    task, _ = toy_task()
    model, cell_type = fitted("linear", task), task.cell_types[0]

    def change(*genes: str) -> DoubleArray:
        asked = Condition(Perturbation("+".join(genes), genes), cell_type)
        return model.predict((asked,)).expression[0] - task.means.mean(axis=0)

    np.testing.assert_allclose(change("JUN", "KLF1"), change("JUN") + change("KLF1"), atol=1e-12)


def test_ridge_is_ridge_with_an_intercept_that_is_not_penalised() -> None:
    task, held_out = toy_task()
    x, deltas = features_of(task.known, task), task.means - task.control_means[0]
    x /= np.sqrt((features_of(single(task), task) ** 2).sum(axis=1).mean())
    scale = ((x - x.mean(axis=0)) ** 2).sum() / len(x)
    direct = SklearnRidge(alpha=0.3 * scale).fit(x, deltas)
    x_new = features_of(held_out, task)
    x_new /= np.sqrt((features_of(single(task), task) ** 2).sum(axis=1).mean())
    predicted = fitted("ridge", task, alpha=0.3).predict(held_out).expression
    np.testing.assert_allclose(predicted, task.control_means[0] + direct.predict(x_new), atol=1e-9)


def single(task: Task) -> tuple[Condition, ...]:
    return tuple(
        Condition(Perturbation(f"{gene}+ctrl", (gene,)), task.cell_types[0])
        for gene in task.target_genes
    )


def test_gp_is_the_posterior_mean_of_scikit_learn() -> None:
    task, held_out = toy_task()
    norm = np.sqrt((features_of(single(task), task) ** 2).sum(axis=1).mean())
    x, x_new = features_of(task.known, task) / norm, features_of(held_out, task) / norm
    deltas = task.means - task.control_means[0]
    squared = ((x[:, None] - x[None]) ** 2).sum(axis=-1)
    apart = squared[np.triu_indices(len(x), k=1)]
    length = 0.5 * np.sqrt(np.median(apart[apart > 0]))
    direct = GaussianProcessRegressor(RBF(length), alpha=0.2, optimizer=None)
    direct.fit(x, deltas - deltas.mean(axis=0))
    expected = task.control_means[0] + deltas.mean(axis=0) + direct.predict(x_new)
    predicted = fitted("gp", task, length_scale=0.5, noise=0.2).predict(held_out).expression
    np.testing.assert_allclose(predicted, expected, atol=1e-8)


def test_one_neighbour_that_is_the_same_combination_gives_its_delta() -> None:
    task, _ = toy_task()
    predicted = fitted("knn", task, n_neighbors=1).predict(task.known).expression
    np.testing.assert_allclose(predicted, task.means, atol=1e-12)


def test_neighbours_that_tie_share_the_last_places() -> None:
    weights = neighbor_weights(np.array([[0.9, 0.5, 0.5, 0.1], [0.0, 0.0, 0.0, 0.0]]), 2)
    np.testing.assert_allclose(weights, [[0.5, 0.25, 0.25, 0.0], [0.25] * 4])
    everyone = neighbor_weights(np.array([[0.3, 0.2]]), 9)
    np.testing.assert_allclose(everyone, [[0.5, 0.5]])


@pytest.mark.parametrize("name", VALIDATED)
def test_a_gene_without_a_vector_is_the_average_gene_and_is_noted(
    name: str, tmp_path: Path
) -> None:
    task, _ = toy_task()
    rng = np.random.default_rng(0)
    known = task.target_genes[1:]
    path = tmp_path / "vectors.npz"
    np.savez(path, genes=np.array(known), embedding=rng.normal(size=(len(known), 3)) + 5.0)
    model = fitted(name, task, embedding=str(path))
    assert task.target_genes[0] in " ".join(model.notes)  # type: ignore[attr-defined]
    strangers = [Condition(Perturbation(f"{g}+ctrl", (g,)), task.cell_types[0]) for g in "XY"]
    first, second = model.predict(tuple(strangers)).expression
    np.testing.assert_array_equal(first, second)


def solved(name: str, x: DoubleArray, deltas: DoubleArray) -> Solver:
    """Return the solver of a model, fitted."""
    solver = SOLVERS[name](x)
    solver.fit(deltas)
    return solver


def left_out_by_refits(
    name: str, x: DoubleArray, deltas: DoubleArray, choice: Choice
) -> DoubleArray:
    """Refit without each row, under the penalty or length in absolute units of all rows."""
    whole = solved(name, x, deltas)
    left = []
    for row in range(len(x)):
        kept = np.arange(len(x)) != row
        solver = solved(name, x[kept], deltas[kept])
        same = dict(choice)
        if isinstance(solver, ridge.RidgeSolver) and isinstance(whole, ridge.RidgeSolver):
            same["alpha"] *= whole._scale / solver._scale
        if isinstance(solver, gp.GpSolver) and isinstance(whole, gp.GpSolver):
            same["length_scale"] *= np.sqrt(whole._median / solver._median)
        left.append(deltas[row] - solver.predict(x[[row]], same)[0])
    return np.array(left)


@pytest.mark.parametrize("name", VALIDATED)
def test_left_out_residuals_are_those_of_refits(name: str) -> None:
    rng = np.random.default_rng(0)
    x, deltas = rng.normal(size=(12, 4)), rng.normal(size=(12, 5)) + 1
    for choice in fitted(name, toy_task()[0]).choices()[::3]:  # type: ignore[attr-defined]
        expected = left_out_by_refits(name, x, deltas, choice)
        solver = solved(name, x, deltas)
        np.testing.assert_allclose(solver.left_out(choice), expected, atol=1e-9)
        # Some rows and columns by themselves, and after a fit to other deltas.
        solver.fit(deltas[:, 3:])
        part = solver.left_out(choice, rows=slice(2, 7), columns=slice(1, 2))
        np.testing.assert_allclose(part, expected[2:7, 4:5], atol=1e-9)


def test_no_number_of_neighbours_is_tried_that_takes_all_others() -> None:
    model = knn.Knn(knn.KnnConfig())
    assert max(of["n_neighbors"] for of in model.choices_among(8)) < 7
    assert [of["n_neighbors"] for of in model.choices_among(3)] == [1]
    assert model.choices_among(500) == model.choices()
    fixed = knn.Knn(knn.KnnConfig(n_neighbors=50))
    assert fixed.choices_among(8) == [{"n_neighbors": 50}]


@pytest.mark.parametrize("name", VALIDATED)
def test_hyper_parameters_are_those_with_the_smallest_left_out_error(name: str) -> None:
    task, held_out = toy_task()
    model = fitted(name, task)
    chosen = dict(model.chosen)  # type: ignore[attr-defined]
    conditions = tuple(sorted(task.known))
    norm = np.sqrt((features_of(single(task), task) ** 2).sum(axis=1).mean())
    x = features_of(conditions, task) / norm
    rows = [task.known.index(condition) for condition in conditions]
    deltas = task.means[rows] - task.control_means[0]
    errors = {
        tuple(choice.items()): np.square(left_out_by_refits(name, x, deltas, choice)).mean()
        for choice in model.choices_among(len(conditions))  # type: ignore[attr-defined]
    }
    assert errors[tuple(chosen.items())] == pytest.approx(min(errors.values()), rel=1e-9)
    assert max(errors.values()) > min(errors.values())
    refitted = fitted(name, task, **chosen).predict(held_out).expression
    np.testing.assert_allclose(model.predict(held_out).expression, refitted, atol=1e-12)
    # Train and validation count alike.
    moved = fitted(name, replace(task, train=task.known, val=()))
    assert dict(moved.chosen) == chosen  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", VALIDATED)
def test_with_two_perturbations_the_defaults_hold_and_are_noted(name: str) -> None:
    task, _ = toy_task()
    few = replace(task, train=task.known[:2], val=(), means=task.means[:2])
    model = fitted(name, few)
    assert model.chosen == model.default()  # type: ignore[attr-defined]
    assert "too few perturbations" in model.notes[0]  # type: ignore[attr-defined]


def test_linear_loo_is_its_formula_with_the_penalty_of_the_smallest_left_out_error() -> None:
    task, held_out = toy_task()
    deltas = task.means - task.control_means[0]
    genes = list(task.target_genes)
    x = np.array([[float(gene in item.genes) for gene in genes] for item in task.known])
    scale = np.square(x).sum(axis=1).mean()

    def predicted(kept: np.ndarray, row: DoubleArray, penalty: float) -> DoubleArray:
        weights = 1 / np.linalg.norm(deltas[kept], axis=1)
        typical = weights @ deltas[kept] / weights.sum()
        gram = x[kept].T @ x[kept] + penalty * scale * np.eye(len(genes))
        change: DoubleArray = typical + row @ np.linalg.solve(
            gram, x[kept].T @ (deltas[kept] - typical)
        )
        return change

    everyone = np.arange(len(x))
    errors = {
        penalty: np.mean(
            [
                np.square(predicted(everyone != row, x[row], penalty) - deltas[row])
                for row in everyone
            ]
        )
        for penalty in PENALTIES
    }
    model = fitted("linear_loo", task)
    assert model.chosen == {"penalty": min(errors, key=lambda key: errors[key])}  # type: ignore[attr-defined]
    asked = np.array([[float(gene in item.genes) for gene in genes] for item in held_out])
    expected = [predicted(everyone >= 0, row, model.chosen["penalty"]) for row in asked]  # type: ignore[attr-defined]
    np.testing.assert_allclose(
        model.predict(held_out).expression, task.control_means[0] + np.array(expected), atol=1e-9
    )


def test_linear_loo_takes_the_typical_change_of_the_cell_type_where_types_differ() -> None:
    task, _ = toy_task()
    rng = np.random.default_rng(0)
    own = rng.normal(size=(2, len(task.gene_ids)))
    conditions = tuple(
        Condition(item.perturbation, name) for name in ("A", "B") for item in task.known
    )
    means = np.concatenate([task.means + 3 * change for change in own])
    both = replace(
        task,
        cell_types=("A", "B", "C"),
        control_means=np.repeat(task.control_means, 3, axis=0),
        train=conditions,
        val=(),
        means=means,
    )
    model = fitted("linear_loo", both)
    assert model.chosen["typical_by_type"] > 0.5  # type: ignore[attr-defined]
    stranger = Perturbation("NOSUCH+ctrl", ("NOSUCH",))
    asked = tuple(Condition(stranger, name) for name in ("A", "B", "C"))
    first, second, third = model.predict(asked).expression - task.control_means[0]
    np.testing.assert_allclose(first - second, 3 * (own[0] - own[1]), atol=0.7)
    # Nothing is known of the third type but what the others have in common.
    assert np.abs(third - (first + second) / 2).max() < np.abs(first - second).max() / 4


@pytest.mark.shared_data
def test_ridge_on_identity_reaches_its_known_correlation_on_real_cells(
    norman_subset: Path, tmp_path: Path
) -> None:
    from dygenept.leaderboard.rows import leaderboard_rows
    from dygenept.runs.runner import BenchRequest, run_bench

    outcome = run_bench(
        BenchRequest(
            dataset=str(norman_subset),
            models=("ridge", "knn", "gp", "linear", "perturbed_mean"),
            metrics=("pearson_delta_top20",),
            results=tmp_path / "results",
        ),
        Environment.load(data_dir=tmp_path, cache_dir=tmp_path),
    )
    assert not outcome.failures
    pooled_r = {row.model: row.total.pooled for row in leaderboard_rows(outcome.records)}
    assert pooled_r["ridge"] == pytest.approx(0.71, abs=0.02)
    assert min(pooled_r["knn"], pooled_r["gp"]) > 0.65  # type: ignore[type-var]
    # One target gene alone is an output gene, so the linear model has next to nothing to go by.
    assert pooled_r["linear"] == pytest.approx(pooled_r["perturbed_mean"], abs=0.02)
    alphas = [item.chosen["alpha"] for item in outcome.records if item.model == "ridge"]
    assert len(alphas) == 5
    assert set(alphas) <= set(ridge.PENALTIES)
