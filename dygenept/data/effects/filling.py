"""A task of a table with a value for every pair: what any closed-form model can learn from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dygenept.data.pseudobulk import condition_positions
from dygenept.types import (
    DeGenes,
    DoubleArray,
    EffectControls,
    EffectTable,
    KnownEffects,
    PerturbationData,
    Pseudobulk,
    Task,
)

# A gene counts as if its mean had been measured this many times more, at the mean that it is
# shrunk to: that of all genes, and in one cell type that of the gene in all of them.
PRIOR = 2.0
N_TOP = 20
NO_LIST = "none"


def filled_task(task: Task, data: PerturbationData) -> Task:
    """Fill every pair that was not measured with its gene's mean over the train conditions.

    A value with a weight below 1 is moved towards that mean by what it lacks. Only the task's own
    conditions are read: nothing of what is held out, and not how much of it there is.
    """
    table = data.effects
    assert table is not None
    observed = ~np.isnan(task.means)  # (n, G)
    weights = None
    if table.weights is not None:
        weights = table.weights[condition_positions(data, task.known)]
    share = observed.astype(np.float64) if weights is None else np.where(observed, weights, 0.0)
    values = np.where(observed, task.means, 0.0)
    overall = np.array((values * share).sum() / max(float(share.sum()), 1e-12))
    pooled = _shrunk(values, share, to=overall)  # (G,)
    gene_means = np.tile(pooled, (len(task.cell_types), 1))  # (n_types, G)
    types = np.array([task.cell_types.index(item.cell_type) for item in task.known])
    if len(task.cell_types) > 1:
        for code in np.unique(types):
            own = types == code
            gene_means[code] = _shrunk(values[own], share[own], to=pooled)
    means = gene_means[types]  # (n, G)
    return replace(
        task,
        means=means + share * (values - means),
        effects=KnownEffects(
            kind=table.kind,
            is_observed=observed,
            weights=weights,
            gene_means=gene_means,
            controls=_copied(table.controls),
        ),
    )


def effects_as_means(table: EffectTable, data: PerturbationData) -> tuple[Pseudobulk, DeGenes]:
    """Return a table's values where a data set of cells has its means, on controls of zero.

    The number of cells is that of measured genes; there are no lists of DE genes.
    """
    n_conditions = len(data.conditions)
    means = Pseudobulk(
        means=table.values,
        n_cells=table.is_observed.sum(axis=1).astype(np.int32),
        control_means=np.zeros((len(data.cell_types), data.n_genes)),
    )
    none = np.full((n_conditions, N_TOP), -1, dtype=np.int32)
    return means, DeGenes(name=NO_LIST, origin="none", indices=none)


def _copied(controls: EffectControls | None) -> EffectControls | None:
    """Return control cells that share no memory with the data set."""
    if controls is None:
        return None
    return EffectControls(
        controls.expression.copy(), controls.gene_symbols, controls.cell_type_codes.copy()
    )


def _shrunk(values: DoubleArray, share: DoubleArray, *, to: DoubleArray) -> DoubleArray:
    means: DoubleArray = ((values * share).sum(axis=0) + PRIOR * to) / (share.sum(axis=0) + PRIOR)
    return means
