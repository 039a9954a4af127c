"""A part of a screen with the numbers of perturbations and cells of another one.

How many genes are significant, and how reliable a change is, depends on the number of cells; two
screens can be compared in what they show only where these numbers are alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dygenept.errors import DataError
from dygenept.types import PerturbationData


def matched_screen(
    data: PerturbationData,
    n_cells: Sequence[int],
    n_controls: int,
    *,
    n_genes: int | None = None,
    rng: np.random.Generator,
) -> PerturbationData:
    """Draw conditions, cells of each, control cells and genes, none twice.

    Where the screen has fewer conditions, cells of a condition, controls or genes than is asked
    for, all of them are taken.

    Args:
        data: Cells, with their conditions.
        n_cells: Cells of each condition to draw; which condition gets which number is drawn too.
        n_controls: Control cells.
        n_genes: Genes; None keeps all.
        rng: Draws all of it, uniformly.

    Returns:
        The part, its conditions, cells and genes in their order in ``data``.

    Raises:
        DataError: If the data set is a table of effects, which has no cells, or no condition is
            asked for.
    """
    if data.effects is not None:
        raise DataError(f"{data.name} is a table of effects; only cells can be drawn")
    if not n_cells:
        raise DataError("no condition to draw; give at least one number of cells")
    n_drawn = min(len(n_cells), len(data.conditions))
    drawn = np.sort(rng.choice(len(data.conditions), n_drawn, replace=False))
    sizes = rng.permutation(np.asarray(n_cells))[:n_drawn]
    groups = [np.flatnonzero(data.condition_codes == code) for code in drawn.tolist()]
    groups.append(np.flatnonzero(data.condition_codes < 0))
    cells = np.sort(
        np.concatenate(
            [
                rng.choice(group, min(size, len(group)), replace=False)
                for group, size in zip(groups, [*sizes.tolist(), n_controls], strict=True)
            ]
        )
    )
    n_kept = min(n_genes or data.n_genes, data.n_genes)
    genes = np.sort(rng.choice(data.n_genes, n_kept, replace=False))
    place = np.full(len(data.conditions) + 1, -1, dtype=np.int32)
    place[drawn] = np.arange(n_drawn)
    conditions = tuple(data.conditions[code] for code in drawn.tolist())
    labels = {condition.label for condition in conditions}
    raw_to_label = {raw: label for raw, label in data.raw_to_label.items() if label in labels}
    return replace(
        data,
        sha256="",
        expression=data.expression[cells][:, genes],
        gene_ids=tuple(data.gene_ids[gene] for gene in genes.tolist()),
        gene_symbols=tuple(data.gene_symbols[gene] for gene in genes.tolist()),
        cell_ids=data.cell_ids[cells],
        conditions=conditions,
        condition_codes=place[data.condition_codes[cells]],
        cell_type_codes=data.cell_type_codes[cells],
        raw_labels=tuple(raw for raw in data.raw_labels if raw in raw_to_label),
        raw_to_label=raw_to_label,
        # These are of all cells and name genes by their position.
        de_lists={},
        batches=None,
    )
