"""A small model whose facets are tuned, and the same tuning done slowly, by refits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import nn

from dygenept.model.control_pool import ControlCells
from dygenept.model.network import PADDING, DyGenePT, Parts
from dygenept.model.start.facet_tuning import FacetCandidate, FacetChoice, choose_facets
from dygenept.model.start.features import StartData
from dygenept.model.start.readout import PENALTIES
from dygenept.model.training.batches import ConditionSet
from dygenept.plugin.interfaces import (
    AttentionOutput,
    CellEncoderContext,
    ControlPool,
    FacetBatch,
    GeneEncoderContext,
)
from dygenept.testing import toy_knowledge

CPU = torch.device("cpu")
WIDTH = 3
N_GENES = 12
N_FACETS = 2
N_OUTPUTS = 5
PENALTY = 0.3
N_CELLS = 4  # three of cell type 0, one of cell type 1


class Encoder(nn.Module):
    """Random facets, of which the last gene knows one, plus a learned vector per facet."""

    def __init__(self, *, is_typed: bool) -> None:
        super().__init__()
        self.register_buffer("table", 0.3 * torch.randn(N_GENES, N_FACETS, WIDTH))
        self.register_buffer("trust", 0.5 + 0.5 * torch.rand(N_GENES, N_FACETS))
        known = torch.ones(N_GENES, N_FACETS, dtype=torch.bool)
        known[-1, 1] = False
        self.register_buffer("known", known)
        self.facet_types: nn.Parameter | None = None
        if is_typed:
            self.facet_types = nn.Parameter(0.3 * torch.randn(N_FACETS, WIDTH))
        self.null = nn.Parameter(torch.full((WIDTH,), 0.1))

    def facet_vectors(self) -> nn.Parameter | None:
        return self.facet_types

    def forward(self, gene_indices: torch.Tensor) -> FacetBatch:
        known = self.known[gene_indices.clamp(min=0)] & (gene_indices >= 0)[..., None]
        values = self.table[gene_indices.clamp(min=0)]
        if self.facet_types is not None:
            values = values + self.facet_types
        values = values.masked_fill(~known[..., None], 0.0)
        confidence = self.trust[gene_indices.clamp(min=0)] * known
        return FacetBatch(values=values, confidence=confidence, known=known, null=self.null)


class Cells(nn.Module):
    """One random state per control cell; training mode would spoil it."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.randn(N_CELLS, WIDTH))

    def prepare(self, pool: ControlPool) -> None:
        pass

    def forward(self, control_indices: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self.table[control_indices]
        return states + 1 if self.training else states


class Attends(nn.Module):
    """Softmax over known facets by their product with the cell's state, times confidence."""

    def forward(self, cell: torch.Tensor, facets: FacetBatch) -> AttentionOutput:
        assert not facets.values[~facets.known].any()
        scores = torch.einsum("bd,bpkd->bpk", cell, facets.values)
        scores = scores.masked_fill(~facets.known, -1e9)
        weights = scores.softmax(dim=-1) * facets.confidence
        embedding = torch.einsum("bpk,bpkd->bpd", weights, facets.values)
        return AttentionOutput(embedding=embedding, weights=weights[:, :, None])


class Readout(nn.Module):
    """Features: the sum over perturbed genes, and one that grows with the cell."""

    def readout_features(
        self, embedding: torch.Tensor, gene_mask: torch.Tensor, cell: torch.Tensor
    ) -> torch.Tensor:
        total = (embedding * gene_mask[..., None]).sum(dim=1)
        return torch.cat([total, 0.1 * cell[:, :1].abs()], dim=1)

    def set_readout(self, weights: torch.Tensor) -> None:
        self.weights = weights


class SharedReadout(Readout):
    """Has features that all perturbations share, too."""

    def shared_features(self, cell: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.full_like(cell, 0.2), 0.1 * cell[:, :1].abs()], dim=1)


@dataclass(frozen=True)
class Case:
    """A network and the train conditions that its facets are tuned on."""

    network: DyGenePT
    genes: torch.Tensor
    cell_types: np.ndarray
    deltas: torch.Tensor
    controls: ControlCells

    @property
    def data(self) -> StartData:
        n = len(self.deltas)
        no_genes = torch.full((n, 20), -1)
        conditions = ConditionSet(self.genes, self.cell_types, self.deltas, no_genes)
        return StartData(conditions=conditions, controls=self.controls, device=CPU)

    @property
    def types(self) -> nn.Parameter:
        types = self.network.gene_encoder.facet_types
        assert isinstance(types, nn.Parameter)
        return types


def make_case(n: int, *, shares: bool = False, is_typed: bool = True) -> Case:
    """Conditions whose effects follow the genes' first facet."""
    knowledge = toy_knowledge()
    decoder = SharedReadout() if shares else Readout()
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = DyGenePT(
            Parts(
                gene_encoder=lambda context: Encoder(is_typed=is_typed),
                cell_encoder=lambda context: Cells(),
                attention=lambda width: Attends(),
                decoder=lambda context: decoder,  # type: ignore[return-value,arg-type]
            ),
            genes=GeneEncoderContext(knowledge, knowledge.genes, WIDTH),
            cells=CellEncoderContext(("A",), knowledge.genes, WIDTH, seed=0),
            n_genes=N_OUTPUTS,
        )
        maps = torch.randn(WIDTH, N_OUTPUTS)
        noise = torch.randn(n, N_OUTPUTS)
    rng = np.random.default_rng(5)
    genes = torch.from_numpy(np.stack([rng.choice(N_GENES, 2, replace=False) for _ in range(n)]))
    genes[::3, 1] = PADDING
    table = network.gene_encoder.table[:, 0]
    signal = (table[genes.clamp(min=0)] * (genes != PADDING)[..., None]).sum(dim=1) @ maps
    deltas = signal + 0.1 * noise + 0.5
    return Case(
        network=network,
        genes=genes,
        cell_types=(np.arange(n) % 4 == 1).astype(np.int64),
        deltas=0.3 * deltas.float(),
        controls=ControlCells(
            expression=sparse.csr_matrix((N_CELLS, 1), dtype=np.float32),
            cell_type_codes=np.array([0, 0, 1, 0], dtype=np.int32),
            n_cell_types=2,
        ),
    )


