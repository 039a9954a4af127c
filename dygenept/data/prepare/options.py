"""What is asked of a preparation; every step is off where nothing is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dygenept.types.mapping import NO_MAPPING, DataMapping

BatchHandling = Literal["none", "controls", "scale"]
# Which way a target's own expression should move.
DIRECTIONS = {"CRISPRa": 1, "ORF over-expression": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareOptions:
    """The steps of a preparation.

    Attributes:
        mapping: Where the file keeps what is needed.
        normalize: Scale each kept cell's counts to one total and take log1p.
        target_sum: That total; None for the median of the kept cells.
        min_counts: Least total of a cell.
        min_genes: Least genes with a value in a cell.
        max_mito: Largest share of a cell's total in genes whose symbol begins with ``MT-``.
        min_cells: Least kept cells with a value of a gene.
        min_cells_per_perturbation: Least kept cells of a condition; smaller ones are left out.
        n_variable: Variable genes that are kept; None for all.
        keeps_targets: Keep target genes that do not vary.
        batches: ``controls`` keeps the column of batches, so that controls are matched by it when
            the file is read; ``scale`` takes batch effects away; ``none`` leaves batches out.
        modality: How cells were perturbed, for the check of targets; empty for none.
        permutations: Permutations of the test of strength; 0 for no test.
        seed: Seed of every draw.
    """

    mapping: DataMapping = NO_MAPPING
    normalize: bool = False
    target_sum: float | None = None
    min_counts: float = 0.0
    min_genes: int = 0
    max_mito: float | None = None
    min_cells: int = 0
    min_cells_per_perturbation: int = 0
    n_variable: int | None = None
    keeps_targets: bool = True
    batches: BatchHandling = "none"
    modality: str = ""
    permutations: int = 0
    seed: int = 0

    @property
    def direction(self) -> int:
        """1 where targets should rise, -1 where they should fall."""
        return DIRECTIONS.get(self.modality, -1)
