"""What is asked of a preparation; every step is off where nothing is asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dygenept.errors import ConfigError
from dygenept.types.mapping import NO_MAPPING, DataMapping

BatchHandling = Literal["none", "controls", "scale"]
# Which way a target's own expression should move.
DIRECTIONS = {
    "CRISPRi": -1,
    "CRISPRa": 1,
    "CRISPR knock-out": -1,
    "CRISPR-Cas13 knock-down": -1,
    "RNAi": -1,
    "ORF over-expression": 1,
}
# Further ways to write them, letters and digits alone.
_ALSO = {
    "knockout": "CRISPR knock-out",
    "crisprko": "CRISPR knock-out",
    "cas13": "CRISPR-Cas13 knock-down",
    "overexpression": "ORF over-expression",
    "orf": "ORF over-expression",
}


def known_modality(text: str) -> str | None:
    """Return how this project writes a modality, whatever its case and hyphens; None if unknown."""
    plain = re.sub(r"[^a-z0-9]", "", text.lower())
    names = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in DIRECTIONS}
    return (names | _ALSO).get(plain)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareOptions:
    """The steps of a preparation.

    Attributes:
        mapping: Where the file keeps what is needed.
        normalize: Scale each kept cell's counts to one total and take log1p.
        target_sum: That total; None for the median of the kept cells.
        min_counts: Least total of a cell.
        min_genes: Fewest genes with a value in a cell.
        max_mito: Largest share of a cell's total in genes whose symbol begins with ``MT-``.
        min_cells: Least kept cells with a value of a gene.
        min_cells_per_perturbation: Least kept cells of a condition; smaller ones are left out.
        n_variable: Variable genes that are kept; None for all.
        keeps_targets: Keep target genes that do not vary.
        batches: ``controls`` keeps the column of batches, so that controls are matched by it when
            the file is read; ``scale`` takes batch effects away; ``none`` leaves batches out.
        modality: How cells were perturbed, a name of ``DIRECTIONS``, for the check of targets;
            empty for none.
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

    def __post_init__(self) -> None:
        if self.modality and self.modality not in DIRECTIONS:
            raise ConfigError(
                f"modality {self.modality!r} does not say which way targets should move; "
                f"known: {', '.join(DIRECTIONS)}"
            )

    @property
    def direction(self) -> int:
        """1 where targets should rise, -1 where they should fall."""
        return DIRECTIONS[self.modality]

    def check_counts(self, path: Path) -> None:
        """Refuse steps that only make sense of counts where values are logarithms.

        Raises:
            ConfigError: If one is asked for without ``normalize``.
        """
        asked = {
            "--min-counts": self.min_counts > 0,
            "--max-mito": self.max_mito is not None,
            "--target-sum": self.target_sum is not None,
        }
        flags = [flag for flag, is_asked in asked.items() if is_asked]
        if flags and not self.normalize:
            raise ConfigError(
                f"{path}: {' and '.join(flags)} need{'s' if len(flags) == 1 else ''} counts; pass "
                "--normalize, with --layer where they are in a layer, or leave it out"
            )