def tuned(case: Case, *shares: float) -> FacetChoice:
    rng = np.random.default_rng(0)
    candidates = [FacetCandidate(PENALTY, identity_share=share) for share in shares or (None,)]
    return choose_facets(case.network, case.data, rng, candidates=candidates)


def n_steps_of(case: Case) -> int:
    return tuned(case).n_steps


class Slow:
    """The same in plain loops: every condition and cell by itself, every refit by itself."""

    def __init__(self, case: Case, drawn: np.ndarray) -> None:
        case.network.eval()
        self.case = case
        of_type = {code: [i for i in drawn if i in (2,)] or None for code in (1,)}
        zero = [int(i) for i in drawn if i != 2]
        assert len(zero) == 2
        assert of_type[1] == [2]
        self.cells = {0: zero, 1: [2, 2]}
        states = case.network.encode_cells(torch.tensor([*zero, 2, 2]))
        decoder = case.network.decoder
        self.shared = None
        if isinstance(decoder, SharedReadout):
            mean = decoder.shared_features(states).mean(dim=0).double()
            self.shared = mean / mean.norm()

    def typical(self, rows: np.ndarray) -> torch.Tensor:
        deltas = self.case.deltas.double()[rows]
        if self.shared is None:
            return torch.zeros(N_OUTPUTS, dtype=torch.float64)
        norms = deltas.norm(dim=1)
        # A change of zero has no direction.
        weights = torch.where(norms > 0, 1 / norms, 0.0)
        return (weights[:, None] * deltas).sum(dim=0) / weights.sum()

    def features(self, rows: np.ndarray) -> torch.Tensor:
        network = self.case.network
        found = []
        for row in rows:
            of_row = []
            for cell in self.cells[int(self.case.cell_types[row])]:
                state = network.encode_cells(torch.tensor([cell]))
                genes = self.case.genes[row][None]
                embedding = network.attend(genes, state).embedding
                of_row.append(network.decoder.readout_features(embedding, genes >= 0, state)[0])
            mean = torch.stack(of_row).mean(dim=0).double()
            if self.shared is not None:
                mean = mean - (mean @ self.shared) * self.shared
            found.append(mean)
        return torch.stack(found)

    def tune(self, rows: np.ndarray, held: np.ndarray | None, checkpoints: tuple[int, ...]) -> list:
        """Descend; return held-out errors and cosines, (2, n_held, n_penalties) each."""
        types, deltas = self.case.types, self.case.deltas.double()
        log_penalty = torch.tensor(np.log(PENALTY), dtype=torch.float64, requires_grad=True)
        adam = torch.optim.Adam(
            [{"params": [types], "lr": 0.05}, {"params": [log_penalty], "lr": 0.1}]
        )
        targets = deltas[rows] - self.typical(rows)
        errors = []
        for step in range(checkpoints[-1] + 1):
            features = self.features(rows)
            scale = features.square().sum(dim=1).mean()
            penalty = log_penalty.exp() * scale
            if held is not None and step in checkpoints:
                found = []
                for tried in PENALTIES:
                    kernel = features @ features.T + tried * scale * torch.eye(len(rows))
                    weights = torch.linalg.solve(kernel, targets)
                    predicted = self.typical(rows) + self.features(held) @ features.T @ weights
                    squares = (predicted - deltas[held]).square().mean(dim=1)
                    cosines = torch.cosine_similarity(predicted, deltas[held], dim=1)
                    found.append(torch.stack([squares, cosines]))
                errors.append(torch.stack(found, dim=2).detach().numpy())
            if step == checkpoints[-1]:
                break
            loss = torch.zeros((), dtype=torch.float64)
            for i, row in enumerate(rows):
                if not deltas[row].any():
                    continue
                rest = [j for j in range(len(rows)) if j != i]
                others = features[rest]
                kernel = others @ others.T + penalty * torch.eye(len(rest))
                weights = torch.linalg.solve(kernel, targets[rest])
                residual = features[i] @ others.T @ weights - targets[i]
                loss = loss + residual.square().sum() / deltas[row].square().sum() / len(rows)
            adam.zero_grad()
            loss.backward()
            adam.step()
        adam.zero_grad()
        return errors


def slowly_tuned(
    case: Case, checkpoints: tuple[int, ...], n_turns: int
) -> tuple[np.ndarray, np.ndarray]:
    """Tune in place up to the last checkpoint; return the held-out errors and cosines.

    Returns:
        Both (n, n_checkpoints, n_penalties).
    """
    rng = np.random.default_rng(0)
    slow = Slow(case, case.controls.sample(2, rng))
    n = len(case.deltas)
    start = case.types.detach().clone()
    scores = []
    for part in np.array_split(rng.permutation(n), 4)[:n_turns]:
        held = np.sort(part)
        rest = np.array([row for row in range(n) if row not in held])
        scores.append(np.stack(slow.tune(rest, held, checkpoints), axis=2))
        case.types.data.copy_(start)
    slow.tune(np.arange(n), None, checkpoints)
    errors, cosines = np.concatenate(scores, axis=1)
    return errors, cosines
