"""Trains CellFlow (cellflow-tools 0.0.9) on the cells of a task folder and predicts.

It runs in an environment of its own. Model, training and prediction are the package's; cells are
given to it by their principal components, and a predicted cell is brought back to genes here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from dygenept_child import (
    CONTROL,
    Answer,
    Asked,
    Order,
    profiles_of,
    read_gene_vectors,
    read_order,
    seed_everything,
    target_genes,
)
from scipy import sparse

# Control cells that a prediction is made of, at most.
N_CELLS = 256


class Components(NamedTuple):
    """Principal components of cells.

    Attributes:
        mean: Mean expression, (G,).
        axes: Components, (C, G).
    """

    mean: np.ndarray
    axes: np.ndarray

    def of(self, expression: Any) -> np.ndarray:
        """Return cells' coordinates, (n, C), float32."""
        found = np.asarray(expression @ self.axes.T) - self.mean @ self.axes.T
        return np.asarray(found, dtype=np.float32)

    def back(self, coordinates: np.ndarray) -> np.ndarray:
        """Return the expression at coordinates, (C,) to (G,)."""
        return np.asarray(self.mean + coordinates.astype(np.float64) @ self.axes)


def main() -> None:
    """Read the task, train, predict, and leave the answer."""
    # The harness runs it on the CPU; a JAX that sees a GPU would take all of its memory.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import anndata

    order = read_order()
    cells = anndata.read_h5ad("train.h5ad")
    profiles = profiles_of(cells)
    vectors = read_gene_vectors()
    seed_everything(order.seed)
    answer = Answer()
    keep = usable(cells.obs, vectors)
    n_slots = max([2, *(len(target_genes(label)) for label in cells.obs["condition"][keep])])
    components = components_of(cells.X[np.flatnonzero(keep)], order)
    flow, data = trained(cells[keep], components, vectors, n_slots, order)
    for asked in order.predict:
        absent = [gene for gene in asked.genes if gene not in vectors]
        if absent:
            answer.add_mean(asked, profiles, f"CellFlow has no vector of {', '.join(absent)}")
        elif len(asked.genes) > n_slots:
            answer.add_mean(asked, profiles, f"train perturbs at most {n_slots} genes at once")
        elif flow is None:
            answer.add_mean(asked, profiles, "no train perturbation has a vector")
        else:
            answer.add(asked, components.back(predicted(flow, data, asked, n_slots, order.seed)))
    answer.write()


def usable(obs: Any, vectors: Mapping[str, np.ndarray]) -> np.ndarray:
    """True for control cells and for train cells whose genes all have vectors, (n,)."""
    return np.array(
        [
            part == "control"
            or (part == "train" and all(gene in vectors for gene in target_genes(label)))
            for part, label in zip(obs["part"], obs["condition"].astype(str), strict=True)
        ]
    )


def components_of(expression: Any, order: Order) -> Components:
    """Return the leading principal components of cells, by exact eigenvectors of genes."""
    dense = sparse.csr_matrix(expression).astype(np.float64)
    mean = np.asarray(dense.mean(axis=0)).ravel()
    second = (dense.T @ dense).toarray() / dense.shape[0] - np.outer(mean, mean)
    _, axes = np.linalg.eigh(second)
    n = min(order.options["n_components"], *dense.shape)
    found = axes[:, ::-1][:, :n].T
    # A component's sign is arbitrary: its largest entry is positive, on every machine.
    signs = np.sign(found[np.arange(n), np.abs(found).argmax(axis=1)])
    return Components(mean, found * signs[:, None])


def slots(genes: Sequence[str], n_slots: int) -> list[str]:
    """Return the perturbed genes, padded with controls to one length."""
    return [*genes, *[CONTROL] * (n_slots - len(genes))]


def covariates(genes: Sequence[Sequence[str]], cell_types: Sequence[str], n_slots: int) -> Any:
    """Return the table of covariates that the package reads, one row per cell or condition."""
    import pandas as pd

    columns = [f"gene_{number}" for number in range(n_slots)]
    table = pd.DataFrame([slots(of, n_slots) for of in genes], columns=columns)
    table["cell_type"] = list(cell_types)
    table = table.astype("category")
    table["is_control"] = [not of for of in genes]
    return table


def trained(
    cells: Any,
    components: Components,
    vectors: Mapping[str, np.ndarray],
    n_slots: int,
    order: Order,
) -> tuple[Any, Any]:
    """Train the flow; None where there is no perturbation to learn from. And its cells."""
    import anndata
    import optax
    from cellflow.model import CellFlow

    labels = cells.obs["condition"].astype(str)
    cell_types = cells.obs["cell_type"].astype(str)
    obs = covariates([target_genes(label) for label in labels], cell_types, n_slots)
    obs.index = obs.index.astype(str)
    data = anndata.AnnData(np.zeros((len(obs), 1), dtype=np.float32), obs=obs)
    data.obsm["components"] = components.of(cells.X)
    if data.obs["is_control"].all():
        return None, data
    width = len(next(iter(vectors.values())))
    data.uns["genes"] = {**vectors, CONTROL: np.zeros(width, dtype=np.float32)}
    types = sorted(set(cell_types))
    data.uns["types"] = dict(zip(types, np.eye(len(types), dtype=np.float32), strict=True))
    several = len(types) > 1
    flow = CellFlow(data, solver="otfm")
    flow.prepare_data(
        sample_rep="components",
        control_key="is_control",
        perturbation_covariates={"gene": [f"gene_{number}" for number in range(n_slots)]},
        perturbation_covariate_reps={"gene": "genes"},
        sample_covariates=["cell_type"] if several else None,
        sample_covariate_reps={"cell_type": "types"} if several else None,
        split_covariates=["cell_type"],
        max_combination_length=n_slots,
    )
    options = order.options
    layers = (options["width"],) * options["n_layers"]
    flow.prepare_model(
        time_encoder_dims=layers,
        hidden_dims=layers,
        decoder_dims=(2 * options["width"],) * options["n_layers"],
        optimizer=optax.MultiSteps(optax.adam(options["lr"]), 20),
        seed=order.seed % 2**31,
    )
    flow.train(
        num_iterations=options["iterations"],
        batch_size=options["batch_size"],
        valid_freq=options["iterations"] + 1,
    )
    return flow, data


def predicted(flow: Any, data: Any, asked: Asked, n_slots: int, seed: int) -> np.ndarray:
    """Mean coordinates of the cells that the flow makes of control cells, (C,).

    The control cells drawn do not depend on what else is predicted.
    """
    rng = np.random.default_rng(seed)
    of_type = data.obs["cell_type"].astype(str).to_numpy() == asked.cell_type
    pool = np.flatnonzero(of_type & data.obs["is_control"].to_numpy())
    drawn = np.sort(rng.choice(pool, min(N_CELLS, len(pool)), replace=False))
    table = covariates([asked.genes], [asked.cell_type], n_slots)
    table["name"] = asked.perturbation
    made = flow.predict(
        data[drawn].copy(), covariate_data=table, sample_rep="components", condition_id_key="name"
    )
    (found,) = made.values()
    return np.asarray(np.mean(found, axis=0), dtype=np.float64)


if __name__ == "__main__":
    main()
