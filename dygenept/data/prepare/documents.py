"""What a preparation writes down: its manifest and the statistics of the screen, key by key.

Both are JSON as they stand; a number is null where it is undefined.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict


class Source(TypedDict):
    """The file, or the store of files, that was read."""

    file: str
    size: int
    sha256: str


# Cells, and genes, of the file and of the ready one.
CellCounts = TypedDict("CellCounts", {"in": int, "kept": int})
GeneCounts = TypedDict(
    "GeneCounts", {"in": int, "kept": int, "variable": int, "targets_beside": int}
)


class VariableGenes(TypedDict):
    """Whose cells chose the variable genes, so that nobody takes held-out ones for unseen.

    Of ``held_out_cell_type``, where a split holds one out, only control cells did.
    """

    method: str
    n_cells: int
    cells: str
    train_labels: list[str] | None
    held_out_cell_type: str | None


class BatchHandling(TypedDict):
    """How batches were handled; the column and its size where one was named."""

    handling: str
    column: NotRequired[str | None]
    n_batches: NotRequired[int]
    factors_limited: NotRequired[int]


class TargetShares(TypedDict):
    """Shares of single perturbations whose target moved as the modality says."""

    expected: str
    n_perturbations: int
    share_as_expected: float | None
    share_significant: float | None
    alpha: float


class ScreenCondition(TypedDict):
    """One condition: its cells, the size of its change, how far it repeats itself, its strength."""

    perturbation: str
    cell_type: str
    n_cells: int
    change: float | None
    split_half_r: float | None
    energy_distance: float | None
    p: float | None
    q: float | None


class ScreenBatch(TypedDict):
    """One batch: its cells, those of them that are controls, and which conditions it has."""

    batch: str
    n_cells: int
    n_controls: int
    share_of_conditions: float


class Screen(TypedDict):
    """What a ready screen is like; ``controls`` counts control cells by cell type."""

    name: str
    simulated: bool
    n_cells: int
    n_genes: int
    controls: dict[str, int]
    permutations: int
    conditions: list[ScreenCondition]
    batches: list[ScreenBatch]


class Manifest(TypedDict):
    """What a preparation did.

    ``options`` are as they were given, ``total`` is what cells were scaled to, and ``left_out``
    counts cells and genes by reason.
    """

    version: int
    source: Source
    options: dict[str, object]
    total: float | None
    left_out: dict[str, int]
    cells: CellCounts
    genes: GeneCounts
    variable_genes: VariableGenes | None
    batches: BatchHandling
    targets: TargetShares | None
    notes: list[str]
    screen: NotRequired[Screen]
