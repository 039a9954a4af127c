"""What rows of a leaderboard are of: held-out perturbations, or genes over these.

Perturbations are counted once, in however many cell types they were held out. A metric of genes,
such as ``auroc_gene``, has a value for each gene, taken over the held-out perturbations: both
numbers are told, since an interval is no better than the fewer of them allow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dygenept.leaderboard.rows import LeaderboardRow


def distinct_perturbations(rows: Sequence[LeaderboardRow]) -> int | None:
    """Return how many different held-out perturbations rows are about; None where nobody says."""
    return max((row.n_distinct for row in rows if row.n_distinct is not None), default=None)


def distinct_genes(rows: Sequence[LeaderboardRow]) -> int | None:
    """Return over how many different genes rows are; None where none is of genes."""
    return max((row.n_genes for row in rows if row.n_genes is not None), default=None)


def counted_in_words(rows: Sequence[LeaderboardRow]) -> str:
    """Say what rows are of: ``9 perturbations in 3 cell types``, ``20 genes, 9 perturbations``."""
    genes, perturbations = distinct_genes(rows), distinct_perturbations(rows)
    counts = ((genes, "gene"), (perturbations, "perturbation"))
    said = ", ".join(f"{n:,} {of}{'' if n == 1 else 's'}" for n, of in counts if n is not None)
    n_types = max((row.n_cell_types for row in rows), default=1)
    return f"{said} in {n_types} cell types" if n_types > 1 else said
