"""Effects measured per perturbation and gene, many of them missing: what a table holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from dygenept.types.perturbations import BoolArray, Condition, DoubleArray, IntArray

if TYPE_CHECKING:
    from scipy import sparse

# ``labels`` are 1 and 0 (significant or not, up or down); ``signs`` 1, 0 and -1; else numbers.
EffectKind = Literal["labels", "signs", "values"]
Part = Literal["train", "val", "test"]
# Links of genes that ship, or that a file of the user's has.
GraphName = Literal["go", "string", "biogrid", "reactome"]


@dataclass(frozen=True, slots=True)
class EffectControls:
    """Control cells of a second file, whose states a model of a table may read.

    Attributes:
        expression: CSR, (n, M), float32, log1p scale.
        gene_symbols: Its genes, (M,), which need not be those of the table.
        cell_type_codes: Index into the table's cell types of each cell, (n,).
    """

    expression: sparse.csr_matrix
    gene_symbols: tuple[str, ...]
    cell_type_codes: IntArray


@dataclass(frozen=True, slots=True)
class EffectTable:
    """What was measured of each condition's effect on each gene.

    Attributes:
        kind: What the values are.
        values: NaN where nothing was measured, (n_conditions, G), float64.
        weights: How far each value counts in fitting, in [0, 1]; None where all count alike.
        parts: The part of the file's own split that each condition is in; empty without one.
        controls: Control cells of a second file; None without one.
    """

    kind: EffectKind
    values: DoubleArray
    weights: DoubleArray | None = None
    parts: Mapping[Condition, Part] = field(default_factory=dict)
    controls: EffectControls | None = None

    @property
    def is_observed(self) -> BoolArray:
        """True where a value was measured, (n_conditions, G)."""
        return ~np.isnan(self.values)

    @property
    def n_pairs(self) -> int:
        """Measured pairs of a condition and a gene."""
        return int(self.is_observed.sum())


@dataclass(frozen=True, slots=True)
class KnownEffects:
    """Which values of ``Task.means`` were measured; the others are the gene's mean.

    Attributes:
        kind: What the values are.
        is_observed: True where a value was measured, (n_train + n_val, G).
        weights: How far each counts, in [0, 1], (n_train + n_val, G); None where all count alike.
        gene_means: Each gene's mean over measured train values in each of the task's cell types,
            shrunk to the mean of all where few were measured, (n_types, G).
        controls: Control cells of a second file, by the task's cell types; None without one.
    """

    kind: EffectKind
    is_observed: BoolArray
    weights: DoubleArray | None
    gene_means: DoubleArray
    controls: EffectControls | None = None


@dataclass(frozen=True, slots=True)
class GroupedPairs:
    """Measured pairs of one fold, sorted into groups: all that a metric of effects sees.

    A group is a gene (over the held-out perturbations it was measured under) or a held-out
    perturbation (over the genes measured under it).

    Attributes:
        kind: What the values are.
        groups: The group of each of m pairs, (m,), sorted.
        n_groups: How many there are.
        truth: What was measured, (m,), finite.
        predicted: What was predicted, (m,), finite.
        counts: How often each pair counts, (B, m): one row of ones, or one row per resample.
    """

    kind: EffectKind
    groups: IntArray
    n_groups: int
    truth: DoubleArray
    predicted: DoubleArray
    counts: DoubleArray
