"""A small, seeded, made-up data set with real gene symbols, and what the walk makes of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dygenept.errors import DataError
from dygenept.machine.hdf5_files import write_h5ad
from dygenept.machine.whole_files import replaced_whole
from dygenept.types import (
    CONTROL_LABEL,
    Condition,
    Fold,
    Perturbation,
    PerturbationData,
    Runtime,
    Task,
)

if TYPE_CHECKING:
    from scipy import sparse

# Only the last four are output genes as well, since a target must never be assumed to be in var.
TOY_TARGETS: tuple[str, ...] = (
    "CEBPA", "MAPK1", "TP53", "CDK1", "BAK1", "SLC2A1", "ITGB1", "FOXO4",
    "KLF1", "JUN", "CDKN1A", "CXCL8",
)  # fmt: skip
TOY_GENES: tuple[str, ...] = (
    "KLF1", "JUN", "CDKN1A", "CXCL8", "HBA1", "HBA2", "HBB", "HBE1", "HBG1", "HBG2",
    "HBZ", "GYPA", "GYPB", "ALAS2", "TFRC", "TUBA1A", "TUBA1B", "TUBB", "HSPA1A", "HSPA5",
    "HSPA8", "HSP90AA1", "HSP90B1", "DDIT3", "ATF4", "ASNS", "TRIB3", "CHAC1", "SESN2", "MDM2",
    "CCNB1", "CCNB2", "CDC20", "PLK1", "AURKA", "MKI67", "TOP2A", "MCM3", "PCNA", "RRM2",
    "TYMS", "GAPDH", "ENO1", "LDHA", "PGK1", "ALDOA", "IFIT1", "ISG15", "STAT1", "CXCL1",
    "IL1B", "NFKBIA", "VIM", "LGALS1", "ANXA1", "S100A4", "FTH1", "FTL", "B2M", "ACTB",
)  # fmt: skip
MEDIAN_TOTAL = 400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ToyShape:
    """How large a toy data set is; the defaults take a few milliseconds.

    Attributes:
        n_genes: Output genes G, 20 or more; beyond 60 they are called ``TOYGENE60`` and so on.
        n_cells: Cells per condition and cell type, 2 or more.
        n_controls: Control cells per cell type.
        n_singles: Single perturbations, 2 to 12.
        n_doubles: Combinations of two of these.
        n_cell_types: 1 or 2; the last single occurs only in the last cell type.
        seed: Seed of all draws.
    """

    n_genes: int = 60
    n_cells: int = 20
    n_controls: int = 60
    n_singles: int = 10
    n_doubles: int = 6
    n_cell_types: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        n_pairs = self.n_singles * (self.n_singles - 1) // 2
        allowed = {
            "n_genes": (20, 10_000),
            "n_cells": (2, 100_000),
            "n_controls": (2, 100_000),
            "n_singles": (2, len(TOY_TARGETS)),
            "n_doubles": (0, n_pairs),
            "n_cell_types": (1, 2),
        }
        for name, (low, high) in allowed.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise DataError(f"toy data: {name} must be {low} to {high}, got {value}")


@dataclass(frozen=True, slots=True)
class ToyCells:
    """Made-up cells, before they become a data set or a file.

    Attributes:
        expression: CSR, (N, G), float32, log1p of counts scaled to ``MEDIAN_TOTAL``.
        gene_ids: Made-up identifiers, (G,).
        gene_symbols: Gene symbols, (G,).
        labels: Raw label of each cell in GEARS' spelling, (N,).
        cell_types: Cell type of each cell, (N,).
    """

    expression: sparse.csr_matrix
    gene_ids: tuple[str, ...]
    gene_symbols: tuple[str, ...]
    labels: npt.NDArray[np.str_]
    cell_types: npt.NDArray[np.str_]


def toy_cells(shape: ToyShape) -> ToyCells:
    """Draw Poisson counts around planted additive effects, then scale and take log1p."""
    from scipy import sparse

    rng = np.random.default_rng(shape.seed)
    labels = _labels(shape)
    targets = TOY_TARGETS[-shape.n_singles :]
    base = rng.normal(1.0, 0.8, shape.n_genes)
    effects = rng.normal(0.0, 1.0, (len(targets), shape.n_genes))
    effects *= rng.random(effects.shape) < 0.3
    cell_type_shift = rng.normal(0.0, 0.3, (shape.n_cell_types, shape.n_genes))
    membership = np.array([[gene in label.split("+") for gene in targets] for label in labels])
    blocks = [
        (label, row, number)
        for number in range(shape.n_cell_types)
        for row, label in enumerate(labels)
        if shape.n_cell_types == 1 or number == 1 or label != _single(targets[-1], 0)
    ]
    sizes = [
        shape.n_controls if label == CONTROL_LABEL else shape.n_cells for label, _, _ in blocks
    ]
    rows = np.repeat([row for _, row, _ in blocks], sizes)
    types = np.repeat([number for _, _, number in blocks], sizes)
    log_mean = base + (membership @ effects)[rows] + cell_type_shift[types]
    depth = rng.lognormal(0.0, 0.2, (len(rows), 1))
    counts = rng.poisson(np.exp(log_mean) * depth).astype(np.float64)
    scaled = counts * (MEDIAN_TOTAL / np.maximum(counts.sum(axis=1, keepdims=True), 1.0))
    # Cells of all conditions alternate, as in a real file, so that row order tells nothing.
    order = rng.permutation(len(rows))
    expression = sparse.csr_matrix(np.log1p(scaled[order]).astype(np.float32))
    expression.sort_indices()
    return ToyCells(
        expression=expression,
        gene_ids=tuple(f"TOYG{number:06d}" for number in range(shape.n_genes)),
        gene_symbols=_symbols(shape.n_genes),
        labels=_both_spellings(np.asarray(labels)[rows[order]]),
        cell_types=np.asarray(["toy_a", "toy_b"])[types[order]],
    )


def toy_data(shape: ToyShape | None = None) -> PerturbationData:
    """Return a toy data set in memory, equal to what reading ``write_toy_h5ad``'s file gives.

    Its name, source, notes and fingerprint are its own.
    """
    shape = shape or ToyShape()
    cells = toy_cells(shape)
    raw_labels = tuple(label for label in dict.fromkeys(cells.labels.tolist()) if label != "ctrl")
    perturbations = _perturbations(raw_labels)
    cell_types = tuple(sorted(set(cells.cell_types.tolist())))
    of_cell = [
        Condition(perturbations[label], cell_type) if label != CONTROL_LABEL else None
        for label, cell_type in zip(cells.labels.tolist(), cells.cell_types.tolist(), strict=True)
    ]
    conditions = tuple(sorted({condition for condition in of_cell if condition is not None}))
    position = {condition: number for number, condition in enumerate(conditions)}
    codes = [-1 if condition is None else position[condition] for condition in of_cell]
    return PerturbationData(
        name="toy",
        source=f"dygenept.testing, seed {shape.seed}",
        sha256=hashlib.sha256(repr(shape).encode() + cells.expression.data.tobytes()).hexdigest(),
        is_simulated=True,
        expression=cells.expression,
        gene_ids=cells.gene_ids,
        gene_symbols=cells.gene_symbols,
        cell_ids=np.asarray([f"cell{number}" for number in range(len(codes))], dtype=object),
        conditions=conditions,
        condition_codes=np.asarray(codes, dtype=np.int32),
        cell_types=cell_types,
        cell_type_codes=np.searchsorted(cell_types, cells.cell_types).astype(np.int32),
        raw_labels=raw_labels,
        raw_to_label={raw: perturbations[raw].label for raw in raw_labels},
    )


def write_toy_h5ad(path: Path, shape: ToyShape | None = None) -> Path:
    """Write the toy data set as an ``.h5ad`` file in GEARS' layout, without DE lists.

    The file says of itself that it is simulated. Its folder is made where it is missing.
    """
    import anndata
    import pandas as pd

    cells = toy_cells(shape or ToyShape())
    is_control = cells.labels == CONTROL_LABEL
    dose = np.where(is_control, "1", "1+1")
    names = [
        f"{cell_type}_{label}_{of}"
        for cell_type, label, of in zip(cells.cell_types, cells.labels, dose, strict=True)
    ]
    obs = pd.DataFrame(
        {
            "condition": pd.Categorical(cells.labels),
            "cell_type": pd.Categorical(cells.cell_types),
            "dose_val": pd.Categorical(dose),
            "control": is_control.astype(np.int64),
            "condition_name": pd.Categorical(names),
        },
        index=pd.Index([f"cell{number}" for number in range(len(names))], name="cell_barcode"),
    )
    var = pd.DataFrame(
        {"gene_name": list(cells.gene_symbols)},
        index=pd.Index(list(cells.gene_ids), name="gene_id"),
    )
    adata = anndata.AnnData(
        X=cells.expression, obs=obs, var=var, uns={"dygenept": {"simulated": True}}
    )
    with replaced_whole(path) as temporary:
        write_h5ad(adata, temporary)
    return path


def toy_fold(data: PerturbationData) -> Fold:
    """Hold out every fourth perturbation for test and one of the rest for validation."""
    labels = [perturbation.label for perturbation in data.perturbations]
    test = labels[1::4]
    rest = [label for label in labels if label not in test]
    return Fold(train=tuple(rest[:-1]), val=tuple(rest[-1:]), test=tuple(test))


def toy_task(
    data: PerturbationData | None = None,
    *,
    needs_cells: bool = True,
    held_out: bool = False,
    halves: bool = True,
    seed: int = 0,
) -> tuple[Task, tuple[Condition, ...]]:
    """Return the task of ``toy_fold`` and its held-out conditions.

    Args:
        data: A toy data set; None makes the default one.
        needs_cells: Hand over single cells.
        held_out: Hand over the truth, for oracles.
        halves: Halves of the held-out cells with it.
        seed: Seed in the task's runtime.
    """
    from dygenept.data.de.lists import de_genes
    from dygenept.data.pseudobulk import pseudobulk
    from dygenept.data.task import Access, build_task

    data = data or toy_data()
    means = pseudobulk(data)
    return build_task(
        data,
        means,
        de_genes(data, means),
        toy_fold(data),
        access=Access(cells=needs_cells, truth=held_out, halves=halves),
        runtime=Runtime(seed=seed),
    )


def _labels(shape: ToyShape) -> list[str]:
    targets = TOY_TARGETS[-shape.n_singles :]
    pairs = [f"{first}+{second}" for i, first in enumerate(targets) for second in targets[i + 1 :]]
    # A stride spreads the combinations over all genes, and leaves each pair its own.
    stride = max(1, len(pairs) // max(1, shape.n_doubles))
    doubles = pairs[::stride][: shape.n_doubles]
    return [CONTROL_LABEL, *(_single(gene, 0) for gene in targets), *doubles]


def _single(gene: str, order: int) -> str:
    return f"{CONTROL_LABEL}+{gene}" if order else f"{gene}+{CONTROL_LABEL}"


def _both_spellings(labels: npt.NDArray[np.str_]) -> npt.NDArray[np.str_]:
    """Write every other cell of the first single as ``ctrl+A``, as Norman's file does."""
    first = min(label for label in set(labels.tolist()) if label.endswith(f"+{CONTROL_LABEL}"))
    spelt = labels.copy()
    spelt[np.flatnonzero(labels == first)[1::2]] = _single(first.split("+")[0], 1)
    return spelt


def _perturbations(raw_labels: Sequence[str]) -> dict[str, Perturbation]:
    genes_of = {
        raw: tuple(sorted(set(raw.split("+")) - {CONTROL_LABEL})) for raw in sorted(raw_labels)
    }
    label_of: dict[tuple[str, ...], str] = {}
    for raw, genes in genes_of.items():
        label_of.setdefault(genes, raw)
    return {raw: Perturbation(label_of[genes], genes) for raw, genes in genes_of.items()}


def _symbols(n_genes: int) -> tuple[str, ...]:
    made_up = tuple(f"TOYGENE{number}" for number in range(len(TOY_GENES), n_genes))
    return (*TOY_GENES, *made_up)[:n_genes]
