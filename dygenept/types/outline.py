"""What is known of a data set and of a model's work before any expression value is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dygenept.types.data import PerturbationData
from dygenept.types.perturbations import IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class DataOutline:
    """A data set without its expression; None where something is not known.

    Attributes:
        n_cells: Cells.
        n_genes: Output genes.
        n_perturbations: Perturbations, control left out.
        n_controls: Control cells.
        n_values: Stored values of the matrix.
        is_bound: ``n_values`` is the most that there may be, as of a matrix that is stored dense.
        n_offsets: Rows of ``CellBatches.offsets``, where controls are matched by batch.
        control_values: Stored values of each control cell, (n_controls,).
        data: Cells, genes and conditions by name. Its expression is an empty matrix of the right
            shape, its fingerprint is empty and it has no batches; None where no file is read.
    """

    n_cells: int | None = None
    n_genes: int | None = None
    n_perturbations: int | None = None
    n_controls: int | None = None
    n_values: int | None = None
    is_bound: bool = False
    n_offsets: int = 0
    control_values: IntArray | None = None
    data: PerturbationData | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderFootprint:
    """What a cell encoder takes beside the cells themselves.

    Attributes:
        cache_place: Where outputs of frozen layers are kept.
        cache_bytes: Bytes that they take.
        n_cached: Control cells whose outputs fit into the limit of the cache.
        frozen_flop: Floating-point operations that encode every control cell once.
        step_flop: Operations of a training step per control cell, forward and backward.
    """

    cache_place: Literal["disk", "memory", "off"]
    cache_bytes: int
    n_cached: int
    frozen_flop: float
    step_flop: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FitSize:
    """Sizes that the memory and the work of a fit depend on.

    Attributes:
        n_known: Train and validation conditions.
        n_held_out: Conditions that are predicted together.
        n_genes: Output genes.
        n_targets: Target genes of the data set.
        in_files: Arrays of conditions × genes, and what is made of them, are in files.
    """

    n_known: int
    n_held_out: int
    n_genes: int
    n_targets: int
    in_files: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FitWork:
    """What fitting to a fold and predicting what it holds out consists of, in numbers of steps.

    A plan knows how long each kind of step takes on a machine; a model knows how many there are.

    Attributes:
        products: Multiplications of matrix products: m n c for (m, n) by (n, c).
        decompositions: Sum of n³ over the symmetric arrays of n × n whose eigenvectors are found.
        passes: Values that are gone through one by one, once for each simple operation on them.
        halvings: Halvings of all cells that are drawn, each of which is scored by itself; 0 for
            a model whose predictions are scored once.
        are_alike: What is held out is predicted the same throughout, so that it is ranked once.
    """

    products: float = 0.0
    decompositions: float = 0.0
    passes: float = 0.0
    halvings: int = 0
    are_alike: bool = False
