"""A fitted model of a table: everything that its predictions need besides the parts' code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from dygenept.errors import ConfigError
from dygenept.knowledge.likeness import Likeness
from dygenept.model.control_pool import ControlCells
from dygenept.model.effects.fitted_start import FittedStart
from dygenept.model.effects.pair_network import NoCells, PairNetwork
from dygenept.model.effects.pairs import Units
from dygenept.model.network import DyGenePT, Parts
from dygenept.model.seeds import seeded_torch
from dygenept.plugin.interfaces import CellEncoderContext, GeneEncoderContext
from dygenept.plugin.interfaces.offers import Chosen
from dygenept.types import DoubleArray, EffectControls, Runtime
from dygenept.types.effects import EffectKind

# Width of the facets that graphs become; wider ones of texts stay.
FACET_WIDTH = 384

Weights = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """What the network is built over, besides its parts and what is known of genes.

    Attributes:
        output_genes: Symbols, (G,).
        targets: Genes that train and validation conditions perturb.
        control_means: Mean expression of each output gene in each cell type's control cells,
            (n_types, G), log1p scale; zeros without cells.
        cells: Control cells whose mean state is that of their type; None without cells.
        n_fitted: Genes that it was fitted with: the first ones of the likeness.
        width: Embedding width D.
        seed: Seed of its first weights.
    """

    output_genes: tuple[str, ...]
    targets: tuple[str, ...]
    control_means: DoubleArray
    cells: EffectControls | None
    n_fitted: int
    width: int
    seed: int

    def build(self, parts: Parts, likeness: Likeness, runtime: Runtime) -> PairNetwork:
        """Build the network with its first weights over all genes of a likeness."""
        knowledge, tells_of_outputs = likeness.as_facets(FACET_WIDTH)
        outputs = torch.from_numpy(likeness.rows(self.output_genes).astype(np.int64))
        if self.cells is None:
            parts = replace(parts, cell_encoder=lambda context: NoCells(context.width))
        symbols = () if self.cells is None else self.cells.gene_symbols
        genes = GeneEncoderContext(knowledge, likeness.genes, self.width, self.n_fitted)
        with seeded_torch(self.seed, torch.device("cpu")):
            try:
                network = DyGenePT(
                    parts,
                    genes=genes,
                    cells=CellEncoderContext(symbols, self.targets, self.width, self.seed, runtime),
                    n_genes=1,
                )
            except ConfigError as error:
                raise ConfigError(f"{error}; on a table the width is table.width") from error
            return PairNetwork(
                network,
                output_genes=outputs,
                tells_of_outputs=torch.from_numpy(tells_of_outputs),
                control=torch.from_numpy(self.control_means.astype(np.float32)),
                width=self.width,
            )

    def prepare(self, network: PairNetwork) -> None:
        """Give the network its control cells, where there are some."""
        if self.cells is not None:
            n_types = len(self.control_means)
            cells = ControlCells(self.cells.expression, self.cells.cell_type_codes, n_types)
            network.prepare(cells, self.cells.gene_symbols)


@dataclass(frozen=True, slots=True)
class FittedTable:
    """What was fitted to a table of effects.

    Attributes:
        kind: What the table's values are.
        gene_ids: Output genes, (G,).
        target_genes: Perturbed genes of the table.
        start: The closed-form start.
        plan: What the network is built over.
        units: Where something is added to the start.
        share: How much of what the networks add is added; 0 where the start is the model.
        weights: Tensors of each network; none where nothing is added.
        chosen: What was chosen, and what steps changed.
        notes: What a user should know.
    """

    kind: EffectKind
    gene_ids: tuple[str, ...]
    target_genes: tuple[str, ...]
    start: FittedStart
    plan: NetworkPlan
    units: Units
    share: float
    weights: tuple[Weights, ...]
    chosen: Chosen
    notes: tuple[str, ...]

    def with_likeness(self, likeness: Likeness) -> FittedTable:
        """Return it with more genes, added after its own."""
        return replace(self, start=replace(self.start, likeness=likeness))
